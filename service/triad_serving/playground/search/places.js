// Searches to come back to. The address tells of text, samples and settings; what it cannot carry, a drawing or a
// recording, is kept as long as the page is open.

import { same } from "../state.js";
import { linkTo, readLink } from "../take/link.js";

export const DEFAULTS = { index: "", text: "", image: "", audio: "", by: "", k: "12", filter: "", carried: "" };

export class Places {
  #settings;
  #given;
  #kept = new Map(); // media by the name of their place
  #typing = false; // the person is at it, and the present place follows
  #follows = false;

  /** settings(), given(): of the search on the page; comeBack(settings, media): to another. */
  constructor(settings, given, comeBack) {
    this.#settings = settings;
    this.#given = given;
    window.addEventListener("popstate", ({ state }) => {
      this.#typing = this.#follows = false;
      comeBack(this.here(), this.#kept.get(state?.place));
    });
  }

  here() {
    return readLink(DEFAULTS) ?? DEFAULTS;
  }

  /** done: false while the person types; such searches share a place. */
  next(done) {
    this.#follows = this.#typing && !done;
    this.#typing = !done;
  }

  /** What is on the page has been looked for: unless it was come back to, it is a place from now on. */
  remember() {
    const address = linkTo(this.#settings(), DEFAULTS);
    const media = this.#given();
    const before = this.#kept.get(history.state?.place);
    if (before && address === location.href && same(media, before)) return;
    const replaces = before === undefined || this.#follows; // at first, and after a reload, nothing is kept yet
    const place = before && replaces ? history.state.place : `${performance.timeOrigin}-${this.#kept.size}`;
    this.#kept.set(place, media);
    if (replaces) history.replaceState({ place }, "", address);
    else history.pushState({ place }, "", address);
    this.#follows = this.#typing;
  }
}
