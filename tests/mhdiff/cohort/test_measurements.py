"""Units are brought together or kept apart, never mixed; what cannot be is left out and counted."""

from datetime import datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph_builders.units import is_ucum
from mhdiff.cohort import Cohort, Task
from mhdiff.cohort.measurements import Analytes, harmonise, in_ucum, with_rewritten
from mhdiff.cohort.measurements.analytes import read_analytes, shipped
from mhdiff.cohort.measurements.conversion import Conversion, convert
from mhdiff.cohort.window import COLUMNS
from mhdiff.corruption.labs import CONVERSIONS
from ontology.errors import InputError

DAY = datetime(2021, 3, 1)
CODES = pl.DataFrame(schema={"code": pl.String, "parent_codes": pl.List(pl.String)})
SCHEMA = {
    "sample_id": pl.Int64, "subject_id": pl.Int64, "time": pl.Datetime("us"), "modality": pl.String,
    "code": pl.String, "numeric_value": pl.Float32, "text_value": pl.String, "parent_codes": pl.List(pl.String),
    "unit": pl.String, "ref_low": pl.Float64, "ref_high": pl.Float64,
}  # fmt: skip


def window(*rows):
    """Rows of code, value, and perhaps unit, low and high."""
    full = [
        (i, i, DAY, "labs", code, value, None, None, *rest, *[None] * (3 - len(rest)))
        for i, (code, value, *rest) in enumerate(rows)
    ]
    return pl.DataFrame(full, SCHEMA, orient="row")


def read(*rows, codes=CODES):
    return harmonise(window(*rows), codes, shipped())


def test_the_shipped_table_is_whole():
    table = shipped()
    assert len(table.by_code) == sum(len(row.codes) for row in table.rows)
    assert all(is_ucum(row.unit) and row.conversion(row.unit) == Conversion(1.0) for row in table.rows)
    assert Analytes.from_state(table.state()) == table
    assert all((row.low is None) == (row.high is None) or row.source for row in table.rows)


@pytest.mark.parametrize(
    ("written", "unit"),
    [
        *(("mg/dl", "mg/dL"), ("MG/DL", "mg/dL"), ("mg/dL", "mg/dL"), ("mg%", "mg/dL"), ("gm/dl", "g/dL")),
        *(
            (way, "10*3/uL")
            for way in ("K/uL", "k/ul", "10*3/uL", "x10^3/uL", "10e3/mcL", "10^3/mm3", "x10(3)/mcl")
        ),
        *((way, "10*9/L") for way in ("x10^9/L", "10*9/l", "10E9/L", "10^9/L", "Giga/L", "×10⁹/L")),
        *((way, "10*6/uL") for way in ("M/uL", "10^6/uL", "mill/ul")),
        *(("µmol/l", "umol/L"), ("mcg/mL", "ug/mL"), ("mEq/L", "meq/L"), ("IU/L", "[IU]/L"), ("u/l", "U/L")),
        *(("degC", "Cel"), ("°F", "[degF]"), ("degF", "[degF]"), ("C", "Cel"), ("mmHg", "mm[Hg]")),
        *(
            ("mm Hg", "mm[Hg]"),
            ("bpm", "/min"),
            ("mm/hr", "mm/h"),
            ("lbs", "[lb_av]"),
            ("percent", "%"),
            ("ml", "mL"),
        ),
        *(("mL/min/1.73m2", "mL/min/{1.73_m2}"), ("{cells}/uL", "{cells}/uL"), ("m[IU]/L", "m[IU]/L")),
        *(("G/L", None), ("widgets", None), ("see note", None), ("", None), ("mg/", None), ("//", None)),
    ],
)
def test_spellings_of_real_data(written, unit):
    assert in_ucum(written) == unit
    assert unit is None or in_ucum(unit) == unit


@given(st.text(max_size=12))
def test_a_unit_is_understood_once_and_for_all(text):
    found = in_ucum(text)
    assert found is None or (in_ucum(found) == found and is_ucum(found))


