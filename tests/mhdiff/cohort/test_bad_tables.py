"""Tables that are no tables: a million columns, damaged or cut gzip, bombs. Refused in seconds and by name."""

import gzip
import random
import subprocess
import sys
import time

import import_sources
import omop_source
import polars as pl
import pytest

from mhdiff.cli import main
from mhdiff.cohort import gzip_files
from mhdiff.cohort.table_files import scan
from mhdiff.cohort.uk_biobank import columns
from ontology.errors import InputError

WIDE = 1_000_000
PATIENTS = "subject_id,gender,anchor_age,anchor_year,dod\n"


def omop(folder):
    return omop_source.write(folder, omop_source.tables()) / "MEASUREMENT.csv"


def eicu(folder):
    return import_sources.write("eicu", folder) / "lab.csv"


def mimic(folder):
    (folder / "files" / "p10").mkdir(parents=True)
    return folder / "mimic-cxr-2.0.0-metadata.csv"


def biobank(folder):
    folder.mkdir()
    rows = "".join(f"{n},1\n" for n in range(1_000_000, 1_000_100))
    (folder / "ukb1.csv").write_text("eid,31-0.0\n" + rows)
    return folder / "ukb1.csv"


KINDS = {"omop": omop, "eicu": eicu, "mimic-cxr": mimic, "uk-biobank": biobank}


def refused(kind, file, capsys):
    out = file.parent.parent / "out"
    begun = time.perf_counter()
    assert main(["cohort", "import", kind, str(file.parent), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert file.name.split(".")[0] in error
    assert "Traceback" not in error
    assert not out.exists()
    assert time.perf_counter() - begun < 20
    return error


@pytest.mark.parametrize("kind", ["omop", "eicu", "mimic-cxr"])
def test_a_million_columns_are_refused(tmp_path, kind, capsys):
    file = KINDS[kind](tmp_path / "source")
    file.write_text(",".join(f"c{n}" for n in range(WIDE)) + "\n")
    assert f"the table has {WIDE:,} columns, at most 10,000 are read" in refused(kind, file, capsys)


def test_parquet_of_too_many_columns_is_refused(tmp_path):
    pl.DataFrame({f"c{n}": [1] for n in range(101)}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match="101 columns, at most 100"):
        scan(tmp_path / "a.parquet", most=100)
    assert len(scan(tmp_path / "a.parquet", most=101).collect_schema()) == 102  # and the line


def packed(file, text):
    """Put a gzip file in the place of a plain one."""
    file.unlink(missing_ok=True)
    other = file.with_name(file.name + ".gz")
    other.write_bytes(gzip.compress(text, mtime=0))
    return other


def table(kind, file):
    """Some hundred KiB of rows that pack badly, under a header that the adapter takes."""
    text = file.read_bytes() if file.is_file() else b"dicom_id,subject_id,study_id\n"
    header, draw = text.split(b"\n")[0].strip(), random.Random(0)
    width = header.count(b",")
    rows = (f"{draw.getrandbits(60)}" + f",{draw.getrandbits(40)}" * width for _ in range(2_000))
    return header + b"\n" + "\n".join(rows).encode() + b"\n"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", [11, 40, 0.5, -6])
def test_damaged_bytes_are_refused_wherever_they_are(tmp_path, kind, place, capsys):
    file = KINDS[kind](tmp_path / "source")
    damaged = packed(file, table(kind, file))
    whole = bytearray(damaged.read_bytes())
    at = int(place * len(whole)) if isinstance(place, float) else place
    for step in range(3 if at > 0 else 1):
        whole[at + step] ^= 0xFF
    damaged.write_bytes(whole)
    assert "the file is not readable" in refused(kind, damaged, capsys)


@pytest.mark.parametrize("kind", KINDS)
def test_a_gzip_file_that_is_cut_short_is_refused(tmp_path, kind, capsys):
    file = KINDS[kind](tmp_path / "source")
    cut = packed(file, table(kind, file))
    cut.write_bytes(cut.read_bytes()[:-9])
    assert "damaged or cut short" in refused(kind, cut, capsys)


def bomb(file, header, row, times):
    with gzip.open(file, "wb", compresslevel=6) as stream:
        stream.write(header)
        for _ in range(times):
            stream.write(row)


@pytest.mark.parametrize("kind", KINDS)
def test_a_bomb_of_rows_is_refused_before_it_is_read(tmp_path, kind, capsys, monkeypatch):
    monkeypatch.setattr(gzip_files, "INFLATED", 1 << 20)
    file = KINDS[kind](tmp_path / "source")
    header = table(kind, file).split(b"\n")[0] + b"\n"
    file.unlink(missing_ok=True)
    made = file.with_name(file.name + ".gz")
    bomb(made, header, (b"1" + b",1" * header.count(b",") + b"\n") * 10_000, 80)
    assert "more than 200 times its size" in refused(kind, made, capsys)


PROBE = """
import resource, sys
from pathlib import Path
from mhdiff.cohort.table_files import scan
from ontology.errors import InputError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    scan(Path(sys.argv[1]))
except InputError as error:
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, error)
"""


@pytest.mark.parametrize(
    ("header", "said"), [(b"", "the first line is longer"), (b"a,b\n", "line 2 is longer")]
)
def test_a_bomb_of_one_line_is_not_inflated_into_memory(tmp_path, header, said):
    bomb(tmp_path / "a.csv.gz", header, b"1" * (1 << 20), 96)
    found = subprocess.run(
        [sys.executable, "-c", PROBE, str(tmp_path / "a.csv.gz")], capture_output=True, text=True, check=True
    ).stdout
    mib, _, error = found.partition(" ")
    assert said in error
    assert int(mib) < 64


def test_a_wide_table_of_empty_fields_is_no_bomb(tmp_path):
    row = b"1" + b"," * 9_000 + b"\n"
    names = ",".join(f"c{n}" for n in range(9_001)).encode() + b"\n"
    bomb(tmp_path / "a.csv.gz", names, row * 20, 150)
    size = (tmp_path / "a.csv.gz").stat().st_size
    assert 3_000 * len(row) > gzip_files.RATIO * size > 0
    assert scan(tmp_path / "a.csv.gz").select(pl.len()).collect().item() == 3_000


def test_a_gzip_file_is_looked_at_once_until_it_changes(tmp_path, monkeypatch):
    file = tmp_path / "a.csv.gz"
    bomb(file, b"a,b\n", b"1,2\n", 10)
    real, opened = gzip.open, []
    monkeypatch.setattr(
        gzip_files.gzip, "open", lambda *args, **more: opened.append(args) or real(*args, **more)
    )
    scan(file)
    first = len(opened)
    scan(file)
    assert len(opened) - first == 1  # the header alone
    file.write_bytes(gzip.compress(b"a,b\n3,4\n"))
    again = len(opened)
    scan(file)
    assert len(opened) - again == 2


def test_the_header_of_a_damaged_main_dataset_is_refused(tmp_path):
    good = gzip.compress(("eid," + ",".join(f"{n}-0.0" for n in range(500)) + "\n").encode(), mtime=0)
    kinds = set()
    for at in range(10, len(good) - 8, 19):
        broken = bytearray(good)
        broken[at] ^= 0xFF
        (tmp_path / "ukb.csv.gz").write_bytes(broken)
        try:
            columns.header(tmp_path / "ukb.csv.gz")
        except InputError as error:
            kinds.add(error.problem)
    assert "the file is not readable" in kinds
