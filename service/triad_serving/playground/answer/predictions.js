// What each task answers, the labels' probabilities as bars, and the weight of each medium as one stacked bar;
// with a "what if", before and after side by side.

import { make } from "../dom.js";
import { change, number, percent, t } from "../language/language.js";
import { MEDIA } from "../media.js";
import { transcript } from "./transcript.js";

/** before, after: answers of the service; after is null where nothing was taken away. sound: as given. */
export function showPredictions(box, before, after, sound) {
  const tasks = Object.entries(before.predictions).map(([name, prediction], n) => {
    const card = taskCard(name, prediction, after?.predictions[name] ?? null);
    if (prediction.type === "transcript" && prediction.symbols.length > 0) {
      card.querySelector(".heads").after(transcript(prediction, sound, before.inputs.audio.seconds, `heard-${n}`));
      card.classList.add("wide");
    }
    return card;
  });
  box.replaceChildren(...tasks);
}

/** "digit: 7, 99.8%", for whoever cannot see the bars. */
export function inWords(answer) {
  return Object.entries(answer.predictions).map(([name, prediction]) => {
    const { probability } = prediction;
    const sure = probability === undefined ? "" : `, ${percent(probability)}`;
    return `${name}: ${headline(prediction)}${sure}${prediction.abstained ? `, ${t("abstained")}` : ""}`;
  }).join("; ");
}

export function headline(prediction) {
  if (prediction.type === "regression") return number(prediction.value, 6);
  if (prediction.type === "multilabel") return prediction.labels.join(", ") || t("no_label");
  if (prediction.type === "transcript") return prediction.text || t("nothing_heard");
  return prediction.label ?? t("not_answered");
}

function taskCard(name, before, after) {
  const card = make("section", { class: after ? "task compared" : "task", "aria-label": name }, make("h3", { text: name }), heads(before, after));
  if (before.top) card.append(bars(before, after));
  if (before.attention) card.append(shares(before.attention.modalities, after?.attention.modalities));
  return card;
}

function heads(before, after) {
  const head = (prediction, when) => make("p", { class: `head ${when}` },
    ...(after ? [make("span", { class: "when", text: t(when) })] : []),
    make("strong", { text: headline(prediction) }),
    ...(prediction.probability === undefined ? [] : [make("span", { text: percent(prediction.probability) })]),
    ...(prediction.abstained ? [make("span", { class: "abstained", text: t("abstained") })] : []),
  );
  return make("div", { class: "heads" }, head(before, "as_given"), ...(after ? [head(after, "what_if")] : []));
}

/** The labels as given, and the new answer where it is none of them. `after` knows the probability of all. */
function bars(before, after) {
  const rows = before.top.map(({ label, probability }) => ({ label, was: probability }));
  if (after && !rows.some(({ label }) => label === after.top[0].label)) rows.push({ label: after.top[0].label });
  return make("ul", { class: "bars" }, ...rows.map(({ label, was }) => {
    const is = after?.top.find((each) => each.label === label)?.probability;
    const bar = (value, when) => make("span", { class: `bar ${when}`, vars: { "--share": value ?? 0 } });
    const write = (value) => (value === undefined ? "–" : percent(value));
    return make("li", {},
      make("span", { class: "label", text: label }),
      make("span", { class: "track", "aria-hidden": "true" }, bar(was, "as_given"), ...(after ? [bar(is, "what_if")] : [])),
      make("span", { class: "value", text: after ? `${write(was)} → ${write(is)}` : write(was) }),
    );
  }));
}

function shares(before, after) {
  const box = make("div", { class: "shares" }, make("h4", { text: t("weights") }), stacked(before));
  if (after) box.append(stacked(after));
  const media = MEDIA.filter((medium) => medium in before);
  box.append(make("ul", { class: "keys" }, ...media.map((medium) => make("li", { "data-medium": medium },
    make("span", { class: "swatch", "aria-hidden": "true" }),
    `${t(medium)} `,
    make("span", { class: "value", text: after ? `${percent(before[medium])} → ${percent(after[medium])}` : percent(before[medium]) }),
  ))));
  return box;
}

function stacked(weights) {
  return make("div", { class: "stack", "aria-hidden": "true" }, ...MEDIA.filter((medium) => weights[medium] > 0).map((medium) =>
    make("span", { "data-medium": medium, vars: { "--share": weights[medium] } }),
  ));
}

/** How far one task's answer moved, in a sentence. */
export function compare(name, was, is) {
  if (was.type === "regression" || was.type === "transcript" || !was.type || !is.type) return t("moved_value", { task: name, was: headline(was), is: headline(is) });
  const label = was.label ?? was.labels[0] ?? was.top[0].label;
  const share = (prediction) => prediction.top.find((each) => each.label === label)?.probability ?? 0;
  return t("moved", { task: name, label, change: change(share(is) - share(was)) });
}
