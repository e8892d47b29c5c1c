"""The file of keys: what it may say, and that it is read again when it changes."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from triad_serving.contract.errors import SetupError
from triad_serving.http.access import keys
from triad_serving.http.access.keys import KeyFile, key_line, new_key, read_keys

SHOP, OPS = new_key(), new_key()


def write(path: Path, *lines: str) -> Path:
    """Replaced as one does: a new file under the old name."""
    fresh = path.with_suffix(".new")
    fresh.write_text("".join(f"{line}\n" for line in lines))
    fresh.rename(path)
    return path


def line(name: str, secret: str, *, admin: bool = False, rate: str | None = None) -> str:
    return key_line(name, secret, admin=admin, rate=rate)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds; the test turns it."""
    now = [100.0]
    monkeypatch.setattr(keys.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "keys.toml", line("shop", SHOP), line("ops", OPS, admin=True))


def test_a_key_has_256_random_bits_and_only_its_hash_is_written() -> None:
    assert len(new_key()) == len("triad_") + 43  # 256 bits in base64
    assert new_key() != new_key()
    assert SHOP not in line("shop", SHOP)
    assert SHOP.removeprefix("triad_") not in line("shop", SHOP)


def test_keys_are_found_by_what_they_are_with_name_and_role(path: Path) -> None:
    file = KeyFile(path)
    found = [file.find(secret) for secret in (SHOP, OPS)]
    assert [(each[0], each[1].admin) for each in found if each] == [("shop", False), ("ops", True)]
    hashes = [key.sha256 for key in read_keys(path).values()]
    for wrong in ("", SHOP[:-1], SHOP.upper(), "shop", "schlüssel", *hashes):
        assert file.find(wrong) is None


def test_every_hash_is_compared_in_full_and_in_constant_time(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[str] = []

    def compare(one: str, other: str) -> bool:
        compared.append(one)
        return one == other

    monkeypatch.setattr(keys.hmac, "compare_digest", compare)
    KeyFile(path).find(SHOP)
    assert compared == [key.sha256 for key in read_keys(path).values()]


def test_a_key_is_revoked_and_another_added_within_a_second(path: Path, clock: list[float]) -> None:
    file = KeyFile(path)
    write(path, line("new", other := new_key()))
    assert file.find(SHOP)
    clock[0] += 1.0
    assert file.find(SHOP) is None
    assert file.find(other)


def test_the_file_is_looked_at_once_a_second_and_read_where_it_changed(
    path: Path, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = KeyFile(path)
    looks, reads = [], []
    version_of, read = keys._version_of, keys.read_keys
    monkeypatch.setattr(keys, "_version_of", lambda path: looks.append(path) or version_of(path))
    monkeypatch.setattr(keys, "read_keys", lambda path: reads.append(path) or read(path))
    for _ in range(30):
        clock[0] += 0.1
        file.find(SHOP)
    assert 2 <= len(looks) <= 3
    assert reads == []
    os.utime(path, (1, 1))
    clock[0] += 1.0
    file.find(SHOP)
    assert len(reads) == 1


@pytest.mark.parametrize("content", ["shop = {", 'shop = { sha256 = "abc" }', "shop = 3", None])
def test_a_broken_new_file_keeps_the_old_keys_and_says_so_once(
    path: Path, clock: list[float], caplog: pytest.LogCaptureFixture, content: str | None
) -> None:
    file = KeyFile(path)
    path.unlink()
    if content is not None:
        write(path, content)
    for _ in range(3):
        clock[0] += 1.0
        assert file.find(SHOP)
    [told] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "The API keys stay what they were." in told.getMessage()
    write(path, line("ops", OPS))
    clock[0] += 1.0
    assert file.find(SHOP) is None


def test_an_empty_file_lets_nobody_in(path: Path, clock: list[float]) -> None:
    file = KeyFile(path)
    write(path)
    clock[0] += 1.0
    assert file.find(SHOP) is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("shop = {", "cannot be read"),
        ('shop = { sha256 = "abc" }', "shop.sha256"),
        (f"{line('shop', SHOP)}\n{line('shop', OPS)}", "cannot be read"),
        (line("shop", SHOP).replace("}", ", role = 1 }"), "shop.role"),
        (line("shop", SHOP).replace("shop", "../shop"), "[key]"),
        (line("shop", SHOP).replace("}", ', rate = "fast" }'), "shop.rate"),
    ],
    ids=["no TOML", "no hash", "a name twice", "an unknown field", "a name like a path", "no rate"],
)
def test_a_service_does_not_start_on_a_file_that_it_cannot_read(
    tmp_path: Path, content: str, words: str
) -> None:
    with pytest.raises(SetupError, match=words.replace("[", r"\[")) as refused:
        KeyFile(write(tmp_path / "keys.toml", content))
    assert "sha256 =" not in refused.value.detail


def test_a_rate_needs_the_extra_that_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "find_spec", lambda name: None)
    with pytest.raises(SetupError, match=r"pip install triad-serving\[rates\]"):
        read_keys(write(tmp_path / "keys.toml", line("shop", SHOP, rate="2/minute")))


@pytest.mark.parametrize(
    ("name", "rate"), [("", None), ("a b", None), ('a"', None), ("../a", None), ("a", "2/week"), ("a", '"')]
)
def test_no_line_is_made_that_the_file_could_not_hold(name: str, rate: str | None) -> None:
    with pytest.raises(SetupError, match="No key can be named"):
        line(name, SHOP, rate=rate)
