"""Where the model looked, and what if it had not."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.page.act import answered, label, one_answer, percent, probability, task
from tests.page.conftest import Open

IMAGE_ONLY = "#image=7.png"


def numbers(places: Locator) -> list[float]:
    return [percent(text) for text in places.all_inner_texts()]


def shades(page: Page, medium: str) -> list[float]:
    """Of every unit: its weight as a share of the strongest."""
    options = page.locator(f"#{medium} [role=option]")
    return options.evaluate_all("all => all.map((one) => Number(one.style.getPropertyValue('--t')))")


def shapley(page: Page) -> list[float]:
    values = page.locator(".waterfall .value").all_inner_texts()
    return [percent(value.replace("+", "")) * (-1 if value.startswith(("-", "−")) else 1) for value in values]


def alpha(colour: str) -> float:
    """Of `color(srgb 1 0.5 0 / 0.3)`; one without a slash is opaque."""
    return float(colour.rstrip(")").split("/")[1]) if "/" in colour else 1


def test_the_weights_of_the_media_sum_to_one_and_the_strongest_unit_is_named(open_page: Open) -> None:
    page = open_page()
    answered(page)
    for name in ("digit", "speaker"):
        weights = numbers(task(page, name).locator(".shares .value"))
        assert sum(weights) == pytest.approx(1, abs=0.002)
    for medium in ("words", "heat", "wave"):
        assert max(shades(page, medium)) == 1
    expect(page.locator("#legend")).to_have_text(re.compile("strongest: Text .*%, Image .*%, Sound .*%"))


def test_contributions_sum_to_the_probability(open_page: Open) -> None:
    page = open_page()
    answered(page)
    *parts, whole = shapley(page)
    assert sum(parts) == pytest.approx(whole, abs=0.005)
    assert whole == pytest.approx(probability(page), abs=0.001)
    page.select_option("#task", "speaker")
    *parts, whole = shapley(page)
    assert sum(parts) == pytest.approx(whole, abs=0.005)
    expect(page.locator(".waterfall .whole .label")).to_have_text(re.compile(label(page, "speaker")))


def test_another_label_can_be_explained(open_page: Open) -> None:
    page = open_page()
    answered(page)
    page.locator("#settings summary").click()
    with one_answer(page):
        page.select_option("#target", "1")
    expect(page.locator(".waterfall .whole .label")).to_have_text("“1” in all")
    with one_answer(page):
        page.select_option("#explain", "none")
    expect(page.locator("#shapley")).to_be_hidden()


def test_the_task_and_the_measure_change_the_shading(open_page: Open) -> None:
    page = open_page()
    answered(page)
    seen = [shades(page, "wave")]
    page.select_option("#task", "speaker")
    seen.append(shades(page, "wave"))
    page.select_option("#layer", "rollout")
    seen.append(shades(page, "wave"))
    with one_answer(page):
        page.select_option("#layer", "occlusion")
    expect(page.locator("#explain")).to_have_value("all")
    seen.append(shades(page, "wave"))
    assert len({tuple(values) for values in seen}) == 4
    page.locator("#words [role=option]").first.hover()
    expect(page.locator("#words-readout")).to_have_text(re.compile(r"% without it; .*% of the attention"))
    page.locator("#settings summary").click()
    with one_answer(page):
        page.select_option("#explain", "shapley")
    expect(page.locator("#layer")).to_have_value("attention")


def test_the_shading_over_the_image_fades(open_page: Open) -> None:
    page = open_page(IMAGE_ONLY)
    answered(page)
    for value, expected in (("0", 0), ("100", 1)):
        page.locator("#opacity").fill(value)
        colours = page.locator("#heat [role=option]").evaluate_all(
            "all => all.map((one) => getComputedStyle(one).backgroundColor)"
        )
        assert max(map(alpha, colours)) == expected


def test_the_heat_map_lies_on_the_image_where_the_model_saw_it(open_page: Open) -> None:
    page = open_page(IMAGE_ONLY)
    answered(page)
    image, cells = page.locator("#heat img").bounding_box(), page.locator("#cells").bounding_box()
    assert image
    assert cells
    for side in ("x", "y", "width", "height"):  # digits stretches the whole image
        assert image[side] == pytest.approx(cells[side], abs=1)


def test_a_medium_that_is_switched_off_leaves_before_and_after(open_page: Open) -> None:
    page = open_page()
    answered(page)
    with one_answer(page):
        page.uncheck("#audio-on")
    expect(page.locator("#what-if")).to_be_visible()
    card = task(page, "speaker")
    expect(card.locator(".when")).to_have_text(["as given", "what if"])
    expect(card.locator(".stack")).to_have_count(2)
    expect(card.locator("[data-medium=audio] .value")).to_have_text(re.compile("→ 0%$"))
    assert probability(page, "speaker", "what_if") < probability(page, "speaker")
    page.click("#restore")
    expect(page.locator("#what-if")).to_be_hidden()
    expect(page.locator("#audio-on")).to_be_checked()
    expect(card.locator(".when")).to_have_count(0)


def test_without_any_medium_the_page_says_so(open_page: Open) -> None:
    page = open_page(IMAGE_ONLY)
    answered(page)
    with one_answer(page):
        page.uncheck("#image-on")
    expect(page.locator("#problem")).to_have_text(re.compile("nothing to answer from"))
    with one_answer(page):
        page.check("#image-on")
        page.click("#ask")
    expect(page.locator("#problem")).to_be_hidden()


def test_a_word_that_is_crossed_out_is_not_sent(open_page: Open) -> None:
    page = open_page("#" + "text=" + "我写的是数字七")
    answered(page)
    assert label(page) == "7"
    word = page.get_by_role("option", name="七", exact=True)
    with page.expect_request("**/v1/predict*") as asked:
        word.click()
    assert "我写的是数字\r\n" in (asked.value.post_data or "")
    answered(page)
    expect(word).to_have_attribute("aria-selected", "true")
    assert probability(page, when="what_if") < 0.9 or label(page, when="what_if") != "7"


def test_offsets_of_words_count_characters_as_people_do(open_page: Open) -> None:
    """Emoji take two units of a JavaScript string, one of the service's offsets."""
    page = open_page("#text=🎉🎉 seven")
    answered(page)
    expect(page.get_by_role("option", name="seven", exact=True)).to_be_visible()
    expect(page.locator("#words")).to_have_text("🎉🎉 seven")


