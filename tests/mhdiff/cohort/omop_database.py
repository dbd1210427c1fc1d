"""The tables of `omop_source` in databases: columns typed as the CDM's published DDL types them; a local PostgreSQL."""

import os
import random
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path

import sqlalchemy as sa

from tests.needs import missing

WHOLE = ("_id", "_id_1", "_id_2", "_of_birth")
NUMBERS = ("value_as_number", "range_low", "range_high", "quantity")


def kind(column):
    """Give a column's type and how its text is read."""
    if column == "relationship_id" or column == "vocabulary_id":
        return sa.Text, str
    if column.endswith(WHOLE):
        return sa.Integer, lambda text: int(float(text))
    if column in NUMBERS:
        return sa.Numeric(asdecimal=False), float
    if column.endswith("_datetime"):
        return sa.DateTime, datetime.fromisoformat
    return (sa.Date, date.fromisoformat) if column.endswith("_date") else (sa.Text, str)


def write(url, content, schema=None, types=kind):
    """Write tables into a database, rows in an order that means nothing."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        if schema:
            connection.execute(sa.schema.CreateSchema(schema))
        for name, rows in content.items():
            columns = {column: types(column) for column in rows[0]}
            made = [sa.Column(column, given[0]) for column, given in columns.items()]
            table = sa.Table(name.lower(), sa.MetaData(), *made, schema=schema)
            table.create(connection)
            shuffled = random.Random(name).sample(rows, len(rows))
            connection.execute(
                table.insert(),
                [
                    {c: None if row[c] in ("", None) else columns[c][1](str(row[c])) for c in columns}
                    for row in shuffled
                ],
            )
    engine.dispose()
    return url


@contextmanager
def postgres():
    """Start a server of one's own, without a network; give the URL of its database "cdm"; skip where none can be."""
    try:
        import psycopg
    except ImportError:
        missing("psycopg is not installed")
    found = [
        *sorted(Path("/usr/lib/postgresql").glob("*/bin")),
        Path(shutil.which("initdb") or "/none").parent,
    ]
    bins = next((folder for folder in reversed(found) if (folder / "initdb").exists()), None)
    if bins is None:
        missing("no PostgreSQL server on this machine")
    user = None
    if os.getuid() == 0:  # it refuses to run as root
        if (
            shutil.which("runuser") is None
            or subprocess.run(["id", "postgres"], capture_output=True).returncode
        ):
            missing("PostgreSQL does not run as root, and there is no user postgres")
        user = "postgres"
    home = Path(
        tempfile.mkdtemp(prefix="pg")
    )  # not tmp_path: another user must enter it, and sockets need short names
    home.chmod(0o755)

    def run(*command):
        before = ["runuser", "-u", user, "--"] if user else []
        subprocess.run([*before, *map(str, command)], check=True, capture_output=True, cwd=home, timeout=120)

    try:
        if user:
            shutil.chown(home, user, user)
        data = home / "data"
        run(
            bins / "initdb",
            "-D",
            data,
            "-U",
            "reader",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-locale",
            "--no-sync",
        )
        run(
            bins / "pg_ctl",
            "-D",
            data,
            "-w",
            "-l",
            home / "log",
            "-o",
            f"-k {home} -c listen_addresses= -F",
            "start",
        )
        try:
            with psycopg.connect(
                host=str(home), user="reader", dbname="postgres", autocommit=True
            ) as connection:
                connection.execute("CREATE DATABASE cdm")
            yield f"postgresql+psycopg://reader:MARKEDWORD@/cdm?host={home}"
        finally:
            run(bins / "pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)
