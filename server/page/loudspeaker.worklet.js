// On the audio thread: a ring buffer that plays without gaps, is emptied at once, and says what was really played.

import { ClipGuard } from "./clip_guard.js";

const CAPACITY = 60 * 24_000; // far more than the server sends ahead; what goes beyond it is dropped
const REPORT_SAMPLES = 1_024;

class LoudspeakerProcessor extends AudioWorkletProcessor {
  #guard = new ClipGuard();
  #ring = new Float32Array(CAPACITY);
  #read = 0; // positions, in samples since the beginning
  #written = 0;
  #items = []; // what is in the ring, by the id of its item: the first is played, or was the last to be
  #sounding = false;
  #squares = 0; // of what was played since the last report
  #played = 0;

  constructor() {
    super();
    this.port.onmessage = ({ data }) => (data.pcm16 ? this.#add(data.item, data.pcm16) : this.#flush());
  }

  process(inputs, [[output]]) {
    for (let index = 0; index < output.length; index += 1) {
      const sounds = this.#read < this.#written;
      if (sounds && this.#items[0].end <= this.#read) this.#items.shift();
      if (sounds !== this.#sounding) this.#turn(sounds, currentTime + index / sampleRate);
      output[index] = this.#guard.next(sounds ? this.#ring[this.#read % CAPACITY] : 0);
      const square = output[index] ** 2;
      this.#squares += square;
      if (sounds) {
        this.#items[0].squares += square;
        this.#read += 1;
      }
    }
    this.#played += output.length;
    if (this.#played >= REPORT_SAMPLES) this.#report();
    return true;
  }

  /** From silence to sound or back: a joint either way. */
  #turn(sounds, at_s) {
    this.#sounding = sounds;
    this.#guard.join();
    if (!sounds) this.#tell("ranDry");
    else this.#tell("began", { at_s, resumed: this.#read > this.#items[0].start });
  }

  #add(id, pcm16) {
    const count = Math.min(Math.floor(pcm16.byteLength / 2), CAPACITY - (this.#written - this.#read));
    const view = new DataView(pcm16);
    if (this.#items.at(-1)?.id !== id) {
      this.#items.push({ id, start: this.#written, end: this.#written, squares: 0 });
    }
    for (let index = 0; index < count; index += 1) {
      this.#ring[this.#written % CAPACITY] = view.getInt16(2 * index, true) / 32_768;
      this.#written += 1;
    }
    this.#items.at(-1).end = this.#written;
  }

  #flush() {
    if (this.#read === this.#written) return;
    while (this.#items[0].end <= this.#read) this.#items.shift();
    this.#tell("flushed");
    this.#read = this.#written;
    this.#items = [];
    this.#sounding = false;
    this.#guard.join();
  }

  #tell(what, more = {}) {
    const { id, start, squares } = this.#items[0];
    const samples = this.#read - start;
    const rms = samples ? Math.sqrt(squares / samples) : 0;
    this.port.postMessage({ what, item: id, playedMs: Math.floor((samples * 1_000) / sampleRate), rms, ...more });
  }

  #report() {
    this.port.postMessage({ what: "level", rms: Math.sqrt(this.#squares / this.#played) });
    this.#squares = 0;
    this.#played = 0;
  }
}

registerProcessor("loudspeaker", LoudspeakerProcessor);
