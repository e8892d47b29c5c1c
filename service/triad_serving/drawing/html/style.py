"""How the HTML page looks: one style sheet, which its Content-Security-Policy names by hash."""

from __future__ import annotations

import base64
import functools
import hashlib

from triad_serving.drawing.colours import AGAINST, FOR, PLAIN, colour_of, ink_on
from triad_serving.media.figures import Tone

STEPS = 32  # shades of a word, from nothing to the strongest; elements may carry no style of their own

LAYOUT = f"""
:root {{ color-scheme: light dark; --ink: #1f2933; --soft: #5a6774; --line: #d5dbe1; --page: #fff;
  --bar: {PLAIN}; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #e4e7eb; --soft: #9fabb7; --line: #3a444e; --page: #14181d; --bar: #9aa3b5; }}
}}
* {{ box-sizing: border-box; }}
body {{ margin: 0 auto; padding: 20px; max-width: 960px; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans", "PingFang SC", "Microsoft YaHei",
  "Noto Sans CJK SC", sans-serif; }}
h1 {{ font-size: 22px; margin: 0; }}
h2 {{ font-size: 19px; margin: 36px 0 8px; padding-top: 16px; border-top: 1px solid var(--line);
  overflow-wrap: anywhere; }}
h2 span, header p, figcaption, th, .ends {{ color: var(--soft); font-weight: 400; }}
header p, .remarks {{ margin: 0; }}
figure {{ margin: 14px 0; }} .row figure {{ margin: 0; max-width: 280px; }}
figcaption {{ margin-bottom: 4px; }}
p {{ margin: 6px 0; }}
figcaption, .ends {{ font-size: 13px; }}
.row {{ display: flex; flex-wrap: wrap; gap: 14px 28px; margin: 14px 0; align-items: flex-start; }}
.row > table {{ flex: 1 1 300px; }}
table {{ border-collapse: collapse; }}
th {{ text-align: left; font-size: 13px; }}
td {{ padding: 2px 14px 2px 0; font-variant-numeric: tabular-nums; overflow-wrap: break-word; }}
td:first-child {{ white-space: nowrap; max-width: 14em; overflow: hidden; text-overflow: ellipsis; }}
td.bar {{ white-space: nowrap; width: 60%; }}
td.bar svg {{ width: calc(100% - 74px); height: 12px; vertical-align: -1px; margin-right: 8px; }}
.chosen {{ font-weight: 700; }}
svg {{ display: block; max-width: 100%; }}
td svg {{ display: inline-block; }}
.plain {{ fill: var(--bar); }} .for {{ fill: {FOR}; }} .against {{ fill: {AGAINST}; }}
.axis {{ stroke: var(--soft); vector-effect: non-scaling-stroke; }}
.grey {{ filter: grayscale(1); }} .pixels {{ image-rendering: pixelated; }}
.margin {{ fill: var(--line); }}
.words {{ margin: 0; line-height: 2; overflow-wrap: anywhere; white-space: pre-wrap; unicode-bidi: isolate; }}
.words mark {{ padding: 3px 2px; border-radius: 3px; }}
.track {{ width: 100%; height: 84px; }}
.track path {{ stroke-width: 0.7; fill: none; }}
.heard {{ fill: var(--bar); stroke: var(--bar); stroke-width: 1; vector-effect: non-scaling-stroke; }}
.names text {{ fill: var(--ink); font-size: 14px; }}
.unheard {{ stroke: var(--soft); }} .said {{ stroke: var(--ink); }}
.ends {{ display: flex; justify-content: space-between; }}
.legend > div {{ flex: 1 1 300px; font-size: 14px; }}
.legend svg {{ width: 100%; height: 14px; }}
.remarks {{ padding-left: 18px; }}
@media print {{ section {{ break-inside: avoid; }} }}
"""


def word_class(level: float, tone: Tone) -> str:
    """Of a word's shade: a0 to a32, or d-32 to d32."""
    return f"{tone[0]}{round(STEPS * level)}"


@functools.cache
def style_sheet() -> str:
    lowest: dict[Tone, int] = {"attention": 0, "drop": -STEPS}
    shades = []
    for tone, first in lowest.items():
        for step in range(first, STEPS + 1):
            colour = colour_of(step / STEPS, tone)
            name = word_class(step / STEPS, tone)
            shades.append(f".{name} {{ background: {colour}; color: {ink_on(colour)}; }}\n")
    return LAYOUT + "".join(shades)


@functools.cache
def content_security_policy() -> str:
    """Nothing but this style sheet and images within the page. Source: CSP level 3."""
    digest = base64.b64encode(hashlib.sha256(style_sheet().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
