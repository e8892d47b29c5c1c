"""A scene as one HTML page that needs nothing else: no links, no scripts, the image within it."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from triad_serving.drawing.bars import bars_of, number
from triad_serving.drawing.html.style import content_security_policy, style_sheet, word_class
from triad_serving.drawing.html.svg import (
    CONTROL,
    define_image,
    draw_bar,
    draw_heat,
    draw_image,
    draw_marks,
    draw_scale,
    draw_track,
)
from triad_serving.drawing.phrases import PHRASES, Phrases
from triad_serving.drawing.scene import Bars, Scene, TaskPart
from triad_serving.media.figures import Marks, Tone, Track, Wave, Words


def to_html(scene: Scene) -> str:
    phrases = PHRASES[scene.language]
    return f"""<!DOCTYPE html>
<html lang="{scene.language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{escape(content_security_policy())}">
<title>{_text(scene.title)}</title>
<style>{style_sheet()}</style>
</head>
<body>
<header><h1>{_text(scene.title)}</h1><p>{_text(scene.subtitle)}</p></header>
{define_image(scene.picture) if scene.picture else ""}
<main>
<div class="row legend">{_lines(_legend(tone, said, phrases) for tone, said in scene.legend.items())}</div>
{_lines(f"<p>{_text(note)}</p>" for note in scene.notes)}
{_lines(_task(part, scene, phrases) for part in scene.tasks)}
</main>
</body>
</html>
"""


def _task(part: TaskPart, scene: Scene, phrases: Phrases) -> str:
    return f"""<section>
<h2><span>{_text(part.name)}</span> {_text(part.answer)}</h2>
<div class="row">{_lines(map(_table, part.bars))}</div>
<ul class="remarks">{_lines(f"<li>{_text(remark)}</li>" for remark in part.remarks)}</ul>
{_lines(map(_words, part.words))}
{_pictures(part, scene, phrases)}
{_lines(_marks(each, scene) for each in part.marks)}
{_lines(_track(each, scene) for each in part.tracks)}
{_lines(_figure(_table(bars_of(rows)), rows.title) for rows in part.rows)}
</section>"""


def _table(bars: Bars) -> str:
    rows = [f"<th>{_text(title)}</th>" for title in (bars.title, *(column.title for column in bars.columns))]
    lines = ["".join(rows)]
    for n, name in enumerate(bars.names):
        chosen = ' class="chosen"' if name in bars.chosen else ""
        cells = [
            f'<td class="bar">{draw_bar(column, n)}{_text(column.shown[n])}</td>' for column in bars.columns
        ]
        lines.append(f"<td{chosen}>{_text(name)}</td>{''.join(cells)}")
    return f"<table>{_lines(f'<tr>{line}</tr>' for line in lines)}</table>"


def _words(words: Words) -> str:
    pieces = []
    for text, value in words.pieces:
        if value is None:
            pieces.append(_text(text))
        else:
            shade = word_class(words.scale.level(value), words.scale.tone)
            pieces.append(f'<mark class="{shade}" title="{number(value)}">{_text(text)}</mark>')
    return _figure(f'<p class="words">{"".join(pieces)}</p>', words.title)


def _pictures(part: TaskPart, scene: Scene, phrases: Phrases) -> str:
    """The image as sent beside every heat map over it."""
    if scene.picture is None or not part.heats:
        return ""
    size = f"{phrases.as_sent}, {scene.picture.width} x {scene.picture.height}"
    figures = [
        _figure(draw_image(scene.picture, phrases.as_sent), size),
        *(_figure(draw_heat(heat, scene.picture), heat.title) for heat in part.heats),
    ]
    return f'<div class="row">{_lines(figures)}</div>'


def _marks(marks: Marks, scene: Scene) -> str:
    return (
        "" if scene.wave is None else _figure(draw_marks(marks, scene.wave) + _ends(scene.wave), marks.title)
    )


def _ends(wave: Wave) -> str:
    return f'<div class="ends"><span>0 s</span><span>{wave.shown_s:.2f} s</span></div>'


def _track(track: Track, scene: Scene) -> str:
    if scene.wave is None:
        return ""
    return _figure(draw_track(track, scene.wave) + _ends(scene.wave), track.title)


def _legend(tone: Tone, said: str, phrases: Phrases) -> str:
    ends = (phrases.less, phrases.more) if tone == "attention" else (phrases.against, phrases.speaks_for)
    named = "".join(f"<span>{_text(end)}</span>" for end in ends)
    return f'<div>{draw_scale(tone)}<div class="ends">{named}</div>{_text(said)}</div>'


def _figure(drawing: str, title: str) -> str:
    return f"<figure><figcaption>{_text(title)}</figcaption>{drawing}</figure>"


def _text(text: str) -> str:
    return escape(text.translate(CONTROL))


def _lines(parts: Iterable[str]) -> str:
    return "\n".join(parts)
