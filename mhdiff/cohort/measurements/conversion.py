"""From one UCUM unit to another:  v' = scale v + offset,  or nothing where the two do not measure the same.

Dimensions are those of UCUM, by ucumvert and pint. Two things they do not tell, and so are not converted by them:
arbitrary units ([IU], {FEU}, [CFU]), which UCUM calls commensurable with nothing but themselves, and equivalents, whose
amount depends on the charge. Mass and amount of substance are converted by the molar mass, where it is known.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple

#: Brackets of units that are a quantity like any other: customary units and columns of mercury and water.
_PHYSICAL: Final = re.compile(
    r"\[(?:degF|Hg|H2O|(?:in|ft|yd|mi)_[a-z]+|(?:lb|oz|gr)_[a-z]+|[a-z]+_(?:us|br))\]"
)
_COUNTED: Final = re.compile(r"\{(?:cells?|[RW]BC|rbc|wbc|#|count|copies|beats|breaths|ratio|fraction)\}")
_ARBITRARY: Final = re.compile(r"\[[^\]]*\]|\{[^}]*\}|(?<![A-Za-z])[mu]?(?:eq|osm)(?![A-Za-z])")


class Conversion(NamedTuple):
    """v' = scale v + offset."""

    scale: float
    offset: float = 0.0

    @property
    def changes(self) -> bool:
        """Whether any value becomes another."""
        return self != Conversion(1.0, 0.0)


@lru_cache(maxsize=65536)
def convert(unit: str, to: str, molar_mass: float | None = None) -> Conversion | None:
    """Give the conversion between two units; None where there is none.

    Args:
        unit: A UCUM unit.
        to: Another.
        molar_mass: Of what is measured, in g/mol.

    >>> convert("mmol/L", "mg/dL", 180.156).scale
    18.0156
    >>> convert("[IU]/L", "U/L") is None
    True
    """
    if unit == to:
        return Conversion(1.0)
    if _kinds(unit) != _kinds(to):
        return None
    source, target = _quantity(unit), _quantity(to)
    if source is None or target is None:
        return None
    mole = _registry().Quantity(1.0, "mole / gram") / molar_mass if molar_mass else None
    for factor in (None, mole, 1 / mole if mole is not None else None):
        found = _linear(source, target, factor)
        if found is not None:
            return found
    return None


def _kinds(unit: str) -> list[str]:
    """Name the arbitrary units of a unit, without prefixes."""
    bare = _COUNTED.sub("", _PHYSICAL.sub("", unit))
    return sorted(re.sub(r"^[mu](?=eq|osm)", "", found) for found in _ARBITRARY.findall(bare))


def _linear(source: Any, target: Any, factor: Any) -> Conversion | None:
    import pint

    registry = _registry()

    def carry(value: float) -> float:
        there = registry.Quantity(value * source.magnitude, source.units)
        if factor is not None:
            there = there * factor
        return float(there.to(target.units).magnitude) / float(target.magnitude)

    try:
        offset = carry(0.0)
        return Conversion(_round(carry(1.0) - offset), _round(offset))
    except (pint.DimensionalityError, pint.OffsetUnitCalculusError):
        return None


def _round(value: float) -> float:
    """Take rounding errors away, so that 1 is 1."""
    return float(f"{value:.12g}")


@cache
def _registry() -> Any:
    from ucumvert import PintUcumRegistry  # some seconds: only where a unit has to be converted at all

    return PintUcumRegistry()


@lru_cache(maxsize=65536)
def _quantity(unit: str) -> Any:
    """Give a unit as a quantity of pint; None where the library cannot read it."""
    from lark.exceptions import LarkError

    try:
        found = _registry().from_ucum(unit)
    except LarkError:
        return None
    return found if hasattr(found, "units") else None
