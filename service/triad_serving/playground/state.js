// What the page holds. Whoever changes it calls for a refresh; views only read it.

import { Edits } from "./shading/edits.js";
import { measure } from "./shading/measure.js";

export const state = {
  models: [], // as /v1/models lists them
  usual: "", // the model where none is named
  model: null, // the chosen version's description
  chosen: { model: "", version: "", top_k: "5", explain: "shapley", target: "" },
  task: "", // whose explanation is shown
  layer: "attention",
  edits: new Edits(),
  before: null, // the answer to what was given, with the media and options that were asked
  after: null, // the answer to what is left of it after the edits
  problem: null, // of either
  misfit: null, // the problem with a model or version that was wanted
  mistyped: null, // the problem with what stands in the page and was not sent
};

export const options = () => ({ ...state.chosen, attention: "full" });

const UNANSWERED = {}; // a transcript, where there is no sound

/** The prediction that is explained. */
export const prediction = (asked = state.before) => asked.answer.predictions[state.task] ?? UNANSWERED;

/** Units and their values by medium, for the shading. */
export const seen = () => (state.before ? measure(prediction(), state.layer) : {});

export const same = (one, other) => Object.keys(one).every((key) => one[key] === other[key]);
