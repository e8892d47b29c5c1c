"""Every error Triad raises on purpose, with the HTTP status it answers with.

TriadError                       500
├── RequestError                 400
│   ├── MalformedRequestError    400   multipart that cannot be parsed, a part twice, an unknown part
│   │   └── ClientGoneError      400   the client left; nobody reads this answer
│   ├── NothingToPredictError    400   no text, no image, no sound
│   ├── UnauthorizedError        401   no API key, or none of the service's
│   ├── ForbiddenError           403   a key that may not do this
│   ├── NotFoundError            404   no such model or version
│   ├── NotAcceptableError       406   an Accept header that no representation meets
│   ├── IndexRefusedError        409   an index of another model than the one that is served
│   ├── ReloadError              409   a new version that is broken: the models in service stay
│   ├── TooLargeError            413   a part, the body, pixels, seconds or characters over a cap
│   ├── UnsupportedFormatError   415   not multipart, or not an image/sound format that is read
│   ├── ParameterError           422   a query parameter, or a medium this model does not read
│   ├── DecodeError              422   a medium whose bytes cannot be decoded
│   ├── UnanswerableError        422   an example to which the model has no finite answer
│   └── RateLimitError           429   a key that asks more often than it may
├── InferenceError               500   the graph failed on this one example
├── OverloadedError              503   queue full, waited too long, or too many bytes being uploaded
├── UnavailableError             503   shutting down, or the batch worker died
│   └── ModelLostError           503   the model runs no more at all, say for want of its GPU
├── UnexpectedAnswerError        502   a client got an answer that no Triad service gives
├── DeadlineError                504   the request's deadline passed
└── SetupError                   500   (command line: exit code 2)
    ├── BundleError                    a bundle that is broken, incomplete or of another format
    ├── DiskError                507   a full disk, or a folder that may not be written
    ├── DeviceError                    a device that was asked for and cannot be had
    ├── ConfigError                    an impossible training configuration
    ├── TableError                     problems in a table of examples, all of them at once
    ├── ExportError                    the exported graph drifts from the trained network
    └── CompressionError               a compressed model that loses more than is allowed
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self


class TriadError(Exception):
    """Base of the tree. `detail` is one clear sentence; field, limit and value say where it applies.

    A client is also told the request's id, and after how many seconds it may ask again.
    """

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    request_id: str | None = None
    retry_after_s: float | None = None

    def __init__(
        self,
        detail: str,
        *,
        field: str | None = None,
        limit: float | None = None,
        value: float | str | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.limit = limit
        self.value = value

    def without_tracebacks(self) -> Self:
        """Itself, without the tracebacks of its own and of what caused it.

        Their frames hold the request that failed, which holds the future that holds this error: a ring that
        only the garbage collector would free, and the upload with it.
        """
        error: BaseException | None = self
        while error is not None:
            error.__traceback__ = None
            error = error.__cause__ or error.__context__
        return self


class RequestError(TriadError):
    status = 400
    title = "Bad request"


class MalformedRequestError(RequestError):
    title = "Malformed request"


class ClientGoneError(MalformedRequestError):
    title = "Client went away"


class NothingToPredictError(RequestError):
    title = "Nothing to predict from"


class UnauthorizedError(RequestError):
    status = 401
    title = "Unauthorized"


class ForbiddenError(RequestError):
    status = 403
    title = "Forbidden"


class NotFoundError(RequestError):
    status = 404
    title = "Not found"


class NotAcceptableError(RequestError):
    status = 406
    title = "Not acceptable"


class IndexRefusedError(RequestError):
    status = 409
    title = "Index refused"


class ReloadError(RequestError):
    status = 409
    title = "Reload refused"


class TooLargeError(RequestError):
    status = 413
    title = "Too large"


class UnsupportedFormatError(RequestError):
    status = 415
    title = "Unsupported format"


class ParameterError(RequestError):
    status = 422
    title = "Invalid parameter"


class DecodeError(RequestError):
    status = 422
    title = "Cannot decode"


class UnanswerableError(RequestError):
    status = 422
    title = "No finite answer"


class RateLimitError(RequestError):
    status = 429
    title = "Too many requests"

    def __init__(
        self,
        detail: str,
        *,
        retry_after_s: float = 1,
        field: str | None = None,
        limit: float | None = None,
        value: float | str | None = None,
    ) -> None:
        super().__init__(detail, field=field, limit=limit, value=value)
        self.retry_after_s = retry_after_s


class InferenceError(TriadError):
    title = "Inference failed"


class OverloadedError(TriadError):
    status = 503
    title = "Overloaded"


class UnavailableError(TriadError):
    status = 503
    title = "Unavailable"


class ModelLostError(UnavailableError):
    title = "Model lost"


class UnexpectedAnswerError(TriadError):
    status = 502
    title = "Unexpected answer"


class DeadlineError(TriadError):
    status = 504
    title = "Deadline passed"


class SetupError(TriadError):
    title = "Setup failed"


class BundleError(SetupError):
    title = "Bundle refused"


class DiskError(SetupError):
    status = 507
    title = "Cannot write"


class DeviceError(SetupError):
    title = "Device unavailable"


class ConfigError(SetupError):
    title = "Configuration refused"


class TableError(SetupError):
    title = "Table of examples refused"

    def __init__(self, problems: Sequence[str]) -> None:
        if isinstance(problems, str):  # a DataLoader remakes a worker's error from its traceback's text
            problems = [problems.rsplit(f"{type(self).__name__}: ", 1)[-1].strip()]
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class ExportError(SetupError):
    title = "Export refused"


class CompressionError(SetupError):
    title = "Compression refused"


def reason_of(title: str) -> str:
    """A problem's title, as its type, metrics and logs name it."""
    return title.lower().replace(" ", "-")
