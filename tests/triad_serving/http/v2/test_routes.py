"""/v2 over ASGI: its JSON and binary bodies, every error in its shape, and the same answers as /v1."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import client_of, png_bytes, wav_bytes, write_tiny_bundle
from triad_serving.contract.errors import MalformedRequestError
from triad_serving.contract.tasks import Task
from triad_serving.engine.engine import Engine
from triad_serving.http.access.keys import key_line, new_key
from triad_serving.http.app import create_app
from triad_serving.http.v2.tensors import split_bytes
from triad_serving.inference.answer import Classification, Multilabel, Regression
from triad_serving.media.example import RawInputs
from triad_serving.settings import Settings

Client = httpx.AsyncClient
IMAGE, SOUND = png_bytes(value=102), wav_bytes(0.1)
INFER = "/v2/models/tiny/infer"
LENGTH = "Inference-Header-Content-Length"


def ask(models: Path, talk: Callable[[Client], Awaitable[Any]], **settings: Any) -> Any:
    async def go() -> Any:
        async with client_of(create_app(Settings(models=models, **settings))) as client:
            return await talk(client)

    return asyncio.run(go())


def post(models: Path, body: object, *, path: str = INFER, **settings: Any) -> httpx.Response:
    response: httpx.Response = ask(models, lambda client: client.post(path, json=body), **settings)
    return response


def tensor(name: str, *elements: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "datatype": "BYTES", "shape": [len(elements)], "data": list(elements), **more}


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def outputs(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    return {output["name"]: output["data"] for output in response.json()["outputs"]}


def framed(*elements: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(element)) + element for element in elements)


def test_every_row_is_answered_as_v1_answers_it(tiny_bundle: Path) -> None:
    body = {
        "id": "42",
        "inputs": [
            tensor("text", "seven 七!", "", "three"),
            tensor("image", base64_of(IMAGE), base64_of(IMAGE), ""),
            tensor("audio", "", base64_of(SOUND), ""),
        ],
    }
    response = post(tiny_bundle, body)
    answered = outputs(response)
    told = response.json()
    assert (told["model_name"], told["model_version"], told["id"]) == ("tiny", "1", "42")
    raws = [
        RawInputs(text="seven 七!", image=IMAGE),
        RawInputs(image=IMAGE, audio=SOUND),
        RawInputs(text="three"),
    ]
    with Engine.open(tiny_bundle) as engine:
        predictions = [engine.predict_sync(raw).predictions for raw in raws]
    for row, expected in enumerate(predictions):
        kind, tags, size = expected["kind"], expected["tags"], expected["size"]
        assert isinstance(kind, Classification)
        assert isinstance(tags, Multilabel)
        assert isinstance(size, Regression)
        assert (answered["label.kind"][row], answered["probability.kind"][row]) == (
            kind.label,
            kind.probability,
        )
        assert answered["label.tags"][row] == ";".join(tags.labels)
        of_label = {each.label: each.probability for each in tags.top}
        assert answered["probability.tags"][2 * row : 2 * row + 2] == [of_label["spoken"], of_label["seen"]]
        assert answered["value.size"][row] == size.value
        for name, answer in expected.items():
            assert answer.attention is not None
            shares = {
                medium: answered[f"attention.{name}.{medium}"][row] for medium in ("text", "image", "audio")
            }
            assert shares == answer.attention.modalities


def test_metadata_says_what_infer_answers(tiny_bundle: Path) -> None:
    async def talk(client: Client) -> list[Any]:
        paths = ("/v2/models/tiny", "/v2/models/tiny/versions/1", "/v2/models/tiny/config")
        return [(await client.get(path)).json() for path in paths] + [
            (await client.post(INFER, json={"inputs": [tensor("text", "a", "b", "c")]})).json()
        ]

    metadata, of_version, configuration, answer = ask(tiny_bundle, talk)
    assert metadata == of_version
    assert [each["name"] for each in metadata["inputs"]] == ["text", "image", "audio"]
    described = {each["name"]: (each["datatype"], each["shape"]) for each in metadata["outputs"]}
    assert described["probability.tags"] == ("FP32", [-1, 2])
    answered = {each["name"]: (each["datatype"], [-1, *each["shape"][1:]]) for each in answer["outputs"]}
    assert answered == described
    assert [each["shape"][0] for each in answer["outputs"]] == [3] * len(described)
    types = {"BYTES": "TYPE_STRING", "FP32": "TYPE_FP32"}
    expected = [{"name": n, "data_type": types[kind], "dims": dims} for n, (kind, dims) in described.items()]
    assert configuration["output"] == expected


def test_a_task_that_abstains_says_when(tmp_path: Path) -> None:
    task = Task(name="kind", type="classification", labels=("word", "picture", "sound"), abstain_below=0.999)
    models = write_tiny_bundle(tmp_path, tasks=(task,))
    answered = outputs(
        post(models, {"inputs": [tensor("text", "seven")], "outputs": [{"name": "abstained.kind"}]})
    )
    assert answered == {"abstained.kind": [True]}


def test_outputs_are_those_asked_for_in_their_order(tiny_bundle: Path) -> None:
    wanted = ["value.size", "label.kind"]
    body = {"inputs": [tensor("text", "seven")], "outputs": [{"name": name} for name in wanted]}
    assert list(outputs(post(tiny_bundle, body))) == wanted


def test_a_column_is_answered_by_a_column(tiny_bundle: Path) -> None:
    body = {
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [2, 1], "data": [["seven"], ["three"]]}]
    }
    shapes = {each["name"]: each["shape"] for each in post(tiny_bundle, body).json()["outputs"]}
    assert (shapes["label.kind"], shapes["probability.tags"]) == ([2, 1], [2, 2])


def test_tensors_travel_in_binary_behind_the_json(tiny_bundle: Path) -> None:
    data = [framed(b"seven", b""), framed(IMAGE, IMAGE)]
    inputs = [
        {"name": name, "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": len(each)}}
        for name, each in zip(("text", "image"), data, strict=True)
    ]
    wanted = [{"name": "label.kind"}, {"name": "probability.kind", "parameters": {"binary_data": False}}]
    head = json.dumps(
        {"inputs": inputs, "outputs": wanted, "parameters": {"binary_data_output": True}}
    ).encode()

    async def talk(client: Client) -> httpx.Response:
        headers = {LENGTH: str(len(head))}
        return await client.post(INFER, content=b"".join([head, *data]), headers=headers)

    response = ask(tiny_bundle, talk)
    assert response.headers["content-type"] == "application/octet-stream"
    length = int(response.headers[LENGTH])
    label, probability = json.loads(response.content[:length])["outputs"]
    assert "data" not in label
    assert len(probability["data"]) == 2
    assert label["parameters"] == {"binary_data_size": len(response.content) - length}
    plain = post(
        tiny_bundle, {"inputs": [tensor("text", "seven", ""), tensor("image", *[base64_of(IMAGE)] * 2)]}
    )
    assert response.content[length:] == framed(*(each.encode() for each in outputs(plain)["label.kind"]))


GOOD = tensor("text", "seven")


REFUSED: list[tuple[Any, int, str]] = [
    ({"inputs": []}, 400, "at least one input"),
    ({"inputs": [GOOD, GOOD]}, 400, "none twice"),
    ({"inputs": [GOOD, tensor("image", "", "")]}, 400, "same shape"),
    ({"inputs": [tensor("text", "")]}, 400, "Nothing to predict from"),
    ({"inputs": [tensor("text", "a", "")]}, 400, "Row 1: Nothing to predict from"),
    ({"inputs": [tensor("text", "a", shape=[2])]}, 400, "text: 2 elements by its shape, 1 in its data"),
    ({"inputs": [tensor("text", shape=[0])]}, 422, "n above 0"),
    ({"inputs": [tensor("text", "a", "b", shape=[1, 2])]}, 422, "[n] or [n, 1]"),
    ({"inputs": [tensor("text", "a", datatype="FP32")]}, 422, "send BYTES, not FP32"),
    ({"inputs": [tensor("video", "a")]}, 422, "There is no input 'video'"),
    ({"inputs": [tensor("fields", '{"age": 1}')]}, 422, "does not read fields"),
    ({"inputs": [{**GOOD, "data": [7]}]}, 400, "data must be strings"),
    ({"inputs": [GOOD], "outputs": [{"name": "label.cats"}]}, 422, "There is no output 'label.cats'"),
    ({"inputs": [tensor("image", "?")]}, 422, "not base64"),
    ({"inputs": [tensor("image", base64_of(b"GIF"))]}, 415, "Not an image"),
    ({"inputs": [tensor("text", "a" * 10_001)]}, 413, "10001 characters"),
    ({"inputs": [{**GOOD, "parameters": {"binary_data_size": 3}}]}, 400, "within the 0 bytes"),
    ({"inputs": [{**GOOD, "parameters": {"shared_memory_region": "r"}}]}, 422, "shared_memory_region"),
    ({"inputs": "none"}, 400, "inputs: "),
    ([], 400, "body: "),
]


@pytest.fixture(scope="module")
def refusals(tiny_bundle: Path) -> list[httpx.Response]:
    async def talk(client: Client) -> list[httpx.Response]:
        return [await client.post(INFER, json=body) for body, _, _ in REFUSED]

    answers: list[httpx.Response] = ask(tiny_bundle, talk)
    return answers


@pytest.mark.parametrize("case", range(len(REFUSED)), ids=[told for _, _, told in REFUSED])
def test_errors_have_the_shape_of_the_protocol(refusals: list[httpx.Response], case: int) -> None:
    response, (_, status, told) = refusals[case], REFUSED[case]
    assert response.status_code == status, response.text
    assert list(response.json()) == ["error"]
    assert told in response.json()["error"]
    assert response.headers["content-type"] == "application/json"


def test_so_have_those_of_the_framework(tiny_bundle: Path) -> None:
    asked = [
        ("GET", "/v2/models/cats", 404),
        ("POST", "/v2/models/tiny/versions/9/infer", 404),
        ("GET", "/v2/models/cats/ready", 404),
        ("GET", "/v2/nothing", 404),
        ("GET", INFER, 405),
    ]

    async def talk(client: Client) -> list[httpx.Response]:
        return [await client.request(method, path) for method, path, _ in asked]

    for response, (_, _, status) in zip(ask(tiny_bundle, talk), asked, strict=True):
        assert (response.status_code, list(response.json())) == (status, ["error"])


def test_bodies_and_headers_are_checked(tiny_bundle: Path) -> None:
    good = json.dumps({"inputs": [GOOD]}).encode()
    sent: list[tuple[bytes, dict[str, str], int]] = [
        (b"{", {}, 400),
        (b"{}", {LENGTH: "3"}, 400),
        (b"{}", {LENGTH: "-1"}, 400),
        (b'{"inputs": []}xyz', {LENGTH: "14"}, 400),
        (good, {"Content-Encoding": "gzip"}, 415),
        (good, {"X-Request-Timeout-Ms": "soon"}, 422),
    ]

    async def talk(client: Client) -> list[httpx.Response]:
        return [await client.post(INFER, content=body, headers=headers) for body, headers, _ in sent]

    for response, (_, _, status) in zip(ask(tiny_bundle, talk), sent, strict=True):
        assert (response.status_code, list(response.json())) == (status, ["error"])


@pytest.mark.parametrize("data", [b"\1\0\0", framed(b"seven")[:-1], framed(b"seven") + b"\0"])
def test_binary_data_that_is_cut_off_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedRequestError, match="text: its binary data is cut off"):
        split_bytes(data, "text")


def test_a_request_has_the_deadline_of_v1(tiny_bundle: Path) -> None:
    response = post(tiny_bundle, {"inputs": [GOOD]}, request_timeout_s=1e-9)
    assert (response.status_code, list(response.json())) == (504, ["error"])


def test_limits_are_those_of_v1(tiny_bundle: Path) -> None:
    image = {"inputs": [tensor("image", base64_of(IMAGE))]}
    response = post(tiny_bundle, image, max_image_mib=0.00001)
    assert (response.status_code, response.json()) == (413, {"error": "The image has more than 10 bytes."})
    assert post(tiny_bundle, {"inputs": [tensor("text", *["a"] * 4)]}, max_queue=3).status_code == 503
    long = {"inputs": [tensor("text", "a" * 400_000)]}
    response = post(tiny_bundle, long, max_image_mib=0.00001, max_audio_mib=0.00001)
    assert response.status_code == 413


def test_where_one_row_fails_no_place_is_kept(tiny_bundle: Path) -> None:
    async def go() -> tuple[int, int]:
        engine = Engine.open(tiny_bundle)
        async with client_of(create_app(engine=engine)) as client:
            bad = {"inputs": [tensor("image", *[base64_of(IMAGE)] * 3, base64_of(b"GIF"))]}
            response = await client.post(INFER, json=bad)
            assert response.json()["error"].startswith("Row 3: ")
        return response.status_code, engine.depth  # what ran already is through when the engine is closed

    assert asyncio.run(go()) == (415, 0)


def test_every_row_is_counted(tiny_bundle: Path) -> None:
    async def talk(client: Client) -> str:
        await client.post(INFER, json={"inputs": [tensor("text", *["seven"] * 9)]})
        return (await client.get("/metrics")).text

    samples = {
        (sample.name, sample.labels.get("route") or sample.labels.get("task")): sample.value
        for family in text_string_to_metric_families(ask(tiny_bundle, talk))
        for sample in family.samples
    }
    assert samples["triad_requests_total", "/v2/models/{name}/infer"] == 1
    assert samples["triad_predicted_total", "kind"] == 9


def test_keys_are_asked_for_but_not_by_the_probes(tiny_bundle: Path, tmp_path: Path) -> None:
    secret, file = new_key(), tmp_path / "keys.toml"
    file.write_text(key_line("shop", secret, admin=False, rate=None))

    async def talk(client: Client) -> list[int]:
        sent = [
            await client.get("/v2/health/live"),
            await client.get("/v2/health/ready"),
            await client.get("/v2/models/tiny"),
            await client.post(INFER, json={"inputs": [GOOD]}),
            await client.post(INFER, json={"inputs": [GOOD]}, headers={"Authorization": f"Bearer {secret}"}),
        ]
        assert list(sent[2].json()) == ["error"]
        return [response.status_code for response in sent]

    assert ask(tiny_bundle, talk, api_keys_file=file) == [200, 200, 401, 401, 200]


def test_the_server_is_ready_until_it_drains(tiny_bundle: Path) -> None:
    async def go() -> list[tuple[int, int, int]]:
        engine = Engine.open(tiny_bundle)
        async with client_of(create_app(engine=engine)) as client:
            found = []
            for _ in range(2):
                paths = ("/v2/health/live", "/v2/health/ready", "/v2/models/tiny/ready")
                found.append(tuple([(await client.get(path)).status_code for path in paths]))
                engine.drain()
            return found  # type: ignore[return-value]

    assert asyncio.run(go()) == [(200, 200, 200), (200, 503, 503)]
