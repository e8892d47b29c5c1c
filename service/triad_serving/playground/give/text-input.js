// Text: typed, pasted, or a sample sentence.

import { by, fillSelect } from "../dom.js";
import { t } from "../language/language.js";
import { SENTENCES } from "./samples.js";

export class TextInput {
  #area = by("text");
  #sample = by("text-sample");

  /** onChange(done): done is false while the person types. */
  constructor(onChange) {
    this.#area.addEventListener("input", () => onChange(false));
    by("text-clear").addEventListener("click", () => {
      this.set("");
      onChange(true);
      this.#area.focus();
    });
    this.#sample.addEventListener("change", () => {
      this.set(this.#sample.value);
      onChange(true);
    });
  }

  get value() {
    return this.#area.value;
  }

  set(text) {
    this.#area.value = text;
    this.refresh();
  }

  /** Samples are offered as long as they fit the model; the list says that it is one, not what was chosen. */
  refresh(offered = !this.#sample.hidden) {
    this.#sample.hidden = !offered;
    fillSelect(this.#sample, [["", t("sample")], ...SENTENCES.map((each) => [each, each])], "");
  }
}
