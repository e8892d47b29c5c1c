// "What if": what the person took away from what was given, and the media without it.

import { MEDIA } from "../media.js";

export class Edits {
  /** off: media; hidden: indices of units by medium. */
  constructor() {
    this.off = new Set();
    this.hidden = Object.fromEntries(MEDIA.map((medium) => [medium, new Set()]));
  }

  get empty() {
    return this.off.size === 0 && MEDIA.every((medium) => this.hidden[medium].size === 0);
  }

  copy() {
    const copy = new Edits();
    copy.off = new Set(this.off);
    for (const medium of MEDIA) copy.hidden[medium] = new Set(this.hidden[medium]);
    return copy;
  }

  /** seen: the units, by medium. */
  async apply(media, seen) {
    const units = (medium) => (seen[medium]?.units ?? []).filter((_, i) => this.hidden[medium].has(i));
    const left = { ...media };
    if (units("text").length) left.text = withoutWords(media.text, units("text"));
    if (units("image").length) left.image = await media.image.without(units("image").map(({ rectangle }) => rectangle));
    if (units("audio").length) left.audio = media.audio.without(units("audio").map(({ start, end }) => [start, end]));
    if (units("fields").length) left.fields = withoutFields(media.fields, units("fields"));
    for (const medium of this.off) left[medium] = null;
    return left;
  }
}

/** Offsets are in code points, JavaScript's own in UTF-16 units: they differ from the first emoji on. */
function withoutWords(text, words) {
  const gone = (at) => words.some(({ start, end }) => start <= at && at < end);
  return Array.from(text).filter((_, at) => !gone(at)).join("");
}

/** null where none is left. */
function withoutFields(fields, gone) {
  const left = Object.entries(fields).filter(([field]) => !gone.some(({ name }) => name === field));
  return left.length > 0 ? Object.fromEntries(left) : null;
}
