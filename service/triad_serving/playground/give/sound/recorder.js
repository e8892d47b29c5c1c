// The microphone to a Sound. Browsers record WebM or M4A, which the service does not read: samples become a WAV here.

import { Sound } from "./sound.js";

/** Browsers offer the microphone on https and on localhost only. */
export const canRecord = () => Boolean(navigator.mediaDevices?.getUserMedia && window.AudioWorkletNode);

export class Recorder {
  #chunks = [];
  #context;
  #stream;

  /** onHeard(level, seconds): the loudest sample of the last moment, and how long it has run. */
  constructor(onHeard) {
    this.onHeard = onHeard;
  }

  /** Throws DOMException where the person or the system refuses. */
  async start() {
    const wanted = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: true };
    this.#stream = await navigator.mediaDevices.getUserMedia({ audio: wanted });
    this.#context = new AudioContext();
    await this.#context.audioWorklet.addModule(new URL("microphone.js", import.meta.url));
    const node = new AudioWorkletNode(this.#context, "microphone", { numberOfOutputs: 0 });
    node.port.onmessage = ({ data }) => this.#take(data);
    this.#context.createMediaStreamSource(this.#stream).connect(node);
    await this.#context.resume();
  }

  async stop() {
    const rate = this.#context.sampleRate;
    this.#stream.getTracks().forEach((track) => track.stop());
    await this.#context.close();
    const samples = new Float32Array(this.#chunks.reduce((sum, chunk) => sum + chunk.length, 0));
    let at = 0;
    for (const chunk of this.#chunks) {
      samples.set(chunk, at);
      at += chunk.length;
    }
    return Sound.fromSamples(samples, rate, "recording.wav");
  }

  #take(chunk) {
    this.#chunks.push(chunk);
    const level = chunk.reduce((peak, sample) => Math.max(peak, Math.abs(sample)), 0);
    this.onHeard(level, (this.#chunks.length * chunk.length) / this.#context.sampleRate);
  }
}
