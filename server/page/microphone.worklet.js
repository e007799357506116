// On the audio thread: what the microphone hears, as frames of 20 ms of PCM16 at 24 kHz.

import { Resampler } from "./resampler.js";

const RATE_HZ = 24_000;
const FRAME_SAMPLES = 480;

class MicrophoneProcessor extends AudioWorkletProcessor {
  #resampler = sampleRate === RATE_HZ ? null : new Resampler(sampleRate, RATE_HZ);
  #frame = new Int16Array(FRAME_SAMPLES);
  #filled = 0;
  #squares = 0;

  process([[samples]]) {
    if (!samples) return true;
    for (const sample of this.#resampler ? this.#resampler.push(samples) : samples) {
      this.#frame[this.#filled++] = Math.round(Math.min(Math.max(sample * 32_768, -32_768), 32_767));
      this.#squares += sample * sample;
      if (this.#filled === FRAME_SAMPLES) this.#send();
    }
    return true;
  }

  #send() {
    const rms = Math.sqrt(this.#squares / FRAME_SAMPLES);
    this.port.postMessage({ pcm16: this.#frame.buffer, rms }, [this.#frame.buffer]);
    this.#frame = new Int16Array(FRAME_SAMPLES);
    this.#filled = 0;
    this.#squares = 0;
  }
}

registerProcessor("microphone", MicrophoneProcessor);
