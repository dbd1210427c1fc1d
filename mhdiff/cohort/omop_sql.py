"""A CDM in a database, by any SQLAlchemy URL: which tables and columns it has, and their rows as a stream.

    sqlite:///cdm.sqlite        postgresql+psycopg://reader@host/hospital

Of a URL nothing but the kind of database and its name is ever shown: not the host, the user, the password or an
option. Neither is what a driver says of an error, since that may hold any of these, or a row.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from ontology.errors import InputError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection

_FORM: Final = (
    "Write it as dialect+driver://user:password@host/name, such as sqlite:///cdm.sqlite; "
    "an @ in a password is %40"
)
#: Rows at once: some ten megabytes of numbers and dates; texts of a note may be long.
ROWS, NOTES = 50_000, 2_000
_FILELESS: Final = (None, "", ":memory:")


def is_url(source: object) -> bool:
    """Say whether a source is meant as a URL and not as a folder, well written or not.

    Args:
        source: What the user gave.
    """
    return bool(re.match(r"[A-Za-z][A-Za-z0-9_+.-]+:/", str(source))) and not Path(str(source)).exists()


def shown(source: object) -> str:
    """Give what may be printed of a source: a URL only up to its dialect and the name of the database.

    Args:
        source: A URL or a folder.
    """
    if not is_url(source):  # an @ may be of a URL that lacks its colon
        return str(source) if "@" not in str(source) or Path(str(source)).exists() else "the source"
    try:
        url = parse(str(source))
    except InputError:
        return "the database"
    named = re.match(r"[\w. -]*", Path(url.database or "").name)
    return f"{url.get_backend_name()} database '{named[0] if named else ''}'"


def parse(source: str) -> URL:
    """Read a URL.

    Args:
        source: The URL.

    Raises:
        InputError: If SQLAlchemy is not installed, or this is no URL of its form.
    """
    try:
        from sqlalchemy import make_url
        from sqlalchemy.exc import ArgumentError
    except ModuleNotFoundError as error:
        raise InputError(
            "reading a database needs SQLAlchemy", remedy="Install it: pip install 'mh-diff[sql]'"
        ) from error
    try:
        url = make_url(source)
    except (ArgumentError, ValueError):  # its words repeat the URL
        raise InputError("the URL of the database is not understood", remedy=_FORM) from None
    local = url.get_backend_name() in ("sqlite", "duckdb")  # a file's path may hold an @
    if not local and (source.count("@") > 1 or "@" in f"{url.host}{url.database}"):
        raise InputError("the URL of the database has an @ where none can stand", remedy=_FORM)
    return url


@dataclass(frozen=True)
class Held:
    """A table that a database holds.

    Attributes:
        name: Its name as the database writes it.
        schema: Its schema; None for the default one.
        columns: Small name -> name of each column.
    """

    name: str
    schema: str | None
    columns: dict[str, str] = field(default_factory=dict)


class Database:
    """An open connection that reads and writes nothing.

    Args:
        connection: The connection.
        url: What it was opened with.
        schemas: Where tables are looked for, in this order; () for the default schema.
    """

    def __init__(self, connection: Connection, url: URL, schemas: Sequence[str] = ()) -> None:
        self.connection, self.schemas = connection, tuple(schemas)
        self.backend, self.database = url.get_backend_name(), url.database
        self.shown = shown(url.render_as_string(hide_password=True))
        #: What it is, without what lets one in: user, password and options.
        self.place = url.set(username=None, password=None, query={}).render_as_string()

    @property
    def name(self) -> str:
        """Name of the database, without a file's suffix."""
        return Path(self.database or self.backend).stem

    def tables(self) -> dict[str, Held]:
        """Give small name -> table, views among them, without their columns.

        Raises:
            InputError: If a schema is not there, or one holds two tables whose names differ in case only.
        """
        from sqlalchemy import inspect

        with self._asking():
            inspector = inspect(self.connection)
            known = inspector.get_schema_names() if self.schemas else []
        found: dict[str, Held] = {}
        for schema in self.schemas or (None,):
            if schema is not None and schema not in known:
                raise InputError(
                    f"{self.shown} has no schema '{schema}'",
                    remedy=f"--schema: one or more of {', '.join(known)}",
                )
            with self._asking():
                names = sorted([*inspector.get_table_names(schema), *inspector.get_view_names(schema)])
            here: dict[str, Held] = {}
            for name in names:
                if name.lower() in here:
                    raise InputError(
                        f"{self.shown} has the table '{name.lower()}' twice", remedy="Drop one of them"
                    )
                here[name.lower()] = Held(name, schema)
            found = here | found
        return found

    def described(self, table: Held) -> Held:
        """Give a table with its columns.

        Args:
            table: The table.
        """
        from sqlalchemy import inspect

        with self._asking(), warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # types that SQLAlchemy does not know: values come as the driver has them
            columns = inspect(self.connection).get_columns(table.name, table.schema)
        return Held(table.name, table.schema, {str(c["name"]).lower(): str(c["name"]) for c in columns})

    def size(self, table: Held) -> int:
        """Count a table's rows.

        Args:
            table: The table.
        """
        import sqlalchemy as sa

        with self._asking(table):
            rows = self.connection.execute(sa.select(sa.func.count()).select_from(self._from(table)))
            return int(rows.scalar_one())

    def batches(
        self, table: Held, columns: Sequence[str], order: Sequence[str], where: tuple[str, str] | None = None
    ) -> Iterator[list[Sequence[Any]]]:
        """Give a table's rows in batches, as the driver has them: never more than one batch is in memory.

        Args:
            table: The table, with its columns.
            columns: Small names of the columns.
            order: Small names of those that the rows are sorted by.
            where: A column and the text that it must hold.
        """
        import sqlalchemy as sa

        # A column without a type: SQLAlchemy's types would convert, and quote the value that they cannot read.
        made = {
            name: cast("sa.ColumnElement[Any]", sa.column(table.columns[name])) for name in (*columns, *order)
        }
        query = sa.select(*(made[name] for name in columns)).select_from(self._from(table))
        if where is not None:
            query = query.where(sa.column(table.columns[where[0]]) == where[1])
        query = query.order_by(*(made[name] for name in order))
        many = NOTES if "note_text" in columns else ROWS
        with self._asking(table):
            streamed = self.connection.execution_options(stream_results=True, yield_per=many).execute(query)
            for rows in streamed.partitions():
                yield list(rows)

    def _from(self, table: Held) -> Any:
        import sqlalchemy as sa

        return sa.table(table.name, schema=table.schema)

    @contextmanager
    def _asking(self, table: Held | None = None) -> Iterator[None]:
        """Say that the database refused or broke off, without its words."""
        place = f"table '{table.name}' of {self.shown}" if table else self.shown
        with _silenced(
            f"{place} cannot be read",
            "Check that the user may read it and that the connection holds; ask again",
        ):
            yield


