"""Reading the YAML that declares a manifest's columns; what is wrong in it is named by its key."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NoReturn

import polars as pl
import yaml

from graph_builders.units import is_ucum
from mhdiff.cohort.manifest.columns import SEXES, Columns, Entry, Time
from mhdiff.cohort.values import times
from ontology.errors import InputError

_KEYS: Final = (
    *("subject", "key", "time", "site", "sex", "birth", "age", "images", "notes", "labs", "codes", "labels"),
    "ignore",
)
_UNITS: Final = ("minutes", "hours", "days")
_REMEDY: Final = "docs/cohorts.md shows a whole file"


def read_columns(file: Path) -> Columns:
    """Read the YAML.

    Args:
        file: The file; see `columns` for its keys.

    Raises:
        InputError: If it is no YAML, or a key is unknown, missing or of the wrong kind.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError("the file with the columns cannot be read", path=file, remedy=_REMEDY) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        row = mark.line + 1 if mark else None
        raise InputError("the file is not YAML", path=file, row=row, remedy=_REMEDY) from error
    return _Reader(file).columns(content)


class _Reader:
    """Reads the YAML and refuses what is wrong in it."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def fail(self, key: str, problem: str, remedy: str = _REMEDY) -> NoReturn:
        raise InputError(f"'{key}' {problem}", path=self.file, remedy=remedy)

    def columns(self, content: Any) -> Columns:
        given = self.mapping("the file", content, _KEYS, ("subject",))
        if "birth" in given and "age" in given:
            self.fail("age", "and 'birth' are both there", "Leave one of them")
        single = {k: self.text(k, given[k]) for k in ("key", "site", "birth", "age") if k in given}
        sex, sexes = None, dict(SEXES)
        if isinstance(given.get("sex"), dict):
            own = self.mapping("sex", given["sex"], ("column", "values"), ("column", "values"))
            sex = self.text("sex.column", own["column"])
            sexes = {k.lower(): v for k, v in self.texts("sex.values", own["values"]).items()}
            if not set(sexes.values()) <= {"F", "M"}:
                self.fail("sex.values", "must map what the column says to F or M")
        elif "sex" in given:
            sex = self.text("sex", given["sex"])
        ignore = given.get("ignore") or []
        if not isinstance(ignore, list):
            self.fail("ignore", "must list columns")
        return Columns(
            self.file,
            self.text("subject", given["subject"]),
            time=self.time(given["time"]) if "time" in given else Time(),
            sex=sex,
            sexes=sexes,
            images=self.entries(given, "images", self.image),
            notes=self.entries(given, "notes", self.note),
            labs=self.entries(given, "labs", self.lab),
            codes=self.entries(given, "codes", self.code),
            labels=self.entries(given, "labels", self.label),
            ignore=tuple(self.text("ignore", name) for name in ignore),
            **single,
        )

    def time(self, content: Any) -> Time:
        if not isinstance(content, dict):
            return Time(self.text("time", content))
        if "offset" in content:
            own = self.mapping("time", content, ("offset", "unit", "from", "format"), ("offset", "unit"))
            if own["unit"] not in _UNITS:
                self.fail("time.unit", f"must be one of {', '.join(_UNITS)}")
            start = self.text("time.from", own["from"]) if "from" in own else None
            return Time(self.text("time.offset", own["offset"]), self.form(own), str(own["unit"]), start)
        own = self.mapping("time", content, ("column", "format"), ("column",))
        return Time(self.text("time.column", own["column"]), self.form(own))

    def form(self, own: dict[str, Any]) -> str | None:
        if "format" not in own:
            return None
        form = self.text("time.format", own["format"])
        if "%" not in form or re.search(r"%[zZ]", form):
            self.fail("time.format", 'must be a form without a zone, such as "%d.%m.%Y %H:%M"')
        day = datetime(2020, 3, 31)
        try:
            read = pl.DataFrame({"probe": [day.strftime(form)]}).select(times("probe", form).time)["probe"][0]
        except (pl.exceptions.PolarsError, ValueError):
            read = None
        if read is None or read.date() != day.date():
            self.fail("time.format", "is no form of a day", 'Such as "%d.%m.%Y" or "%m/%d/%Y %H:%M"')
        return form

    def entries(
        self, given: dict[str, Any], kind: str, read: Callable[[str, str, Any], Entry]
    ) -> tuple[Entry, ...]:
        content = given.get(kind) or {}
        if not isinstance(content, dict):
            self.fail(kind, "must map columns to what they are")
        return tuple(read(f"{kind}.{name}", str(name), entry) for name, entry in content.items())

    def image(self, key: str, name: str, content: Any) -> Entry:
        own = {"code": content} if not isinstance(content, dict) else content
        own = self.mapping(key, own, ("code", "separator", "time", "description"), ("code",))
        code = self.text(f"{key}.code", own["code"]).removeprefix("IMAGE//")
        return Entry(name, f"IMAGE//{self.coded(key, code)}", **self.common(key, own))

    def note(self, key: str, name: str, content: Any) -> Entry:
        own = {"section": content} if not isinstance(content, dict) else content
        own = self.mapping(key, own, ("section", "time", "description"), ("section",))
        section = self.text(f"{key}.section", own["section"]).removeprefix("NOTE//")
        return Entry(name, f"NOTE//{self.coded(key, section)}", **self.common(key, own))

    def lab(self, key: str, name: str, content: Any) -> Entry:
        keys = ("loinc", "unit", "unit_column", "convert", "range", "possible", "time", "description")
        own = self.mapping(key, content, keys, ("loinc", "unit"))
        loinc, unit = self.text(f"{key}.loinc", own["loinc"]), self.text(f"{key}.unit", own["unit"])
        if not re.fullmatch(r"\d{1,7}-\d", loinc):
            self.fail(f"{key}.loinc", "is no LOINC code, such as 1988-5")
        if not is_ucum(unit):
            self.fail(
                f"{key}.unit", "is not written as UCUM has it", "Such as mg/L, 10*9/L or mm[Hg]: ucum.org"
            )
        convert = {}
        for written, factor in (own.get("convert") or {}).items():
            if isinstance(factor, bool) or not isinstance(factor, (int, float)) or factor <= 0:
                self.fail(f"{key}.convert", "must map units to factors above 0")
            convert[str(written)] = float(factor)
        if convert and "unit_column" not in own:
            self.fail(f"{key}.convert", "needs 'unit_column', which says in which unit a value is")
        return Entry(
            name,
            loinc,
            unit=unit,
            unit_column=self.text(key, own["unit_column"]) if "unit_column" in own else None,
            convert=convert,
            reference=self.pair(f"{key}.range", own.get("range")),
            possible=self.pair(f"{key}.possible", own.get("possible")),
            **self.common(key, own),
        )

    def code(self, key: str, name: str, content: Any) -> Entry:
        own = {"vocabulary": content} if not isinstance(content, dict) else content
        own = self.mapping(key, own, ("vocabulary", "separator", "time"), ("vocabulary",))
        vocabulary = self.text(f"{key}.vocabulary", own["vocabulary"])
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.:-]*", vocabulary):
            self.fail(f"{key}.vocabulary", "must be a name such as ICD10, ICD10CM, SNOMED, RxNorm")
        return Entry(name, vocabulary, **self.common(key, own))

    def label(self, key: str, name: str, content: Any) -> Entry:
        own = {"column": content} if not isinstance(content, dict) else content
        own = self.mapping(key, own, ("column", "time", "values"), ("column",))
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
            self.fail(key, "must have a name of letters, digits and _, which becomes a file's")
        values = self.texts(f"{key}.values", own["values"]) if "values" in own else None
        column = self.text(f"{key}.column", own["column"])
        return Entry(column, name, values=values, **self.common(key, own))

    def common(self, key: str, own: dict[str, Any]) -> dict[str, Any]:
        return {k: self.text(f"{key}.{k}", own[k]) for k in ("time", "separator", "description") if k in own}

    def coded(self, key: str, code: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_.-]+(//[A-Za-z0-9_.-]+)*", code):
            self.fail(key, "must be letters, digits and _, parts joined by //")
        return code

    def pair(self, key: str, value: Any) -> tuple[float | None, float | None]:
        if value is None:
            return None, None
        numbers = isinstance(value, list) and all(
            v is None or (isinstance(v, (int, float)) and not isinstance(v, bool)) for v in value
        )
        if not numbers or len(value) != 2 or (None not in value and value[0] > value[1]):
            self.fail(key, "must be [low, high], or null for one of them")
        low, high = value
        return (None if low is None else float(low)), (None if high is None else float(high))

    def text(self, key: str, value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, (str, int)) or not str(value):
            self.fail(key, "must be one text")
        return str(value)

    def texts(self, key: str, value: Any) -> dict[str, str]:
        if not isinstance(value, dict) or not value:
            self.fail(key, "must map texts to texts")
        if any(isinstance(part, bool) for pair in value.items() for part in pair):
            self.fail(
                key, "has yes, no, true or false without quotes", 'YAML reads them as logic: write "yes"'
            )
        return {str(k): self.text(key, v) for k, v in value.items()}

    def mapping(
        self, key: str, value: Any, known: tuple[str, ...], needed: tuple[str, ...]
    ) -> dict[str, Any]:
        if not isinstance(value, dict):
            self.fail(key, "must be a mapping", f"Keys: {', '.join(known)}. {_REMEDY}")
        if unknown := [str(k) for k in value if k not in known]:
            self.fail(key, f"has the unknown key '{unknown[0]}'", f"Known keys: {', '.join(known)}")
        if lacking := [k for k in needed if k not in value]:
            self.fail(key, f"has no key '{lacking[0]}'", f"Known keys: {', '.join(known)}")
        return value
