"""The table of analytes: which codes measure the same, in which unit it is read, and what its values can be.

`configs/analytes.yaml` is shipped and says what its keys mean; a task may name a table of the user's own, whose rows
stand before it, code by code.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

from mhdiff.cohort.measurements.conversion import Conversion, convert
from mhdiff.cohort.measurements.written import in_ucum
from mhdiff.config import find
from ontology.errors import InputError

_KEYS = ("name", "codes", "unit", "molar_mass", "also", "possible", "source")


@dataclass(frozen=True)
class Analyte:
    """What is measured, in one specimen.

    Attributes:
        name: For people.
        codes: MEDS codes without their unit, "LOINC/2345-7"; the first names the column.
        unit: The UCUM unit that values are brought to.
        molar_mass: In g/mol; None where mass and amount are not converted.
        also: Unit, scale and offset of what dimensions cannot convert.
        low: Lowest value that can be, in `unit`; None for no limit.
        high: Highest value that can be.
        source: Where the limits are from.
    """

    name: str
    codes: tuple[str, ...]
    unit: str
    molar_mass: float | None = None
    also: tuple[tuple[str, float, float], ...] = ()
    low: float | None = None
    high: float | None = None
    source: str = ""

    @property
    def column(self) -> str:
        """The code of its column: "LOINC/2345-7//mg/dL"."""
        return f"{self.codes[0]}//{self.unit}"

    def conversion(self, unit: str) -> Conversion | None:
        """Give the way from a unit to the analyte's; None where there is none.

        Args:
            unit: As the source writes it.
        """
        known = {name: Conversion(scale, offset) for name, scale, offset in self.also}
        written = in_ucum(unit)
        for name in (unit, written):
            if name is not None and name in known:
                return known[name]
        return None if written is None else convert(written, self.unit, self.molar_mass)


@dataclass(frozen=True)
class Analytes:
    """A table of analytes.

    Attributes:
        rows: No code in two of them.
    """

    rows: tuple[Analyte, ...] = ()

    @cached_property
    def by_code(self) -> dict[str, Analyte]:
        """The analyte of each code."""
        return {code: row for row in self.rows for code in row.codes}

    @property
    def digest(self) -> str:
        """SHA-256 of the table."""
        return hashlib.sha256(json.dumps(self.state(), sort_keys=True).encode()).hexdigest()

    def digest_for(self, codes: Iterable[str]) -> str:
        """Give SHA-256 of the rows that some codes are read by: what other rows say makes no difference to them.

        Args:
            codes: MEDS codes, with their unit or without.
        """
        bases = {code.split("//", 1)[0] for code in codes}
        mine = [row for row in self.rows if not bases.isdisjoint(row.codes)]
        plain = sorted(json.dumps(row, sort_keys=True) for row in Analytes(tuple(mine)).state())
        return hashlib.sha256(json.dumps([bool(self.rows), plain]).encode()).hexdigest()

    def with_own(self, own: Iterable[Analyte]) -> Analytes:
        """Give the table with rows of the user's own, which stand in place of what it says of their codes.

        Args:
            own: The rows.
        """
        mine = tuple(own)
        taken = {code for row in mine for code in row.codes}
        left = [replace(row, codes=tuple(c for c in row.codes if c not in taken)) for row in self.rows]
        return Analytes((*mine, *(row for row in left if row.codes)))

    def state(self) -> list[dict[str, Any]]:
        """Give the table as plain data, for the folder of a run."""
        plain: list[dict[str, Any]] = json.loads(json.dumps([asdict(row) for row in self.rows]))
        return plain

    @classmethod
    def from_state(cls, state: Iterable[Mapping[str, Any]]) -> Analytes:
        """Make the table again.

        Args:
            state: What `state` gave, perhaps by way of JSON.
        """
        return cls(
            tuple(
                Analyte(**{**row, "codes": tuple(row["codes"]), "also": tuple(map(tuple, row["also"]))})
                for row in state
            )
        )


@cache
def shipped() -> Analytes:
    """Give the table that is shipped."""
    return Analytes(read_analytes(find("analytes.yaml")))


def read_analytes(path: Path) -> tuple[Analyte, ...]:
    """Read a table of analytes.

    Args:
        path: A YAML file in the form of `configs/analytes.yaml`.

    Raises:
        InputError: If it is missing or is no such table; the message names the row.
    """
    if not path.is_file():
        raise InputError("there is no such table of analytes", path=path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        raise InputError(
            "the table is not YAML", path=path, row=mark.line + 1 if mark else None, remedy=_REMEDY
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("analytes"), list):
        raise InputError("the table has no list 'analytes'", path=path, remedy=_REMEDY)
    if unknown := sorted(map(str, set(content) - {"analytes", "sources"})):
        raise InputError(f"the table has the unknown key '{unknown[0]}'", path=path, remedy=_REMEDY)
    sources = content.get("sources") or {}
    rows = []
    seen: set[str] = set()
    for place, entry in enumerate(content["analytes"], start=1):
        try:
            row = _row(entry, sources if isinstance(sources, dict) else {})
            if twice := seen & set(row.codes):
                raise ValueError(f"the code {min(twice)} is in two analytes")
        except ValueError as error:
            name = entry.get("name", "?") if isinstance(entry, dict) else "?"
            raise InputError(f"analyte {place} ({name}): {error}", path=path, remedy=_REMEDY) from error
        seen |= set(row.codes)
        rows.append(row)
    return tuple(rows)


_REMEDY = "See configs/analytes.yaml for the form"


def _row(entry: Any, sources: Mapping[str, Any]) -> Analyte:
    if not isinstance(entry, dict):
        raise ValueError("it is no mapping")
    if unknown := sorted(map(str, set(entry) - set(_KEYS))):
        raise ValueError(f"the key '{unknown[0]}' is unknown; known are {', '.join(_KEYS)}")
    codes, unit = entry.get("codes"), entry.get("unit")
    if not isinstance(codes, list) or not codes or not all(isinstance(c, str) and _is_code(c) for c in codes):
        raise ValueError("'codes' must list codes without a unit, such as LOINC/2345-7")
    if len(set(codes)) < len(codes):
        raise ValueError("'codes' names a code twice")
    if not isinstance(unit, str) or in_ucum(unit) != unit:
        raise ValueError(f"'unit' must be a UCUM unit, and '{unit}' is none")
    molar = entry.get("molar_mass")
    if molar is not None and not (_number(molar) and molar > 0):
        raise ValueError("'molar_mass' must be a number above 0")
    low, high = _possible(entry.get("possible"))
    source = str(entry.get("source") or "")
    if (low is not None or high is not None) and not source:
        raise ValueError("'possible' needs a 'source'")
    if sources and source and source not in sources:
        raise ValueError(f"the source '{source}' is none of {', '.join(map(str, sources))}")
    return Analyte(
        name=str(entry.get("name") or codes[0]),
        codes=tuple(codes),
        unit=unit,
        molar_mass=None if molar is None else float(molar),
        also=_also(entry.get("also") or {}),
        low=low,
        high=high,
        source=source,
    )


def _is_code(code: str) -> bool:
    return code.count("/") == 1 and all(code.split("/"))


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _possible(value: Any) -> tuple[float | None, float | None]:
    if value is None:
        return None, None
    if not isinstance(value, list) or len(value) != 2 or not all(v is None or _number(v) for v in value):
        raise ValueError("'possible' must be [lowest, highest], null for no limit")
    low, high = (None if v is None else float(v) for v in value)
    if low is not None and high is not None and low >= high:
        raise ValueError("'possible' has its lowest value not below its highest")
    return low, high


def _also(value: Any) -> tuple[tuple[str, float, float], ...]:
    if not isinstance(value, dict):
        raise ValueError("'also' must map units to a factor or to [factor, offset]")
    found = []
    for unit, way in value.items():
        pair = way if isinstance(way, list) else [way, 0.0]
        if len(pair) != 2 or not all(map(_number, pair)) or pair[0] == 0:
            raise ValueError(f"'also' must map '{unit}' to a factor or to [factor, offset]")
        found.append((str(unit), float(pair[0]), float(pair[1])))
    return tuple(found)
