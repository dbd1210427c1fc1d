"""SNOMED CT identifiers: what their digits say and whether the check digit is right.

    SCTID = item · [namespace, 7 digits, long format only] · partition, 2 digits · check digit (Verhoeff)

The first digit of the partition is 0 in the short format (no namespace), 1 in the long one; the second tells
concept (0), description (1) and relationship (2) apart. An SCTID has 6 to 18 digits, so it fits an int64
and does not fit a float64.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ontology.errors import InputError

CONCEPT: Final = "10"
"""Partition of concepts in the long format (with a namespace)."""
DESCRIPTION: Final = "11"
"""Partition of descriptions in the long format."""
RELATIONSHIP: Final = "12"
"""Partition of relationships in the long format."""
PARTITIONS: Final = ("00", "01", "02", "10", "11", "12")
"""Partitions in use: concept, description, relationship, without and with a namespace."""

MIN_DIGITS: Final = 6
MAX_DIGITS: Final = 18
NAMESPACE_DIGITS: Final = 7


def _dihedral() -> npt.NDArray[np.int8]:
    """Give the multiplication table of the dihedral group of order 10, shape [10, 10]."""
    a, b = np.meshgrid(np.arange(10), np.arange(10), indexing="ij")
    turned = np.where(b < 5, (a + b) % 5, 5 + (a + b) % 5)
    mirrored = np.where(b < 5, 5 + (a - b) % 5, (a - b) % 5)
    return np.where(a < 5, turned, mirrored).astype(np.int8)


def _permutations() -> npt.NDArray[np.int8]:
    """Give the digit permutation for each position modulo 8, shape [8, 10]."""
    first = np.array([1, 5, 7, 6, 2, 8, 3, 0, 9, 4], dtype=np.int8)
    rows = [np.arange(10, dtype=np.int8)]
    for _ in range(7):
        rows.append(first[rows[-1]])
    return np.stack(rows)


_PRODUCT = _dihedral()
_PERMUTE = _permutations()
_INVERSE = np.argmin(_PRODUCT, axis=1)  # the b of each row a with a*b = 0


def verhoeff_digit(digits: str | int) -> int:
    """Give the check digit that makes `digits` followed by it a valid number.

    Args:
        digits: The number without its check digit.

    Raises:
        InputError: If `digits` holds anything but the digits 0 to 9.
    """
    text = str(digits)
    if not (text.isascii() and text.isdigit()):
        raise InputError(f"{text!r} is no sequence of digits")
    state = 0
    for position, digit in enumerate(reversed(text), start=1):
        state = int(_PRODUCT[state, _PERMUTE[position % 8, int(digit)]])
    return int(_INVERSE[state])


def is_valid(sctid: str | int) -> bool:
    """Tell whether the length, the partition and the check digit of an SCTID are right.

    Args:
        sctid: The identifier, as a number or as text. Text with a sign, spaces or leading zeros is not valid.
    """
    text = str(sctid)
    if not (text.isascii() and text.isdigit()) or text[0] == "0":
        return False
    if not MIN_DIGITS <= len(text) <= MAX_DIGITS or text[-3:-1] not in PARTITIONS:
        return False
    if text[-3] == "1" and len(text) < NAMESPACE_DIGITS + 4:
        return False
    return verhoeff_digit(text[:-1]) == int(text[-1])


def make_sctid(item: int, namespace: int | None, partition: str) -> int:
    """Build an SCTID.

    Args:
        item: The item number, 1 or more; it has no leading zeros.
        namespace: The namespace identifier of 7 digits for the long format, None for the short one.
        partition: One of `PARTITIONS`; its first digit must fit the format.

    Raises:
        InputError: If a part is out of its range or the parts do not fit together.
    """
    if partition not in PARTITIONS or (partition[0] == "1") != (namespace is not None):
        raise InputError(
            f"partition {partition!r} does not fit namespace {namespace}",
            remedy="Use 00, 01, 02 without a namespace and 10, 11, 12 with one",
        )
    if namespace is not None and not 1_000_000 <= namespace <= 9_999_999:
        raise InputError(f"namespace {namespace} has not {NAMESPACE_DIGITS} digits")
    stem = f"{item}{'' if namespace is None else namespace}{partition}"
    if item < 1 or not MIN_DIGITS <= len(stem) + 1 <= MAX_DIGITS:
        raise InputError(f"item number {item} gives no SCTID of {MIN_DIGITS} to {MAX_DIGITS} digits")
    return int(f"{stem}{verhoeff_digit(stem)}")


def partition_of(sctid: int) -> str:
    """Give the two partition digits.

    Args:
        sctid: The identifier.
    """
    return f"{int(sctid) // 10 % 100:02d}"


def namespace_of(sctid: int) -> int | None:
    """Give the namespace identifier, or None for the short format.

    Args:
        sctid: The identifier.
    """
    if partition_of(sctid)[0] != "1":
        return None
    return int(sctid) // 1000 % 10**NAMESPACE_DIGITS


def valid(sctids: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Check many SCTIDs at once: the same answer as `is_valid`, about a million in a tenth of a second.

    Args:
        sctids: Integers of any shape.

    Returns:
        Booleans of the same shape.

    Raises:
        InputError: If the array does not hold integers (a float64 has already lost the last digits).
    """
    ids = _integers(sctids)
    partition = ids // 10 % 100
    good = np.isin(partition, [int(p) for p in PARTITIONS])
    good &= (partition < 10) | (ids >= 10 ** (NAMESPACE_DIGITS + 3))
    return good & check_digits(ids)


def check_digits(sctids: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Check only the length and the check digit of many SCTIDs, whatever their partition.

    Args:
        sctids: Integers of any shape.

    Returns:
        Booleans of the same shape.

    Raises:
        InputError: If the array does not hold integers.
    """
    ids = _integers(sctids)
    good = (ids >= 10 ** (MIN_DIGITS - 1)) & (ids < 10**MAX_DIGITS)
    state = np.zeros(ids.shape, dtype=np.int8)
    rest = np.where(good, ids, 0)
    for position in range(MAX_DIGITS):
        following = _PRODUCT[state, _PERMUTE[position % 8, rest % 10]]
        state = np.where(rest > 0, following, state)
        rest = rest // 10
    return good & (state == 0)


def _integers(sctids: npt.ArrayLike) -> npt.NDArray[np.int64]:
    array: npt.NDArray[Any] = np.asarray(sctids)
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"SCTIDs are integers, not {array.dtype}")
    return array.astype(np.int64)