@pytest.mark.parametrize(
    ("unit", "to", "molar", "scale", "offset"),
    [
        ("mmol/L", "mg/dL", 180.156, 18.0156, 0.0),
        ("mg/dL", "umol/L", 113.12, 88.4017, 0.0),
        ("[degF]", "Cel", None, 5 / 9, -160 / 9),
        ("10*3/uL", "10*9/L", None, 1.0, 0.0),
        ("1", "%", None, 100.0, 0.0),
        ("g/L", "mg/dL", None, 100.0, 0.0),
        ("[lb_av]", "kg", None, 0.45359237, 0.0),
        ("kPa", "mm[Hg]", None, 7.50062, 0.0),
        ("ug/L", "ng/mL", None, 1.0, 0.0),
        ("nkat/L", "U/L", None, 0.06, 0.0),
    ],
)
def test_units_convert_by_their_dimensions_and_the_molar_mass(unit, to, molar, scale, offset):
    found = convert(unit, to, molar)
    assert found == pytest.approx((scale, offset), rel=1e-5)
    back = convert(to, unit, molar)
    assert back.scale * scale == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize(
    ("unit", "to"),
    [
        ("mmol/L", "mg/dL"),  # no molar mass
        ("[IU]/L", "U/L"),  # an arbitrary unit
        ("[IU]/L", "10*3/L"),
        ("meq/L", "mmol/L"),  # depends on the charge
        ("ng/mL{FEU}", "ng/mL{DDU}"),
        ("mL/min/{1.73_m2}", "mL/min"),
        ("mg/dL", "mm[Hg]"),
        ("{INR}", "s"),
    ],
)
def test_what_does_not_measure_the_same_is_not_converted(unit, to):
    assert convert(unit, to) is None


def test_one_unit_an_analyte_with_its_range():
    found = read(
        ("LOINC/2345-7//mmol/L", 5.0, None, 4.0, 7.0),
        ("LOINC/2345-7//mg/dL", 90.0, None, 70.0, 140.0),
        ("LOINC/14749-6", 5.0, "mmol/l", 4.0, 7.0),
        ("LOINC/6690-2//K/uL", 9.0),
        ("LOINC/8310-5//degF", 98.6),
    )
    rows = found.events.select("code", "numeric_value", "unit", "ref_low", "ref_high", "column").rows()
    assert rows[0] == ("LOINC/2345-7//mg/dL", pytest.approx(90.078), "mg/dL", pytest.approx(72.0624),
                       pytest.approx(126.1092), "LOINC/2345-7//mg/dL")  # fmt: skip
    assert rows[1] == ("LOINC/2345-7//mg/dL", 90.0, "mg/dL", 70.0, 140.0, "LOINC/2345-7//mg/dL")
    assert rows[2][0] == "LOINC/14749-6//mg/dL"  # its own code, for the ontology
    assert rows[2][1:3] == (pytest.approx(90.078), "mg/dL")
    assert rows[2][5] == "LOINC/2345-7//mg/dL"  # one column
    assert rows[3][:2] == ("LOINC/6690-2//10*9/L", 9.0)
    assert rows[4][:2] == ("LOINC/8310-5//Cel", pytest.approx(37.0))
    assert found.report["converted"] == {
        "body temperature: degF to Cel": 1,
        "glucose: mmol/L to mg/dL": 1,
        "glucose: mmol/l to mg/dL": 1,
    }
    assert found.report["respelled"] == {"leukocytes: K/uL as 10*9/L": 1}


def test_what_two_units_of_a_percent_would_mix_up_is_told_apart():
    found = read(
        ("LOINC/4548-4//mmol/mol", 48.0),
        ("LOINC/4548-4//%", 6.5),
        ("LOINC/4544-3//1", 0.42),
        ("LOINC/4544-3", 0.42),
    )
    values = found.events["numeric_value"].to_list()
    assert values == pytest.approx([0.09148 * 48 + 2.152, 6.5, 42.0, 0.42])
    assert found.events["code"].to_list()[3] == "LOINC/4544-3"  # apart: nobody knows what it is in
    assert found.report["unit_missing"] == {"haematocrit": 1}


