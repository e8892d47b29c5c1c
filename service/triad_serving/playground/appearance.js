// Language and theme: chosen once, kept for every page of the service.

import { by } from "./dom.js";
import { language, preferredLanguage, rememberLanguage, speak } from "./language/language.js";

/** translated(): called after another language was chosen. */
export function listenToAppearance(translated) {
  by("theme").value = document.documentElement.dataset.theme;
  by("theme").addEventListener("change", ({ target }) => chooseTheme(target.value));
  speak(preferredLanguage());
  by("language").value = language();
  by("language").addEventListener("change", ({ target }) => {
    rememberLanguage(target.value);
    speak(target.value);
    translated();
  });
}

function chooseTheme(theme) {
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("triad.theme", theme);
  } catch {
    // storage is blocked: the choice lasts as long as the page
  }
}
