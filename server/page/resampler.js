// A stream from any rate to a lower one: a windowed sinc, for browsers whose microphone keeps a rate of its own.

const ZERO_CROSSINGS = 16;

export class Resampler {
  #step;
  #cutoff;
  #reach;
  #held;
  #at;

  /** From `fromHz` to `toHz`; the output lags the input by the filter's reach, some milliseconds. */
  constructor(fromHz, toHz) {
    this.#step = fromHz / toHz;
    this.#cutoff = 0.92 / Math.max(1, this.#step);
    this.#reach = Math.ceil(ZERO_CROSSINGS / this.#cutoff);
    this.#held = new Float32Array(this.#reach);
    this.#at = this.#reach;
  }

  push(samples) {
    const joined = new Float32Array(this.#held.length + samples.length);
    joined.set(this.#held);
    joined.set(samples, this.#held.length);
    const resampled = [];
    for (; this.#at + this.#reach < joined.length; this.#at += this.#step) {
      resampled.push(this.#sampleAt(joined, this.#at));
    }
    const done = Math.max(0, Math.min(Math.floor(this.#at) - this.#reach, joined.length));
    this.#held = joined.slice(done);
    this.#at -= done;
    return Float32Array.from(resampled);
  }

  #sampleAt(samples, at) {
    let sum = 0;
    for (let index = Math.ceil(at - this.#reach); index <= at + this.#reach; index += 1) {
      const distance = index - at;
      const window = 0.5 + 0.5 * Math.cos((Math.PI * distance) / this.#reach);
      sum += (samples[index] ?? 0) * window * this.#cutoff * sinc(this.#cutoff * distance);
    }
    return sum;
  }
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}
