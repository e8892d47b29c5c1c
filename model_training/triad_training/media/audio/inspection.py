"""How long the sounds of a table are and at which rate they come, and what of them a model should hear."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile

from triad_training.media.column import Choice

ENDINGS = frozenset((".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff"))
LONGEST_S = 30.0  # of a proposal: the cost grows with it
LONG_S = 6.0  # from here on frames are further apart, and cost less
RATES_HZ = (8_000, 16_000)  # of speech by telephone, and in full
FRAMES_S = ((0.032, 0.016), (0.04, 0.02))  # window and hop, of short and of long sounds
TOKENS = 80  # about as many of the longest sound; each looks at all others
SYMBOL_S = 0.04  # tokens of a transcript: two of the shortest symbols


def audio_choices(files: Sequence[Path], transcribed: bool) -> Iterator[Choice]:
    """files: a sample. Those that cannot be opened are left to the training, which names them.

    transcribed: all that is said shall be answered.
    """
    heads = [head for file in files if (head := _head(file))]
    if not heads:
        return
    rates, lengths = np.array([rate for rate, _ in heads]), np.array([seconds for _, seconds in heads])
    rate = RATES_HZ[-1] if np.median(rates) >= RATES_HZ[-1] else RATES_HZ[0]
    usual, longest = np.percentile(lengths, (95, 100))
    max_s = min(max(float(np.ceil((longest if transcribed else usual) * 2) / 2), 0.5), LONGEST_S)
    window_s, hop_s = FRAMES_S[max_s > LONG_S]
    hops = 2 ** int(np.clip(np.ceil(np.log2(max_s / hop_s / TOKENS)), 2, 7))
    if transcribed:
        hops = round(SYMBOL_S / hop_s)

    def choice(key: str, value: float, why: str) -> Choice:
        return Choice(section="preprocess.audio", key=key, value=value, why=why)

    yield choice("sample_rate_hz", rate, f"the recordings have {_listed(rates)} Hz")
    yield choice(
        "max_s", max_s, f"95 % of the sounds last at most {usual:.1f} s, the longest {longest:.1f} s"
    )
    yield choice("window", round(window_s * rate), f"{window_s * 1000:.0f} ms: samples of one frame")
    yield choice("hop", round(hop_s * rate), f"{hop_s * 1000:.0f} ms from frame to frame; less costs more")
    yield choice("frames_per_token", hops, f"{hops * hop_s:.2f} s: the moments that attention speaks of")
    if longest > max_s and not transcribed:
        cut = f"{np.mean(lengths > max_s):.0%} are longer than max_s; refuse: such files stop the training"
        yield Choice(section="data", key="long_sounds", value="cut", why=cut)


def _listed(rates: np.ndarray) -> str:
    different = sorted(set(map(int, rates)))
    return f"{different[0]} to {different[-1]}" if len(different) > 1 else str(different[0])


def _head(file: Path) -> tuple[int, float] | None:
    """Rate and seconds, from the header; None where it cannot be read."""
    try:
        info = soundfile.info(str(file))
    except (soundfile.LibsndfileError, OSError):
        return None
    return info.samplerate, info.duration
