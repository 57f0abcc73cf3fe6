"""Ids that say nothing of a patient and are the same in every run: keyed hashes."""

import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path

from cmrjax.core.errors import UserError

_MIN_KEY_BYTES = 16


@dataclass(frozen=True)
class Hasher:
    """Turns identifiers into ids; without the key nobody can go back or try candidates.

    Args:
        key: the secret.
        namespace: what the contract records of it.
    """

    key: bytes
    namespace: str

    def id(self, kind: str, value: str) -> str:
        """The id of a patient, study or series: 16 hexadecimal digits."""
        text = f"{kind}\0{value}".encode()
        return hmac.new(self.key, text, hashlib.sha256).hexdigest()[:16]


def public_hasher(name: str) -> Hasher:
    """A fixed namespace, for data that is public anyway."""
    return Hasher(f"cmrjax public namespace {name}".encode(), f"public:{name}")


def keyed_hasher(path: Path) -> Hasher:
    """The namespace of a key file.

    Raises:
        UserError: the file is missing or holds less than 16 bytes.
    """
    try:
        key = Path(path).read_bytes().strip()
    except OSError:
        raise UserError("cannot be read", where=str(path), fix="give a key file") from None
    if len(key) < _MIN_KEY_BYTES:
        raise UserError(
            f"the key is shorter than {_MIN_KEY_BYTES} bytes",
            where=str(path),
            fix="make one with `openssl rand -hex 32`",
        )
    mark = hmac.new(key, b"namespace", hashlib.sha256).hexdigest()[:12]
    return Hasher(key, f"keyed:{mark}")
