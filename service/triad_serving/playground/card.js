// The model's card: what it answers, how good it is with which media, from what data, under which licence.

import { make } from "./dom.js";
import { known, number, percent, plain, t } from "./language/language.js";

const SHARES = new Set(["accuracy", "precision", "recall", "f1", "ece", "wer"]);
const SCORES = ["accuracy", "f1", "mae", "r2", "wer"]; // what is worth a column; the JSON has them all
const MANY_LABELS = 24;
const MANY_CATEGORIES = 6;

/** model: what /v1/models/NAME/versions/VERSION answers. */
export function showCard(box, model) {
  const splits = Object.keys(model.metrics);
  const split = splits.includes("test") ? "test" : splits[0];
  box.replaceChildren(
    make("p", { class: "lead", text: model.description }),
    make("dl", { class: "facts" },
      ...fact("card_tasks", ...model.tasks.map(task)),
      ...fact("card_inputs", ...inputs(model.inputs)),
      ...fact("card_size", make("p", { text: t("card_weights", { count: number(model.parameters, 6), device: model.device.toUpperCase() }) })),
      ...fact("card_created", make("p", { text: new Date(model.created).toLocaleDateString(document.documentElement.lang) })),
      ...fact("card_data", ...paragraphs(model.data)),
      ...fact("card_licence", ...paragraphs(model.licence)),
      ...fact("card_use", ...paragraphs(model.intended_use)),
    ),
    ...(split ? [scores(model, split)] : []),
  );
}

function fact(key, ...content) {
  return content.length > 0 ? [make("dt", { text: t(key) }), make("dd", {}, ...content)] : [];
}

/** Markdown of a bundle: paragraphs, lists of lines that begin with a dash, and code between backticks. */
function paragraphs(text) {
  return text.trim().split(/\n\s*\n/).filter(Boolean).map((paragraph) => {
    const lines = paragraph.split("\n");
    if (!lines.every((line) => line.startsWith("- "))) return make("p", {}, ...spans(paragraph));
    return make("ul", {}, ...lines.map((line) => make("li", {}, ...spans(line.slice(2)))));
  });
}

const spans = (text) => text.split("`").map((part, i) => (i % 2 ? make("code", { text: part }) : part));

function task({ name, type, labels }) {
  const few = labels.slice(0, MANY_LABELS);
  const more = labels.length > few.length ? [make("span", { text: t("card_more", { count: labels.length - few.length }) })] : [];
  return make("div", { class: "task-labels" },
    make("strong", { text: name }), ` ${t(`type_${type}`)} `,
    ...few.map((label) => make("span", { class: "tag", text: label })), ...more,
  );
}

function* inputs({ text, image, audio, fields }) {
  if (text) yield make("p", { text: t("card_text", text) });
  if (image) yield make("p", { text: t("card_image", { ...image, formats: image.formats.join(", ") }) });
  if (audio) yield make("p", { text: t("card_audio", { ...audio, formats: audio.formats.join(", ") }) });
  if (fields) yield make("p", {}, `${t("card_fields")} `, ...tags(fields));
}

/** A range or the labels of each field. */
function tags({ numeric = [], categorical = [] }) {
  const tag = (text) => make("span", { class: "tag", text });
  const labelled = ({ labels }) => {
    const few = labels.slice(0, MANY_CATEGORIES).join(", ");
    return labels.length > MANY_CATEGORIES ? `${few} ${t("card_more", { count: labels.length - MANY_CATEGORIES })}` : few;
  };
  return [
    ...numeric.map(({ name, low, high }) => tag(`${name}: ${t("field_range", { low: plain(low), high: plain(high) })}`)),
    ...categorical.map((field) => tag(`${field.name}: ${labelled(field)}`)),
  ];
}

function scores(model, split) {
  const subsets = Object.entries(model.metrics[split]);
  const columns = model.tasks.flatMap(({ name }) => SCORES
    .filter((score) => subsets.some(([, tasks]) => score in (tasks[name] ?? {})))
    .map((score) => [name, score]));
  const write = (score, value) => (value === undefined ? "–" : SHARES.has(score) ? percent(value) : number(value));
  const table = make("table", {},
    make("caption", { text: t("card_scores", { split: known(`split_${split}`) ? t(`split_${split}`) : split }) }),
    make("thead", {}, make("tr", {}, make("th", { scope: "col", text: t("card_media") }),
      ...columns.map(([name, score]) => make("th", { scope: "col", text: `${name}: ${t(`score_${score}`)}` })))),
    make("tbody", {}, ...subsets.map(([subset, tasks]) => make("tr", {},
      make("th", { scope: "row", text: subset.split("+").map((medium) => t(medium)).join(" + ") }),
      ...columns.map(([name, score]) => make("td", { text: write(score, tasks[name]?.[score]) }))))),
  );
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("card_scores", { split }) }, table);
}
