// The microphone, with the browser's echo cancellation.

const RATE_HZ = 24_000;

export class Microphone {
  #stream;
  #context;

  /**
   * Ask for the microphone and listen.
   *
   * `onFrame(pcm16, rms)` gets each 20 ms as an ArrayBuffer of PCM16 at 24 kHz; `onGone()` is told when it is gone.
   * Throws a DOMException where there is none or it may not be used.
   */
  async open(onFrame, onGone) {
    this.#stream = await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 },
    });
    this.#stream.getAudioTracks()[0].addEventListener("ended", onGone);
    const source = this.#source();
    await this.#context.audioWorklet.addModule("/page/microphone.worklet.js");
    const node = new AudioWorkletNode(this.#context, "microphone", {
      numberOfOutputs: 0,
      channelCount: 1,
      channelCountMode: "explicit",
    });
    node.port.onmessage = ({ data }) => onFrame(data.pcm16, data.rms);
    source.connect(node);
    await this.#context.resume();
  }

  async close() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    if (this.#context?.state !== "closed") await this.#context?.close();
  }

  /** Firefox gives a microphone only to a context of the microphone's own rate; the worklet resamples then. */
  #source() {
    this.#context = new AudioContext({ sampleRate: RATE_HZ });
    try {
      return this.#context.createMediaStreamSource(this.#stream);
    } catch {
      this.#context.close();
      this.#context = new AudioContext();
      return this.#context.createMediaStreamSource(this.#stream);
    }
  }
}
