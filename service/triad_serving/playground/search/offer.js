// What the playground offers where the service has an index: the search page, and what is similar to what was given.

import { by } from "../dom.js";
import { Problem, listIndexes } from "../service.js";
import { state } from "../state.js";
import { linkTo } from "../take/link.js";
import { carry } from "./carry.js";
import { DEFAULTS } from "./places.js";

let indexes = [];

/** given(): the media of the page. */
export function offerSearch(given) {
  by("find-similar").addEventListener("click", async (event) => {
    event.preventDefault();
    const { text, image, audio } = given();
    const own = (each) => (each && !each.sample ? each : null);
    const taken = own(image) || own(audio) ? await carry({ image: own(image), audio: own(audio) }) : false;
    const settings = {
      ...DEFAULTS, text: text ?? "", image: image?.sample ?? "", audio: audio?.sample ?? "", index: ours()?.name ?? "", carried: taken ? "1" : "",
    };
    const { hash } = new URL(linkTo(settings, DEFAULTS));
    location.assign(`${by("find-similar").getAttribute("href")}${hash}`);
  });
}

/** A service that cannot tell of its indexes offers none. */
export async function findIndexes() {
  try {
    indexes = await listIndexes();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    indexes = [];
  }
  showSearch();
}

export function showSearch() {
  by("to-search").hidden = indexes.length === 0;
  by("similar").hidden = state.before === null || ours() === undefined;
}

/** The index of the model that answered. */
const ours = () => indexes.find(({ model, version }) => model === state.model?.name && version === state.model?.version);
