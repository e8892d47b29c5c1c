// Image: drawn on the sheet, or a file, a photograph, a sample; whatever comes last counts.

import { by, fillSelect, showBlob } from "../../dom.js";
import { Drawing } from "./drawing.js";
import { t } from "../../language/language.js";
import { Picture } from "./picture.js";
import { PICTURES, load } from "../samples.js";

export class ImageInput {
  #drawing;
  #sample = by("image-sample");
  #picture = null;
  #turn = 0;
  #formats;
  #onChange;

  /** formats(): what the service reads; onChange(done): done is false while the pen is down. */
  constructor(formats, onChange) {
    this.#formats = formats;
    this.#onChange = onChange;
    this.#drawing = new Drawing(by("drawing"), (done) => this.#takeDrawing(done));
    for (const picker of [by("image-file"), by("image-photo")]) {
      picker.addEventListener("change", () => this.#pick(picker));
    }
    this.#sample.addEventListener("change", async () => {
      await this.setSample(this.#sample.value);
      onChange(true);
    });
    by("undo").addEventListener("click", () => this.#drawing.undo());
    by("image-clear").addEventListener("click", () => {
      this.set(null);
      onChange(true);
      by("drawing").focus();
    });
  }

  get value() {
    return this.#picture;
  }

  async setFile(blob, name) {
    this.set(await Picture.from(blob, name, this.#formats()));
  }

  async setSample(name) {
    await this.setFile(await load(name), name);
    this.#picture.sample = name;
  }

  /** A file's picture, or null for an empty sheet. */
  set(picture) {
    this.#turn += 1;
    this.#drawing.clear();
    this.#picture = picture;
    if (picture) showBlob(by("picture"), picture.blob);
    this.refresh();
  }

  refresh(offered = !this.#sample.hidden) {
    const drawn = !this.#drawing.empty;
    by("picture").hidden = !this.#picture?.editable || drawn;
    by("picture").alt = t("picture_given");
    by("drawing").hidden = this.#picture !== null && !drawn;
    by("drawing").setAttribute("aria-label", t("drawing"));
    by("sheet").hidden = by("picture").hidden && by("drawing").hidden; // a file that this browser cannot show
    by("sheet-hint").hidden = this.#picture !== null || drawn;
    by("undo").hidden = !drawn;
    by("image-caption").textContent = this.#picture && !drawn ? this.#picture.name : "";
    this.#sample.hidden = !offered;
    const name = (file) => (file === "photo.jpg" ? t("sample_photo") : file.split(".")[0]);
    fillSelect(this.#sample, [["", t("sample")], ...PICTURES.map((file) => [file, name(file)])], "");
  }

  async #pick(picker) {
    const [file] = picker.files;
    picker.value = ""; // so that the same file can be chosen again
    if (!file) return;
    await this.setFile(file, file.name);
    this.#onChange(true);
  }

  async #takeDrawing(done) {
    const turn = ++this.#turn;
    const picture = this.#drawing.empty ? null : await Picture.fromCanvas(by("drawing"));
    if (turn !== this.#turn) return; // another stroke, or the sheet was cleared meanwhile
    this.#picture = picture;
    this.refresh();
    this.#onChange(done);
  }
}
