// The page tells everything without this. With it, a dot plays its reply, and a wave plays from where it is clicked.
"use strict";

const bodies = [...document.querySelectorAll(".turn .body")];

for (const body of bodies) {
  const audio = body.querySelector("audio");
  const lanes = body.querySelector(".lanes");
  if (!audio) continue;
  const cursor = lanes.appendChild(document.createElement("i"));
  cursor.className = "cursor";
  const length = Number(body.dataset.length);
  const follow = () => {
    cursor.style.left = `${(100 * audio.currentTime) / length}%`;
    if (!audio.paused) requestAnimationFrame(follow);
  };
  audio.addEventListener("play", () => {
    for (const other of document.querySelectorAll("audio")) if (other !== audio) other.pause();
    body.classList.add("heard");
    follow();
  });
  audio.addEventListener("seeked", follow);
  lanes.classList.add("playable");
  lanes.addEventListener("click", (event) => {
    const box = lanes.getBoundingClientRect();
    playFrom(audio, (length * (event.clientX - box.left)) / box.width);
  });
}

function playFrom(audio, seconds) {
  audio.currentTime = seconds;
  audio.play().catch(() => {}); // the browser may refuse; its own controls are there
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='#turn-']");
  if (!link) return;
  const body = document.getElementById(link.getAttribute("href").slice(1));
  body.closest("details").open = true;
  const audio = body.querySelector("audio");
  if (audio && link.dataset.play) playFrom(audio, Number(link.dataset.at ?? audio.dataset.reply ?? 0));
});

const buttons = document.createElement("p");
buttons.className = "buttons";
for (const [label, open] of [["open all turns", true], ["close all", false]]) {
  const button = buttons.appendChild(document.createElement("button"));
  button.textContent = label;
  button.addEventListener("click", () => bodies.forEach((body) => (body.closest("details").open = open)));
}
document.getElementById("turns")?.after(buttons);
