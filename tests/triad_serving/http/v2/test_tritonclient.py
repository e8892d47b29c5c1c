"""NVIDIA's tritonclient, unmodified, against a running service: HTTP and gRPC, with and without asyncio."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
import uvicorn
from prometheus_client.parser import text_string_to_metric_families
from tritonclient.utils import InferenceServerException

from tests.conftest import png_bytes, wav_bytes
from triad_serving.engine.engine import Engine
from triad_serving.http.access.keys import key_line, new_key
from triad_serving.http.app import create_app
from triad_serving.inference.answer import Classification
from triad_serving.media.example import RawInputs
from triad_serving.settings import Settings

LIMIT_S = 30.0
SECRET = new_key()
ROWS: dict[str, list[bytes]] = {
    "text": [b"seven \xe4\xb8\x83", b"", b"three"],
    "image": [png_bytes(value=102), png_bytes(), b""],
    "audio": [b"", wav_bytes(0.1), b""],
}
RAWS = [
    RawInputs(
        **{name: (row[i].decode() if name == "text" else row[i]) for name, row in ROWS.items() if row[i]}
    )  # type: ignore[arg-type]
    for i in range(3)
]


def key() -> dict[str, str]:
    """Made anew each time: the HTTP client writes headers of its own into it. gRPC wants lower case."""
    return {"authorization": f"Bearer {SECRET}"}


@dataclass(frozen=True, kw_only=True)
class Served:
    http: str
    grpc: str
    engine: Engine


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


@pytest.fixture(scope="module")
def served(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    keys = tmp_path_factory.mktemp("keys") / "keys.toml"
    keys.write_text(key_line("shop", SECRET, admin=False, rate=None))
    with socket.socket() as free, socket.socket() as listening:
        free.bind(("127.0.0.1", 0))
        listening.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        free.close()
        settings = Settings(models=tiny_bundle, api_keys_file=keys, grpc_address=address)
        engine = Engine.open(tiny_bundle, settings)
        server = _Server(uvicorn.Config(create_app(engine=engine), log_config=None, lifespan="on"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            assert server.up.wait(LIMIT_S)
            yield Served(http=f"127.0.0.1:{listening.getsockname()[1]}", grpc=address, engine=engine)
        finally:
            server.should_exit = True
            thread.join(LIMIT_S)
    assert not thread.is_alive()


def inputs(module: Any, rows: dict[str, list[bytes]], **how: bool) -> list[Any]:
    tensors = []
    for name, elements in rows.items():
        tensor = module.InferInput(name, [len(elements)], "BYTES")
        tensor.set_data_from_numpy(np.array(elements, dtype=np.object_), **how)
        tensors.append(tensor)
    return tensors


def expected(engine: Engine) -> list[tuple[str, float, list[float]]]:
    found = []
    for raw in RAWS:
        answer = engine.predict_sync(raw).predictions["kind"]
        assert isinstance(answer, Classification)
        assert answer.attention is not None
        found.append((answer.label, answer.probability, list(answer.attention.modalities.values())))
    return found


def check(engine: Engine, result: Any) -> None:
    def of(name: str) -> npt.NDArray[Any]:
        array: npt.NDArray[Any] = result.as_numpy(name)
        return array

    labels = [label.decode() if isinstance(label, bytes) else label for label in of("label.kind")]
    attention = np.stack([of(f"attention.kind.{medium}") for medium in ROWS], axis=1)
    told = list(zip(labels, of("probability.kind"), attention.tolist(), strict=True))
    for (label, probability, shares), (its_label, its_probability, its_shares) in zip(
        told, expected(engine), strict=True
    ):
        assert label == its_label
        assert probability == pytest.approx(its_probability, abs=1e-5)
        assert shares == pytest.approx(its_shares, abs=1e-5)
    assert of("probability.tags").shape == (3, 2)
    assert of("value.size").dtype == np.float32


def test_http(served: Served) -> None:
    with tritonclient.http.InferenceServerClient(served.http) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("tiny", headers=key())
        assert not client.is_model_ready("cats", headers=key())
        assert client.get_server_metadata(headers=key())["name"] == "triad"
        assert client.get_model_metadata("tiny", "1", headers=key())["versions"] == ["1"]
        assert client.get_model_config("tiny", headers=key())["max_batch_size"] == 0
        sent = inputs(tritonclient.http, ROWS)
        result = client.infer("tiny", sent, request_id="42", headers=key())
        check(served.engine, result)
        assert result.get_response()["id"] == "42"
        wanted = [tritonclient.http.InferRequestedOutput("label.kind", binary_data=False)]
        result = client.infer("tiny", sent, outputs=wanted, model_version="1", headers=key())
        assert [output["name"] for output in result.get_response()["outputs"]] == ["label.kind"]


def test_http_in_json(served: Served) -> None:
    with tritonclient.http.InferenceServerClient(served.http) as client:
        sent = inputs(tritonclient.http, {"text": [b"seven", b"three"]}, binary_data=False)
        wanted = [tritonclient.http.InferRequestedOutput("label.kind", binary_data=False)]
        result = client.infer("tiny", sent, outputs=wanted, headers=key())
        assert result.as_numpy("label.kind").tolist() == ["word", "word"]


def test_http_with_asyncio(served: Served) -> None:
    async def go() -> list[Any]:
        async with tritonclient.http.aio.InferenceServerClient(served.http) as client:
            sent = inputs(tritonclient.http.aio, ROWS)
            return await asyncio.gather(*(client.infer("tiny", sent, headers=key()) for _ in range(8)))

    for result in asyncio.run(go()):
        check(served.engine, result)


def test_grpc(served: Served) -> None:
    with tritonclient.grpc.InferenceServerClient(served.grpc) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("tiny", headers=key())
        assert client.get_server_metadata(headers=key()).name == "triad"
        metadata = client.get_model_metadata("tiny", "1", headers=key())
        assert [tensor.name for tensor in metadata.inputs] == list(ROWS)
        sent = inputs(tritonclient.grpc, ROWS)
        result = client.infer("tiny", sent, request_id="42", headers=key())
        check(served.engine, result)
        assert result.get_response().id == "42"


def test_grpc_with_asyncio(served: Served) -> None:
    async def go() -> Sequence[Any]:
        async with tritonclient.grpc.aio.InferenceServerClient(served.grpc) as client:
            sent = inputs(tritonclient.grpc.aio, ROWS)
            calls = (client.infer("tiny", sent, headers=key()) for _ in range(8))
            return await asyncio.gather(*calls)

    for result in asyncio.run(go()):
        check(served.engine, result)


BAD = [
    ("cats", {"text": [b"seven"]}, 404, "NOT_FOUND", "There is no model 'cats'"),
    ("tiny", {"video": [b"seven"]}, 422, "INVALID_ARGUMENT", "There is no input 'video'"),
    ("tiny", {"image": [png_bytes(), b"GIF"]}, 415, "INVALID_ARGUMENT", "Row 1: Not an image"),
    ("tiny", {"text": [b"\xff"]}, 422, "INVALID_ARGUMENT", "not UTF-8"),
    ("tiny", {"text": [b""]}, 400, "INVALID_ARGUMENT", "Nothing to predict from"),
]


@pytest.mark.parametrize("case", BAD, ids=[told for *_, told in BAD])
def test_errors_are_told(served: Served, case: tuple[str, dict[str, list[bytes]], int, str, str]) -> None:
    model, rows, status, code, told = case
    with (
        tritonclient.http.InferenceServerClient(served.http) as client,
        pytest.raises(InferenceServerException, match=told) as refused,
    ):
        client.infer(model, inputs(tritonclient.http, rows), headers=key())
    assert refused.value.status() == str(status)
    with (
        tritonclient.grpc.InferenceServerClient(served.grpc) as grpc_client,
        pytest.raises(InferenceServerException, match=told) as refused,
    ):
        grpc_client.infer(model, inputs(tritonclient.grpc, rows), headers=key())
    assert refused.value.status() == f"StatusCode.{code}"


def test_without_a_key_grpc_answers_probes_alone(served: Served) -> None:
    with tritonclient.grpc.InferenceServerClient(served.grpc) as client:
        assert client.is_server_ready()
        with pytest.raises(InferenceServerException, match="Send an API key") as refused:
            client.get_model_metadata("tiny")
        assert refused.value.status() == "StatusCode.UNAUTHENTICATED"


def test_grpc_requests_are_counted(served: Served) -> None:
    with tritonclient.grpc.InferenceServerClient(served.grpc) as client:
        client.infer("tiny", inputs(tritonclient.grpc, ROWS), headers=key())
    with tritonclient.http.InferenceServerClient(served.http) as http_client:
        page = http_client._get("metrics", key(), None).read().decode()
    routes = {
        (sample.labels["route"], sample.labels["status"])
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == "triad_requests_total"
    }
    assert ("/inference.GRPCInferenceService/ModelInfer", "200") in routes
