// The rows found: a card for each, with its media, its columns, and how near it is.

import { make, showBlob } from "../dom.js";
import { number, t } from "../language/language.js";
import { Problem, fetchMedium } from "../service.js";

const FEW_COLUMNS = 8;
const SMALL_PIXELS = 64; // drawn larger, its pixels stay sharp

const loads = new WeakMap();
const inSight = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    inSight.unobserve(target);
    loads.get(target)();
  }
}, { rootMargin: "300px" });
let players = [];

/** hits: as /v1/search answers them, nearest first; similar(hit): to look for what is like one. */
export function showHits(list, hits, similar) {
  for (const player of players) empty(player);
  players = [];
  list.replaceChildren(...hits.map((hit) => card(hit, similar)));
}

function card(hit, similar) {
  const { row, score, matched, media } = hit;
  const name = t("row", { row });
  return make("li", { class: "hit", "data-medium": matched === "fused" ? undefined : matched },
    make("div", { class: "hit-head" },
      make("h3", {}, name, make("span", { class: "unseen", text: `, ${t("matched", { score: number(score), medium: t(`stored_${matched}`) })}` })),
      make("span", { class: "score", "aria-hidden": "true", text: number(score) }),
    ),
    make("div", { class: "track", "aria-hidden": "true" }, make("div", { class: "bar", vars: { "--share": Math.max(0, Math.min(score, 1)) } })),
    ...(media.image ? [picture(media.image, name)] : []),
    ...(media.audio ? [sound(media.audio, name)] : []),
    ...(hit.text ? [make("p", { class: "hit-text", text: hit.text })] : []),
    columns(hit.columns),
    make("p", { class: "share", "aria-hidden": "true", text: t("by_its", { medium: t(`stored_${matched}`) }) }),
    make("button", { type: "button", class: "quiet", text: t("find_similar"), "aria-label": t("find_similar_to", { row }), onclick: () => similar(hit) }),
  );
}

function picture(address, name) {
  const image = make("img", { alt: t("image_of", { name }) });
  const box = make("div", { class: "hit-image" }, image);
  whenInSight(box, address, (blob) => {
    image.addEventListener("load", () => image.classList.toggle("small", Math.max(image.naturalWidth, image.naturalHeight) <= SMALL_PIXELS), { once: true });
    showBlob(image, blob);
  });
  return box;
}

function sound(address, name) {
  const player = make("audio", { controls: true, "aria-label": t("sound_of", { name }) });
  const box = make("div", {}, player);
  whenInSight(box, address, (blob) => {
    player.src = URL.createObjectURL(blob);
    players.push(player);
  });
  return box;
}

/** One that still loads would complain of an address that is gone. */
function empty(player) {
  const address = player.src;
  player.removeAttribute("src");
  player.load();
  URL.revokeObjectURL(address);
}

/** By fetch, which sends the API key along. */
function whenInSight(box, address, take) {
  loads.set(box, async () => {
    try {
      const blob = await fetchMedium(address);
      if (box.isConnected) take(blob); // others may have been found meanwhile
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      box.replaceChildren(make("p", { class: "hint", text: t("not_there") }));
    }
  });
  inSight.observe(box);
}

function columns(values) {
  const told = Object.entries(values).filter(([, value]) => value !== null && value !== "");
  const entries = (some) => some.flatMap(([name, value]) => [make("dt", { text: name }), make("dd", { text: written(value) })]);
  const list = make("dl", {}, ...entries(told.slice(0, FEW_COLUMNS)));
  if (told.length <= FEW_COLUMNS) return list;
  return make("div", {}, list, make("details", {},
    make("summary", { text: t("card_more", { count: told.length - FEW_COLUMNS }) }), make("dl", {}, ...entries(told.slice(FEW_COLUMNS)))));
}

const written = (value) => (typeof value === "number" ? number(value, 6) : String(value));
