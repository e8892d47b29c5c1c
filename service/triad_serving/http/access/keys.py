"""API keys: names, roles and hashes in a TOML file, which is read again when it changes.

    shop = { sha256 = "9f86d081..." }
    ops = { sha256 = "60303ae2...", admin = true }
    crawler = { sha256 = "fd61a03a...", rate = "100/minute" }

Hashed by SHA-256: a key is 256 random bits, which nobody can try through however fast the hash is, and a slow
hash, made for passwords, would cost each request milliseconds.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import time
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from triad_serving.contract.errors import SetupError

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
PREFIX = "triad_"  # so that a key is known for one wherever it was left

KeyName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class Key(BaseModel):
    """One line of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of the key.")
    admin: bool = Field(default=False, description="Whether it may also change what is served.")
    rate: str | None = Field(
        default=None,
        pattern=r"^[1-9][0-9]*/(second|minute|hour|day)$",
        description="Most requests, in each worker process.",
    )


Keys = dict[KeyName, Key]
_FILE = TypeAdapter(Keys)


class KeyFile:
    """Looked at again at most once a second, so that a key is added and revoked without a restart.

    A new content that cannot be read is logged, and the keys stay what they were.
    """

    def __init__(self, path: Path) -> None:
        """Raises SetupError."""
        self._path = path
        self._seen = _version_of(path)
        self._keys = read_keys(path)
        self._look_at_s = time.monotonic() + LOOK_EVERY_S

    def find(self, secret: str) -> tuple[str, Key] | None:
        """Its name and line. The time that it takes says nothing of a hash: it compares all, each in full."""
        if time.monotonic() >= self._look_at_s:
            self._look()
        digest = hash_of(secret)
        found = [each for each in self._keys.items() if hmac.compare_digest(each[1].sha256, digest)]
        return found[0] if found else None

    def _look(self) -> None:
        self._look_at_s = time.monotonic() + LOOK_EVERY_S
        version = _version_of(self._path)
        if version == self._seen:
            return
        self._seen = version
        try:
            self._keys = read_keys(self._path)
        except SetupError as error:
            logger.error("The API keys stay what they were. %s", error.detail)
        else:
            logger.info("Read %d API keys anew.", len(self._keys))


def read_keys(path: Path) -> Keys:
    """Raises SetupError."""
    try:
        keys = _FILE.validate_python(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SetupError(f"The API keys in {path} cannot be read: {error}.") from error
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SetupError(f"The API keys in {path} cannot be read: {where}: {first['msg']}.") from error
    if any(key.rate for key in keys.values()) and find_spec("limits") is None:
        raise SetupError(
            "An API key has a rate, for which limits is missing: pip install triad-serving[rates]"
        )
    return keys


def new_key() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def hash_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def key_line(name: str, secret: str, *, admin: bool, rate: str | None) -> str:
    """The line of a file that lets this key in. Raises SetupError where name or rate cannot stand in one."""
    more = (", admin = true" if admin else "") + (f', rate = "{rate}"' if rate else "")
    line = f'"{name}" = {{ sha256 = "{hash_of(secret)}"{more} }}'
    try:
        _FILE.validate_python(tomllib.loads(line))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise SetupError(
            f"No key can be named {name!r} with the rate {rate!r}: a name has letters, digits and ._-, up to "
            "64 of them, a rate is like 100/minute (second, minute, hour, day)."
        ) from error
    return line


def _version_of(path: Path) -> tuple[int, int, int] | None:
    """Changes whenever the file is written or replaced; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
