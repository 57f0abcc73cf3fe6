"""Ids that say nothing of a patient and are the same in every run: keyed hashes."""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from cmrjax.core.errors import UserError

_MIN_KEY_BYTES = 16
_SHIFT_DAYS = 36525  # a century: a shifted day says nothing of the real one


@dataclass(frozen=True)
class Hasher:
    """Turns identifiers into ids; without the key nobody can go back or try candidates.

    Args:
        key: the secret.
        namespace: what the contract records of it.
    """

    key: bytes = field(repr=False)  # nothing that prints settings prints it
    namespace: str

    def id(self, kind: str, value: str) -> str:
        """The id of a patient, study or series: 16 hexadecimal digits."""
        text = f"{kind}\0{value}".encode()
        return hmac.new(self.key, text, hashlib.sha256).hexdigest()[:16]

    def shifted_day(self, patient_id: str, day: date) -> int:
        """A day as a number, off by an amount that is a secret and the same for a patient's days.

        Nothing stored is this number: it is kept while a dataset is made, and only the days between
        two studies of a patient come out of it.
        """
        text = f"shift\0{patient_id}".encode()
        digest = hmac.new(self.key, text, hashlib.sha256).digest()
        return day.toordinal() + int.from_bytes(digest[:8], "big") % _SHIFT_DAYS


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


def days_since_first(days: Iterable[tuple[str, str, int | None]]) -> dict[str, int | None]:
    """How many days after its patient's first study each study was made.

    Args:
        days: (patient id, study id, shifted day or nothing) of every study of a dataset.

    Returns:
        Study id -> days, nothing where the study's day is unknown.

    Example:
        >>> days_since_first([('p', 'a', 1730), ('p', 'b', 1000), ('q', 'c', 5), ('q', 'd', None)])
        {'a': 730, 'b': 0, 'c': 0, 'd': None}
    """
    listed = list(days)
    first: dict[str, int] = {}
    for patient, _, day in listed:
        if day is not None:
            first[patient] = min(day, first.get(patient, day))
    return {study: None if day is None else day - first[patient] for patient, study, day in listed}
