"""Units that nobody knows are counted when a cohort is imported, and named only where they stand in many rows."""

import json
from datetime import datetime, timedelta

import mimic_source
import omop_source
import polars as pl
import pytest
from omop_source import lab

from mhdiff.cohort import Cohort, meds, omop
from mhdiff.cohort.mimic_cxr.importing import import_mimic_cxr
from mhdiff.cohort.omop import import_omop
from mhdiff.cohort.unknown_units import TITLE

SEEN = datetime(2150, 3, 5)
REST = "(rare or no codes, not shown)"
#: What a source writes -> in how many rows.
UNITS = {
    "mg/dl": 9,
    "K/uL": 6,
    "widgets": 5,
    "furlongs": 4,
    "Haversham": 4,
    "as Jane Haversham said": 7,
    "": 3,
}
COUNTED = {"widgets": 5, REST: 4 + 4 + 7}


def told(folder, report):
    text, stored = report.text(), (folder / meds.REPORT_FILE).read_text()
    assert not any(word in text + stored for word in ("Haversham", "furlongs", "Jane"))
    assert text.count("widgets 5") == 1
    assert json.loads(stored)["named"][TITLE] == report.named[TITLE]
    return report.named[TITLE]


@pytest.mark.parametrize("rows_a_shard", [7, 1_000_000])
def test_of_a_cdm(tmp_path, monkeypatch, rows_a_shard):
    monkeypatch.setattr(omop, "ROWS_A_SHARD", rows_a_shard)
    content = omop_source.tables()
    units = [unit for unit, n in UNITS.items() for _ in range(n)]
    content["MEASUREMENT"] += [
        lab(100 + k, (1, 2, 4)[k % 3], 3, "2015-04-01", 90 + k, unit_text=unit)
        for k, unit in enumerate(units)
    ]
    content["MEASUREMENT"].append(
        lab(999, 1, 3, "2015-04-01", "", unit_text="furlongs")
    )  # no number, no unit
    report = import_omop(omop_source.write(tmp_path / "cdm", content), tmp_path / "out")
    assert told(tmp_path / "out", report) == COUNTED
    codes = Cohort.open(tmp_path / "out").events["code"]
    assert (codes == "LOINC/2339-0//furlongs").sum() == 4  # which stay apart


def test_where_all_are_known_nothing_is_said(tmp_path):
    report = import_omop(omop_source.write(tmp_path / "cdm", omop_source.tables()), tmp_path / "out")
    assert TITLE not in report.named


def test_of_mimic(tmp_path):
    made = mimic_source.Source(tmp_path / "source")
    for n in range(3):
        made.person(10_000_032 + n, "F", 40, 2150)
        made.study(10_000_032 + n, 50_414_267 + n, SEEN, ("PA",), {})
    units = [unit for unit, n in UNITS.items() for _ in range(n)]
    for k, unit in enumerate(units):
        made.lab(
            k, 10_000_032 + k % 3, (50912, 51506)[k % 2], SEEN - timedelta(hours=2), "7.5", valueuom=unit
        )
    report = import_mimic_cxr(made.write(), tmp_path / "out")
    assert told(tmp_path / "out", report) == COUNTED
    codes = pl.scan_parquet(tmp_path / "out/data/*.parquet").collect()["code"]
    assert codes.str.ends_with("//widgets").sum() == 5
