// The left column's second half: where the model looked in each medium, and what is taken away from it.

import { by, say } from "../dom.js";
import { Heat } from "./heat.js";
import { change, percent, t } from "../language/language.js";
import { MEDIA } from "../media.js";
import { Names } from "./names.js";
import { prediction, seen, state } from "../state.js";
import { Wave } from "./wave.js";
import { Words } from "./words.js";

export class Shading {
  #words;
  #heat;
  #wave;
  #names;
  #rowOf;

  /** rowOf(field): see Names; onEdit: what is hidden or off has changed. */
  constructor(rowOf, onEdit) {
    this.#rowOf = rowOf;
    const hide = (medium) => (hidden) => {
      state.edits.hidden[medium] = hidden;
      onEdit();
    };
    this.#words = new Words(by("words"), by("words-readout"), hide("text"));
    this.#heat = new Heat(by("heat"), by("heat-readout"), hide("image"));
    this.#wave = new Wave(by("wave"), by("wave-readout"), by("play"), hide("audio"));
    this.#names = new Names(by("names"), by("fields-readout"), hide("fields"));
    by("opacity").addEventListener("input", () => this.#fade());
    this.#fade();
    for (const medium of MEDIA) {
      by(`${medium}-on`).addEventListener("change", ({ target }) => {
        state.edits.off[target.checked ? "delete" : "add"](medium);
        onEdit();
      });
    }
  }

  /** given: what lies in the fields now, which may be ahead of the answer. */
  show(given) {
    const parts = seen();
    for (const medium of MEDIA) {
      const there = medium in parts && given[medium] !== null;
      const stale = there && state.before.media[medium] !== given[medium];
      const off = state.edits.off.has(medium);
      by(`${medium}-seen`).hidden = !there && !(medium === "audio" && given.audio);
      by(`${medium}-seen`).classList.toggle("stale", stale);
      by(`${medium}-switch`).hidden = !there;
      by(`${medium}-on`).checked = !off;
      by(`${medium}-clear`).hidden = given[medium] === null;
      by(`${medium}-card`).classList.toggle("off", off);
      say(by(`${medium}-share`), there ? this.#share(medium) : "");
      if (there && !stale) this.#showMedium(medium, parts[medium], state.before.media);
      else if (medium === "audio" && given.audio) this.#wave.outline(given.audio);
    }
    this.#legend(parts);
  }

  /** What the player plays. */
  load(sound) {
    this.#wave.load(sound.blob);
  }

  #showMedium(medium, part, media) {
    const hidden = state.edits.hidden[medium];
    const { inputs } = state.before.answer;
    if (medium === "text") this.#words.show(media.text, part, state.layer, hidden);
    if (medium === "image") this.#heat.show(media.image, inputs.image, part, state.layer, hidden);
    if (medium === "fields") this.#names.show(this.#rowOf, part, state.layer, hidden);
    if (medium === "audio") {
      this.#wave.outline(media.audio);
      this.#wave.show(inputs.audio.seconds, part, state.layer, hidden);
    }
  }

  #share(medium) {
    return t("share", { share: percent(prediction().attention.modalities[medium]) });
  }

  #fade() {
    by("heat").style.setProperty("--opacity", by("opacity").value / 100);
  }

  /** Each medium is shaded up to its own strongest unit, so the legend names all of them. */
  #legend(parts) {
    const strongest = MEDIA.filter((medium) => medium in parts)
      .map((medium) => `${t(medium)} ${percent(parts[medium].strongest)}`).join(t("comma"));
    by("legend").hidden = !strongest;
    by("legend").dataset.layer = state.layer;
    by("legend-low").textContent = state.layer === "occlusion" ? t("legend_rises") : change(0);
    by("legend-high").textContent = t(state.layer === "occlusion" ? "legend_falls" : "legend_strongest", { strongest });
  }
}