def test_regions_are_erased_by_dragging(open_page: Open) -> None:
    page = open_page(IMAGE_ONLY)
    answered(page)
    box = page.locator("#cells").bounding_box()
    assert box
    page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    for row in (0.2, 0.35, 0.5, 0.65, 0.8):
        page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + row * box["height"], steps=14)
        page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + row * box["height"], steps=14)
    with one_answer(page):
        page.mouse.up()
    assert page.locator("#heat [aria-selected=true]").count() > 15
    assert probability(page, when="what_if") < 0.9 or label(page, when="what_if") != "7"


def test_a_span_of_the_sound_is_muted_and_played_so(open_page: Open) -> None:
    page = open_page("#audio=7.mp3")
    answered(page)
    assert label(page) == "7"
    page.locator("#moments").scroll_into_view_if_needed()
    box = page.locator("#moments").bounding_box()
    assert box
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 20, steps=2)
    with page.expect_response("**/v1/predict*") as asked, one_answer(page):
        page.mouse.up()
    assert asked.value.json()["inputs"]["audio"]["format"] == "WAV"
    assert page.locator("#wave [aria-selected=true]").count() > 10
    assert probability(page, when="what_if") < 0.9 or label(page, when="what_if") != "7"


def test_the_player_plays_and_pauses(open_page: Open) -> None:
    page = open_page("#audio=7.mp3")
    answered(page)
    page.click("#play")
    expect(page.locator("#play")).to_have_text("Pause")
    expect(page.locator(".playhead")).to_be_visible()
    page.click("#play")
    expect(page.locator("#play")).to_have_text("Play")
