// One call: what the microphone hears goes to the server, what the server says goes to the loudspeaker and the view.

import { Connection } from "./connection.js";
import { Loudspeaker } from "./loudspeaker.js";
import { Microphone } from "./microphone.js";
import { connectionTrouble, MICROPHONE_GONE, soundTrouble, turnTrouble } from "./troubles.js";

const SAMPLES_PER_MS = 24;
const SILENCE = new ArrayBuffer(960);
const PCM = { type: "audio/pcm", rate: 24_000 };

export class Call {
  #view;
  #settings;
  #whenOpened;
  #microphone = null;
  #loudspeaker = null;
  #connection = new Connection({
    opened: () => this.#opened(),
    event: (event) => this.#take(event),
    trouble: (trouble) => this.#disconnected(trouble),
  });
  #connected = false;
  #muted = false;
  #held = false; // the button is down, where a turn ends by letting go
  #hearing = false; // the server hears speech
  #thinking = false; // it has heard a turn, and has not replied
  #sentMs = 0; // of audio in this session: the server's clock, which its trace and positions are in
  #sentAt = 0; // performance.now() of the last of it
  #turnEnd = null; // {atMs, position_s} of the caller's last speech, on either clock
  #replies = new Map(); // each `Reply` by the id of its item

  /** `settings`: `{language, voice, turns}`, with `turns` `pause` or `hold`; `whenOpened()` is told of each session. */
  constructor(view, settings, whenOpened) {
    this.#view = view;
    this.#settings = settings;
    this.#whenOpened = whenOpened;
  }

  get active() {
    return this.#microphone !== null;
  }

  get held() {
    return this.#held;
  }

  /** Open microphone, loudspeaker and connection. Where that cannot be, the view is told, and it is not active. */
  async start(token) {
    const microphone = new Microphone();
    const loudspeaker = new Loudspeaker();
    this.#microphone = microphone;
    this.#loudspeaker = loudspeaker;
    this.#view.trouble(null);
    this.#show();
    try {
      // The loudspeaker first: it wants the click that this began with, and the microphone may have to ask.
      await loudspeaker.open({
        began: (item, resumed, atMs) => this.#began(item, resumed, atMs),
        ranDry: (item, playedMs, rms) => this.#ranDry(item, playedMs, rms),
        flushed: (item, playedMs, rms) => this.#flushed(item, playedMs, rms),
        level: (rms) => this.#view.level("reply", rms),
      });
      await microphone.open(
        (pcm16, rms) => this.#send(pcm16, rms),
        () => this.#fail(MICROPHONE_GONE),
      );
    } catch (error) {
      if (this.#microphone === microphone) this.#fail(soundTrouble(error));
      return;
    }
    // Ended while the browser was asking.
    if (this.#microphone === microphone) this.#connection.open(token);
    else await Promise.all([microphone.close(), loudspeaker.close()]);
  }

  end() {
    this.#connection.close();
    this.#microphone?.close();
    this.#loudspeaker?.close();
    this.#microphone = this.#loudspeaker = null;
    this.#muted = false;
    this.#forgetSession();
    this.#view.level("you", 0);
    this.#view.level("reply", 0);
    this.#show();
  }

  /** Dial again, at once or with another token, while the sound stays open. */
  reconnect(token) {
    this.#view.trouble(null);
    this.#connection.open(token);
    this.#show();
  }

  change(settings) {
    const before = this.#settings.turns;
    this.#settings = settings;
    if (before !== settings.turns && this.#connected) {
      this.#held = this.#hearing = this.#thinking = false;
      this.#connection.send({ type: "input_audio_buffer.clear" });
    }
    if (this.#connected) this.#update();
    this.#show();
  }

  toggleMute() {
    this.#muted = !this.#muted;
    this.#show();
  }

  /** Push to talk: what is said from here on is a turn, and whatever is being replied is over. */
  hold() {
    if (this.#held || !this.#connected || this.#settings.turns !== "hold") return;
    this.silence();
    this.#held = true;
    this.#thinking = false;
    this.#connection.send({ type: "input_audio_buffer.clear" });
    this.#view.trouble(null);
    this.#show();
  }

  release() {
    if (!this.#held) return;
    this.#held = false;
    this.#thinking = true;
    this.#turnEnd = { atMs: performance.now(), position_s: this.#sentMs / 1_000 };
    this.#connection.send({ type: "input_audio_buffer.commit" });
    this.#connection.send({ type: "response.create" });
    this.#show();
  }

  /** Stop the reply, and have no more of it. */
  silence() {
    const current = [...this.#replies.values()].find((reply) => !reply.done);
    if (current) current.silenced = true;
    if (current || this.#thinking) this.#connection.send({ type: "response.cancel" });
    this.#loudspeaker?.flush();
  }

  #opened() {
    const again = this.#view.conversationBegan();
    this.#forgetSession();
    this.#connected = true;
    this.#view.trouble(null);
    if (again) this.#view.note("Connected again. The server does not remember what was said before.");
    this.#update();
    this.#show();
    this.#whenOpened();
  }

  #update() {
    const { language, voice, turns } = this.#settings;
    this.#connection.send({
      type: "session.update",
      session: {
        type: "realtime",
        output_modalities: ["audio"],
        audio: {
          input: {
            format: PCM,
            transcription: { language },
            turn_detection: turns === "hold" ? null : { type: "semantic_vad" },
          },
          output: { format: PCM, voice },
        },
      },
    });
  }

  #disconnected(trouble) {
    this.#forgetSession();
    this.#view.trouble({
      ...connectionTrouble(trouble),
      wantsToken: trouble.kind === "token",
      retry: trouble.kind !== "token",
    });
    if (trouble.retryInS === null) this.end();
    else this.#show();
  }

  #fail(trouble) {
    this.end();
    this.#view.trouble({ ...trouble, retry: true });
  }

  /** What belongs to one connection ends with it. */
  #forgetSession() {
    this.#connected = this.#held = this.#hearing = this.#thinking = false;
    this.#sentMs = 0;
    this.#turnEnd = null;
    this.#loudspeaker?.flush();
    this.#replies.clear();
    this.#view.abandon();
  }

  #send(pcm16, rms) {
    const listens = this.#settings.turns === "hold" ? this.#held : !this.#muted;
    this.#view.level("you", listens ? rms : 0);
    if (!this.#connected || (this.#settings.turns === "hold" && !this.#held)) return;
    // A muted microphone sends silence: the server goes on hearing that nothing is said.
    this.#connection.send({ type: "input_audio_buffer.append", audio: toBase64(listens ? pcm16 : SILENCE) });
    this.#sentMs += pcm16.byteLength / 2 / SAMPLES_PER_MS;
    this.#sentAt = performance.now();
  }

  #take(event) {
    switch (event.type) {
      case "input_audio_buffer.speech_started":
        this.#hearing = true;
        this.#thinking = false;
        this.#loudspeaker.flush();
        this.#view.turn("you", event.item_id);
        break;
      case "input_audio_buffer.speech_stopped":
        this.#hearing = false;
        this.#thinking = true;
        this.#turnEnd = {
          atMs: this.#sentAt - (this.#sentMs - event.audio_end_ms),
          position_s: event.audio_end_ms / 1_000,
        };
        break;
      case "input_audio_buffer.committed":
        this.#view.turn("you", event.item_id);
        break;
      case "conversation.item.input_audio_transcription.completed":
        this.#view.say(event.item_id, event.transcript || null);
        if (!event.transcript) this.#thinking = false;
        break;
      case "conversation.item.input_audio_transcription.failed":
        this.#view.say(event.item_id, null);
        this.#failedTurn(event.error);
        break;
      case "response.output_item.added":
        this.#replies.set(event.item.id, new Reply(this.#turnEnd));
        this.#view.turn("reply", event.item.id);
        if (this.#held) this.silence(); // of a turn before the one that is being said
        break;
      case "response.output_audio_transcript.delta":
        this.#view.say(event.item_id, event.delta, { more: true });
        break;
      case "response.output_audio.delta":
        this.#play(event.item_id, event.delta);
        break;
      case "response.done":
        this.#done(event.response);
        break;
      case "error":
        this.#failedTurn(event.error);
        break;
    }
    this.#show();
  }

  #failedTurn(error) {
    const trouble = turnTrouble(error);
    if (!trouble) return;
    this.#thinking = false;
    this.#view.trouble(trouble);
  }

  #play(item, base64) {
    const reply = this.#replies.get(item);
    if (!reply || reply.silenced) return;
    this.#loudspeaker.play(item, fromBase64(base64));
  }

  #began(item, resumed, atMs) {
    const reply = this.#replies.get(item);
    if (!reply) return;
    reply.sounding = true;
    this.#thinking = false;
    if (resumed) reply.gaps += 1;
    else if (reply.turnEnd) {
      reply.ttfaMs = atMs - reply.turnEnd.atMs;
      this.#turnEnd = null;
      this.#view.firstSound(reply.ttfaMs, this.#settings.turns);
    }
    this.#show();
  }

  #ranDry(item, playedMs, rms) {
    const reply = this.#replies.get(item);
    if (!reply) return;
    Object.assign(reply, { sounding: false, playedMs, rms });
    this.#settle(item, reply);
    this.#show();
  }

  /** Silenced: by the caller's voice, or by the caller's hand. The server is told how much of it was heard. */
  #flushed(item, playedMs, rms) {
    const reply = this.#replies.get(item);
    if (!reply) return;
    Object.assign(reply, { sounding: false, playedMs, rms, cut: true, silenced: true });
    this.#settle(item, reply);
    this.#show();
  }

  #done(response) {
    for (const { id } of response.output) {
      const reply = this.#replies.get(id);
      if (!reply) continue;
      Object.assign(reply, { done: true, trace: response.trace ?? null });
      if (response.status === "cancelled") {
        reply.cut = reply.silenced = true;
        this.#loudspeaker.flush();
      }
      this.#settle(id, reply);
    }
    if (response.status !== "completed") this.#thinking = false;
    if (response.status === "failed") {
      this.#failedTurn(response.status_details?.error ?? { message: "the reply failed" });
    }
  }

  /** Once the server has ended it, a reply that was cut is truncated there, and one that has sounded is drawn. */
  #settle(item, reply) {
    if (!reply.done || reply.sounding) return;
    if (reply.cut && !reply.truncated) {
      reply.truncated = true;
      this.#view.interrupted(item, reply.playedMs);
      this.#connection.send({
        type: "conversation.item.truncate",
        item_id: item,
        content_index: 0,
        audio_end_ms: reply.playedMs,
      });
    }
    if (reply.ttfaMs !== null && reply.trace) {
      const { ttfaMs, turnEnd, trace, gaps, playedMs, rms } = reply;
      this.#view.replied({ ttfaMs, position_s: turnEnd.position_s, trace, playedMs, rms, gaps });
    }
  }

  #show() {
    const replying = [...this.#replies.values()].some(({ sounding }) => sounding);
    let state = "listening";
    if (!this.active) state = "idle";
    else if (!this.#connected) state = "connecting";
    else if (replying) state = "replying";
    else if (this.#hearing || this.#held) state = "hearing";
    else if (this.#thinking) state = "thinking";
    else if (this.#settings.turns === "hold") state = "waiting";
    else if (this.#muted) state = "muted";
    this.#view.state(state, { turns: this.#settings.turns, muted: this.#muted });
  }
}

/** What becomes of one reply. */
class Reply {
  ttfaMs = null;
  playedMs = 0;
  rms = 0;
  gaps = 0;
  trace = null; // the server's account of the turn
  sounding = false;
  silenced = false; // no more of it is to be heard
  cut = false; // it was not heard to its end
  truncated = false; // the server knows
  done = false; // the server has ended it

  constructor(turnEnd) {
    this.turnEnd = turnEnd;
  }
}

function toBase64(buffer) {
  return btoa(String.fromCharCode(...new Uint8Array(buffer)));
}

/** An empty buffer where it is no base64: a broken frame is not played. */
function fromBase64(text) {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer;
  } catch {
    return new ArrayBuffer(0);
  }
}
