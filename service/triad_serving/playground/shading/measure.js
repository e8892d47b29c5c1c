// What the shading shows: for each medium its units (words, cells, moments, fields) and what each is worth.
//
// Units are always those of the attention, the finest there are; a coarser measure (occlusion hides several
// together where there are many) is looked up at each unit's middle.

/** layer: attention, rollout or occlusion. Returns what there is by medium, absent where the medium is. */
export function measure(prediction, layer) {
  const { attention, occlusion } = prediction;
  if (attention === undefined) return {};
  const seen = {};
  if (attention.text) seen.text = { units: line(attention.text, layer, occlusion?.text) };
  if (attention.image) seen.image = grid(attention.image, layer, occlusion?.image);
  if (attention.audio) seen.audio = { units: line(attention.audio, layer, occlusion?.audio) };
  if (attention.fields) seen.fields = { units: named(attention.fields, layer, occlusion?.fields) };
  for (const part of Object.values(seen)) {
    part.strongest = Math.max(...part.units.map(({ value }) => Math.abs(value)), 0);
  }
  return seen;
}

/** In [-1, 1]: what the shade of a unit is, as a share of the strongest. */
export const shade = (unit, strongest) => (strongest > 0 ? unit.value / strongest : 0);

const along = (parts, unit) => {
  const middle = (unit.start + unit.end) / 2;
  return parts?.find(({ start, end }) => start <= middle && middle <= end)?.drop ?? 0;
};

/** Words and moments: units with a start and an end. */
function line(units, layer, parts) {
  return units.map((unit) => ({ ...unit, value: layer === "occlusion" ? along(parts, unit) : pick(unit, layer) }));
}

/** Fields. Several that were hidden together bear their names, joined by commas. */
function named(units, layer, parts) {
  const drop = ({ name }) => parts?.find((part) => part.name === name || part.name.split(", ").includes(name))?.drop ?? 0;
  return units.map((unit) => ({ ...unit, value: layer === "occlusion" ? drop(unit) : pick(unit, layer) }));
}

const pick = (unit, layer) => (layer === "rollout" ? unit.rollout : unit.weight);

function grid({ rows, columns, region, weights, rollout }, layer, parts) {
  const [left, top, right, bottom] = region;
  const units = [];
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const unit = { row, column, weight: weights[row][column], rollout: rollout[row][column] };
      const x = (place) => left + ((right - left) * place) / columns;
      const y = (place) => top + ((bottom - top) * place) / rows;
      unit.rectangle = [x(column), y(row), x(column + 1), y(row + 1)];
      const coarse = (place, count, all) => Math.floor(((place + 0.5) * count) / all);
      const drop = parts?.drops[coarse(row, parts.rows, rows)][coarse(column, parts.columns, columns)] ?? 0;
      units.push({ ...unit, value: layer === "occlusion" ? drop : pick(unit, layer) });
    }
  }
  return { units, rows, columns, region };
}
