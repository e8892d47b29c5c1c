// The playground: what is given goes to the service, and whatever it answers is shown. Read from the bottom.

import { showAnswer } from "./answer/answer.js";
import { showCard } from "./card.js";
import { chooseModel, listen, showChoices } from "./choices.js";
import { by, make } from "./dom.js";
import { acceptFiles } from "./give/drops.js";
import { FieldsInput, readFields } from "./give/fields-input.js";
import { ImageInput } from "./give/image/image-input.js";
import { EXAMPLES, example, reads } from "./give/samples.js";
import { SoundInput } from "./give/sound/sound-input.js";
import { TextInput } from "./give/text-input.js";
import { language, t } from "./language/language.js";
import { MEDIA } from "./media.js";
import { Newest } from "./newest.js";
import { Problem, listModels, predict, useKey } from "./service.js";
import { findIndexes, offerSearch, showSearch } from "./search/offer.js";
import { Edits } from "./shading/edits.js";
import { Shading } from "./shading/shading.js";
import { options, same, seen, state } from "./state.js";
import { readLink } from "./take/link.js";
import { Take } from "./take/take.js";

const ALL_LABELS = 1000;
const PAUSE_MS = 250; // in typing or drawing, before an answer is worth asking for

const newest = new Newest(refresh);
const formats = (medium) => state.model.inputs[medium]?.formats ?? [];
const text = new TextInput(changed);
const image = new ImageInput(() => formats("image"), changed);
const sound = new SoundInput(() => ({ max_seconds: 60, ...state.model.inputs.audio, formats: formats("audio") }), changed);
const fields = new FieldsInput(() => state.model?.inputs.fields, changed);
const shading = new Shading((name) => fields.rowOf(name), edited);
const take = new Take(given, settings);
let filling = Promise.resolve();
let insisted = false; // the person pressed Ask: answer even if there is nothing to answer from

/** Only media that the model reads. */
function given() {
  const read = (medium, value) => (state.model?.inputs[medium] ? value : null);
  return {
    text: read("text", text.value || null), image: read("image", image.value),
    audio: read("audio", sound.value), fields: read("fields", fields.value),
  };
}

function settings() {
  const { image: picture, audio, fields: columns } = given();
  const { task, layer, chosen } = state;
  const usual = task === state.model?.tasks[0].name ? "" : task;
  const samples = { image: picture?.sample ?? "", audio: audio?.sample ?? "" };
  const written = columns ? JSON.stringify(columns) : "";
  return { text: text.value, ...samples, fields: written, ...chosen, task: usual, layer, live: by("live").checked ? "1" : "0" };
}

function changed(done) {
  if (done) newest.now();
  else if (by("live").checked) newest.soon(PAUSE_MS);
  show();
}

function edited() {
  state.after = null;
  newest.now();
  show();
}

/** A choice that only changes how the answer is shown. */
function shown() {
  show();
  take.remember();
}

/** Brings the answers up to date with the fields, the options and the edits. */
async function refresh() {
  if (state.model === null) return;
  const asked = { media: given(), options: options() };
  const current = state.before && same(asked.media, state.before.media) && same(asked.options, state.before.options);
  by("answer").setAttribute("aria-busy", "true");
  try {
    if (!current || insisted) await ask(asked);
    if (state.before) await askWithout();
    state.problem = null;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    state.problem = error;
  } finally {
    insisted = false;
    by("answer").setAttribute("aria-busy", "false");
    shown();
  }
}

/** What was answered before stays in sight until its successor is there. */
async function ask({ media, options: wanted }) {
  const { before, model } = state;
  if (!before || !same(media, before.media) || before.model !== model) state.edits = new Edits();
  state.after = null;
  const nothing = Object.values(media).every((value) => value === null);
  try {
    state.before = nothing && !insisted ? null : { ...await predict(media, wanted), media, options: wanted, model };
  } catch (error) {
    state.before = null;
    throw error;
  }
}

async function askWithout() {
  const { before, edits } = state;
  const media = await edits.apply(before.media, seen());
  if (before.media.audio) shading.load(media.audio ?? before.media.audio);
  if (edits.empty) return;
  // All labels, so that those of the first answer are among them wherever they went.
  state.after = { ...await predict(media, { ...before.options, top_k: ALL_LABELS }), media };
}