def test_units_that_nobody_knows_stay_apart_and_are_told():
    rows = (
        ("LOINC/2345-7//blorps", 5.0),
        ("LOINC/2345-7//kg", 5.0),
        ("OWN/1//blorps", 5.0),
        ("OWN/1//mg/dl", 5.0),
        ("OWN/2//Mr Smith is well", 5.0),
    )
    found = read(*rows)
    assert found.events["code"].to_list() == [
        "LOINC/2345-7//blorps", "LOINC/2345-7//kg", "OWN/1//blorps", "OWN/1//mg/dL", "OWN/2//Mr Smith is well"
    ]  # fmt: skip
    assert found.events["column"].to_list() == [None] * 5
    assert found.report["unit_unknown"] == {
        "OWN/1: blorps": 1, "OWN/2: (words, not shown)": 1, "glucose: blorps, not mg/dL": 1
    }  # fmt: skip
    assert found.report["kept_apart"] == {"glucose: kg, not mg/dL": 1}
    assert found.report["respelled"] == {"OWN/1: mg/dl as mg/dL": 1}
    assert "Smith" not in str(found.report)


def test_what_cannot_be_is_left_out_after_the_unit_was_seen_to():
    found = read(
        ("LOINC/2823-3//mmol/L", 400.0), ("LOINC/2823-3//mmol/L", 15.0), ("LOINC/2823-3//mmol/L", -1.0),
        ("LOINC/8310-5//[degF]", 98.6), ("LOINC/8310-5//Cel", 98.6), ("LOINC/2823-3//blorps", 400.0),
        ("LOINC/2823-3//mmol/L", float("nan")),
    )  # fmt: skip
    assert found.report["impossible"] == {"body temperature": 1, "potassium": 2}
    assert found.events.height == 4


def test_a_range_in_a_unit_of_its_own_is_converted_by_it_or_left_out():
    found = read(
        ("LOINC/2345-7//mmol/L", 5.0, "mg/dL", 70.0, 140.0),
        ("LOINC/2345-7//mg/dL", 90.0, "blorps", 70.0, 140.0),
    )
    assert found.events.select("ref_low", "ref_high").rows() == [(70.0, 140.0), (None, None)]
    assert found.report["range_left_out"] == {"glucose": 1}


def test_what_is_as_it_should_be_stays_bit_for_bit():
    rows = (("LOINC/2345-7//mg/dL", 90.1, "mg/dL", 70.1, 140.3), ("ICD10/J18", None), ("IMAGE//CXR", None))
    before, found = window(*rows), read(*rows)
    assert found.events.drop("column").equals(before)
    assert not any(found.report.values())


def test_an_older_run_reads_numbers_as_it_was_trained():
    rows = window(("LOINC/2345-7//mmol/l", 5000.0), ("OWN/1//mg/dl", 5.0))
    found = harmonise(rows, CODES, Analytes())
    assert found.events.drop("column").equals(rows)
    assert not any(found.report.values())


def test_a_new_code_has_the_parents_of_all_that_differ_in_the_unit_only():
    codes = pl.DataFrame(
        {
            "code": ["LOINC/2345-7//mg/dL", "LOINC/2345-7//mmol/L", "LOINC/2823-3//meq/L"],
            "parent_codes": [["SNOMED/1"], ["SNOMED/2"], ["SNOMED/3"]],
        }
    )
    found = read(("LOINC/2345-7//mmol/L", 5.0), ("LOINC/2823-3//meq/L", 4.0), codes=codes)
    assert found.events["parent_codes"].to_list() == [["SNOMED/1", "SNOMED/2"], ["SNOMED/3"]]
    told = codes.with_columns(unit=pl.lit(None, pl.String), description=pl.lit("what it is"))
    added = with_rewritten(told, shipped()).filter(~pl.col("code").is_in(codes["code"].implode()))
    assert added.select("code", "description", "parent_codes").rows() == [
        ("LOINC/2823-3//mmol/L", "what it is", ["SNOMED/3"])
    ]


