"""Keys: what seals personal values and hashes identities, kept outside the database.

Invariant: a value that was sealed under a person's key can be read only with it; when that key is destroyed, nobody can read it again -
not from a backup of the values either, for the person's key lies beside them only wrapped.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from regulars.kernel.errors import Invalid, Problem

_BYTES = 32
_NONCE = 12


class Keyring(msgspec.Struct, frozen=True):
    """The master secret of an installation, and what is derived from it."""

    master: bytes

    def digest(self, merchant_id: int, kind: str, value: str) -> bytes:
        """The keyed hash of an identity: the same for the same value of one merchant, and telling nothing without the master secret."""
        secret = hmac.digest(self.master, b"identity", hashlib.sha256)
        return hmac.digest(secret, f"{merchant_id}\n{kind}\n{value}".encode(), hashlib.sha256)

    def wrap(self, key: bytes, owner: str) -> bytes:
        """A person's key, readable only with the master secret and for this ``owner``."""
        return seal(hmac.digest(self.master, b"vault", hashlib.sha256), key, owner)

    def unwrap(self, wrapped: bytes, owner: str) -> bytes:
        """The key again. Raises ``Invalid`` under another master secret."""
        try:
            return unseal(hmac.digest(self.master, b"vault", hashlib.sha256), wrapped, owner)
        except InvalidTag:
            hint = "give REGULARS_VAULT_KEY (or the file vault.key) that the data was written with"
            raise Invalid(Problem("vault", "this key does not open it", hint)) from None


def new_key() -> bytes:
    """A fresh key or salt, from the machine's own randomness."""
    return secrets.token_bytes(_BYTES)


def seal(key: bytes, value: bytes, owner: str) -> bytes:
    """``value`` under ``key`` (AES-256-GCM), bound to its ``owner``: what is moved elsewhere cannot be read there."""
    nonce = secrets.token_bytes(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, value, owner.encode())


def unseal(key: bytes, sealed: bytes, owner: str) -> bytes:
    """The value again. Raises ``cryptography.exceptions.InvalidTag`` when anything differs."""
    return AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], owner.encode())


def read_keyring(home: Path, given: str | None) -> Keyring:
    """The keyring of this installation: the ``given`` secret (64 hexadecimal digits), or the file of it, made at the first time."""
    text = given
    if text is None:
        file = home / "vault.key"
        if not file.exists():
            home.mkdir(parents=True, exist_ok=True)
            _write_once(file, secrets.token_hex(_BYTES))
        text = file.read_text(encoding="ascii")
    try:
        master = bytes.fromhex(text.strip())
    except ValueError:
        master = b""
    if len(master) != _BYTES:
        hint = "64 hexadecimal digits are expected; `openssl rand -hex 32` makes some"
        raise Invalid(Problem("REGULARS_VAULT_KEY", "this is no key", hint))
    return Keyring(master)


def _write_once(file: Path, text: str) -> None:
    """Only its owner may read it; of two who write at once the first wins."""
    fresh = file.with_name(f"{file.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    try:
        os.link(fresh, file)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
