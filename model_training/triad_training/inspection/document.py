"""A proposal as a TOML config, one comment per choice; and `init`, from a table to the written file."""

from __future__ import annotations

import os
import re
import textwrap
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from triad_serving.contract.disk import writing
from triad_serving.contract.errors import ConfigError
from triad_training.config.reading import parse_config
from triad_training.config.train_config import TrainConfig
from triad_training.inspection.proposal import Proposal, propose, read_columns
from triad_training.media.column import Choice, toml
from triad_training.media.preset import Preset

WIDTH = 110  # of a line; a longer comment stands above its option
COMMENT_AT = 40  # column where comments begin
NO_NAMES = frozenset(("metadata", "manifest", "data", "table", "train", "rows", "examples"))
SHOWN = 8  # columns of one medium, by name
GUESSED = (
    "# What shall be answered is a guess: `triad init --target COLUMN` says it. A column that is known when",
    "# you ask, and is no answer, belongs in fields.categorical or fields.numeric, without a section here.",
)
MEANINGS: dict[Preset, str] = {
    "fast": "a first look in a minute or two",
    "default": "sizes, epochs and augmentation by the number of rows; best: more of each",
    "best": "the largest network and most epochs that pay; default: a third of the time",
}


def init(table: Path, out: Path, *, preset: Preset = "default", targets: Sequence[str] = ()) -> str:
    """Writes the config; returns a few lines that say what was found.

    Raises TableError, ConfigError where nothing can be learnt or `out` is there already, DiskError.
    """
    if out.exists():
        raise ConfigError(f"{out} is there already; name another file with --out.")
    proposal = propose(read_columns(table), table.parent, targets)
    text = document(proposal, table=_relative(table, out.parent), name=name_of(table), preset=preset)
    config = parse_config(tomllib.loads(text), out)
    with writing(out):
        out.write_text(text, encoding="utf-8")
    return _found(proposal, config, out)


def document(proposal: Proposal, *, table: str, name: str, preset: Preset) -> str:
    lines = [
        f"# Written by `triad init` from {proposal.rows} rows; every line is a choice of yours now.",
        "#   triad train config.toml",
        "",
        f"name = {toml(name)}",
        *_option(f'preset = "{preset}"', MEANINGS[preset]),
    ]
    choices = [Choice(section="data", key="table", value=table, why=""), *proposal.choices]
    for section in dict.fromkeys(choice.section for choice in choices):
        own = [choice for choice in choices if choice.section == section]
        first_task = section.startswith("tasks.") and not any(line.startswith("[tasks.") for line in lines)
        if first_task and proposal.guessed:
            lines += ["", *GUESSED]
        lines += ["", f"[{section}]"]
        for choice in own:
            off = "# " if choice.off else ""
            lines += _option(off + written(choice), choice.why)
        if section == "data":
            for reason in dict.fromkeys(reason for _, reason in proposal.left_out):
                names = ", ".join(name for name, why in proposal.left_out if why == reason)
                lines.append(f"# not used, {reason}: {names}")
    return "\n".join(lines) + "\n"


def written(choice: Choice) -> str:
    """As TOML has it; a list that is too long for a line, in several."""
    line = f"{choice.key} = {toml(choice.value)}"
    if len(line) <= WIDTH or choice.off or not isinstance(choice.value, Sequence):
        return line
    items = ", ".join(map(toml, choice.value))
    inside = textwrap.fill(
        items,
        WIDTH,
        initial_indent="    ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return f"{choice.key} = [\n{inside},\n]"


def name_of(table: Path) -> str:
    """As a run may be called: of the file, or of its folder where the file is called like any other."""
    for word in (table.stem, table.absolute().parent.name):
        name = re.sub(r"[^a-z0-9._-]+", "-", word.lower()).strip("._-")
        if name and name not in NO_NAMES:
            return name
    return "model"


def _option(line: str, why: str) -> Iterator[str]:
    """The line with its comment beside it, or above it where both are too long."""
    if not why:
        yield line
    elif len(line) < COMMENT_AT and COMMENT_AT + len(why) + 2 <= WIDTH:
        yield f"{line:{COMMENT_AT}}# {why}"
    else:
        yield f"# {why}"
        yield line


def _relative(table: Path, folder: Path) -> str:
    """The table as seen from the config's folder."""
    return Path(os.path.relpath(table.absolute(), folder.absolute())).as_posix()


def _found(proposal: Proposal, config: TrainConfig, out: Path) -> str:
    reads = ", ".join(f"{choice.key} ({_named(choice)})" for choice in proposal.choices if choice.reads)
    answers = (
        ", ".join(f"{name} ({task.type})" for name, task in config.tasks.items()) or "nothing: it embeds"
    )
    grouped = f", by {config.data.group}" if config.data.group else ""
    lines = [
        f"{out}: from {proposal.rows} rows",
        f"  reads    {reads}",
        f"  answers  {answers or 'nothing: it embeds'}",
        f"  splits   {config.data.split or 'drawn'}{grouped}",
    ]
    if proposal.left_out:
        lines.append(f"  unused   {', '.join(name for name, _ in proposal.left_out)}")
    return "\n".join([*lines, f"next: read it, then triad train {out}"])


def _named(choice: Choice) -> str:
    """Few columns by name, many by their number."""
    if isinstance(choice.value, str):
        return choice.value
    names = [str(name) for name in choice.value] if isinstance(choice.value, Sequence) else []
    return ", ".join(names) if len(names) <= SHOWN else f"{len(names)} columns"
