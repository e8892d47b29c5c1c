// The waveform, each moment shaded by its weight, and a player that plays what the model heard.

import { make, makeSvg } from "../dom.js";
import { seconds, t } from "../language/language.js";
import { shade } from "./measure.js";
import { Parts } from "./parts.js";
import { detail } from "./readout.js";

export const BARS = 240;
export const HEIGHT = 100;
const LEAST = 0.012; // of the height: silence is a thin line

export class Wave {
  #frame;
  #moments = make("div", { class: "moments", id: "moments" });
  #outline = makeSvg("path", { class: "outline" });
  #head = make("div", { class: "playhead", hidden: true });
  #parts;
  #units = [];
  #player = new Audio();
  #button;
  #shown = null;
  #loaded = null;
  #url = "";

  constructor(frame, readout, button, onHide) {
    this.#frame = frame;
    this.#button = button;
    const hint = () => t(this.#shown?.editable ? "moments_do" : "not_shown");
    const onPoint = (index) => { readout.textContent = index === null ? hint() : this.#describe(index); };
    this.#parts = new Parts(this.#moments, { onHide, onPoint });
    this.rest = () => onPoint(null);
    const picture = makeSvg("svg", { viewBox: `0 0 ${BARS} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" }, this.#outline);
    frame.append(this.#moments, picture, this.#head);
    button.addEventListener("click", () => (this.#player.paused ? this.#player.play() : this.#player.pause()));
    for (const name of ["play", "pause", "ended"]) this.#player.addEventListener(name, () => this.#follow());
  }

  /** Draws the sound before the model has heard it, or where it does not tell moments apart. */
  outline(sound) {
    if (this.#shown === sound) return;
    this.#shown = sound;
    this.#moments.replaceChildren();
    this.#parts.show([], 1, []);
    this.#outline.setAttribute("d", sound.editable ? outlineOf(sound.peaks(BARS)) : "");
    this.#button.hidden = !sound.editable;
    this.rest();
    this.load(sound.blob);
  }

  show(length, { units, strongest }, layer, hidden) {
    this.#units = units.map((unit) => ({ ...unit, layer }));
    this.#moments.setAttribute("aria-label", t("moments"));
    const options = units.map((unit, index) => {
      const value = shade(unit, strongest);
      const vars = { "--t": Math.abs(value), "--from": unit.start / length, "--to": unit.end / length };
      return Parts.option({ class: value < 0 ? "moment minus" : "moment", "aria-label": this.#describe(index), vars });
    });
    this.#moments.replaceChildren(...options);
    this.#parts.show(options, Infinity, hidden, this.#shown.editable);
    this.rest();
  }

  /** What the player plays: the sound as given, or as edited. */
  load(blob) {
    if (this.#loaded === blob) return;
    this.#loaded = blob;
    this.#player.pause();
    URL.revokeObjectURL(this.#url);
    this.#url = URL.createObjectURL(blob);
    this.#player.src = this.#url;
  }

  #follow() {
    const playing = !this.#player.paused && !this.#player.ended;
    this.#button.textContent = t(playing ? "pause" : "play");
    this.#head.hidden = !playing;
    if (!playing) return;
    this.#head.style.setProperty("--at", this.#player.currentTime / this.#player.duration || 0);
    requestAnimationFrame(() => this.#follow());
  }

  #describe(index) {
    const unit = this.#units[index];
    return `${t("moment", { start: seconds(unit.start), end: seconds(unit.end) })}: ${detail(unit)}`;
  }
}

/** Mirrored about the middle. peaks: in [0, 1]. */
export function outlineOf(peaks) {
  const loudest = Math.max(...peaks, 0.05); // a whisper fills the height too, noise alone does not
  const half = peaks.map((peak) => (HEIGHT / 2) * Math.max(peak / loudest, LEAST));
  const upper = half.map((height, i) => `L${i + 0.5} ${HEIGHT / 2 - height}`);
  const lower = half.map((height, i) => `L${i + 0.5} ${HEIGHT / 2 + height}`).reverse();
  return `M0 ${HEIGHT / 2}${upper.join("")}L${BARS} ${HEIGHT / 2}${lower.join("")}Z`;
}
