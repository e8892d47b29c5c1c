// Filters on the columns of an index: values to choose among, or a range of numbers.

import { by, make } from "../dom.js";
import { plain, t } from "../language/language.js";

const FEW_VALUES = 24; // more are typed, with suggestions

export class Filters {
  #form = by("filters-form");
  #onChange;
  #columns = [];
  #chosen = new Map(); // by column: a list of values, or a range

  /** onChange(done): done is false while the person types. */
  constructor(onChange) {
    this.#onChange = onChange;
  }

  /** By column, or null. */
  get value() {
    return this.#chosen.size > 0 ? Object.fromEntries(this.#chosen) : null;
  }

  /** Columns that are filtered. */
  get count() {
    return this.#chosen.size;
  }

  /** columns: as /v1/indexes tells of them. */
  offer(columns) {
    this.#columns = columns;
    for (const name of [...this.#chosen.keys()]) {
      if (!columns.some((column) => column.name === name)) this.#chosen.delete(name);
    }
    this.#show();
  }

  /** written: JSON from a link, which anybody may have written: only what the form could hold. */
  set(written) {
    this.#chosen = new Map(Object.entries(read(written)).filter(([name, value]) => this.#takes(name, value)));
    this.#show();
  }

  #takes(name, value) {
    const column = this.#columns.find((each) => each.name === name);
    if (column === undefined) return false;
    if (column.type === "number") return [value?.min, value?.max].some(Number.isFinite);
    return Array.isArray(value) && value.length > 0;
  }

  #show() {
    this.#form.replaceChildren(...this.#columns.map((column, i) => {
      if (column.type === "number") return this.#range(column);
      const few = column.values && column.values.length <= FEW_VALUES;
      return few ? this.#choices(column) : this.#typed(column, `filter-${i}`);
    }));
  }

  #choices({ name, values }) {
    const chosen = this.#chosen.get(name) ?? [];
    const boxes = values.map((value) => {
      const box = make("input", { type: "checkbox", checked: chosen.includes(value) });
      box.addEventListener("change", () => {
        const rest = (this.#chosen.get(name) ?? []).filter((each) => each !== value);
        this.#take(name, box.checked ? [...rest, value] : rest, true);
      });
      return make("label", { class: "pick" }, box, make("span", { text: value === "" ? t("field_missing") : String(value) }));
    });
    return make("fieldset", { "data-column": name }, make("legend", { text: name }), ...boxes);
  }

  #typed({ name, values = [] }, id) {
    const [chosen = ""] = this.#chosen.get(name) ?? [];
    const box = make("input", { type: "text", id, list: `${id}-values`, value: chosen, "aria-label": name });
    box.addEventListener("change", () => this.#take(name, box.value ? [box.value] : [], true));
    return make("fieldset", { "data-column": name }, make("legend", { text: name }), box,
      make("datalist", { id: `${id}-values` }, ...values.map((value) => make("option", { value }))));
  }

  #range({ name, low, high }) {
    const ends = { min: low, max: high };
    const boxes = Object.entries(ends).map(([end, usual]) => {
      const box = make("input", {
        type: "number", step: "any", placeholder: usual === undefined ? undefined : plain(usual), value: this.#chosen.get(name)?.[end], "aria-label": t(`filter_${end}`, { name }),
      });
      box.addEventListener("input", () => {
        const { [end]: _, ...rest } = this.#chosen.get(name) ?? {};
        this.#take(name, Number.isFinite(box.valueAsNumber) ? { ...rest, [end]: box.valueAsNumber } : rest, false);
      });
      return box;
    });
    return make("fieldset", { "data-column": name }, make("legend", { text: name }), boxes[0], make("span", { "aria-hidden": "true", text: "–" }), boxes[1]);
  }

  #take(name, value, done) {
    if (Object.keys(value).length > 0) this.#chosen.set(name, value);
    else this.#chosen.delete(name);
    this.#onChange(done);
  }
}

function read(written) {
  try {
    return JSON.parse(written || "{}") ?? {};
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return {};
  }
}
