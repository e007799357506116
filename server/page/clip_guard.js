// The last thing before the loudspeaker: whatever arrives, what leaves is finite, within [-1, 1] and free of cracks.
// client/clip_guard.py is the same guard, and says what precisely it promises; a test holds both to the same output.

export const LARGEST_STEP = 1;
export const RAMP_SAMPLES = 128;

export class ClipGuard {
  #last = 0;
  #meant = 0;
  #difference = 0;
  #fading = 0;
  #joint = false;
  #broken = false;

  /** What comes next does not belong to what came before. */
  join() {
    this.#joint = true;
  }

  /** The sample as it may be played. */
  next(sample) {
    const broken = !Number.isFinite(sample);
    const meant = broken ? 0 : Math.min(Math.max(sample, -1), 1);
    const joint = this.#joint || broken !== this.#broken || Math.abs(meant - this.#meant) > LARGEST_STEP;
    this.#joint = false;
    this.#broken = broken;
    this.#meant = meant;
    let played = meant;
    if (this.#fading) {
      const faded = Math.fround(meant + (this.#difference * this.#fading) / RAMP_SAMPLES);
      played = Math.min(Math.max(faded, -1), 1);
      this.#fading -= 1;
    }
    if (joint || Math.abs(played - this.#last) > LARGEST_STEP) {
      played = this.#last;
      this.#difference = this.#last - meant;
      this.#fading = RAMP_SAMPLES - 1;
    }
    this.#last = played;
    return played;
  }
}
