// RIFF WAVE, 16-bit PCM, mono: what every service reads and no browser records by itself.

const HEADER_BYTES = 44;

/** samples: [-1, 1]. */
export function encodeWav(samples, rate) {
  const bytes = 2 * samples.length;
  const view = new DataView(new ArrayBuffer(HEADER_BYTES + bytes));
  const text = (at, word) => [...word].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, HEADER_BYTES - 8 + bytes, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); // bytes of this chunk
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // channels
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true); // bytes a second
  view.setUint16(32, 2, true); // bytes a frame
  view.setUint16(34, 16, true); // bits a sample
  text(36, "data");
  view.setUint32(40, bytes, true);
  // Every processor that browsers run on is little-endian, as the format; a DataView takes ten times as long.
  const data = new Int16Array(view.buffer, HEADER_BYTES);
  for (let n = 0; n < samples.length; n++) data[n] = Math.round(Math.max(-1, Math.min(1, samples[n])) * 32767);
  return new Blob([view.buffer], { type: "audio/wav" });
}
