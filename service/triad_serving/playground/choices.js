// The choices besides the media: model, version, task, shading, what to explain, language, theme.

import { listenToAppearance } from "./appearance.js";
import { by, fillSelect } from "./dom.js";
import { language, t } from "./language/language.js";
import { describeModel } from "./service.js";
import { state } from "./state.js";

const EXPLAINS_OCCLUSION = ["occlusion", "all"];

/** on: `asked` after a choice that the service must answer, `shown` after one that only changes the view. */
export function listen(on) {
  by("model").addEventListener("change", ({ target }) => on.model(target.value, ""));
  by("version").addEventListener("change", ({ target }) => on.model(by("model").value, target.value));
  by("task").addEventListener("change", ({ target }) => { state.task = target.value; on.shown(); });
  by("layer").addEventListener("change", ({ target }) => chooseLayer(target.value, on));
  by("top-k").addEventListener("change", ({ target }) => { state.chosen.top_k = target.value; on.asked(); });
  by("target").addEventListener("change", ({ target }) => { state.chosen.target = target.value; on.asked(); });
  by("explain").addEventListener("change", ({ target }) => {
    state.chosen.explain = target.value;
    if (!EXPLAINS_OCCLUSION.includes(target.value) && state.layer === "occlusion") state.layer = "attention";
    showChoices();
    on.asked();
  });
  listenToAppearance(on.translated);
}

/** Throws Problem. An empty name or version is the service's default; what a model lacks is forgotten. */
export async function chooseModel(name, version) {
  const wanted = name || state.usual;
  const listed = state.models.find((model) => model.name === wanted) ?? state.models[0];
  state.model = await describeModel(wanted, version || listed.default_version);
  state.chosen.model = name;
  state.chosen.version = version;
  const { tasks } = state.model;
  if (!tasks.some((task) => task.name === state.task)) state.task = tasks[0].name;
  if (!tasks.some(({ labels }) => labels.includes(state.chosen.target))) state.chosen.target = "";
}

export function showChoices() {
  const { chosen, model, models, task, layer } = state;
  const listed = models.find(({ name }) => name === model.name);
  fillSelect(by("model"), models.map(({ name }) => [name, name]), model.name);
  by("model-choice").hidden = models.length < 2;
  fillSelect(by("version"), listed.versions.map((each) => [each, each]), model.version);
  by("version-choice").hidden = listed.versions.length < 2;
  fillSelect(by("task"), model.tasks.map(({ name }) => [name, name]), task);
  by("task-choice").hidden = model.tasks.length < 2;
  by("layer").value = layer;
  by("top-k").value = chosen.top_k;
  by("explain").value = chosen.explain;
  const groups = model.tasks.filter(({ labels, type }) => labels.length > 0 && type !== "transcript");
  const targets = groups.map(({ name, labels }) => [name, labels.map((label) => [label, label])]);
  fillSelect(by("target"), [["", t("target_answer")], ...targets], chosen.target);
  by("language").value = language();
}

/** Occlusion is only there where it was asked for. */
function chooseLayer(layer, on) {
  state.layer = layer;
  if (layer !== "occlusion" || EXPLAINS_OCCLUSION.includes(state.chosen.explain)) {
    on.shown();
    return;
  }
  state.chosen.explain = state.chosen.explain === "shapley" ? "all" : "occlusion";
  showChoices();
  on.asked();
}
