// Fields: a number or a choice for each that the model reads; whatever is left empty is missing.

import { by, make } from "../dom.js";
import { plain, t } from "../language/language.js";
import { Problem } from "../service.js";

export class FieldsInput {
  #form = by("fields-form");
  #format;
  #onChange;
  #controls = []; // of the form, from its top
  #given = new Map(); // also those that only another model reads: they are back with it
  #mistyped = null;
  #value = null;
  #written = ""; // the value as JSON: as long as it is the same, so is the value

  /** format(): what the model reads; onChange(done): done is false while the person types. */
  constructor(format, onChange) {
    this.#format = format;
    this.#onChange = onChange;
    by("fields-clear").addEventListener("click", () => {
      this.set(null);
      onChange(true);
      this.#controls[0].focus();
    });
  }

  /** By name, or null where no field is given. */
  get value() {
    const { numeric, categorical } = this.#read();
    const fields = [
      ...numeric.map(({ name }) => [name, this.#given.get(name)]).filter(([, value]) => Number.isFinite(value)),
      ...categorical.map(({ name }) => [name, String(this.#given.get(name) ?? "")]).filter(([, value]) => value !== ""),
    ];
    const written = fields.length > 0 ? JSON.stringify(fields) : "";
    if (written !== this.#written) {
      this.#written = written;
      this.#value = written ? Object.fromEntries(fields) : null;
    }
    return this.#value;
  }

  /** A number that is none: it counts as not given. */
  get mistyped() {
    return this.#mistyped && new Problem({ type: "no-number", field: `fields.${this.#mistyped}` });
  }

  /** fields: by name; null for none. */
  set(fields) {
    this.#given = new Map(Object.entries(fields ?? {}));
    this.refresh();
  }

  /** Where a field stands in the form, counted from 1. */
  rowOf(name) {
    const { numeric, categorical } = this.#read();
    return [...numeric, ...categorical].findIndex((field) => field.name === name) + 1;
  }

  refresh() {
    const { numeric, categorical } = this.#read();
    this.#mistyped = null;
    this.#controls = [
      ...numeric.map((field, i) => this.#number(field, `field-${i}`)),
      ...categorical.map((field, i) => this.#choice(field, `field-${numeric.length + i}`)),
    ];
    const ranges = numeric.map(({ low, high }) => t("field_range", { low: plain(low), high: plain(high) }));
    const rows = this.#controls.map((control, i) => row(control, ranges[i], i + 1));
    this.#form.style.setProperty("--rows", rows.length);
    by("fields-seen").hidden = true; // until its names have found their rows
    this.#form.replaceChildren(by("fields-seen"), ...rows);
  }

  #read() {
    return { numeric: [], categorical: [], ...this.#format() };
  }

  #number({ name, median, low }, id) {
    const control = make("input", {
      id, type: "number", step: "any", placeholder: plain(median), "data-field": name, "aria-describedby": `${id}-range fields-error`,
      inputmode: low < 0 ? undefined : "decimal", // such keyboards have no minus
    });
    control.value = this.#given.get(name) ?? "";
    control.addEventListener("input", () => {
      this.#mistyped = null;
      this.#give(name, Number.isFinite(control.valueAsNumber) ? control.valueAsNumber : null, false);
    });
    control.addEventListener("blur", () => { // only now: on its way to a number a person types what is none
      if (!control.validity.badInput) return;
      this.#mistyped = name;
      this.#onChange(false);
    });
    return control;
  }

  /** A link may name a label that the model does not know; the service then says so. */
  #choice({ name, labels }, id) {
    const given = String(this.#given.get(name) ?? "");
    const all = given === "" || labels.includes(given) ? labels : [...labels, given];
    const control = make("select", { id, "data-field": name, "aria-describedby": "fields-error" },
      make("option", { value: "", text: t("field_missing") }),
      ...all.map((label) => make("option", { value: label, text: label })),
    );
    control.value = given;
    control.addEventListener("change", () => this.#give(name, control.value || null, true));
    return control;
  }

  #give(name, value, done) {
    if (value === null) this.#given.delete(name);
    else this.#given.set(name, value);
    this.#onChange(done);
  }
}

/** Fields from a link, which anybody may have written: only what a form could hold. */
export function readFields(written) {
  try {
    const usable = ([, value]) => ["string", "number"].includes(typeof value);
    return Object.fromEntries(Object.entries(JSON.parse(written) ?? {}).filter(usable));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return null;
  }
}

function row(control, range, at) {
  return make("div", { class: "field", "data-row": at, vars: { "--row": at } },
    make("label", { for: control.id, text: control.dataset.field }),
    make("div", { class: "field-control" },
      ...(range ? [make("span", { class: "field-range", id: `${control.id}-range`, text: range })] : []), control),
  );
}
