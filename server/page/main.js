// The page's controls, wired to the call.

import { Call } from "./call.js";
import { View } from "./view.js";

const element = (id) => document.getElementById(id);
const view = new View();
const call = new Call(view, settings(), learnServer);
let token = "";
let voices = {};

function settings() {
  return {
    language: element("language").value,
    voice: element("voice").value,
    turns: element("settings").elements.turns.value,
  };
}

/** What the server is made of, and the voices it has. */
async function learnServer() {
  try {
    const answer = await fetch("/health", { headers: { Accept: "application/json" }, cache: "no-store" });
    if (!answer.ok) return;
    const told = await answer.json();
    view.models(told);
    voices = told.voices;
  } catch {
    return; // whoever calls is told by the call what is wrong
  }
  offerVoices();
}

/** The voices of the language that is chosen, or of all. */
function offerVoices() {
  const select = element("voice");
  const wanted = select.value;
  const language = element("language").value;
  const offered = Object.entries(voices).filter(([code]) => language === "auto" || code === language);
  const groups = offered.map(([code, names]) => {
    const group = document.createElement("optgroup");
    group.label = element("language").querySelector(`[value=${code}]`)?.textContent ?? code;
    group.append(...names.map((name) => new Option(name, name)));
    return group;
  });
  select.replaceChildren(select.options[0], ...groups);
  select.value = [...select.options].some(({ value }) => value === wanted) ? wanted : "default";
}

const talk = element("talk");

function holds() {
  return call.active && settings().turns === "hold";
}

talk.addEventListener("click", ({ detail }) => {
  if (!call.active) call.start(token);
  else if (!holds()) call.toggleMute();
  else if (detail === 0 && call.held) call.release(); // pressed by a key or a screen reader, which cannot hold
  else if (detail === 0) call.hold();
});
talk.addEventListener("pointerdown", (event) => {
  if (!holds()) return;
  talk.setPointerCapture(event.pointerId);
  call.hold();
});
for (const over of ["pointerup", "pointercancel", "lostpointercapture"]) {
  talk.addEventListener(over, () => call.release());
}
talk.addEventListener("contextmenu", (event) => holds() && event.preventDefault());

/** The space bar is for talking wherever it has no other use. */
function isSpaceToTalk({ code, target }) {
  return code === "Space" && holds() && (target === talk || !target.closest("button, input, select, a"));
}
document.addEventListener("keydown", (event) => {
  if (isSpaceToTalk(event)) {
    event.preventDefault();
    if (!event.repeat) call.hold();
  } else if (event.code === "Escape" && call.active) call.silence();
});
document.addEventListener("keyup", (event) => {
  if (event.code !== "Space") return;
  if (isSpaceToTalk(event)) event.preventDefault();
  call.release();
});
// A key or a finger that is let go elsewhere is never told of.
window.addEventListener("blur", () => call.release());

element("stop").addEventListener("click", () => {
  call.silence();
  talk.focus();
});
element("end").addEventListener("click", () => {
  call.end();
  view.trouble(null);
  talk.focus();
});
element("retry").addEventListener("click", () => {
  if (call.active) call.reconnect(token);
  else call.start(token);
  talk.focus();
});
element("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token = element("token").value.trim();
  call.start(token);
  talk.focus();
});
element("settings").addEventListener("change", () => {
  offerVoices();
  call.change(settings());
});
element("settings").addEventListener("submit", (event) => event.preventDefault());

learnServer();
