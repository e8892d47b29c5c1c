"""Named fields beside the other media: a form that the model describes, and where it looked in it."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Protocol

import pytest
from playwright.sync_api import Page, expect

from tests.page.act import answered, one_answer, percent, probability, task
from tests.page.conftest import Open
from tests.page.record_service import MODEL, RecordService, content_of, parse_parts
from tests.page.test_access import APPEARANCES, overflow, tab_to, violations
from tests.page.test_take import RUNNERS

EMPTY = "#text="
AWKWARD = 'it\'s; "F"'


class Visit(Protocol):
    def __call__(self, path: str = EMPTY, **context: Any) -> Page:
        """The page with the hand-made service behind it."""


@pytest.fixture
def service() -> RecordService:
    return RecordService()


@pytest.fixture
def visit(open_page: Open, digits_url: str, service: RecordService) -> Visit:
    def visit(path: str = EMPTY, **context: Any) -> Page:
        page = open_page("healthz", **context)
        service.attend(page)
        page.goto(f"{digits_url}/{path}")
        expect(page.locator("#card")).to_be_visible()
        if path != EMPTY:
            answered(page)
        return page

    return visit


def fill(page: Page, **fields: str) -> None:
    for name, value in fields.items():
        with one_answer(page):
            control = page.get_by_label(name, exact=True)
            if control.evaluate("control => control.tagName") == "SELECT":
                control.select_option(value)
            else:
                control.fill(value)


def names(page: Page) -> list[str]:
    return page.locator("#names [role=option]").all_inner_texts()


def changed_model(**fields: Any) -> dict[str, Any]:
    model = copy.deepcopy(MODEL)
    model["inputs"]["fields"] = fields
    return model


def test_the_form_is_what_the_model_describes(visit: Visit) -> None:
    page = visit()
    card = page.locator("#fields-card")
    expect(card.get_by_role("heading")).to_have_text("Fields")
    expect(card.locator(".field label")).to_have_text(["age", "temperature", "sex"])
    expect(card.get_by_label("age")).to_have_attribute("placeholder", "54")
    expect(card.get_by_label("age")).to_have_value("")
    expect(card.locator(".field-range")).to_have_text(["1 – 99", "-2.5 – 1041.2"])
    expect(card.get_by_label("sex").locator("option")).to_have_text(["not given", "F", "M"])
    for hidden in ("#fields-switch", "#fields-clear", "#fields-seen"):
        expect(page.locator(hidden)).to_be_hidden()
    expect(page.locator("#empty")).to_have_text(re.compile("a sound or a field"))


def test_a_model_without_fields_has_no_such_card(open_page: Open) -> None:
    page = open_page()
    answered(page)
    expect(page.locator("#fields-card")).to_be_hidden()
    expect(page.locator("#empty")).not_to_have_text(re.compile("field"))


def test_fields_are_sent_as_json_and_only_those_that_are_given(visit: Visit, service: RecordService) -> None:
    page = visit()
    fill(page, age="63")
    assert service.fields == {"age": 63}
    assert service.asked[-1].keys() == {"fields"}
    assert service.asked[-1]["fields"].get_content_type() == "application/json"
    fill(page, sex="F", temperature="36.5")
    assert service.fields == {"age": 63, "temperature": 36.5, "sex": "F"}
    fill(page, age="", sex="")
    assert service.fields == {"temperature": 36.5}
    page.fill("#text", "hot")
    expect(page.locator("#words")).to_have_text("hot")
    assert service.asked[-1].keys() == {"text", "fields"}


def test_each_field_is_shaded_by_its_weight(visit: Visit) -> None:
    page = visit()
    fill(page, age="63", sex="F")
    assert names(page) == ["age", "sex"]
    options = page.locator("#names [role=option]")
    shades = "all => all.map((one) => Number(one.style.getPropertyValue('--t')))"
    assert options.evaluate_all(shades) == [1, 0.5]
    colours = options.evaluate_all("all => all.map((one) => getComputedStyle(one).backgroundColor)")
    assert len(set(colours)) == 2
    expect(page.locator("#legend")).to_contain_text("strongest: Fields 20%")
    expect(page.locator("#fields-share")).to_have_text("weighs 100%")
    options.first.hover(position={"x": 5, "y": 5})
    expect(page.locator("#fields-readout")).to_have_text("age: 20% of the attention")
    page.select_option("#layer", "rollout")
    options.first.hover(position={"x": 5, "y": 5})
    expect(page.locator("#fields-readout")).to_have_text("age: 10% traced back, 20% of the attention")
    with one_answer(page):
        page.select_option("#layer", "occlusion")
    assert options.evaluate_all(shades) == pytest.approx([0.5, 1])
    expect(options.last).to_have_attribute("aria-label", "sex: -20% without it; 10% of the attention")


def test_names_lie_in_the_rows_of_their_fields(visit: Visit) -> None:
    page = visit()
    fill(page, sex="F", age="63")
    for name in ("age", "sex"):
        shade = page.get_by_role("option", name=re.compile(f"^{name}:")).bounding_box()
        control = page.get_by_label(name, exact=True).bounding_box()
        assert shade
        assert control
        assert shade["y"] <= control["y"]
        assert control["y"] + control["height"] <= shade["y"] + shade["height"]
        assert shade["x"] + shade["width"] >= control["x"] + control["width"]
    widths = page.locator(".field label").evaluate_all("all => all.map((one) => one.clientWidth)")
    assert widths[0] == widths[2] == 1  # the names stand in for them
    assert widths[1] > 50


def test_a_field_is_left_out_by_a_click_on_its_name(visit: Visit, service: RecordService) -> None:
    page = visit()
    fill(page, age="63", sex="F")
    with one_answer(page):
        page.get_by_role("option", name=re.compile("^age")).click(position={"x": 10, "y": 10})
    assert service.fields == {"sex": "F"}
    expect(page.locator("#what-if-text")).to_have_text("Without it, illness flu: -20%.")
    assert probability(page, "illness", "what_if") == pytest.approx(0.6)
    expect(page.get_by_label("age", exact=True)).to_have_value("63")
    with one_answer(page):
        page.get_by_role("option", name=re.compile("^sex")).click(position={"x": 10, "y": 10})
    assert service.asked[-1] == {}
    page.click("#restore")
    expect(page.locator("#names [aria-selected=true]")).to_have_count(0)


def test_all_of_them_are_switched_off_and_cleared(visit: Visit, service: RecordService) -> None:
    page = visit("#text=hot")
    fill(page, age="63")
    with one_answer(page):
        page.uncheck("#fields-on")
    assert service.asked[-1].keys() == {"text"}
    expect(task(page, "illness").locator(".shares [data-medium=fields] .value")).to_have_text(
        re.compile("→ 0%$")
    )
    with one_answer(page):
        page.click("#fields-clear")
    expect(page.get_by_label("age", exact=True)).to_have_value("")
    expect(page.get_by_label("age", exact=True)).to_be_focused()
    expect(page.locator("#fields-seen")).to_be_hidden()
    expect(page.locator(".field label").first).to_be_visible()
    assert service.asked[-1].keys() == {"text"}


def test_shapley_has_a_bar_for_each_of_four_media(visit: Visit) -> None:
    page = visit("#text=hot")
    fill(page, age="63")
    expect(page.locator(".waterfall .label")).to_have_text(
        ["without any", "Text", "Image", "Sound", "Fields", "“flu” in all"]
    )
    *parts, whole = map(percent, page.locator(".waterfall .value").all_inner_texts())
    assert sum(parts) == pytest.approx(whole)
    expect(page.locator(".interactions li")).to_have_text(re.compile("^Text and fields complete each other"))


def test_a_problem_with_one_field_is_told_beside_the_form_and_marks_that_field(
    visit: Visit, service: RecordService
) -> None:
    service.problem = {
        "type": "urn:triad:problem:invalid-parameter",
        "status": 422,
        "field": "fields.age",
        "detail": "The field age is a number, not 'x'.",
    }
    page = visit()
    fill(page, sex="F")
    expect(page.locator("#fields-error")).to_have_text("The field age is a number, not 'x'.")
    expect(page.locator("#problem")).to_be_hidden()
    expect(page.get_by_label("age", exact=True)).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("sex", exact=True)).to_have_attribute("aria-invalid", "false")
    page.select_option("#language", "zh")
    expect(page.locator("#fields-error")).to_have_text("字段有误。（The field age is a number, not 'x'.）")
    service.problem |= {"field": "fields", "detail": "The fields are all missing."}
    fill(page, sex="M")
    expect(page.locator("#fields-error")).to_contain_text("The fields are all missing.")
    expect(page.locator("#fields-form [aria-invalid=true]")).to_have_count(3)


def test_what_is_no_number_is_told_and_not_sent(visit: Visit, service: RecordService) -> None:
    page = visit()
    fill(page, sex="F")
    age = page.get_by_label("age", exact=True)
    age.press_sequentially("1e")
    expect(page.locator("#fields-error")).to_be_hidden()
    age.press("Tab")
    expect(page.locator("#fields-error")).to_have_text("age: this is not a number.")
    expect(age).to_have_attribute("aria-invalid", "true")
    assert service.fields == {"sex": "F"}
    age.press("End")
    with one_answer(page):
        age.press_sequentially("1")
    expect(page.locator("#fields-error")).to_be_hidden()
    assert service.fields == {"age": 10, "sex": "F"}


@pytest.mark.parametrize(
    ("locale", "told"),
    [
        (
            "en-US",
            ["The model knows no sex “X”.", "age is 300; the model was trained on 1 to 99 and reads 99."],
        ),
        ("zh-CN", ["模型不认识“sex”的取值“X”。", "age 为 300；模型训练时的范围是 1 至 99，按 99 读取。"]),
    ],
)
def test_warnings_are_in_the_persons_language(
    visit: Visit, service: RecordService, locale: str, told: list[str]
) -> None:
    service.warnings = [
        "The model knows no sex 'X'.",
        "age is 300; the model was trained on 1 to 99 and reads 99.",
    ]
    page = visit('#fields={"age":300,"sex":"X"}', locale=locale)
    expect(page.locator("#warnings li")).to_have_text(told)
    expect(page.get_by_label("sex", exact=True)).to_have_value("X")


def test_the_card_tells_which_fields_the_model_reads(visit: Visit, service: RecordService) -> None:
    page = visit()
    expect(page.locator("#card")).to_contain_text("Fields, any of which may be missing:")
    expect(page.locator("#card .facts dd .tag")).to_have_text(
        ["flu", "cold", "age: 1 – 99", "temperature: -2.5 – 1041.2", "sex: F, M"]
    )
    expect(page.locator("#card tbody th")).to_have_text("Fields")


def test_a_link_brings_the_fields_back(visit: Visit, service: RecordService) -> None:
    page = visit()
    fill(page, age="63.5", sex="M")
    other = visit("#" + page.url.split("#")[1])
    expect(other.get_by_label("age", exact=True)).to_have_value("63.5")
    expect(other.get_by_label("sex", exact=True)).to_have_value("M")
    assert service.fields == {"age": 63.5, "sex": "M"}
    assert other.url.split("#")[1] == page.url.split("#")[1]


@pytest.mark.parametrize(
    "written", ["{", "null", "7", '{"age":"old","temperature":[],"weight":3}', '{"sex":{}}']
)
def test_a_link_that_a_form_could_not_have_made_gives_nothing(
    visit: Visit, service: RecordService, written: str
) -> None:
    page = visit(f"#text=hot&fields={written}")
    expect(page.locator("#words")).to_have_text("hot")
    assert service.asked[-1].keys() == {"text"}


@contextmanager
def listening(heard: list[dict[str, Message]]) -> Iterator[str]:
    """The address of something that keeps what is posted to it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.append(parse_parts(f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode() + body))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("language", RUNNERS)