@contextmanager
def open_database(source: str, schemas: Sequence[str] = ()) -> Iterator[Database]:
    """Open a database for reading; on PostgreSQL all tables are seen as they were at one moment.

    Args:
        source: The URL.
        schemas: Where tables are looked for; () for the default schema.

    Yields:
        The database.

    Raises:
        InputError: If the URL is wrong, the driver is not installed, or no connection is made.
    """
    url, name = parse(source), shown(source)
    import sqlalchemy as sa
    from sqlalchemy.exc import NoSuchModuleError

    file = url.database if url.get_backend_name() == "sqlite" else None
    if file not in _FILELESS and not str(file).startswith("file:") and not Path(str(file)).is_file():
        # sqlite3 would make it
        raise InputError("there is no such file", path=file, remedy="Four slashes begin an absolute path")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they name options of the URL
            engine = sa.create_engine(url, poolclass=sa.NullPool, hide_parameters=True)
    except NoSuchModuleError:
        raise InputError(
            f"SQLAlchemy knows no database '{url.drivername[:40]}'",
            remedy="Such as sqlite, postgresql+psycopg, mysql+pymysql; others come with packages of their own",
        ) from None
    except ImportError as error:
        module = error.name or "the driver"
        raise InputError(
            f"the driver {module} of '{url.drivername}' is not installed",
            remedy=f"pip install {_PACKAGES.get(module, module)}, or name another driver: {url.get_backend_name()}+DRIVER://",
        ) from None
    except Exception as error:
        raise InputError(
            f"the URL of the {name} is not understood ({type(error).__name__})", remedy=_FORM
        ) from None
    connect: Callable[[], Connection] = engine.connect
    with _silenced(
        f"no connection to the {name}",
        "Check host, port, name, user and password, and that it runs",
        Exception,
    ):
        connection = connect()
    try:
        with _silenced(
            f"the {name} is not readable", "Check that this is a database of its kind and may be read"
        ):
            if url.get_backend_name() == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            elif url.get_backend_name() == "sqlite":
                connection.exec_driver_sql("PRAGMA query_only = ON")
                connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
        yield Database(connection, url, schemas)
    finally:
        with _silenced(f"the connection to the {name} broke off", "Ask again"):
            connection.close()
        engine.dispose()


_PACKAGES: Final = {"MySQLdb": "mysqlclient", "psycopg": "'psycopg[binary]'", "psycopg2": "psycopg2-binary"}


@contextmanager
def _silenced(problem: str, remedy: str, *more: type[Exception]) -> Iterator[None]:
    """Turn what a driver or SQLAlchemy raises into an `InputError` that repeats none of their words."""
    from sqlalchemy.exc import SQLAlchemyError

    kinds: tuple[type[Exception], ...] = (SQLAlchemyError, OSError, UnicodeError, *more)
    try:
        yield
    except kinds as error:
        kind = type(getattr(error, "orig", None) or error).__name__
        raise InputError(f"{problem} ({kind})", remedy=remedy) from None
