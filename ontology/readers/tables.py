"""A terminology as plain tables: a folder with nodes and, if wanted, edges, terms, mappings and history.

The friendliest way to bring concepts of one's own. CSV, TSV (by the ending) or Parquet; names of files and columns:

| file | columns (the first ones are needed) |
|---|---|
| nodes (or concepts) | id, name; fsn, synonyms and parents (separated by a bar), definition, active, defined |
| edges (or relations) | source, target; type (is-a by default), group, active |
| terms (or synonyms) | id, term; kind (synonym, fsn ...), preferred, language, case_significance, active |
| mappings (or maps) | id, system, code; predicate, confidence, group, priority, rule, advice, active |
| history | id, target; association (replaced by, same as, possibly equivalent to, was a, ...), active |

An id is an SCTID, a CURIE of one's own such as `MYLAB:001`, or an IRI; a type is one of these too, or the name of
an attribute that RF2 knows, such as "finding site". CSV has quotes; TSV has none, as RF2. Ends of edges that no table
names are dangling: they may be concepts of the ontology that the tables are laid over, and are counted otherwise.

Laid over an ontology (`--extend`), any one of the tables will do, and a row whose `active` is false takes back what the
ontology says: a node is deactivated (its name may then be empty), an edge goes from its role group, or without a group
from all of them, a term, mapping or association goes wherever it came from.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from ontology.codes import Keys
from ontology.errors import InputError
from ontology.identifiers import ASSOCIATIONS, IS_A, NAMES, normalise_system
from ontology.parts import SCHEMAS, Parts
from ontology.report import LoadReport
from ontology.tables import KIND, fill

_FILES = {
    "nodes": ("nodes", "concepts"),
    "edges": ("edges", "relations"),
    "terms": ("terms", "synonyms"),
    "mappings": ("mappings", "maps"),
    "history": ("history",),
}
_ENDINGS = (".csv", ".tsv", ".parquet")
_NEEDED = {
    "nodes": ("id", "name"),
    "edges": ("source", "target"),
    "terms": ("id", "term"),
    "mappings": ("id", "system", "code"),
    "history": ("id", "target"),
}
_KNOWN = {
    "nodes": ("id", "name", "fsn", "synonyms", "definition", "parents", "active", "defined"),
    "edges": ("source", "target", "type", "group", "active"),
    "terms": ("id", "term", "kind", "preferred", "language", "case_significance", "active"),
    "mappings": (
        "id",
        "system",
        "code",
        "predicate",
        "confidence",
        "group",
        "priority",
        "rule",
        "advice",
        "active",
    ),
    "history": ("id", "target", "association", "active"),
}
_TRUE, _FALSE = ("1", "true", "yes", "t", "y"), ("0", "false", "no", "f", "n")
_TYPES = {name: sctid for sctid, name in NAMES.items()} | {
    "is-a": IS_A,
    "is_a": IS_A,
    "isa": IS_A,
    "subclassof": IS_A,
}
_ASSOCIATIONS = {name: sctid for sctid, name in ASSOCIATIONS.items()}


def recognises(path: Path) -> bool:
    """Say whether a path is a folder with one of the tables, or a table of nodes.

    Args:
        path: The path.
    """
    if path.is_file():
        return path.suffix in _ENDINGS and path.stem in _FILES["nodes"]
    return path.is_dir() and any(_find(path, kind) for kind in _FILES)


def read(path: Path, report: LoadReport) -> Parts:
    """Read the tables of a folder.

    Args:
        path: The folder, or the table of nodes alone.
        report: The account of the load, filled.

    Raises:
        InputError: If a table cannot be read, a column is missing, or a value is not what its column must hold; it
            names file, line and column.
    """
    folder = path if path.is_dir() else path.parent
    files = {kind: _find(folder, kind) for kind in _FILES}
    if path.is_file():
        files = dict.fromkeys(_FILES) | {"nodes": path}
    if not any(files.values()):
        raise InputError(
            "there is no table of nodes", path=path, remedy="It is called nodes.csv, .tsv or .parquet"
        )
    used = {file.name for file in files.values() if file}
    for other in (
        sorted(p.name for p in folder.iterdir() if p.is_file() and p.name not in used)
        if path.is_dir()
        else ()
    ):
        report.files_not_read.append({"file": other, "reason": "its name is none of those that tables have"})
    keys = Keys()
    tables = {kind: _Table(kind, file, report) for kind, file in files.items() if file}
    readers = {"nodes": _nodes, "edges": _edges, "terms": _terms, "mappings": _mappings, "history": _history}
    whole = Parts.together(readers[kind](table, keys, report) for kind, table in tables.items())
    whole.codes = keys.frame()
    return whole


def _find(folder: Path, kind: str) -> Path | None:
    found = [
        folder / f"{name}{end}"
        for name in _FILES[kind]
        for end in _ENDINGS
        if (folder / f"{name}{end}").is_file()
    ]
    if len(found) > 1:
        raise InputError(
            f"{found[0].name} and {found[1].name} are both a table of {kind}", path=folder, remedy="Keep one"
        )
    return found[0] if found else None


class _Table:
    """The rows of a table as text, and where each stands."""

    def __init__(self, kind: str, path: Path, report: LoadReport) -> None:
        self.path = path
        frame = _parquet(path) if path.suffix == ".parquet" else _text(path)
        names = {name: name.strip().lower() for name in frame.columns}
        if twice := [name for name in names if list(names.values()).count(names[name]) > 1]:
            raise InputError("the column occurs twice", path=path, row=1, column=twice[0])
        self.frame = frame.rename(names)
        for column in _NEEDED[kind]:
            if column not in self.frame.columns:
                raise InputError(
                    f"a table of {kind} has no column '{column}'",
                    path=path, row=1, column=column, remedy=f"Its columns are: {', '.join(_KNOWN[kind])}",
                )  # fmt: skip
        for column in self.frame.columns:
            if column not in _KNOWN[kind]:
                report.tolerate(f"column '{column}' of {path.name} is not used", 1)
        report.files_read.append({"file": path.name, "kind": f"table of {kind}", "rows": self.frame.height})

    def rows(self) -> list[dict[str, str]]:
        return self.frame.to_dicts()

    def fail(self, row: int, column: str, problem: str, remedy: str = "") -> InputError:
        return InputError(problem, path=self.path, row=row + 2, column=column, remedy=remedy)

    def truth(self, row: int, column: str, value: str, default: bool) -> bool:
        text = value.strip().lower()
        if text not in (*_TRUE, *_FALSE, ""):
            raise self.fail(row, column, f"'{value[:40]}' is neither true nor false", "Write true or false")
        return text in _TRUE if text else default

    def active(self, row: int, values: dict[str, str]) -> bool:
        return self.truth(row, "active", values.get("active", ""), True)

    def of(self, rows: _Split, row: int, values: dict[str, str]) -> list[tuple[Any, ...]]:
        """Give the list that a row belongs to: those that hold, or those that take something back."""
        return rows[0] if self.active(row, values) else rows[1]

    def number(self, row: int, column: str, value: str, default: Any, kind: type = int) -> Any:
        if not value.strip():
            return default
        try:
            found = kind(value)
        except ValueError as error:
            raise self.fail(row, column, f"'{value[:40]}' is no number") from error
        if not 0 <= found < 2**31:
            raise self.fail(row, column, f"'{value[:40]}' is out of range")
        return found

    def key(self, row: int, column: str, value: str, keys: Keys) -> int:
        if not value.strip():
            raise self.fail(
                row, column, "there is no identifier", "Give an SCTID or a CURIE such as MYLAB:001"
            )
        return keys(value)


def _text(path: Path) -> pl.DataFrame:
    try:
        return pl.read_csv(
            path,
            separator="\t" if path.suffix == ".tsv" else ",",
            quote_char=None if path.suffix == ".tsv" else '"',
            infer_schema=False,
        ).select(pl.all().fill_null(""))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(
            f"the table cannot be read ({error})", path=path, remedy="It must be UTF-8, with one header line"
        ) from error


def _parquet(path: Path) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"the table cannot be read ({error})", path=path) from error
    joined = [
        pl.col(name).list.join("|") for name, kind in frame.schema.items() if kind == pl.List(pl.String)
    ]
    return frame.with_columns(joined).select(pl.all().cast(pl.String).fill_null(""))


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split("|") if part.strip()]


def _nodes(table: _Table, keys: Keys, report: LoadReport) -> Parts:
    concepts: list[tuple[Any, ...]] = []
    inactive: list[tuple[Any, ...]] = []
    terms: list[tuple[Any, ...]] = []
    relations: list[tuple[Any, ...]] = []
    seen: dict[int, int] = {}
    for i, row in enumerate(table.rows()):
        name = row["name"].strip()
        key = table.key(i, "id", row["id"], keys)
        keys(row["id"], name)
        if key in seen:
            raise table.fail(
                i, "id", f"'{row['id']}' is there already, on line {seen[key] + 2}", "Keep one of them"
            )
        seen[key] = i
        active = table.active(i, row)
        if not name and active:
            raise table.fail(i, "name", f"'{row['id']}' has no name")
        (concepts if active else inactive).append(
            (key, table.truth(i, "defined", row.get("defined", ""), False))
        )
        fsn = row.get("fsn", "").strip() or name
        terms += [(key, fsn, "fsn", True)] if fsn else []
        synonyms = dict.fromkeys([*([name] if name else []), *_split(row.get("synonyms", ""))])
        terms += [(key, term, "synonym", term == name) for term in synonyms]
        terms += [(key, text, "definition", True) for text in [row.get("definition", "").strip()] if text]
        relations += [(key, IS_A, keys(parent), 0) for parent in _split(row.get("parents", ""))]
    report.count("concept", read=len(seen), active=len(concepts), used=len(concepts))
    report.count("description", read=len(terms), active=len(terms))
    report.count("relationship", read=len(relations), active=len(relations))
    return Parts(
        concepts=_frame(concepts, "sctid", "defined"),
        inactive=_frame(inactive, "sctid", "defined"),
        terms=_frame(terms, "sctid", "term", "kind", "preferred"),
        relations=_frame(relations, "source", "type", "target", "group"),
    )


_COLUMNS: dict[str, Any] = {
    "sctid": pl.Int64(), "source": pl.Int64(), "type": pl.Int64(), "target": pl.Int64(), "group": pl.Int32(),
    "defined": pl.Boolean(), "preferred": pl.Boolean(), "confidence": pl.Float64(), "priority": pl.Int32(),
    "refset": pl.Int64(),
}  # fmt: skip


def _frame(rows: list[tuple[Any, ...]], *columns: str, texts: tuple[str, ...] = ()) -> pl.DataFrame:
    schema = {c: pl.String() if c in texts else _COLUMNS.get(c, pl.String()) for c in columns}
    return pl.DataFrame(rows, schema=schema, orient="row")


_Split = tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]


def _count(report: LoadReport, kind: str, rows: _Split) -> None:
    report.count(kind, read=len(rows[0]) + len(rows[1]), active=len(rows[0]))


def _both(rows: _Split, table: str, *columns: str, texts: tuple[str, ...] = ()) -> Parts:
    """Give the rows that hold, and in `withdrawn` those that take something back."""
    parts = Parts()
    setattr(parts, table, fill(SCHEMAS[table], _frame(rows[0], *columns, texts=texts)))
    if rows[1]:
        parts.withdrawn = Parts()
        setattr(parts.withdrawn, table, fill(SCHEMAS[table], _frame(rows[1], *columns, texts=texts)))
    return parts


def _edges(table: _Table, keys: Keys, report: LoadReport) -> Parts:
    rows: _Split = ([], [])
    for i, row in enumerate(table.rows()):
        name = row.get("type", "").strip()
        kind = (
            IS_A
            if not name
            else _TYPES.get(name.lower().replace("-", " ").replace("_", " ")) or _TYPES.get(name.lower())
        )
        table.of(rows, i, row).append((
            table.key(i, "source", row["source"], keys), kind or keys(name, name if ":" not in name else ""),
            table.key(i, "target", row["target"], keys), table.number(i, "group", row.get("group", ""), 0),
        ))  # fmt: skip
    _count(report, "relationship", rows)
    return _both(rows, "relations", "source", "type", "target", "group")


def _terms(table: _Table, keys: Keys, report: LoadReport) -> Parts:
    rows: _Split = ([], [])
    for i, row in enumerate(table.rows()):
        kind = row.get("kind", "").strip().lower() or "synonym"
        if kind not in KIND.categories:
            raise table.fail(
                i, "kind", f"'{kind[:40]}' is no kind of term", f"Kinds: {', '.join(KIND.categories)}"
            )
        case = row.get("case_significance", "").strip() or "ci"
        if case not in ("ci", "cI", "CS"):
            raise table.fail(
                i, "case_significance", f"'{case[:40]}' is no case significance", "Give ci, cI or CS"
            )
        if not row["term"].strip():
            raise table.fail(i, "term", "there is no term")
        table.of(rows, i, row).append((
            table.key(i, "id", row["id"], keys), row["term"].strip(), kind,
            table.truth(i, "preferred", row.get("preferred", ""), False), row.get("language", "").strip(), case,
        ))  # fmt: skip
    _count(report, "description", rows)
    return _both(rows, "terms", "sctid", "term", "kind", "preferred", "language", "case_significance")


def _mappings(table: _Table, keys: Keys, report: LoadReport) -> Parts:
    rows: _Split = ([], [])
    for i, row in enumerate(table.rows()):
        if not row["system"].strip():
            raise table.fail(i, "system", "there is no code system", "Give ICD-10, LOINC ...")
        confidence = table.number(i, "confidence", row.get("confidence", ""), float("nan"), float)
        if confidence > 1:
            raise table.fail(i, "confidence", f"{confidence} is no confidence", "Give a number from 0 to 1")
        table.of(rows, i, row).append((
            table.key(i, "id", row["id"], keys), normalise_system(row["system"].strip()), row["code"].strip(),
            row.get("predicate", "").strip(), confidence, table.number(i, "group", row.get("group", ""), 1),
            table.number(i, "priority", row.get("priority", ""), 1), row.get("rule", "").strip() or "TRUE",
            row.get("advice", "").strip(), table.path.name if table.active(i, row) else "",
        ))  # fmt: skip
    _count(report, "map", rows)
    names = (
        "sctid",
        "system",
        "target",
        "predicate",
        "confidence",
        "group",
        "priority",
        "rule",
        "advice",
        "origin",
    )
    return _both(rows, "maps", *names, texts=("target",))


def _history(table: _Table, keys: Keys, report: LoadReport) -> Parts:
    rows: _Split = ([], [])
    for i, row in enumerate(table.rows()):
        name = row.get("association", "").strip().lower().replace("_", " ") or "replaced by"
        if name not in _ASSOCIATIONS:
            raise table.fail(
                i, "association", f"'{name[:40]}' is no association", f"Known: {', '.join(_ASSOCIATIONS)}"
            )
        source, target = (table.key(i, column, row[column], keys) for column in ("id", "target"))
        table.of(rows, i, row).append((source, _ASSOCIATIONS[name], target))
    _count(report, "association", rows)
    return _both(rows, "history", "source", "refset", "target")
