"""A scene as one PNG, a fixed number of pixels wide."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image

from triad_serving.contract.language import Language
from triad_serving.drawing.bars import bars_of
from triad_serving.drawing.phrases import PHRASES, Phrases
from triad_serving.drawing.png.fonts import Letters
from triad_serving.drawing.png.raster import (
    LINE,
    PAPER,
    SIDE,
    SOFT,
    Run,
    below,
    beside,
    draw_bars,
    draw_heat,
    draw_image,
    draw_marks,
    draw_scale,
    draw_text,
    draw_track,
    draw_words,
)
from triad_serving.drawing.scene import Scene, TaskPart

MARGIN, GAP = 32, 28
INNER = 3 * SIDE + 2 * GAP
HALF = (INNER - GAP) // 2


@dataclass(frozen=True, kw_only=True)
class _Type:
    """The sizes of a picture's letters."""

    title: Letters
    body: Letters
    small: Letters

    @property
    def missing(self) -> bool:
        return self.title.missing or self.body.missing or self.small.missing


def drawable(language: Language) -> Language:
    """The language itself where this machine has its letters, else English."""
    phrases = PHRASES[language]
    return language if Letters.of(16).has(phrases.title + phrases.attention_legend) else "en"


def to_png(scene: Scene, *, asked: Language) -> bytes:
    """asked: the language that was wanted; where the scene has another, or letters lack, it says why."""
    type_ = _Type(title=Letters.of(24), body=Letters.of(16), small=Letters.of(14))
    phrases = PHRASES[scene.language]
    parts = [
        draw_text([Run(text=scene.title)], type_.title, INNER),
        _caption(scene.subtitle, type_, INNER),
        _legend(scene, type_, phrases),
        *(_caption(note, type_, INNER) for note in scene.notes),
        *(_task(part, scene, type_, phrases) for part in scene.tasks),
    ]
    if type_.missing or scene.language != asked:
        parts.insert(2, _caption(phrases.no_font, type_, INNER))
    page = below(parts, gap=12)
    canvas = Image.new("RGB", (page.width + 2 * MARGIN, page.height + 2 * MARGIN), PAPER)
    canvas.paste(page, (MARGIN, MARGIN))
    file = io.BytesIO()
    canvas.save(file, "PNG", compress_level=4)  # half the time of 6, a twentieth larger
    return file.getvalue()


def _legend(scene: Scene, type_: _Type, phrases: Phrases) -> Image.Image:
    scales = []
    for tone, said in scene.legend.items():
        ends = (phrases.less, phrases.more) if tone == "attention" else (phrases.against, phrases.speaks_for)
        scales.append(
            below([draw_scale(tone, HALF), _ends(*ends, type_, HALF), _caption(said, type_, HALF)], gap=2)
        )
    return beside(scales, gap=GAP)


def _task(part: TaskPart, scene: Scene, type_: _Type, phrases: Phrases) -> Image.Image:
    rows = [
        Image.new("RGB", (INNER, GAP), PAPER),
        Image.new("RGB", (INNER, 1), LINE),
        draw_text([Run(text=f"{part.name}  ", ink=SOFT), Run(text=part.answer)], type_.title, INNER),
        beside([draw_bars(bars, type_.body, type_.small, HALF) for bars in part.bars], gap=GAP),
        below([_caption(remark, type_, INNER) for remark in part.remarks]),
    ]
    for words in part.words:
        drawn = draw_words(words, type_.body, INNER)
        rows.append(below([_caption(words.title, type_, INNER), drawn], gap=4))
    if scene.picture is not None and part.heats:
        size = f"{phrases.as_sent}, {scene.picture.width} x {scene.picture.height}"
        figures = [(size, draw_image(scene.picture))]
        figures += [(heat.title, draw_heat(heat, scene.picture)) for heat in part.heats]
        rows.append(_figures(figures, type_))
    if scene.wave is not None:
        for marks in part.marks:
            ends = _ends("0 s", f"{scene.wave.shown_s:.2f} s", type_, INNER)
            drawn = draw_marks(marks, scene.wave, type_.body, INNER)
            rows.append(below([_caption(marks.title, type_, INNER), drawn, ends], gap=4))
        for track in part.tracks:
            ends = _ends("0 s", f"{scene.wave.shown_s:.2f} s", type_, INNER)
            drawn = draw_track(track, scene.wave, INNER)
            rows.append(below([_caption(track.title, type_, INNER), drawn, ends], gap=4))
    for each in part.rows:
        drawn = draw_bars(bars_of(each), type_.body, type_.small, HALF)
        rows.append(below([_caption(each.title, type_, INNER), drawn], gap=0))
    return below(rows, gap=14)


def _figures(figures: list[tuple[str, Image.Image]], type_: _Type) -> Image.Image:
    """Side by side under their titles, the images in one line."""
    titles = [_caption(title, type_, SIDE) for title, _ in figures]
    return below([beside(titles, gap=GAP), beside([_widened(image) for _, image in figures], gap=GAP)], gap=4)


def _widened(image: Image.Image) -> Image.Image:
    canvas = Image.new("RGB", (SIDE, image.height), PAPER)
    canvas.paste(image, (0, 0))
    return canvas


def _ends(left: str, right: str, type_: _Type, width: int) -> Image.Image:
    """Two captions, one flush left, one flush right."""
    end = round(type_.small.width(right)) + 1
    return beside([_caption(left, type_, width - end), _caption(right, type_, end)], gap=0)


def _caption(text: str, type_: _Type, width: int) -> Image.Image:
    return draw_text([Run(text=text, ink=SOFT)], type_.small, width)