def test_a_snippet_sends_the_same_fields(
    visit: Visit, service: RecordService, digits_url: str, language: str
) -> None:
    program = "curl" if language == "curl" else RUNNERS[language][0]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    service.model = changed_model(
        numeric=[{"name": "age;type", "low": 0, "median": 5, "high": 9}],
        categorical=[{"name": "sex", "labels": [AWKWARD]}],
    )
    page = visit()
    page.locator("#field-0").fill("3.5")
    with one_answer(page):
        page.locator("#field-1").select_option(AWKWARD)
    page.locator("#take summary").click()
    page.select_option("#snippet-language", language)
    heard: list[dict[str, Message]] = []
    with listening(heard) as url:
        code = page.locator("#snippet").inner_text().replace(digits_url, url)
        subprocess.run([*RUNNERS[language], code], check=True, timeout=60, stdout=sys.stderr)
    for sent in (service.asked[-1]["fields"], heard[0]["fields"]):
        assert sent.get_content_type() == "application/json"
        assert json.loads(content_of(sent)) == {"age;type": 3.5, "sex": AWKWARD}


def test_fields_are_given_and_left_out_by_keyboard_alone(visit: Visit, service: RecordService) -> None:
    page = visit(f"{EMPTY}&live=0")
    tab_to(page, "#field-0")
    page.keyboard.type("63")
    page.keyboard.press("Tab")
    page.keyboard.type("36.5")
    with one_answer(page):
        page.keyboard.press("Control+Enter")
    assert service.fields == {"age": 63, "temperature": 36.5}
    tab_to(page, "#names")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#fields-readout")).to_have_text("temperature: 10% of the attention")
    expect(page.locator("#names")).to_have_attribute("aria-activedescendant", "names-1")
    with one_answer(page):
        page.keyboard.press("Space")
    assert service.fields == {"age": 63}
    expect(page.locator("#names-1")).to_have_attribute("aria-selected", "true")


@pytest.mark.parametrize(("language", "size"), APPEARANCES)
def test_axe_finds_no_violation(visit: Visit, language: str, size: dict[str, object]) -> None:
    page = visit(EMPTY, locale=language, color_scheme="light", **size)
    fill(page, age="63", temperature="36.5")
    with one_answer(page):
        page.get_by_role("option", name=re.compile("^temperature")).click(position={"x": 10, "y": 10})
    assert overflow(page) == 0
    assert violations(page) == []
    page.emulate_media(color_scheme="dark")
    assert violations(page, ["color-contrast"]) == []
    title = page.locator("#fields-title")
    expect(title).to_have_text({"en-US": "Fields", "zh-CN": "字段"}[language])


def test_many_and_long_names_keep_to_the_width(visit: Visit, service: RecordService) -> None:
    numeric = [
        {"name": "respiratory_rate_per_minute_" * (n + 1), "low": -123456, "median": 0, "high": 123456}
        for n in range(30)
    ]
    service.model = changed_model(
        numeric=numeric, categorical=[{"name": "ward", "labels": ["long name of a ward " * 5]}]
    )
    page = visit(viewport={"width": 320, "height": 800})
    with one_answer(page):
        page.locator("#field-0").fill("1")
    assert overflow(page) == 0
