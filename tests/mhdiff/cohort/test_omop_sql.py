"""A CDM in a database gives the cohort that its tables as CSV give, and no error says what a URL holds."""

import csv
import json
import re
import sqlite3
import sys

import omop_database
import omop_source
import pytest
import sqlalchemy as sa

from mhdiff.cli import main
from mhdiff.cohort import Cohort, meds, omop_export, omop_sql
from mhdiff.cohort.omop import import_omop

SECRET = "MARKEDWORD"


@pytest.fixture
def content():
    return omop_source.tables()


@pytest.fixture
def imported(tmp_path, content):
    source = omop_source.write(tmp_path / "cdm", content)
    return tmp_path / "cohort", import_omop(source, tmp_path / "cohort")


@pytest.fixture
def database(tmp_path, content):
    return omop_database.write(f"sqlite:///{tmp_path}/cdm.sqlite", content)


def files(folder):
    """Every file but the report, which names files and lines."""
    every = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert every.pop(meds.REPORT_FILE)
    return every


def same(one, other):
    """Whether a database's report says what the folder's says, but for the names of tables and the order of rows."""
    mine, its = one.to_dict(), other.to_dict()
    mine["not_read"] = [name.upper() for name in mine["not_read"]]
    its["not_read"] = [name.removesuffix(".csv").upper() for name in its["not_read"]]
    for report in (mine, its):
        for part in ("dropped", "changed"):
            report[part] = {reason: entry["count"] for reason, entry in report[part].items()}
        report["refused"].pop("max_bad")
    assert mine == its
    assert SECRET not in json.dumps(mine) + one.text()


def test_a_database_gives_the_same_bytes_as_a_folder(tmp_path, imported, database, monkeypatch):
    monkeypatch.setattr(omop_sql, "ROWS", 2)
    report = import_omop(database, tmp_path / "again")
    assert files(tmp_path / "again") == files(imported[0])
    same(report, imported[1])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again", "cdm", "cdm.sqlite", "cohort"]


def test_postgresql_gives_the_same_bytes_too(tmp_path, content, imported, capsys):
    with omop_database.postgres() as url:
        vocabulary = {name: rows for name, rows in content.items() if name.startswith("CONCEPT")}
        omop_database.write(url, vocabulary, schema="vocab")
        omop_database.write(url, {n: r for n, r in content.items() if n not in vocabulary}, schema="cdm")
        out = tmp_path / "again"
        command = ["cohort", "import", "omop", url, "--out", str(out)]
        assert main(command) == 2
        assert "--schema" in capsys.readouterr().err
        assert main([*command, "--schema", "cdm,nowhere"]) == 2
        assert "has no schema 'nowhere'" in capsys.readouterr().err
        assert main([*command, "--schema", "cdm,vocab"]) == 0
        assert files(out) == files(imported[0])
        said = capsys.readouterr()
        assert SECRET not in said.out + said.err + (out / meds.REPORT_FILE).read_text()
        assert "reading postgresql database 'cdm'" in said.err
        zoned = "ALTER TABLE cdm.drug_exposure ALTER drug_exposure_start_datetime TYPE timestamptz"
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with engine.begin() as connection:
            connection.exec_driver_sql(zoned)
        assert main([*command, "--schema", "cdm,vocab"]) == 2
        assert "table 'drug_exposure' of postgresql database 'cdm'" in (said := capsys.readouterr().err)
        assert "without a zone" in said


def test_dates_as_seconds_are_those_of_ohdsis_sqlite(tmp_path, content, imported):

    def epoch(column):
        made, read = omop_database.kind(column)
        dated = made in (sa.Date, sa.DateTime)
        return (sa.REAL, lambda text: _seconds(read(text))) if dated else (made, read)

    url = omop_database.write(f"sqlite:///{tmp_path}/cdm.sqlite", content, types=epoch)
    import_omop(url, tmp_path / "again")
    assert files(tmp_path / "again") == files(imported[0])


def _seconds(when):
    from datetime import datetime

    return (datetime(when.year, when.month, when.day, *(getattr(when, n, 0) for n in ("hour", "minute", "second")))
            - datetime(1970, 1, 1)).total_seconds()  # fmt: skip


