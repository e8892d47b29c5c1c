// One unit in words: its attention, and how far the answer changes without it where that was measured.

import { change, percent, t } from "../language/language.js";

export function detail(unit) {
  if (unit.layer === "occlusion") return t("unit_drop", { drop: change(-unit.value), weight: percent(unit.weight) });
  if (unit.layer === "rollout") return t("unit_rollout", { rollout: percent(unit.rollout), weight: percent(unit.weight) });
  return t("unit_weight", { weight: percent(unit.weight) });
}
