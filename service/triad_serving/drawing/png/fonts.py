"""Letters for the PNG: of the fonts of this machine, the first that has each character.

No font is shipped: one with Chinese has 4 to 20 MB, and no well-kept package brings just that. Desktops have
one, servers install one in a line, and where there is none the picture says so.
"""

from __future__ import annotations

import functools
import operator
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

from PIL import ImageDraw, ImageFont

# Found by file name wherever the system keeps its fonts, as Pillow does; with the place in a collection.
CHINESE = (
    ("NotoSansCJK-Regular.ttc", 2),
    ("NotoSansCJKsc-Regular.otf", 0),
    ("NotoSansSC-Regular.otf", 0),
    ("SourceHanSansSC-Regular.otf", 0),
    ("SourceHanSansCN-Regular.otf", 0),
    ("wqy-microhei.ttc", 0),
    ("wqy-zenhei.ttc", 0),
    ("DroidSansFallbackFull.ttf", 0),
    ("Hiragino Sans GB.ttc", 0),
    ("PingFang.ttc", 0),
    ("msyh.ttc", 0),
    ("simhei.ttf", 0),
)
WESTERN = (("DejaVuSans.ttf", 0), ("LiberationSans-Regular.ttf", 0), ("Arial.ttf", 0), ("arial.ttf", 0))
BASIC = ImageFont.Layout.BASIC  # the other layout is not everywhere, and ten times slower
SUBSTITUTE = "?"
WITHOUT_WIDTH = ("Cf", "Mn", "Me")  # Unicode categories
NOWHERE = "\U0010ffff"  # in no font: each draws its mark for missing characters


@dataclass(kw_only=True, eq=False)
class Letters:
    """One size of type, in pixels, for one thread. missing: whether a character was in none of the fonts."""

    size: int
    fonts: tuple[ImageFont.FreeTypeFont, ...]
    missing: bool = False
    _known: dict[str, int | None] = field(default_factory=dict)
    _widths: dict[str, float] = field(default_factory=dict)
    _marks: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._marks = [bytes(font.getmask(NOWHERE)) for font in self.fonts]

    @classmethod
    def of(cls, size: int) -> Letters:
        found = [_locate(known) for known in (CHINESE, WESTERN)]
        installed = [
            ImageFont.truetype(path, size, index, layout_engine=BASIC) for path, index in filter(None, found)
        ]
        own = ImageFont.load_default(size)
        assert isinstance(own, ImageFont.FreeTypeFont)  # the other kind has no sizes
        return cls(size=size, fonts=(*installed, own))

    @property
    def line_height(self) -> int:
        return round(1.45 * self.size)

    def has(self, text: str) -> bool:
        return all(self._font_of(character) is not None for character in text)

    def width(self, text: str) -> float:
        if text not in self._widths:
            self._widths[text] = sum(font.getlength(run) for run, font in self._runs(text))
        return self._widths[text]

    def draw(self, canvas: ImageDraw.ImageDraw, place: tuple[float, float], text: str, colour: str) -> None:
        """place: the left end of the line's middle."""
        x, middle = place
        for run, font in self._runs(text):
            canvas.text((x, middle + 0.36 * self.size), run, fill=colour, font=font, anchor="ls")
            x += font.getlength(run)

    def _runs(self, text: str) -> Iterator[tuple[str, ImageFont.FreeTypeFont]]:
        """The text, cut where the font changes; what no font has is substituted, but for accents."""
        drawn: list[tuple[str, int]] = []
        for character in text:
            category = unicodedata.category(character)
            if category in ("Cc", "Zs", "Zl", "Zp"):
                drawn.append((" ", drawn[-1][1] if drawn else 0))
            elif (font := self._font_of(character)) is not None:
                drawn.append((character, font))
            elif category not in WITHOUT_WIDTH:
                drawn.append((SUBSTITUTE, len(self.fonts) - 1))
                self.missing = True
        for font, run in groupby(drawn, key=operator.itemgetter(1)):
            yield "".join(character for character, _ in run), self.fonts[font]

    def _font_of(self, character: str) -> int | None:
        """The first font that draws anything but its mark; Pillow does not pass on what FreeType knows."""
        if character not in self._known:
            drawn = (bytes(font.getmask(character)) for font in self.fonts)
            fitting = (n for n, mask in enumerate(drawn) if mask != self._marks[n])
            self._known[character] = next(fitting, None)
        return self._known[character]


@functools.cache
def _locate(known: tuple[tuple[str, int], ...]) -> tuple[str, int] | None:
    """Path and place of the first of the known fonts that this machine has."""
    for name, index in known:
        try:
            return str(ImageFont.truetype(name, 16, index).path), index
        except OSError:
            continue
    return None
