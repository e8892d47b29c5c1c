"""multipart/form-data: the body of a predict request, parsed while it streams in, under byte caps.

One part for each medium, a field or a file; its name is the medium's. Of many examples: a part `rows`, and
files under names that the rows use. Source: RFC 7578.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from triad_serving.contract.errors import (
    DecodeError,
    MalformedRequestError,
    OverloadedError,
    TooLargeError,
    UnsupportedFormatError,
)
from triad_serving.media.example import RawInputs
from triad_serving.media.limits import MediaLimits
from triad_serving.media.registry import MEDIA, NAMES, by_name

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_HEADERS, MAX_HEADER_BYTES = 8, 4096  # of one part
LENGTH_DIGITS = 20  # beyond any cap; of thousands int() refuses to make a number
FRAME_BYTES = 64 * 1024  # boundaries and headers of all parts, and an epilogue


def most_bytes(limits: MediaLimits) -> int:
    """Of one body."""
    return sum(medium.max_bytes(limits) for medium in MEDIA) + FRAME_BYTES


class UploadBudget:
    """Bytes that all requests of this process may hold at once. Used from one event loop."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held = 0

    def take(self, count: int) -> None:
        if self._held + count > self._max_bytes:
            raise OverloadedError(
                f"Requests hold more than {self._max_bytes} bytes already; try again soon.",
                limit=self._max_bytes,
            )
        self._held += count

    def give_back(self, count: int) -> None:
        self._held -= count


