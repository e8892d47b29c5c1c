// What the page says, in the person's language. Task names and labels are the model's own and stay as they are.

import { en } from "./en.js";
import { zh } from "./zh.js";

const MESSAGES = { en, zh };
const KEY = "triad.language";

let current = "en";

export const language = () => current;

/** What was chosen before, else what the browser asks for. */
export function preferredLanguage() {
  const wanted = [stored(), ...navigator.languages].map((tag) => String(tag).slice(0, 2).toLowerCase());
  return wanted.find((tag) => tag in MESSAGES) ?? "en";
}

/** Translates everything in index.html that bears data-t, data-t-label or data-t-placeholder. */
export function speak(tag) {
  current = tag;
  document.documentElement.lang = tag === "zh" ? "zh-Hans" : tag;
  for (const element of document.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of document.querySelectorAll("[data-t-label]")) {
    element.setAttribute("aria-label", t(element.dataset.tLabel));
  }
  for (const element of document.querySelectorAll("[data-t-placeholder]")) {
    element.placeholder = t(element.dataset.tPlaceholder);
  }
}

export function rememberLanguage(tag) {
  try {
    localStorage.setItem(KEY, tag);
  } catch {
    // storage is blocked: the choice lasts as long as the page
  }
}

export function t(key, values = {}) {
  return MESSAGES[current][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

export const known = (key) => key in MESSAGES[current];

/** A share of 1: 99.8%; what is neither nothing nor all is not called 0% or 100%. */
export function percent(share) {
  if (share > 0 && share < 0.001) return `<${percent(0.001)}`;
  if (share > 0.999 && share < 1) return `>${percent(0.999)}`;
  return share.toLocaleString(current, { style: "percent", maximumFractionDigits: 1 });
}

/** With its sign: +12.5%, −3%. */
export function change(difference) {
  const options = { style: "percent", maximumFractionDigits: 1, signDisplay: "exceptZero" };
  return difference.toLocaleString(current, options);
}

export function number(value, digits = 3) {
  return value.toLocaleString(current, { maximumSignificantDigits: digits });
}

/** As it is typed: without separators between thousands. */
export function plain(value) {
  return value.toLocaleString("en", { maximumSignificantDigits: 6, useGrouping: false });
}

export function seconds(value) {
  return `${value.toLocaleString(current, { minimumFractionDigits: 2, maximumFractionDigits: 2 })} s`;
}

function stored() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}
