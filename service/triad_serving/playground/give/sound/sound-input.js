// Sound: recorded here, or a file, or a spoken sample.

import { by, fillSelect, say } from "../../dom.js";
import { seconds, t } from "../../language/language.js";
import { Recorder, canRecord } from "./recorder.js";
import { SOUNDS, load } from "../samples.js";
import { Sound } from "./sound.js";

const SHORTEST_S = 0.2; // a click on Record and Stop at once

export class SoundInput {
  #sample = by("audio-sample");
  #button = by("record");
  #sound = null;
  #recorder = null;
  #limits;
  #onChange;

  /** limits(): the model's `formats` and `max_seconds`; onChange(done). */
  constructor(limits, onChange) {
    this.#limits = limits;
    this.#onChange = onChange;
    by("audio-file").addEventListener("change", () => this.#pick());
    this.#sample.addEventListener("change", async () => {
      await this.setSample(this.#sample.value);
      onChange(true);
    });
    by("audio-clear").addEventListener("click", () => {
      this.set(null);
      onChange(true);
      this.#button.focus();
    });
    this.#button.addEventListener("click", () => (this.#recorder ? this.#stop() : this.#start()));
  }

  get value() {
    return this.#sound;
  }

  async setFile(blob, name) {
    this.set(await Sound.from(blob, name, this.#limits().formats));
  }

  async setSample(name) {
    await this.setFile(await load(name), name);
    this.#sound.sample = name;
  }

  set(sound) {
    this.#sound = sound;
    this.refresh();
  }

  refresh(offered = !this.#sample.hidden) {
    this.#sample.hidden = !offered;
    fillSelect(this.#sample, [["", t("sample")], ...SOUNDS.map((file) => [file, file.split(".")[0]])], "");
    by("audio-hint").hidden = this.#sound !== null;
    this.#label(0);
  }

  #label(elapsedS) {
    const recording = this.#recorder !== null;
    this.#button.setAttribute("aria-pressed", String(recording));
    by("level").hidden = !recording;
    by("record-label").textContent = recording ? t("stop", { elapsed: seconds(elapsedS) }) : t("record");
  }

  async #start() {
    if (!canRecord()) {
      say(by("audio-error"), t("record_insecure"));
      return;
    }
    const recorder = new Recorder((level, elapsedS) => this.#hear(level, elapsedS));
    this.#button.disabled = true; // while the browser asks for permission
    try {
      await recorder.start();
    } catch (error) {
      say(by("audio-error"), t(error.name === "NotFoundError" ? "record_none" : "record_refused"));
      return;
    } finally {
      this.#button.disabled = false;
    }
    say(by("audio-error"), "");
    this.#recorder = recorder;
    this.#label(0);
  }

  #hear(level, elapsedS) {
    if (this.#recorder === null) return;
    by("level").value = level;
    this.#label(elapsedS);
    if (elapsedS >= this.#limits().max_seconds) this.#stop();
  }

  async #stop() {
    const recorder = this.#recorder;
    this.#recorder = null;
    const sound = await recorder.stop();
    if (sound.seconds >= SHORTEST_S) this.set(sound);
    else this.refresh();
    this.#onChange(true);
  }

  async #pick() {
    const [file] = by("audio-file").files;
    by("audio-file").value = "";
    if (!file) return;
    await this.setFile(file, file.name);
    this.#onChange(true);
  }
}
