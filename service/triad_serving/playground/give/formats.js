// Which files the service reads by itself, by the names that /v1/models gives its formats.

const NAMES = { "x-wav": "wav", wave: "wav", "vnd.wave": "wav", "x-flac": "flac", mpeg: "mp3", "x-aiff": "aiff", opus: "ogg" };

/** type: a MIME type, as the browser guesses it from the file's name; formats: e.g. ["JPEG", "PNG"]. */
export function readable(type, formats) {
  const subtype = type.split("/").at(-1).split(";")[0];
  return formats.some((format) => format.toLowerCase() === (NAMES[subtype] ?? subtype));
}
