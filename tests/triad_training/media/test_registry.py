"""The media are one list, the same as the service's; that nothing else names one: test_media_names.py."""

from __future__ import annotations

from pathlib import Path

import triad_training.media
from triad_serving.media import registry as serving
from triad_training.media.registry import MEDIA, by_name

MEDIA_FOLDER = Path(triad_training.media.__file__).parent


def test_training_knows_the_media_of_the_service_in_their_order() -> None:
    assert [medium.serving for medium in MEDIA] == list(serving.MEDIA)
    assert [by_name(name).serving.name for name in serving.NAMES] == list(serving.NAMES)


def test_no_two_forms_of_files_share_a_name_and_no_two_media_a_style() -> None:
    forms = [form for medium in MEDIA for form in medium.forms]
    assert len({form.name for form in forms}) == len(forms)
    assert all(form.medium == medium.serving.name for medium in MEDIA for form in medium.forms)
    assert len({medium.style.marker for medium in MEDIA}) == len(MEDIA)
    assert all(each.medium == medium.serving.name for medium in MEDIA for each in medium.corruptions)


def test_every_medium_has_a_view() -> None:
    assert all((MEDIA_FOLDER / medium.serving.name / "view.html.j2").is_file() for medium in MEDIA)
