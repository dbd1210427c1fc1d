"""Units as sources write them, in UCUM: "mg/dl" is mg/dL, "K/uL" is 10*3/uL, "degF" is [degF].

Looked at in this order: what is written in a way of its own (so that "K/uL" is not kelvin per microlitre), powers of
ten per volume in any notation, what is UCUM already, and last the parts between the strokes, whatever their case.
What differs in case only and means different things is not guessed: "G/L" may be giga per litre or grams per litre.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from graph_builders.units import is_ucum

_AMBIGUOUS: Final = frozenset({"G/L", "M/L"})
#: Without blanks and in lower case -> UCUM; these stand before any other reading.
_WHOLE: Final = {
    "k/ul": "10*3/uL", "k/mcl": "10*3/uL", "k/mm3": "10*3/uL", "k/cmm": "10*3/uL", "k/cumm": "10*3/uL",
    "th/ul": "10*3/uL", "thou/ul": "10*3/uL", "thousand/ul": "10*3/uL", "th/cumm": "10*3/uL",
    "m/ul": "10*6/uL", "m/mcl": "10*6/uL", "m/mm3": "10*6/uL", "m/cmm": "10*6/uL", "m/cumm": "10*6/uL",
    "mil/ul": "10*6/uL", "mill/ul": "10*6/uL", "million/ul": "10*6/uL", "t/l": "10*12/L",
    "gpt/l": "10*9/L", "tpt/l": "10*12/L", "giga/l": "10*9/L", "tera/l": "10*12/L",
    "u/l": "U/L", "u/ml": "U/mL", "unit/l": "U/L", "units/l": "U/L", "mu/l": "mU/L", "uu/ml": "uU/mL", "ku/l": "kU/L",
    "iu/l": "[IU]/L", "iu/ml": "[IU]/mL", "miu/l": "m[IU]/L", "miu/ml": "m[IU]/mL", "uiu/ml": "u[IU]/mL",
    "kiu/l": "k[IU]/L",
    "c": "Cel", "°c": "Cel", "degc": "Cel", "degreec": "Cel", "deg.c": "Cel", "celsius": "Cel",
    "degreescelsius": "Cel", "degreecelsius": "Cel",
    "f": "[degF]", "°f": "[degF]", "degf": "[degF]", "degreef": "[degF]", "deg.f": "[degF]", "fahrenheit": "[degF]",
    "degreesfahrenheit": "[degF]", "degreefahrenheit": "[degF]",
    "percent": "%", "mg%": "mg/dL", "g%": "g/dL", "fraction": "1", "ratio": "{ratio}", "inr": "{INR}", "ph": "[pH]",
    "mmhg": "mm[Hg]", "mm(hg)": "mm[Hg]", "cmh2o": "cm[H2O]", "mmh2o": "mm[H2O]", "torr": "mm[Hg]",
    "bpm": "/min", "beats/min": "/min", "breaths/min": "/min", "beats/minute": "/min", "breaths/minute": "/min",
    "#/ul": "/uL", "cells/ul": "{cells}/uL", "cells/mm3": "{cells}/uL", "cells/cumm": "{cells}/uL", "/cumm": "/uL",
    "/mm3": "/uL", "copies/ml": "{copies}/mL", "in": "[in_i]", "inch": "[in_i]", "inches": "[in_i]", "ft": "[ft_i]",
    "lb": "[lb_av]", "lbs": "[lb_av]", "pound": "[lb_av]", "pounds": "[lb_av]", "oz": "[oz_av]",
    "ml/min/1.73m2": "mL/min/{1.73_m2}", "ml/min/1.73m^2": "mL/min/{1.73_m2}", "ml/min/1.73": "mL/min/{1.73_m2}",
    "mosm/kgh2o": "mosm/kg", "mosmol/kg": "mosm/kg", "mg/24hr": "mg/(24.h)", "mg/24h": "mg/(24.h)",
    "kg/m^2": "kg/m2", "m^2": "m2",
}  # fmt: skip
_POWER = re.compile(
    r"[x×*]?10(?:\^|\*\*|\*|e\+?)?\(?0?(3|6|9|12)\)?(?:cells)?/?(ul|mcl|mm3|mm\^3|cumm|l|ml)", re.ASCII
)
_VOLUME: Final = {"l": "L", "ml": "mL"}
#: Parts between strokes in lower case -> UCUM.
_PARTS: Final = {
    **{f"{p}{unit}": f"{p}{unit}" for p in ("", "k", "m", "u", "n", "p", "f") for unit in ("g", "mol")},
    **{f"{p}l": f"{p}L" for p in ("", "d", "c", "m", "u", "n", "p", "f")},
    **{f"{p}m": f"{p}m" for p in ("k", "d", "c", "m", "u", "n")},
    **{f"{p}eq": f"{p}eq" for p in ("", "m", "u")}, **{f"{p}osm": f"{p}osm" for p in ("", "m")},
    **{f"{p}iu": f"{p}[IU]" for p in ("", "k", "m", "u")}, **{f"{p}kat": f"{p}kat" for p in ("", "m", "u", "n")},
    **{f"{p}pa": f"{p}Pa" for p in ("", "h", "k")},
    "gm": "g", "gr": "g", "gram": "g", "grams": "g", "kgs": "kg", "mgs": "mg", "mcg": "ug", "mcmol": "umol",
    "liter": "L", "litre": "L", "mcl": "uL", "cc": "mL", "mls": "mL", "m": "m", "m2": "m2", "kcal": "kcal",
    "s": "s", "sec": "s", "secs": "s", "second": "s", "seconds": "s", "min": "min", "mins": "min", "minute": "min",
    "minutes": "min", "h": "h", "hr": "h", "hrs": "h", "hour": "h", "hours": "h", "d": "d", "day": "d", "days": "d",
    "wk": "wk", "week": "wk", "weeks": "wk", "u": "U", "unit": "U", "units": "U", "1": "1", "%": "%",
}  # fmt: skip


@lru_cache(maxsize=65536)
def in_ucum(unit: str) -> str | None:
    """Give a unit as UCUM writes it; None where nobody knows it or it can be read in two ways.

    Args:
        unit: As the source writes it.

    Returns:
        The unit in UCUM.

    >>> [in_ucum(unit) for unit in ("mg/dl", "K/uL", "x10^9/L", "degF", "widgets")]
    ['mg/dL', '10*3/uL', '10*9/L', '[degF]', None]
    """
    bare = re.sub(r"\s+", "", unit.replace("µ", "u").replace("μ", "u").replace("³", "3").replace("⁹", "9"))
    if bare in _AMBIGUOUS:
        return None
    low = bare.lower().rstrip(".")
    if low in _WHOLE:
        return _WHOLE[low]
    if power := _POWER.fullmatch(low):
        return f"10*{power[1]}/{_VOLUME.get(power[2], 'uL')}"
    if is_ucum(bare):
        # UCUM has both l and L for the litre.
        return re.sub(r"(?<![A-Za-z\[{_])([dcmunpf]?)l(?![A-Za-z\]}_])", r"\1L", bare)
    top, *below = low.split("/")
    parts = [_PARTS.get(top) if top or not below else "", *map(_PARTS.get, below)]
    known = [part for part in parts if part is not None]
    return "/".join(known) if len(known) == len(parts) else None
