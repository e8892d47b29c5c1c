// The search page: what is given goes to an index, and the rows nearest to it are shown. Read from the bottom.

import { showProblems, warning } from "../answer/problems.js";
import { listenToAppearance } from "../appearance.js";
import { by, fillSelect, make, say } from "../dom.js";
import { acceptFiles } from "../give/drops.js";
import { ImageInput } from "../give/image/image-input.js";
import { reads } from "../give/samples.js";
import { SoundInput } from "../give/sound/sound-input.js";
import { TextInput } from "../give/text-input.js";
import { number, t } from "../language/language.js";
import { Newest } from "../newest.js";
import { Problem, describeModel, fetchMedium, listIndexes, search, useKey } from "../service.js";
import { same } from "../state.js";
import { carried } from "./carry.js";
import { Filters } from "./filters.js";
import { showHits } from "./hits.js";
import { DEFAULTS, Places } from "./places.js";

const MEDIA = ["text", "image", "audio"];
const PAUSE_MS = 400; // in typing or drawing, before a search is worth it
const MORE = 12;
const MOST = 100;

const page = {
  indexes: [],
  index: null, // the chosen one, as /v1/indexes tells of it
  model: null, // whose vectors it holds
  filled: false, // with what the address says; before, what a person gave would be written over
  asked: null, // what was found for
  found: null, // the answer
  problem: null, // of the search
  misfit: null, // with the index that was wanted
};
const newest = new Newest(refresh);
const formats = (medium) => page.model.inputs[medium]?.formats ?? [];
const text = new TextInput(changed);
const image = new ImageInput(() => formats("image"), changed);
const sound = new SoundInput(() => ({ max_seconds: 60, ...page.model.inputs.audio, formats: formats("audio") }), changed);
const filters = new Filters(changed);
const places = new Places(settings, given, comeBack);
let playing = null; // the sound that the player holds

/** Only media that the model reads. */
function given() {
  const read = (medium, value) => (page.model?.inputs[medium] ? value : null);
  return { text: read("text", text.value.trim() || null), image: read("image", image.value), audio: read("audio", sound.value) };
}

function settings() {
  const { image: picture, audio } = given();
  return {
    text: text.value, image: picture?.sample ?? "", audio: audio?.sample ?? "", by: by("by").value,
    k: by("k").value, filter: filters.value ? JSON.stringify(filters.value) : "",
    index: page.index && page.index !== page.indexes[0] ? page.index.name : "",
  };
}

function changed(done) {
  places.next(done);
  if (done) newest.now();
  else newest.soon(PAUSE_MS);
  show();
}

async function refresh() {
  if (page.index === null) return;
  const media = given();
  const asked = { ...media, index: page.index.name, by: by("by").value, k: by("k").value, filter: JSON.stringify(filters.value) };
  const nothing = MEDIA.every((medium) => media[medium] === null);
  if (page.asked && page.problem === null && same(asked, page.asked)) return;
  by("results").setAttribute("aria-busy", "true");
  show();
  try {
    page.found = nothing ? null : await search(media, { ...asked, filter: filters.value });
    page.problem = null;
    if (nothing || page.found) places.remember();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    page.found = null;
    page.problem = error;
  } finally {
    page.asked = asked;
    by("results").setAttribute("aria-busy", "false");
    show();
    showFound();
  }
}

/** All but the rows: they stay as they are while a person types. */
function show() {
  const { audio } = given();
  by("text-clear").hidden = !text.value;
  by("image-clear").hidden = image.value === null;
  by("audio-clear").hidden = audio === null;
  const { count } = filters;
  by("filters-title").textContent = count ? t("filters_some", { count }) : t("filters");
  by("filters-clear").hidden = count === 0;
  showProblems([page.problem, page.misfit].filter(Boolean), page.model);
  const busy = by("results").getAttribute("aria-busy") === "true";
  by("results").classList.toggle("behind", busy);
  if (busy && page.found === null) by("told").textContent = t("searching");
}

function showSound() {
  const { audio } = given();
  by("heard").hidden = !audio?.editable;
  if (audio === playing) return;
  playing = audio;
  if (by("heard").src) URL.revokeObjectURL(by("heard").src);
  if (audio) by("heard").src = URL.createObjectURL(audio.blob);
  else by("heard").removeAttribute("src");
}

function showFound() {
  showSound();
  const { found, index, problem } = page;
  const hits = found?.results ?? [];
  by("empty").hidden = hits.length > 0 || problem !== null;
  by("empty-text").textContent = t(index === null ? "no_index" : found ? (filters.count ? "none_filtered" : "none_found") : "query_empty");
  by("starts").hidden = index === null || found !== null || !reads(page.model);
  by("unfilter").hidden = !found || filters.count === 0;
  by("warnings").replaceChildren(...(found?.warnings ?? []).map((each) => make("li", { text: warning(each) })));
  by("warnings").hidden = (found?.warnings ?? []).length === 0;
  showHits(by("hits"), hits, similar);
  by("more").hidden = hits.length === 0 || hits.length < Number(by("k").value) || hits.length >= Math.min(MOST, index.rows);
  const best = hits.length > 0 ? { count: hits.length, rows: number(index.rows, 9), score: number(hits[0].score) } : null;
  by("told").textContent = best ? t("told", best) : "";
  say(by("summary"), best ? t("told_shortly", best) : "");
}

