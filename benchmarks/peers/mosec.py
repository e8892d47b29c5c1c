# /// script
# dependencies = ["mosec==0.9.8", "multipart==2.0.1"]
# ///
"""mosec: its HTTP side is Rust; a process per core, or two stages of as many processes each.

    python -m benchmarks.peers.mosec [stages]

A stage works while another hands over; a single process spares the hand-over. Both are measured.
"""

from __future__ import annotations

import io
import os
import sys

from mosec import Server, Worker
from multipart import MultipartParser

from benchmarks.pipeline import PORT, WORKERS, load_pipeline
from triad_serving.media.example import ModelInputs, RawInputs


class Stage(Worker):
    def __init__(self) -> None:
        super().__init__()
        self.pipeline = load_pipeline()

    def deserialize(self, data: bytes) -> RawInputs:
        """A worker sees no headers: the body's first line names the boundary."""
        boundary = data[2 : data.index(b"\r\n")].decode()
        parts = {part.name: part.raw for part in MultipartParser(io.BytesIO(data), boundary)}
        text = parts["text"].decode() if "text" in parts else None
        return RawInputs(text=text, image=parts.get("image"), audio=parts.get("audio"))

    def serialize(self, answer: str) -> bytes:
        return answer.encode()


class Whole(Stage):
    def forward(self, raw: RawInputs) -> str:
        return self.pipeline.predict(raw)


class Prepare(Stage):
    def forward(self, raw: RawInputs) -> ModelInputs:
        return self.pipeline.prepare(raw)


class Predict(Stage):
    def forward(self, inputs: ModelInputs) -> str:
        return self.pipeline.answer(inputs, self.pipeline.run([inputs])[0])


def main() -> None:
    stages = [Prepare, Predict] if "stages" in sys.argv else [Whole]
    sys.argv[1:] = ["--address", "127.0.0.1", "--port", os.environ[PORT], "--timeout", "60000"]
    server = Server()
    for stage in stages:
        server.append_worker(stage, num=int(os.environ[WORKERS]))
    server.run()


if __name__ == "__main__":
    main()
