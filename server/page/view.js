// What the page shows; it decides nothing.

import { drawWaterfall, stages } from "./waterfall.js";

const STATES = {
  idle: ["Start", "Press Start and speak."],
  connecting: ["Connecting", "Connecting …"],
  listening: ["Mute", "Listening. Just speak."],
  hearing: ["Mute", "I hear you."],
  thinking: ["Mute", "Thinking …"],
  replying: ["Mute", "Replying. Speak to interrupt."],
  muted: ["Unmute", "Your microphone is muted."],
  waiting: ["Hold to talk", "Hold this, or the space bar."],
};
const HELD = "Release";
const QUIETEST_DB = -60;
const PENDING = "…";

const element = (id) => document.getElementById(id);

export class View {
  #turns = new Map(); // list items of the transcript, by the id of what was said
  #began = false;

  /** What answers, as the server's /health tells it. */
  models({ stt, lm, tts }) {
    const names = [stt, ...new Set([...Object.values(lm), ...Object.values(tts)])];
    element("models").textContent = names.join(" · ");
  }

  state(state, { turns, muted }) {
    const hold = turns === "hold" && state !== "idle" && state !== "connecting";
    const [label, words] = STATES[state];
    const button = element("talk");
    button.dataset.state = state;
    button.dataset.muted = muted && !hold;
    let pressing = label; // what pressing it does
    if (hold) pressing = state === "hearing" ? HELD : STATES.waiting[0];
    else if (muted && state !== "idle") pressing = STATES.muted[0];
    element("talk-label").textContent = pressing;
    button.disabled = state === "connecting";
    const status = state === "replying" && hold ? "Replying. Hold to interrupt." : words;
    if (element("state").textContent !== status) element("state").textContent = status;
    element("end").hidden = state === "idle";
    element("stop").hidden = state !== "replying";
  }

  /** `who` is `you` or `reply`, `rms` of full scale. */
  level(who, rms) {
    const db = 20 * Math.log10(Math.max(rms, 1e-6));
    const share = Math.max(0, 1 - db / QUIETEST_DB);
    element(`level-${who}`).style.transform = `scaleX(${share.toFixed(3)})`;
    if (who === "you") element("talk").style.setProperty("--level", share.toFixed(3));
  }

  /** Null takes it away. `retry` offers to try again, `wantsToken` asks for the token. */
  trouble(trouble) {
    const box = element("trouble");
    const title = trouble?.title ?? "";
    const advice = trouble?.advice ?? "";
    element("trouble-title").textContent = title;
    element("trouble-advice").textContent = advice;
    element("token-form").hidden = !trouble?.wantsToken;
    element("retry").hidden = !trouble?.retry;
    box.hidden = !trouble;
    if (trouble?.wantsToken) element("token").focus();
  }

  /** Whether one had begun before. */
  conversationBegan() {
    const again = this.#began;
    this.#began = true;
    return again;
  }

  /** Open a turn of `you` or the `reply`; one that is there already stays as it is. */
  turn(who, id) {
    if (this.#turns.has(id)) return;
    const item = document.createElement("li");
    item.className = who;
    const name = document.createElement("span");
    name.className = "who";
    name.textContent = who === "you" ? "You" : "Reply";
    const words = document.createElement("p");
    words.className = "pending";
    words.textContent = PENDING;
    item.append(name, words);
    this.#append(item);
    this.#turns.set(id, item);
  }

  /** The words of a turn, in place of what it had or, with `more`, after it. Null: none were understood. */
  say(id, text, { more = false } = {}) {
    const words = this.#turns.get(id)?.querySelector("p");
    if (!words) return;
    const pending = words.classList.contains("pending");
    words.classList.toggle("pending", text === null);
    words.textContent = text === null ? "(nothing understood)" : more && !pending ? words.textContent + text : text;
    this.#scroll();
  }

  /** What was being said when the connection ended. */
  abandon() {
    for (const words of document.querySelectorAll("#transcript .pending")) {
      if (words.textContent === PENDING) words.textContent = "(lost)";
    }
    this.#turns.clear();
  }

  interrupted(id, playedMs) {
    const item = this.#turns.get(id);
    if (!item || item.querySelector("small")) return;
    const note = document.createElement("small");
    const seconds = (playedMs / 1_000).toFixed(1);
    note.textContent = playedMs > 0 ? `interrupted after ${seconds} s` : "interrupted before it was heard";
    item.append(note);
    this.#scroll();
  }

  note(text) {
    const item = document.createElement("li");
    item.className = "note";
    item.textContent = text;
    this.#append(item);
  }

  firstSound(ttfaMs, turns) {
    element("ttfa-figure").textContent = `${(ttfaMs / 1_000).toFixed(2)} s`;
    const from = turns === "hold" ? "letting go" : "your last word";
    element("ttfa-label").textContent = `from ${from} to the first sound of the reply`;
    element("stages").ariaBusy = "true"; // they are of the turn before, until this one is over
  }

  /** A reply that is over: its stages, and how it was played. */
  replied({ ttfaMs, position_s, trace, playedMs, rms, gaps }) {
    drawWaterfall(element("waterfall"), stages(trace, position_s, ttfaMs));
    element("stages").ariaBusy = null;
    const level = rms > 0 ? `${Math.round(20 * Math.log10(rms))} dBFS` : "silence";
    const without = gaps === 0 ? "without a gap" : gaps === 1 ? "with one gap" : `with ${gaps} gaps`;
    const seconds = (playedMs / 1_000).toFixed(1);
    element("heard").textContent = `Played ${seconds} s at ${level.replace("-", "−")}, ${without}.`;
  }

  #append(item) {
    element("hint").hidden = true;
    element("transcript").append(item);
    this.#scroll();
  }

  #scroll() {
    const list = element("transcript");
    list.scrollTop = list.scrollHeight;
  }
}
