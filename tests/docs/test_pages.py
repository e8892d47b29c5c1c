"""What holds for every page: links lead somewhere, and the change log knows the version."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT

PAGES = sorted(DOCS.glob("*.md"))


def headings(page: Path) -> set[str]:
    """As links name them."""
    found = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text("utf-8")):
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), target
        assert not anchor or anchor in headings(path), f"{target}#{anchor}"


def test_the_readme_leads_to_every_page() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert not [page.name for page in PAGES if f"](docs/{page.name})" not in readme]


def test_the_version_stands_in_one_place_and_in_the_change_log() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    releases = re.findall(r"^## (.+)$", (DOCS / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert version == next(each for each in releases if each != "Unreleased")
    sources = [path for folder in ("service", "model_training") for path in (ROOT / folder).rglob("*.py")]
    assert not [path for path in sources if f'"{version}"' in path.read_text("utf-8")]
