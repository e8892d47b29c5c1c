// The service's HTTP interface, as this page uses it. Addresses are relative: any root path will do.

const PATIENCE_MS = 60_000;
const KEY = "triad.key"; // kept until the tab is closed
let key = "";
try {
  key = sessionStorage.getItem(KEY) ?? "";
} catch {
  // storage is blocked: a key lasts as long as the page
}

export const apiKey = () => key;

export function useKey(value) {
  key = value;
  try {
    sessionStorage.setItem(KEY, key);
  } catch {
    // as above
  }
}

/** RFC 9457, or what kept us from an answer: then `status` is 0. */
export class Problem extends Error {
  constructor({ type = "", status = 0, detail = "", field = "", limit, value }) {
    super(detail);
    Object.assign(this, { kind: type.split(":").at(-1), status, field, limit, value });
  }
}

export const listModels = async () => (await ask("v1/models")).json();

export async function describeModel(name, version) {
  const path = `v1/models/${encodeURIComponent(name)}/versions/${encodeURIComponent(version)}`;
  return (await ask(path)).json();
}

/** Parameters of /v1/predict; a choice that is empty is left to the service. */
export function query(options) {
  return new URLSearchParams(Object.entries(options).filter(([, value]) => value !== ""));
}

/** What can be searched in; none where nobody was made, or the service knows of no such thing. */
export async function listIndexes() {
  try {
    return (await (await ask("v1/indexes")).json()).indexes;
  } catch (error) {
    if (error.status === 404) return [];
    throw error;
  }
}

/** The rows nearest to media (as for `predict`). filter: by column; null for none. */
export async function search(media, { index, by, k, filter }) {
  const form = formOf(media);
  form.append("k", k);
  if (filter) form.append("filter", JSON.stringify(filter));
  return (await ask(`v1/search?${query({ index, by })}`, { method: "POST", body: form })).json();
}

/** address: as an answer names it, from the service's root. */
export const fetchMedium = async (address) => (await ask(address.replace(/^\//, ""))).blob();

export async function predict(media, options) {
  const started = performance.now();
  const response = await ask(`v1/predict?${query(options)}`, { method: "POST", body: formOf(media) });
  const answer = await response.json();
  const trip = performance.now() - started;
  return { answer, timings: readTimings(response.headers.get("server-timing") ?? ""), trip };
}

/** media: text; image and audio, each with a blob and a name; fields, by name. null where absent. */
function formOf(media) {
  const form = new FormData();
  if (media.text) form.append("text", media.text);
  if (media.image) form.append("image", media.image.blob, media.image.name);
  if (media.audio) form.append("audio", media.audio.blob, media.audio.name);
  if (media.fields) form.append("fields", new Blob([JSON.stringify(media.fields)], { type: "application/json" }));
  return form;
}

/** `name;dur=1.5, …` to [name, milliseconds] pairs. */
function readTimings(header) {
  const stages = header.matchAll(/([\w-]+)\s*;\s*dur=([\d.]+)/g);
  return Array.from(stages, ([, name, duration]) => [name, Number(duration)]);
}

/** Throws Problem. */
async function ask(path, request) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  let response;
  try {
    response = await fetch(path, { ...request, headers, signal: AbortSignal.timeout(PATIENCE_MS) });
  } catch (error) {
    throw new Problem({ type: error.name === "TimeoutError" ? "no-answer" : "unreachable" });
  }
  if (response.ok) return response;
  // A proxy in between may answer something else than a problem.
  const told = await response.json().catch(() => ({ status: response.status, detail: response.statusText }));
  throw new Problem(told);
}
