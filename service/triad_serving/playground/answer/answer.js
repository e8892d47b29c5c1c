// The right column: what was answered, why, how fast, and what went wrong.

import { by, make, say } from "../dom.js";
import { percent, t } from "../language/language.js";
import { compare, headline, inWords, showPredictions } from "./predictions.js";
import { inPlainWords, showProblems, warning } from "./problems.js";
import { showShapley } from "./shapley.js";
import { prediction, state } from "../state.js";
import { showTimings } from "./timings.js";

/** behind: the fields have changed since. */
export function showAnswer(behind) {
  const { before, after, problem, misfit, mistyped, model } = state;
  showProblems([problem, misfit, mistyped].filter(Boolean), model);
  by("answer").classList.toggle("behind", behind);
  by("empty").hidden = before !== null || problem !== null;
  by("predictions").hidden = before === null;
  if (before) showPredictions(by("predictions"), before.answer, after?.answer, before.media.audio);
  showWhatIf();
  const warnings = (after ?? before)?.answer.warnings ?? [];
  by("warnings").replaceChildren(...warnings.map((each) => make("li", { text: warning(each) })));
  by("warnings").hidden = warnings.length === 0;
  by("shapley").hidden = !(before && prediction((after ?? before)).attribution);
  by("shapley-title").textContent = t(after ? "contributions_what_if" : "contributions");
  if (!by("shapley").hidden) showShapley(by("shapley-bars"), prediction(after ?? before));
  by("timings").hidden = before === null;
  if (before) showTimings(by("timings-bars"), (after ?? before).timings, (after ?? before).trip);
  by("spoken").textContent = spoken();
  showSummary();
}

/** Shown on a phone while the answer itself is out of sight. */
function showSummary() {
  const asked = state.after ?? state.before;
  say(by("summary"), asked ? Object.entries(asked.answer.predictions).map(([name, each]) => {
    return `${name} ${headline(each)}${each.probability === undefined ? "" : ` ${percent(each.probability)}`}`;
  }).join(" · ") : "");
}

function showWhatIf() {
  by("what-if").hidden = state.before === null || state.edits.empty;
  if (by("what-if").hidden) return;
  by("what-if-text").textContent = state.after ? moved() : t("what_if_wait");
}

const moved = () => compare(state.task, prediction(state.before), prediction(state.after));

function spoken() {
  if (state.problem) return inPlainWords(state.problem, state.model);
  if (state.before === null) return "";
  return state.after ? `${moved()} ${inWords(state.after.answer)}` : inWords(state.before.answer);
}
