"""Which units are written as UCUM has them, and which are named in the report."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_terminology import event, make_window

from graph_builders import collect_evidence
from graph_builders.units import count_units, is_ucum, strange_units


@pytest.mark.parametrize(
    "unit",
    [
        "10*9/L", "10*3/uL", "10^12/L", "g/dL", "mg/dL", "mmol/L", "umol/L", "U/L", "[IU]/L", "m[IU]/mL", "mm[Hg]",
        "%", "Cel", "[degF]", "ng/mL", "pg", "fL", "s", "min", "h", "mL/min/{1.73_m2}", "mL/min/1.73.m2", "/uL",
        "{ratio}", "1", "mosm/kg", "meq/L", "kPa", "cm[H2O]", "mg/g{creat}", "(mL/min)/(10*2.m2)", "ug{FEU}/mL",
        "/[HPF]", "[pH]", "mm/h", "kg/m2", "deg", "L/min", "mkat/L",
    ],
)  # fmt: skip
def test_units_of_ucum_are_understood(unit):
    assert is_ucum(unit)


@pytest.mark.parametrize(
    "unit",
    ["mmHg", "K/mcL", "x10^9/L", "mg/dl.", "thou/uL", "cells", "°C", "sec", "MG/DL", "mEq/L", "10*9 / L", "", "g//L",
     "(g/L", "units"],
)  # fmt: skip
def test_units_of_other_makes_are_not(unit):
    assert not is_ucum(unit)


@given(st.text(max_size=30))
def test_any_text_is_answered(text):
    assert is_ucum(text) in (True, False)


def test_strange_units_are_listed_with_their_codes_and_counted(toy):
    wbc = {"parents": ["LOINC/6690-2"], "low": 4.0, "high": 11.0}
    events = [
        *(event(i, "labs", "LOINC/6690-2//10*9/L", value=5.0, unit="10*9/L", **wbc) for i in range(3)),
        event(3, "labs", "LOINC/6690-2//K/mcL", value=5.0, unit="K/mcL", **wbc),
        event(4, "labs", "LOINC/6690-2", value=5.0, **wbc),  # has none at all: unit_missing
        event(
            5, "labs", "LOINC/6690-2", text="positive", unit="mmHg", **wbc
        ),  # no number, so no unit to read
        event(
            6,
            "labs",
            "LOINC/1988-5//mg/dL",
            value=9.0,
            unit="mg/L",
            parents=["LOINC/1988-5"],
            low=0.0,
            high=5.0,
        ),
    ]
    labs = collect_evidence(make_window(events), toy).report["labs"]
    assert labs["unit_unrecognised"] == [{"code": "LOINC/6690-2", "unit": "K/mcL", "events": 1}]
    assert labs["unit_differs"] == [{"code": "LOINC/6690-2", "unit": "K/mcL", "usual": "10*9/L", "events": 1}]
    assert labs["unit_not_of_range"] == [
        {"code": "LOINC/1988-5", "unit": "mg/dL", "range_unit": "mg/L", "events": 1}
    ]
    assert labs["unit_missing"] == {"LOINC/6690-2": 1}


def test_of_equally_usual_units_the_first_by_the_alphabet_is_it():
    frame = pl.DataFrame(
        {"code": ["A/1", "A/1", "B/1"], "numeric_value": [1.0, 2.0, 3.0], "unit": ["mg", "g", "kg"]}
    ).with_columns(ref_low=pl.lit(None, pl.Float64), ref_high=pl.lit(None, pl.Float64))
    for rows in (frame, frame.reverse()):
        assert strange_units(*count_units(rows))["unit_differs"] == [
            {"code": "A/1", "unit": "mg", "usual": "g", "events": 1}
        ]