/** A row's own media become what is looked for. */
async function similar({ row, media, text: words }) {
  const name = t("row", { row });
  try {
    const [picture, heard] = await Promise.all(
      ["image", "audio"].map((medium) => (media[medium] && page.model.inputs[medium] ? fetchMedium(media[medium]) : null)),
    );
    text.set(words ?? "");
    if (picture) await image.setFile(picture, name);
    else image.set(null);
    if (heard) await sound.setFile(heard, name);
    else sound.set(null);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    page.problem = error;
    show();
    return;
  }
  changed(true);
  by("results").focus();
}

/** Throws Problem. name: "" for the first. */
async function useIndex(name) {
  const wanted = page.indexes.find((each) => each.name === name);
  if (name && !wanted) throw new Problem({ type: "not-found", status: 404, field: "index", detail: name });
  page.index = wanted ?? page.indexes[0];
  page.model = await describeModel(page.index.model, page.index.version);
}

function showIndex() {
  const { indexes, index, model } = page;
  fillSelect(by("index"), indexes.map((each) => [each.name, each.name]), index?.name ?? "");
  by("index-choice").hidden = indexes.length < 2;
  const usable = index !== null && model !== null;
  by("query").hidden = !(usable && page.filled);
  if (!usable) return;
  const digits = reads(model);
  for (const medium of MEDIA) by(`${medium}-card`).hidden = !model.inputs[medium];
  for (const input of [text, image, sound]) input.refresh(digits);
  const parts = ["", "fused", ...index.media];
  const chosen = by("by").value;
  fillSelect(by("by"), parts.map((part) => [part, t(`by_${part || "any"}`)]), parts.includes(chosen) ? chosen : "");
  filters.offer(index.columns);
  by("filters").hidden = index.columns.length === 0;
  by("starts").replaceChildren(
    start("start_image", () => image.setSample("7.png")),
    start("start_audio", () => sound.setSample("3.mp3")),
    start("start_text", () => text.set(t("start_sentence"))),
  );
}

const start = (key, fill) => make("button", { type: "button", class: "chip", text: t(key), onclick: async () => { await fill(); changed(true); } });

/** link: what an address carries; kept: the media that it cannot carry, where they are known. */
async function fillIn(link, kept) {
  by("k").value = link.k;
  by("by").value = [...by("by").options].some(({ value }) => value === link.by) ? link.by : "";
  filters.set(link.filter);
  text.set(link.text);
  const fill = async (input, medium) => {
    if (!kept?.[medium] && link[medium] && reads(page.model)) await input.setSample(link[medium]);
    else input.set(kept?.[medium] ?? null);
  };
  await Promise.all([fill(image, "image"), fill(sound, "audio")]);
}

/** To a search before or after this one. */
async function comeBack(link, kept) {
  await chooseIndex(link.index);
  await fillIn(link, kept);
  await newest.now();
  show();
}

async function chooseIndex(name) {
  try {
    await useIndex(name);
    page.misfit = null;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    page.misfit = error;
  }
  showIndex();
}

async function open() {
  by("k").value = DEFAULTS.k;
  const link = places.here();
  page.problem = null;
  try {
    page.indexes = await listIndexes();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    page.problem = error;
  }
  if (page.indexes.length > 0) {
    await chooseIndex(link.index);
    if (page.index === null) {
      const { misfit } = page;
      await chooseIndex(""); // and what was wrong with the link is still told
      page.misfit ??= misfit;
    }
  }
  if (page.index && page.model) {
    await fillIn(link, null);
    if (link.carried) await takeCarried();
    page.filled = true;
    showIndex();
  }
  show();
  showFound();
  await newest.now();
}

async function takeCarried() {
  const { image: picture, audio } = carried();
  if (picture) await image.setFile(picture.blob, picture.name);
  if (audio) await sound.setFile(audio.blob, audio.name);
}

function again() {
  page.asked = null;
  return page.index === null ? open() : newest.now();
}

listenToAppearance(() => { showIndex(); show(); showFound(); });
acceptFiles(async (medium, file) => {
  if (page.model === null) return;
  if (medium === "text") text.set(await file.text());
  else await (medium === "image" ? image : sound).setFile(file, file.name || `pasted.${file.type.split("/").at(-1)}`);
  changed(true);
});
by("index").addEventListener("change", async ({ target }) => { await chooseIndex(target.value); changed(true); });
by("by").addEventListener("change", () => changed(true));
by("k").addEventListener("change", () => changed(true));
by("text").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  changed(true);
});
for (const id of ["filters-clear", "unfilter"]) {
  by(id).addEventListener("click", () => { filters.set(""); changed(true); by("results").focus(); });
}
by("search").addEventListener("click", () => { page.asked = null; changed(true); });
by("more").addEventListener("click", () => {
  by("k").value = Math.min(Number(by("k").value) + MORE, MOST);
  changed(true);
});
by("retry").addEventListener("click", again);
by("key").addEventListener("change", ({ target }) => { useKey(target.value.trim()); again(); });
by("summary").addEventListener("click", () => by("results").focus());
by("skip").addEventListener("click", (event) => { event.preventDefault(); by("results").focus(); });
new IntersectionObserver(([{ isIntersecting }]) => by("summary").classList.toggle("away", isIntersecting)).observe(by("hits"));
await open();
