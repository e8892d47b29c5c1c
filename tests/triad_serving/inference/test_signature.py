"""Signed bundles: made with openssl's kind of keys, refused wherever a byte is another's."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.conftest import write_tiny_bundle
from triad_serving.contract.errors import BundleError, SetupError
from triad_serving.engine.catalog import load_catalog
from triad_serving.inference.bundle import read_bundle
from triad_serving.inference.signature import check_signature, sign_bundle
from triad_serving.settings import Settings


def write_pair(folder: Path, name: str = "own") -> tuple[Path, Path]:
    """Private and public key, PEM."""
    key = Ed25519PrivateKey.generate()
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_tiny_bundle(tmp_path / "models")


def serve(bundle: Path, public: Path) -> list[str]:
    return load_catalog(bundle, Settings(models=bundle, bundle_public_key=public)).names


def test_a_signed_bundle_is_served_and_stays_a_bundle(bundle: Path, tmp_path: Path) -> None:
    private, public = write_pair(tmp_path)
    assert sign_bundle(read_bundle(bundle), private) == bundle / "bundle.sig"
    assert serve(bundle, public) == ["tiny"]
    assert load_catalog(bundle, Settings(models=bundle)).names == ["tiny"]


def test_an_unsigned_bundle_is_refused_where_a_key_is_set(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is not signed"):
        serve(bundle, write_pair(tmp_path)[1])


@pytest.mark.parametrize("harm", ["other key", "other manifest", "cut", "no number"])
def test_a_wrong_signature_is_refused(bundle: Path, tmp_path: Path, harm: str) -> None:
    private, public = write_pair(tmp_path)
    signature = sign_bundle(read_bundle(bundle), private)
    if harm == "other key":
        sign_bundle(read_bundle(bundle), write_pair(tmp_path, "other")[0])
    elif harm == "other manifest":
        manifest = bundle / "bundle.json"
        manifest.write_text(manifest.read_text().replace("Answers that", "Answers which"))
    else:
        signature.write_text(signature.read_text()[:64] if harm == "cut" else "zz")
    with pytest.raises(BundleError, match=r"bundle\.sig is not by the key"):
        serve(bundle, public)


def test_other_keys_are_refused_by_name(bundle: Path, tmp_path: Path) -> None:
    private, public = write_pair(tmp_path)
    other, secret = tmp_path / "ed448.pem", tmp_path / "secret.pem"
    encryption = BestAvailableEncryption(b"x")
    other.write_bytes(
        Ed448PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    secret.write_bytes(
        Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    )
    found = read_bundle(bundle)
    with pytest.raises(SetupError, match="is no Ed25519 key"):
        sign_bundle(found, other)
    for wrong in (secret, public, tmp_path / "none.pem"):
        with pytest.raises(SetupError, match="cannot be read as a private key"):
            sign_bundle(found, wrong)
    with pytest.raises(SetupError, match="cannot be read as a public key"):
        check_signature(found, private)
    assert not (bundle / "bundle.sig").exists()
