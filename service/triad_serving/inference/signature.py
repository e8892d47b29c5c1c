"""A bundle's signature: Ed25519 (RFC 8032) over bundle.json, which names the hash of every other file.

    openssl genpkey -algorithm ed25519 -out private.pem
    openssl pkey -in private.pem -pubout -out public.pem

It says who made the files. It does not help against someone who may change them while they are being loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from triad_serving.contract.disk import writing
from triad_serving.contract.errors import BundleError, SetupError
from triad_serving.inference.bundle import MANIFEST_FILE, Bundle

SIGNATURE_FILE = "bundle.sig"


def sign_bundle(bundle: Bundle, private_key: Path) -> Path:
    """The file that it writes. Raises SetupError where the key cannot be used, DiskError."""
    with _cryptography():
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    try:
        key = load_pem_private_key(private_key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:  # TypeError: it has a password
        raise SetupError(f"{private_key} cannot be read as a private key: {error}.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SetupError(f"{private_key} is no Ed25519 key.")
    path = bundle.path / SIGNATURE_FILE
    with writing(path):
        path.write_text(key.sign((bundle.path / MANIFEST_FILE).read_bytes()).hex() + "\n", encoding="ascii")
    return path


def check_signature(bundle: Bundle, public_key: Path) -> None:
    """Raises BundleError where it is not signed by the key's other half, SetupError where the key is none."""
    with _cryptography():
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    try:
        key = load_pem_public_key(public_key.read_bytes())
    except (OSError, ValueError) as error:
        raise SetupError(f"{public_key} cannot be read as a public key: {error}.") from error
    if not isinstance(key, Ed25519PublicKey):
        raise SetupError(f"{public_key} is no Ed25519 key.")
    try:
        signature = bytes.fromhex((bundle.path / SIGNATURE_FILE).read_text(encoding="ascii"))
        key.verify(signature, (bundle.path / MANIFEST_FILE).read_bytes())
    except OSError as error:
        raise BundleError(f"Bundle {bundle.path} is not signed: {error.strerror}.") from error
    except (ValueError, InvalidSignature) as error:
        raise BundleError(
            f"Bundle {bundle.path}: {SIGNATURE_FILE} is not by the key {public_key}."
        ) from error


@contextmanager
def _cryptography() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise SetupError(f"{error.name} is missing: pip install triad-serving[signatures]") from error
