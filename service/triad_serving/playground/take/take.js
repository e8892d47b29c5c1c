// What a person takes away: the request as code, the answer as JSON, the drawing and the recording, a link.

import { by } from "../dom.js";
import { t } from "../language/language.js";
import { linkTo } from "./link.js";
import { SNIPPETS } from "./snippets.js";
import { options, state } from "../state.js";

const KEPT_MS = 60_000; // how long a download may take to begin

export class Take {
  #given;
  #settings;

  /** given(), settings(): what is in the fields, and all of it that a link can carry. */
  constructor(given, settings) {
    this.#given = given;
    this.#settings = settings;
    by("snippet-language").addEventListener("change", () => this.show());
    by("copy-snippet").addEventListener("click", () => this.#copy(by("snippet").textContent));
    by("copy-link").addEventListener("click", () => this.#copy(linkTo(settings())));
    const json = () => new Blob([JSON.stringify((state.after ?? state.before).answer, null, 2)], { type: "application/json" });
    this.#offer(by("download-json"), json);
    this.#offer(by("download-image"), () => given().image.blob);
    this.#offer(by("download-audio"), () => given().audio.blob);
  }

  show() {
    const given = this.#given();
    by("snippet").textContent = SNIPPETS[by("snippet-language").value](given, options());
    by("download-json").hidden = state.before === null;
    by("download-json").download = `${state.before?.answer.id ?? "answer"}.json`;
    for (const medium of ["image", "audio"]) {
      by(`download-${medium}`).hidden = given[medium] === null;
      by(`download-${medium}`).download = given[medium]?.name ?? "";
    }
    by("copied").textContent = "";
  }

  /** The address bar follows the answers, not every letter: browsers limit how often. */
  remember() {
    history.replaceState(null, "", linkTo(this.#settings()));
  }

  /** The address is made when it is needed: every answer would otherwise keep its files. */
  #offer(link, content) {
    link.href = "#";
    link.addEventListener("click", () => {
      const url = URL.createObjectURL(content());
      link.href = url;
      setTimeout(() => URL.revokeObjectURL(url), KEPT_MS);
    });
  }

  async #copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      by("copied").textContent = t("copied");
    } catch {
      by("copied").textContent = t("copy_yourself", { text }); // not on https or localhost, or refused
    }
  }
}