function show() {
  if (state.model === null) return;
  const media = given();
  state.mistyped = fields.mistyped;
  showAnswer(state.before !== null && !same(media, state.before.media));
  shading.show(media);
  showSearch();
  take.show();
}

async function useModel(name, version) {
  await tryModel(name, version);
  showModel();
  await newest.now();
}

/** Where the wanted one is not served, the model stays what it was. */
async function tryModel(name, version) {
  try {
    await chooseModel(name, version);
    state.misfit = null;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    state.misfit = error;
  }
}

function showModel() {
  if (state.model === null) return;
  const digits = reads(state.model);
  by("samples").hidden = !digits;
  for (const medium of MEDIA) by(`${medium}-card`).hidden = !state.model.inputs[medium];
  for (const input of [text, image, sound]) input.refresh(digits);
  fields.refresh();
  by("empty").dataset.t = state.model.inputs.fields ? "empty_fields" : "empty";
  by("empty").textContent = t(by("empty").dataset.t);
  showChoices();
  by("card").hidden = false;
  by("card-title").textContent = t("card", state.model);
  showCard(by("card-body"), state.model);
  by("sample-chips").replaceChildren(...EXAMPLES.map((name) => make("button", {
    type: "button", class: "chip", text: /\d/.test(name) ? name : t(`sample_${name}`), onclick: () => useExample(name),
  })));
}

async function useExample(name) {
  await fillIn(example(name, language()));
  changed(true);
}

/** media: the text, the names of samples, and the fields by name. One after the other: a quick second click must not mix two. */
function fillIn(media) {
  const fill = (input, name) => (name ? input.setSample(name) : input.set(null));
  filling = filling.then(async () => {
    text.set(media.text);
    fields.set(media.fields ?? null);
    await Promise.all([fill(image, media.image), fill(sound, media.audio)]);
  });
  return filling;
}

function again() {
  if (state.model === null) return open();
  insisted = true;
  return newest.now();
}

/** What a link asks for; without one a first example, so that there is something to see. */
async function open() {
  const link = readLink();
  if (link) {
    const { top_k, explain, target, layer, task } = link;
    Object.assign(state, { layer, task, chosen: { ...state.chosen, top_k, explain, target } });
    by("live").checked = link.live === "1";
  }
  try {
    ({ models: state.models, default: state.usual } = await listModels());
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    state.problem = error;
    showAnswer(false);
    return;
  }
  await tryModel(link?.model ?? "", link?.version ?? "");
  if (state.model === null && state.misfit.status === 404) {
    const { misfit } = state;
    await tryModel("", ""); // the usual one, and what was wrong with the link is still told
    state.misfit = misfit;
  }
  if (state.model === null) {
    showAnswer(false);
    return;
  }
  try {
    if (link) await fillIn({ ...(reads(state.model) ? link : { text: link.text }), fields: readFields(link.fields) });
    else if (reads(state.model)) await fillIn(example("7", language()));
  } finally {
    showModel(); // only now: what a person gives is never written over
  }
  await newest.now();
  await findIndexes();
}

offerSearch(given);
listen({ model: useModel, asked: () => newest.now(), shown, translated: () => { showModel(); show(); } });
acceptFiles(async (medium, file) => {
  if (state.model === null) return;
  if (medium === "text") text.set(await file.text());
  else await (medium === "image" ? image : sound).setFile(file, file.name || `pasted.${file.type.split("/").at(-1)}`);
  changed(true);
});
by("ask").addEventListener("click", () => { insisted = true; newest.now(); });
by("retry").addEventListener("click", again);
by("key").addEventListener("change", ({ target }) => { useKey(target.value.trim()); again(); });
by("restore").addEventListener("click", () => { state.edits = new Edits(); edited(); });
for (const id of ["text", "fields-form"]) {
  by(id).addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) by("ask").click(); });
}
by("live").addEventListener("change", () => changed(true));
by("to-model").addEventListener("click", () => by("card").focus());
by("summary").addEventListener("click", () => by("answer").focus());
by("skip").addEventListener("click", (event) => { event.preventDefault(); by("answer").focus(); });
window.addEventListener("hashchange", open);
new IntersectionObserver(([{ isIntersecting }]) => by("summary").classList.toggle("away", isIntersecting)).observe(by("predictions"));
await open();
