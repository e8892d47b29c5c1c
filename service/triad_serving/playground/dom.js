// Elements: finding those of index.html, making others. Never from strings of HTML: labels and texts are data.

export const by = (id) => document.getElementById(id);

/** properties: `class`, `text`, `vars` (CSS custom properties), on… handlers; any other is an attribute. */
export function make(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

export function makeSvg(tag, attributes, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

/** Shows text, or hides the element where there is none. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
  element.hidden = !text;
}

/** options: [value, label] pairs, or [group, pairs]. */
export function fillSelect(select, options, chosen) {
  const option = ([value, label]) => make("option", { value, text: label });
  select.replaceChildren(
    ...options.map(([name, inner]) =>
      Array.isArray(inner) ? make("optgroup", { label: name }, ...inner.map(option)) : option([name, inner]),
    ),
  );
  select.value = chosen;
}

/** An <img> keeps what it has decoded, so the address can go as soon as it is loaded. */
export function showBlob(image, blob) {
  const url = URL.createObjectURL(blob);
  image.onload = image.onerror = () => URL.revokeObjectURL(url);
  image.src = url;
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "text") element.textContent = value;
    else if (name === "vars") Object.entries(value).forEach(([key, each]) => element.style.setProperty(key, each));
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}
