// The loudspeaker: replies without gaps, silenced at once.

const RATE_HZ = 24_000;

export class Loudspeaker {
  #context;
  #node;

  /**
   * Open it; the browser wants this to happen upon a click or a key.
   *
   * `on` is told what becomes of each item's audio: `began(item, resumed, atMs)` with the time of `performance.now()`
   * at which it leaves the machine, `ranDry(item, playedMs, rms)`, `flushed(item, playedMs, rms)` and `level(rms)`.
   */
  async open(on) {
    this.#context = new AudioContext({ sampleRate: RATE_HZ, latencyHint: "interactive" });
    const resumed = this.#context.resume(); // before anything is waited for, or Safari forgets the click
    await this.#context.audioWorklet.addModule("/page/loudspeaker.worklet.js");
    this.#node = new AudioWorkletNode(this.#context, "loudspeaker", { numberOfInputs: 0, outputChannelCount: [1] });
    this.#node.port.onmessage = ({ data: { what, item, playedMs, rms, resumed, at_s } }) => {
      if (what === "level") on.level(rms);
      else if (what === "began") on.began(item, resumed, this.#leavesAt(at_s));
      else on[what](item, playedMs, rms);
    };
    this.#node.connect(this.#context.destination);
    await resumed;
  }

  /** Append PCM16 at 24 kHz, an ArrayBuffer that is given away, to what is played of an item. */
  play(item, pcm16) {
    this.#node.port.postMessage({ item, pcm16 }, [pcm16]);
  }

  flush() {
    this.#node?.port.postMessage({});
  }

  async close() {
    if (this.#context?.state !== "closed") await this.#context?.close();
  }

  #leavesAt(at_s) {
    const { contextTime, performanceTime } = this.#context.getOutputTimestamp();
    if (performanceTime) return performanceTime + (at_s - contextTime) * 1_000;
    return performance.now() + (at_s - this.#context.currentTime) * 1_000;
  }
}
