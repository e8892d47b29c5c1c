// The address of what is on the page: text, fields and settings after the #, which browsers never send to the service.
// Pictures and sounds are only in it where they are samples.

const DEFAULTS = {
  text: "", image: "", audio: "", fields: "", model: "", version: "", top_k: "5", explain: "shapley", target: "",
  task: "", layer: "attention", live: "1",
};

/** Settings by name; null where the address has none. */
export function readLink(defaults = DEFAULTS) {
  const given = new URLSearchParams(location.hash.slice(1));
  if (given.size === 0) return null;
  return Object.fromEntries(Object.entries(defaults).map(([name, usual]) => [name, given.get(name) ?? usual]));
}

/** Only what differs from the defaults, so that links stay short. */
export function linkTo(settings, defaults = DEFAULTS) {
  const link = new URL(location.href);
  const told = Object.entries(settings).filter(([name, value]) => value !== defaults[name]);
  // An empty page is a setting too: without a # a visitor gets the first sample.
  link.hash = new URLSearchParams(told.length > 0 ? told : [["text", ""]]).toString();
  return link.href;
}