def test_the_corruption_of_units_agrees_with_the_table():
    for loinc, (mass, factor) in CONVERSIONS.items():
        row = shipped().by_code[f"LOINC/{loinc}"]
        assert row.unit == mass
        if row.molar_mass:
            to = "umol/L" if factor > 10 else "mmol/L"
            assert convert(mass, to, row.molar_mass).scale == pytest.approx(factor, rel=5e-3), row.name


TASK = {
    "name": "t",
    "labels": "t",
    "classes": ["no", "yes"],
    "modalities": {"labs": {"prefixes": ["LOINC/", "OWN/"]}},
}


def test_a_task_names_a_table_of_its_own(write_cohort, tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text(
        "analytes:\n"
        "  - {name: sugar, codes: [LOINC/2345-7], unit: mmol/L, molar_mass: 180.156, possible: [1, 50], source: ours}\n"
        "  - {name: thing, codes: [OWN/1], unit: mg/dL, also: {blorps: 3}}\n"
    )
    events = [
        (1, DAY, "LOINC/2345-7//mg/dL", 90.0, None),
        (1, DAY, "LOINC/14749-6//mmol/L", 5.0, None),
        (1, DAY, "OWN/1//blorps", 2.0, None),
        (2, DAY, "LOINC/2345-7//mg/dL", 2000.0, None),
    ]
    cohort = Cohort.open(
        write_cohort(events, {"t": [(1, DAY, "no"), (2, DAY, "yes")]}, {1: "train", 2: "train"})
    )
    task = Task.from_dict({**TASK, "analytes": "own.yaml"}, tmp_path / "task.yaml")
    found = task.window(cohort)
    assert set(COLUMNS) <= set(found.events.columns)
    assert dict(found.events.select("code", "numeric_value").iter_rows()) == {
        "LOINC/2345-7//mmol/L": pytest.approx(4.9957, rel=1e-4),
        "LOINC/14749-6//mg/dL": pytest.approx(90.078),
        "OWN/1//mg/dL": 6.0,
    }
    assert found.report["measurements"]["impossible"] == {"sugar": 1}


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("{codes: [LOINC/1-8], unit: blorps}", "'unit' must be a UCUM unit"),
        ("{codes: [LOINC/1-8//mg], unit: mg}", "without a unit"),
        ("{codes: [LOINC/1-8], unit: mg, possible: [5, 1], source: x}", "not below"),
        ("{codes: [LOINC/1-8], unit: mg, possible: [5]}", "'possible' must be"),
        ("{codes: [LOINC/1-8], unit: mg, possible: [1, 5]}", "needs a 'source'"),
        ("{codes: [LOINC/1-8], unit: mg, molar_mass: -1}", "'molar_mass'"),
        ("{codes: [LOINC/1-8], unit: mg, also: {g: 0}}", "'also'"),
        ("{codes: [LOINC/1-8], unit: mg, colour: red}", "'colour' is unknown"),
        ("just words", "no mapping"),
    ],
)
def test_a_table_that_is_wrong_is_refused_by_its_row(tmp_path, row, problem):
    file = tmp_path / "own.yaml"
    file.write_text(f"analytes:\n  - {{codes: [LOINC/9-9], unit: mg}}\n  - {row}\n")
    with pytest.raises(InputError, match=problem) as caught:
        read_analytes(file)
    assert "analyte 2" in str(caught.value)
    assert "own.yaml" in str(caught.value)


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="no such table of analytes"):
        Task.from_dict({**TASK, "analytes": "gone.yaml"}, tmp_path / "task.yaml")
