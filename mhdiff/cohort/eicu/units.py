"""How the hospitals of eICU write units, in UCUM: blanks, case and a last full stop do not matter."""

from __future__ import annotations

from typing import Final

import polars as pl

_THOUSAND: Final = (
    *(
        "k/mcl",
        "k/ul",
        "k/mm3",
        "k/cmm",
        "k/mmcu",
        "th/ul",
        "th/cumm",
        "th/cmm",
        "ths/ul",
        "thou/ul",
        "thou/cumm",
    ),
    *("10*3/ul", "10*9/l", "10e3/mcl", "10(3)mcl", "10(3)/mcl", "x10(3)", "x10(3)/mcl", "x103", "x103/ul"),
)
_MILLION: Final = (
    *(
        "m/mcl",
        "m/ul",
        "m/mm3",
        "m/cmm",
        "m/mmcu",
        "mi/cumm",
        "mil/ul",
        "mil/mcl",
        "mil/cmm",
        "mill/ul",
        "mill/cumm",
    ),
    *("10*6/ul", "10*12/l", "10e6/mcl", "10(6)mcl", "10(6)/mcl", "x10(6)", "x10(6)/mcl", "x106", "x106/ul"),
)
#: UCUM unit -> the ways in which it is written.
WRITTEN: Final[dict[str, tuple[str, ...]]] = {
    "mg/dL": ("mg/dl",),
    "mg/L": ("mg/l",),
    "g/dL": ("g/dl", "gm/dl"),
    "ug/dL": ("ug/dl", "mcg/dl"),
    "ug/mL": ("ug/ml", "mcg/ml"),
    "ug/L": ("ug/l", "mcg/l"),
    "ng/mL": ("ng/ml",),
    "ng/dL": ("ng/dl",),
    "pg/mL": ("pg/ml",),
    "pg": ("pg", "uug"),  # a millionth of a microgram
    "mmol/L": ("mmol/l", "mm/l"),
    "meq/L": ("meq/l",),
    "umol/L": ("umol/l", "mcmol/l"),
    "mosm/kg": ("mosm/kg", "mosm/k", "mosm/kgh2o"),
    "mosm/L": ("mosm/l",),
    "U/L": ("u/l", "iu/l", "unit/l", "units/l"),
    "m[IU]/L": ("miu/l", "uiu/ml", "mcu/ml", "mciu/ml", "mcunits/ml", "microiu/ml"),
    "10*3/uL": _THOUSAND,
    "10*6/uL": _MILLION,
    "fL": ("fl", "u3"),  # cubic micrometres
    "%": ("%", "%cv", "%sat", "%thb", "%totalhgb"),
    "s": ("s", "sec", "secs", "second(s)", "seconds"),
    "{ratio}": ("ratio",),
    "[pH]": ("units", "unit(s)"),
    "mm[Hg]": ("mmhg", "mm(hg)", "mm/hg"),
    "cm[H2O]": ("cmh2o", "cm/h2o", "cmh20", "cmh?o"),
    "Cel": ("c", "degc", "degreec", "celsius", "&#176;c"),
    "mL": ("ml", "mls"),
    "mL/dL": ("ml/dl", "mls/dl", "vol%"),
    "L/min": ("l/min", "lpm"),
    "/min": ("/min", "bpm", "b/min", "breaths"),
    "mm/h": ("mm/h", "mm/hr"),
    "mg/(24.h)": ("mg/24hr", "mg/day"),
    "/[HPF]": ("/hpf", "/(hpf)"),
    "/uL": ("/ul", "/cumm"),
}


def ucum(column: str) -> pl.Expr:
    """Give a column of units in UCUM, null where it is empty or nobody knows the unit.

    Args:
        column: Its name; text.
    """
    known = {written: unit for unit, ways in WRITTEN.items() for written in ways}
    text = pl.col(column).str.to_lowercase().str.replace_all(r"\s+", "").str.replace(r"\.$", "")
    return text.replace_strict(known, default=None, return_dtype=pl.String)
