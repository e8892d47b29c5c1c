// A sound as the person gave it, and without some of its moments.

import { readable } from "../formats.js";
import { encodeWav } from "./wav.js";

const RATE_HZ = 44_100; // what browsers decode to; edited sounds are sent so

export class Sound {
  /** samples: mono, [-1, 1], at `rate` Hz; null where this browser cannot decode the file (the service may). */
  constructor(blob, name, samples, rate) {
    Object.assign(this, { blob, name, samples, rate });
  }

  /** formats: what the service reads. Another that the browser can decode (M4A, WebM) becomes a WAV. */
  static async from(blob, name, formats) {
    const samples = await decode(blob).catch(() => null);
    if (samples === null || readable(blob.type, formats)) return new Sound(blob, name, samples, RATE_HZ);
    return new Sound(encodeWav(samples, RATE_HZ), `${name}.wav`, samples, RATE_HZ);
  }

  static fromSamples(samples, rate, name) {
    return new Sound(encodeWav(samples, rate), name, samples, rate);
  }

  get editable() {
    return this.samples !== null;
  }

  get seconds() {
    return this.samples.length / this.rate;
  }

  /** spans: [start, end] in seconds, silenced. */
  without(spans) {
    const samples = this.samples.slice();
    for (const [start, end] of spans) samples.fill(0, Math.round(start * this.rate), Math.round(end * this.rate));
    return Sound.fromSamples(samples, this.rate, "edited.wav");
  }

  /** The loudest sample of each of `count` equal stretches, in [0, 1]. */
  peaks(count) {
    const step = this.samples.length / count;
    return Array.from({ length: count }, (_, i) => {
      let peak = 0;
      for (let n = Math.floor(i * step); n < (i + 1) * step && n < this.samples.length; n++) {
        peak = Math.max(peak, Math.abs(this.samples[n]));
      }
      return Math.min(peak, 1);
    });
  }
}

async function decode(blob) {
  const context = new OfflineAudioContext(1, 1, RATE_HZ);
  const buffer = await context.decodeAudioData(await blob.arrayBuffer());
  const mono = buffer.getChannelData(0).slice();
  for (let channel = 1; channel < buffer.numberOfChannels; channel++) {
    buffer.getChannelData(channel).forEach((sample, n) => { mono[n] += sample; });
  }
  return mono.map((sample) => sample / buffer.numberOfChannels);
}
