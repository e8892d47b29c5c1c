// Errors in plain words, beside the field that caused them.

import { by, say } from "../dom.js";
import { known, t } from "../language/language.js";

const PLACES = {
  text: "text-error", image: "image-error", audio: "audio-error", model: "model-error", version: "model-error",
  fields: "fields-error", Authorization: "key-error", top_k: "top-k-error", target: "target-error",
  index: "index-error", k: "k-error", by: "by-error", filter: "filter-error",
};
const ONE_FIELD = "fields.";
const WARNINGS = [
  [/^The text was cut off after (?<limit>\d+) tokens/, "warning_text_cut"],
  [/^The model knows no word of the text/, "warning_unknown"],
  [/^The sound was cut off after (?<limit>[\d.]+) s/, "warning_sound_cut"],
  [/^After its first (?<limit>[\d.]+) s the sound was read for transcripts only/, "warning_windows"],
  [/^(?<name>.+): needs a sound\.$/, "warning_needs_sound"],
  [/^The sound is silent/, "warning_silent"],
  [/^The model knows no (?<name>.+?) ['"](?<value>.*)['"]\.$/, "warning_label"],
  [/^(?<name>.+) is (?<value>\S+); the model was trained on (?<low>\S+) to (?<high>\S+) and reads (?<read>\S+)\.$/, "warning_range"],
];

/** Those that there are now; whatever was told before goes. */
export function showProblems(problems, model) {
  for (const id of new Set(Object.values(PLACES))) {
    if (by(id) === null) continue; // each page has its own fields
    const here = problems.find(({ field }) => placeOf(field) === id);
    say(by(id), here ? inPlainWords(here, model) : "");
    const folded = by(id).closest("details");
    if (here && folded) folded.open = true;
    for (const control of document.querySelectorAll(`[aria-describedby~="${id}"]`)) {
      control.setAttribute("aria-invalid", String(here !== undefined && concerns(here.field, control)));
    }
  }
  if (problems.some(({ status }) => status === 401)) by("key-choice").hidden = false;
  const elsewhere = problems.find(({ field }) => placeOf(field) === undefined || by(placeOf(field)) === null);
  by("problem").hidden = elsewhere === undefined;
  if (elsewhere) by("problem-text").textContent = inPlainWords(elsewhere, model);
}

const placeOf = (field) => PLACES[isOneField(field) ? "fields" : field];

const isOneField = (field) => field?.startsWith(ONE_FIELD) ?? false;

/** A problem with one field is none of the others. */
const concerns = (field, { dataset }) => !isOneField(field) || dataset.field === field.slice(ONE_FIELD.length);

export function inPlainWords(problem, model) {
  const { kind, field, message: detail } = problem;
  const formats = (model?.inputs[field]?.formats ?? []).join(", ");
  const place = isOneField(field) ? "fields" : field;
  const key = [`problem_${kind}_${place}`, `problem_${place}`, `problem_${kind}`, "problem_other"].find(known);
  return t(key, { detail, formats, name: isOneField(field) ? field.slice(ONE_FIELD.length) : "" });
}

/** The service warns in English. */
export function warning(text) {
  const found = WARNINGS.map(([pattern, key]) => [text.match(pattern), key]).find(([match]) => match);
  return found ? t(found[1], found[0].groups) : text;
}