class Upload:
    """One request's body: `read` it inside a `with` block, whose end gives its bytes back to the budget."""

    def __init__(self, limits: MediaLimits, budget: UploadBudget) -> None:
        self._caps = {medium.name: medium.max_bytes(limits) for medium in MEDIA}
        self._max_bytes = most_bytes(limits)
        self._budget = budget
        self._taken = 0

    def __enter__(self) -> Upload:
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.give_back(self._taken)

    async def read(
        self, content_type: str | None, content_length: str | None, chunks: AsyncIterator[bytes]
    ) -> RawInputs:
        """Raises MalformedRequestError, TooLargeError, UnsupportedFormatError, DecodeError (an empty file),
        OverloadedError; as soon as the bytes that prove it have arrived.
        """
        form = _Form(self._caps.get, expected=f"parts are {', '.join(NAMES)}")
        await self._receive(form, content_type, content_length, chunks)
        return form.inputs()

    async def read_with(
        self,
        content_type: str | None,
        content_length: str | None,
        chunks: AsyncIterator[bytes],
        *,
        fields: Mapping[str, int],
    ) -> tuple[RawInputs, dict[str, bytes]]:
        """As `read`, and other parts: by name, the most bytes of each."""
        caps = {**self._caps, **fields}
        self._max_bytes += sum(fields.values())
        form = _Form(caps.get, expected=f"parts are {', '.join(caps)}", most_parts=len(caps))
        await self._receive(form, content_type, content_length, chunks)
        contents = form.contents()
        return form.inputs(), {name: contents[name] for name in fields if name in contents}

    async def read_parts(
        self,
        content_type: str | None,
        content_length: str | None,
        chunks: AsyncIterator[bytes],
        *,
        most_bytes: int,
        most_parts: int,
    ) -> dict[str, bytes]:
        """Parts of any names, at most so many bytes together. Raises what `read` raises, no DecodeError."""
        self._max_bytes = most_bytes
        form = _Form(lambda _: most_bytes, most_parts=most_parts)
        await self._receive(form, content_type, content_length, chunks)
        return form.contents()

    async def _receive(
        self, form: _Form, content_type: str | None, content_length: str | None, chunks: AsyncIterator[bytes]
    ) -> None:
        parser = MultipartParser(
            _boundary(content_type),
            form.callbacks(),
            max_header_count=MAX_HEADERS,
            max_header_size=MAX_HEADER_BYTES,
        )
        async for chunk in self._counted(content_length, chunks):
            try:
                parser.write(chunk)
            except FormParserError as error:
                raise MalformedRequestError(f"The multipart body is malformed: {error}.") from error

    async def read_plain(self, content_length: str | None, chunks: AsyncIterator[bytes]) -> bytes:
        """A body without parts. Raises TooLargeError, OverloadedError."""
        return b"".join([chunk async for chunk in self._counted(content_length, chunks)])

    def hold(self, count: int) -> None:
        """Bytes that somebody else has read. Raises OverloadedError."""
        self._budget.take(count)
        self._taken += count

    async def _counted(
        self, content_length: str | None, chunks: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        if content_length is not None and content_length.isdecimal():
            self._refuse_over_cap(int(content_length[:LENGTH_DIGITS]))
        received = 0
        async for chunk in chunks:
            received += len(chunk)
            self._refuse_over_cap(received)
            self.hold(len(chunk))
            yield chunk

    def _refuse_over_cap(self, count: int) -> None:
        if count > self._max_bytes:
            raise TooLargeError(
                f"The request has {count} bytes or more; at most {self._max_bytes} are read.",
                limit=self._max_bytes,
                value=count,
            )


class _Form:
    """Collects the parts from a parser's callbacks.

    It does not know the parser: two that hold each other, and a request's bytes, are freed only when the
    garbage collector comes.
    """

    def __init__(
        self, cap_of: Callable[[str], int | None], *, expected: str = "", most_parts: int = len(NAMES)
    ) -> None:
        """cap_of: most bytes of a part by its name; None: no such part, but those that are `expected`."""
        self._cap_of = cap_of
        self._most_parts = most_parts
        self._expected = expected
        self._parts: dict[str, list[bytes]] = {}
        self._file_names: dict[str, bytes] = {}
        self._name = ""
        self._cap = self._size = 0
        self._header = self._value = self._disposition = b""
        self._complete = False

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": self._add_to_header,
            "on_header_value": self._add_to_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._open_part,
            "on_part_data": self._add_data,
            "on_end": self._end,
        }

    def contents(self) -> dict[str, bytes]:
        """By name. Raises where the final boundary is missing."""
        if not self._complete:
            raise MalformedRequestError("The multipart body is cut off: its final boundary is missing.")
        return {name: b"".join(pieces) for name, pieces in self._parts.items()}

    def inputs(self) -> RawInputs:
        """Raises where the final boundary is missing, a named file is empty, or a part cannot be read."""
        data = {name: content for name, content in self.contents().items() if name in NAMES}
        for medium, content in data.items():
            if not content and self._file_names.get(medium):
                raise DecodeError(f"The {medium} file is empty (0 bytes).", field=medium)
        return RawInputs(
            **{medium: by_name(medium).parse(content) for medium, content in data.items() if content}
        )

    def _begin_part(self) -> None:
        self._header = self._value = self._disposition = b""

    def _add_to_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _add_to_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _open_part(self) -> None:
        kind, options = _parse_header(self._disposition)
        name = options.get(b"name", b"").decode("utf-8", errors="replace")
        if kind != b"form-data" or not name:
            raise MalformedRequestError("A part has no name (Content-Disposition: form-data; name=...).")
        cap = self._cap_of(name)
        if cap is None:
            raise MalformedRequestError(f"Unknown part {name[:80]!r}; {self._expected}.")
        if name in self._parts:
            raise MalformedRequestError(f"Two parts are named {name[:80]!r}.", field=name[:80])
        if len(self._parts) == self._most_parts:
            raise TooLargeError(f"There are more than {self._most_parts} parts.", limit=self._most_parts)
        self._name, self._cap = name, cap
        self._size = 0
        self._parts[name] = []
        self._file_names[name] = options.get(b"filename", b"")

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if self._size > self._cap:
            raise TooLargeError(
                f"The {self._name} has more than {self._cap} bytes.",
                field=self._name,
                limit=self._cap,
                value=self._size,
            )
        self._parts[self._name].append(data[start:end])

    def _end(self) -> None:
        self._complete = True


@functools.lru_cache(maxsize=256)
def _parse_header(value: str | bytes | None) -> tuple[bytes, Mapping[bytes, bytes]]:
    """A client's parts are named alike in every request: four of these took a fifth of the parsing."""
    return parse_options_header(value)


def _boundary(content_type: str | None) -> bytes:
    kind, options = _parse_header(content_type)
    if kind != b"multipart/form-data":
        sent = f"not {content_type[:80]}" if content_type else "and say so in Content-Type"
        raise UnsupportedFormatError(f"Send multipart/form-data, {sent}.", field="Content-Type")
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= 70:
        raise MalformedRequestError(
            "Content-Type needs a boundary of 1 to 70 characters.", field="Content-Type"
        )
    return boundary