def test_a_killed_import_goes_on_with_the_tables_that_are_left(tmp_path, imported, database, monkeypatch):
    asked = []
    batches = omop_sql.Database.batches

    def broken(self, table, *rest):
        asked.append(table.name)
        if table.name == "note" and asked.count("note") == 1:
            raise KeyboardInterrupt
        return batches(self, table, *rest)

    monkeypatch.setattr(omop_sql.Database, "batches", broken)
    with pytest.raises(KeyboardInterrupt):
        import_omop(database, tmp_path / "again")
    assert (tmp_path / ".again.import" / "tables" / "measurement.parquet").is_file()
    import_omop(database, tmp_path / "again")
    assert asked.count("note") == 2
    assert asked.count("measurement") == 1
    assert files(tmp_path / "again") == files(imported[0])
    assert not (tmp_path / ".again.import").exists()


def spoiled(statement, *values):
    def spoil(folder):
        with sqlite3.connect(folder / "cdm.sqlite") as connection:
            connection.execute(statement, values)
        return f"sqlite:///{folder}/cdm.sqlite"

    return spoil


BAD = {
    "no file": (lambda f: f"sqlite:///{f}/none.sqlite", r"none.sqlite: there is no such file"),
    "no database": (
        lambda f: (f / "text.db").write_text("x" * 5000) and f"sqlite:///{f}/text.db",
        r"sqlite database 'text.db' is not readable",
    ),
    "one slash": (lambda f: f"postgresql:/u:{SECRET}@host/cdm", r"the URL of the database is not understood"),
    "no port": (lambda f: f"postgresql://u:{SECRET}", r"the URL of the database is not understood"),
    "two @": (lambda f: f"postgresql://u:{SECRET}@{SECRET}@host/cdm", r"has an @ where none can stand.*%40"),
    "no colon": (lambda f: f"postgresql//u:{SECRET}@host/cdm", r"there is no such folder"),
    "no dialect": (lambda f: f"nosuch://u:{SECRET}@host/cdm", r"SQLAlchemy knows no database 'nosuch'"),
    "no driver": (
        lambda f: f"mysql+pymysql://u:{SECRET}@host/cdm",
        r"the driver pymysql of 'mysql\+pymysql' is not installed. pip install pymysql",
    ),
    "nobody there": (
        lambda f: f"postgresql+psycopg://u:{SECRET}@127.0.0.1:1/cdm?password={SECRET}&connect_timeout=2",
        r"no connection to the postgresql database 'cdm'|the driver psycopg of .* is not installed",
    ),
    "strange option": (
        lambda f: f"postgresql+psycopg://u@/cdm?{SECRET}={SECRET}",
        r"no connection to the postgresql database 'cdm'|the driver psycopg of .* is not installed",
    ),
    "no person": (
        spoiled("DROP TABLE person"), r"sqlite database 'cdm.sqlite': there is no table 'person'. .*--schema"
    ),
    "no events": (spoiled("DROP TABLE concept"), r"sqlite database 'cdm.sqlite': there is no table 'concept'"),
    "no column": (
        spoiled("ALTER TABLE condition_occurrence DROP COLUMN condition_start_date"),
        r"table 'condition_occurrence' of sqlite .*column 'condition_start_date': the table lacks the column",
    ),
    "value": (
        spoiled("UPDATE measurement SET value_as_number = ? WHERE measurement_id = 3", f"{SECRET} mg"),
        r"table 'measurement' of sqlite .*, line 4, column 'value_as_number': the value is no number",
    ),
    "date": (
        spoiled("UPDATE measurement SET measurement_date = ? WHERE measurement_id = 1", SECRET),
        r"table 'measurement' .*, line 2, column 'measurement_date': the value is no date",
    ),
    "bytes": (
        spoiled("UPDATE note SET note_text = ?", b"\xff\xfe" + SECRET.encode()),
        r"table 'note', column 'note_text': the column holds bytes that are no UTF-8",
    ),
    "a view": (
        spoiled("CREATE VIEW visit_detail AS SELECT * FROM absent"), r"sqlite database 'cdm.sqlite' cannot be read"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_said_and_nothing_of_the_url(tmp_path, database, case, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pymysql", None)
    spoil, message = BAD[case]
    source = spoil(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert main(["cohort", "import", "omop", source, "--out", str(tmp_path / "again")]) == 2
    said = capsys.readouterr()
    assert re.search(message, said.err), said.err
    assert SECRET not in said.out + said.err
    assert "Traceback" not in said.err
    assert sorted(tmp_path.iterdir()) == before


def test_an_option_that_the_driver_does_not_know_is_not_repeated(tmp_path, database, capsys, recwarn):
    source = f"{database}?{SECRET}={SECRET}"
    assert main(["cohort", "import", "omop", source, "--out", str(tmp_path / "again")]) == 0
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err + "".join(str(warning.message) for warning in recwarn)


def test_without_sqlalchemy_the_extra_is_named(tmp_path, database, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    assert main(["cohort", "import", "omop", database, "--out", str(tmp_path / "again")]) == 2
    assert "pip install 'mh-diff[sql]'" in capsys.readouterr().err


def test_a_database_is_for_omop_alone_and_a_schema_for_a_database(tmp_path, imported, capsys):
    out = ["--out", str(tmp_path / "again")]
    assert main(["cohort", "import", "eicu", f"postgresql://u:{SECRET}@host/eicu", *out]) == 2
    assert main(["cohort", "import", "omop", str(tmp_path / "cdm"), *out, "--schema", "cdm"]) == 2
    error = capsys.readouterr().err
    assert "the cohort adapter 'eicu' reads no database. These do: omop" in error
    assert "a folder has no schemas" in error
    assert SECRET not in error


def test_values_become_the_text_that_a_csv_holds():
    from datetime import date, datetime
    from decimal import Decimal

    rows = [
        (1, Decimal("5.20"), date(2015, 3, 1), 1425168000.5, "a", b"\xc3\xa9"),
        (2, None, datetime(2015, 3, 1, 9), None, None, memoryview(b"x")),
        (None, Decimal("1E+3"), None, 1e300, "", None),
    ]
    found = omop_export.frame(["a", "b", "c_date", "d_date", "e", "f"], rows, "t")
    assert found.rows() == [
        ("1", "5.20", "2015-03-01", "2015-03-01 00:00:00.500000", "a", "é"),
        ("2", None, "2015-03-01 09:00:00", None, None, "x"),
        (None, "1000", None, "1e+300", "", None),
    ]
    assert omop_export.frame(["a"], [], "t").rows() == []


def test_every_cohort_of_a_database_opens(tmp_path, database):
    import_omop(database, tmp_path / "again")
    assert Cohort.open(tmp_path / "again").validate() == []


@pytest.mark.slow  # the same bytes of invented rows stay
def test_the_real_cdm_in_sqlite_gives_the_same_bytes(tmp_path, shared):
    folder = shared / "data" / "omop" / "synthea27nj"
    counts = {}
    with sqlite3.connect(tmp_path / "synthea27nj.sqlite") as connection:
        for file in sorted(folder.glob("*.csv")):
            with open(file, newline="", encoding="utf-8") as stream:
                header, *rows = csv.reader(stream)
            counts[file.stem] = len(rows)
            columns = ", ".join(
                f'"{name}" {"INTEGER" if name.endswith("_id") else "TEXT"}' for name in header
            )
            connection.execute(f"CREATE TABLE {file.stem} ({columns})")
            marks = ", ".join("?" * len(header))
            made = [[value or None for value in row] for row in rows]
            connection.executemany(f"INSERT INTO {file.stem} VALUES ({marks})", made)
    report = import_omop(f"sqlite:///{tmp_path}/synthea27nj.sqlite", tmp_path / "one")
    same(report, import_omop(folder, tmp_path / "other"))
    assert files(tmp_path / "one") == files(tmp_path / "other")
    assert report.read["measurement rows"] == counts["MEASUREMENT"] == 10_040
    assert report.read["condition rows"] == counts["CONDITION_OCCURRENCE"] == 470
    assert report.read["persons"] == counts["PERSON"] == 28
