"""Mappings in SSSOM, the Simple Standard for Sharing Ontological Mappings: a table with its metadata in comments above.

Which side of a mapping is the concept is decided when an ontology is there (`load_mappings`); read without one, the
subject is. Then `broadMatch` and `narrowMatch` change places if the concept is the object. Predicates, confidence and
justification are kept; a mapping with the modifier `Not` says that two things do not correspond, and is counted, not
used. Prefixes are expanded by the table's own `curie_map`, with the package `curies`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import yaml

from ontology.codes import Keys, canonical
from ontology.errors import InputError
from ontology.identifiers import normalise_system
from ontology.model import Ontology
from ontology.parts import PART_MAPS, Parts
from ontology.report import LoadReport
from ontology.tables import fill

NEEDED = ("subject_id", "predicate_id", "object_id", "mapping_justification")
ROWS = {
    "subject": pl.String(),
    "predicate": pl.String(),
    "object": pl.String(),
    "justification": pl.String(),
    "confidence": pl.Float64(),
    "subject_label": pl.String(),
    "object_label": pl.String(),
}
_USED = ("confidence", "predicate_modifier", "subject_label", "object_label", "curie_map")
_INVERSE = {"skos:broadMatch": "skos:narrowMatch", "skos:narrowMatch": "skos:broadMatch"}
_LIMIT = 100_000  # characters of metadata; more is no metadata


def recognises(path: Path) -> bool:
    """Say whether a path is a table of mappings in SSSOM.

    Args:
        path: The path.
    """
    if not path.is_file() or not path.name.endswith((".sssom.tsv", ".sssom.csv", ".tsv")):
        return False
    with path.open("rb") as file:
        for line in file:
            if not line.startswith(b"#"):
                return b"subject_id" in line and b"object_id" in line
    return False


def read(path: Path, report: LoadReport) -> Parts:
    """Read a table as maps of its subjects.

    Args:
        path: The table.
        report: The account of the load, filled.

    Raises:
        InputError: If it is no SSSOM; it names line and column.
    """
    keys = Keys()
    maps = maps_for(None, read_mappings(path, report), keys, origin=path.name, report=report)
    return Parts(maps=maps, codes=keys.frame())


def read_layer(path: Path, report: LoadReport, base: Ontology) -> Parts:
    """Read a table as maps of the concepts of the ontology that it is laid over; arguments as `load_mappings`."""
    return load_mappings(path, base, report)


def load_mappings(path: str | Path, ontology: Ontology, report: LoadReport | None = None) -> Parts:
    """Read a table as maps of an ontology's concepts, on whichever side they stand.

    Args:
        path: The table.
        ontology: The ontology, inactive concepts included.
        report: The account of the load; rows with no concept of the ontology are counted as dropped.

    Raises:
        InputError: If it is no SSSOM.
    """
    account, keys = report or LoadReport(), Keys()
    rows = read_mappings(Path(path), account)
    maps = maps_for(ontology, rows, keys, origin=Path(path).name, report=account)
    return Parts(maps=maps, codes=keys.frame())


def read_mappings(path: Path, report: LoadReport) -> pl.DataFrame:
    """Read the rows of a table.

    Args:
        path: The table.
        report: The account of the load, filled.

    Returns:
        `ROWS`: identifiers in their one spelling, predicates as CURIEs, confidence NaN where none is given.

    Raises:
        InputError: If it is no SSSOM; it names line and column.
    """
    metadata, above = _metadata(path)
    frame = _frame(path, above, report)
    for column in NEEDED:
        if column not in frame.columns:
            raise InputError(
                f"the table has no column '{column}'", path=path, row=above + 1, column=column,
                remedy=f"SSSOM needs: {', '.join(NEEDED)}",
            )  # fmt: skip
    report.files_read.append({"file": path.name, "kind": "SSSOM", "rows": frame.height})
    for what, names in (("column", frame.columns), ("metadata", map(str, metadata))):
        for name in names:
            if name not in (*NEEDED, *_USED):
                report.tolerate(f"SSSOM {what} '{name[:40]}' is not used", 1, expected=True)
    report.count("map", read=frame.height)
    for column in ("subject_id", "predicate_id", "object_id"):
        if len(empty := (frame[column].str.strip_chars() == "").arg_true()):
            raise InputError("the field is empty", path=path, row=int(empty[0]) + above + 2, column=column)
    negative = (
        frame["predicate_modifier"].str.strip_chars() == "Not"
        if "predicate_modifier" in frame.columns
        else pl.repeat(False, frame.height, eager=True)
    )
    nothing = (frame["subject_id"] == "sssom:NoTermFound") | (frame["object_id"] == "sssom:NoTermFound")
    report.drop("map", "it says that the two do not correspond", int(negative.sum()), expected=True)
    report.drop("map", "it says that no term was found", int((nothing & ~negative).sum()), expected=True)
    kept = frame.filter(~negative & ~nothing)
    places = (~(negative | nothing)).arg_true().to_list()
    expand = _expander(metadata.get("curie_map"), path)
    report.count("map", active=kept.height)
    return pl.DataFrame(
        {
            "subject": [expand(value) for value in kept["subject_id"].to_list()],
            "predicate": [_predicate(value) for value in kept["predicate_id"].to_list()],
            "object": [expand(value) for value in kept["object_id"].to_list()],
            "justification": kept["mapping_justification"].to_list(),
            "confidence": _confidence(kept, path, above, places),
            "subject_label": kept["subject_label"].to_list()
            if "subject_label" in kept.columns
            else [""] * kept.height,
            "object_label": kept["object_label"].to_list()
            if "object_label" in kept.columns
            else [""] * kept.height,
        },
        schema=ROWS,
    )


def maps_for(
    ontology: Ontology | None, rows: pl.DataFrame, keys: Keys, *, origin: str, report: LoadReport
) -> pl.DataFrame:
    """Turn mappings into maps of the concepts of an ontology.

    Args:
        ontology: The ontology; with None every subject counts as a concept.
        rows: `ROWS`.
        keys: Makes the concepts' keys.
        origin: What to call the source.
        report: Rows with no concept on either side are counted here.

    Returns:
        `parts.PART_MAPS`; a row whose both sides are concepts gives two.
    """
    found: list[tuple[Any, ...]] = []
    lost = 0
    known = None if ontology is None else {*ontology.sctids.tolist(), *ontology.inactive["sctid"].to_list()}
    for row in rows.iter_rows(named=True):
        sides = [("subject", "object", row["predicate"])]
        if known is not None:
            sides.append(("object", "subject", _INVERSE.get(row["predicate"], row["predicate"])))
        used = 0
        for concept, other, predicate in sides:
            key = keys(row[concept], row[f"{concept}_label"])
            if known is None or key in known:
                system, code = _code(row[other])
                found.append((key, system, code, predicate, row["confidence"], row["justification"], origin))
                used += 1
        lost += not used
    report.drop("map", "neither side is a concept of the ontology", lost)
    columns = ("sctid", "system", "target", "predicate", "confidence", "advice", "origin")
    schema = {name: PART_MAPS[name] for name in columns}
    return fill(PART_MAPS, pl.DataFrame(found, schema=schema, orient="row"))


def _code(identifier: str) -> tuple[str, str]:
    prefix, colon, local = identifier.partition(":")
    if identifier.isascii() and identifier.isdecimal():
        return "SNOMED", identifier
    if not colon or local.startswith("//"):
        return "IRI", identifier
    return normalise_system(prefix), local


def _metadata(path: Path) -> tuple[dict[str, Any], int]:
    """Read the comments above the table, and count them."""
    lines = []
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            for line in file:
                if not line.startswith("#"):
                    break
                lines.append(line[1:].rstrip("\r\n"))
                if sum(map(len, lines)) > _LIMIT:
                    raise InputError("there are more comments than metadata has", path=path, row=len(lines))
    except UnicodeDecodeError as error:
        raise InputError(
            f"the bytes are not UTF-8 ({error.reason})", path=path, row=len(lines) + 1
        ) from error
    except OSError as error:
        raise InputError(f"the file cannot be read ({error.strerror})", path=path) from error
    beside = path.with_name(path.name.removesuffix(".tsv").removesuffix(".csv") + ".yml")
    text = "\n".join(
        line.removeprefix(" ") if all(x[:1] in ("", " ") for x in lines) else line for line in lines
    )
    if not lines and beside.is_file():
        text = beside.read_text(encoding="utf-8")
    try:
        found = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise InputError(
            f"the metadata above the table is no YAML ({getattr(error, 'problem', error)})",
            path=path, row=mark.line + 1 if mark else None,
        ) from error  # fmt: skip
    if not isinstance(found, dict):
        raise InputError("the metadata above the table is no YAML mapping", path=path, row=1)
    return found, len(lines)


def _frame(path: Path, above: int, report: LoadReport) -> pl.DataFrame:
    try:
        data = path.read_bytes()
        lines = data.decode("utf-8-sig").split("\n")[above:]
    except UnicodeDecodeError as error:
        raise InputError(f"the bytes are not UTF-8 ({error.reason})", path=path) from error
    report.tolerate("byte order mark at the start of the file", int(data.startswith(b"\xef\xbb\xbf")))
    blank = len(lines) - int(bool(lines) and not lines[-1])
    while lines and not lines[-1].strip():
        lines.pop()
    report.tolerate("blank line at the end of the file", blank - len(lines) if lines else 0)
    if not lines:
        raise InputError("there is no table below the metadata", path=path, row=above + 1)
    separator = "," if path.name.endswith(".csv") else "\t"
    header = [name.strip() for name in lines[0].rstrip("\r").split(separator)]
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise InputError("the column occurs twice", path=path, row=above + 1, column=twice)
    if separator == "\t":
        rows = [line.rstrip("\r").split("\t") for line in lines[1:]]
        for number, row in enumerate(rows):
            if len(row) != len(header):
                raise InputError(
                    f"the line has {len(row)} fields instead of {len(header)}", path=path, row=above + number + 2,
                    column=header[len(row)] if len(row) < len(header) else None,
                )  # fmt: skip
        return pl.DataFrame(rows, schema=dict.fromkeys(header, pl.String()), orient="row")
    try:
        return pl.read_csv("\n".join(lines).encode(), infer_schema=False).select(pl.all().fill_null(""))
    except pl.exceptions.PolarsError as error:
        raise InputError(f"the table cannot be read ({error})", path=path, row=above + 1) from error


def _expander(prefixes: Any, path: Path) -> Any:
    """Give a function that brings an identifier to its one spelling, by the table's own prefixes."""
    if prefixes is None:
        return canonical
    if not isinstance(prefixes, dict) or not all(isinstance(v, str) for v in prefixes.values()):
        raise InputError("curie_map is no mapping of prefixes to IRIs", path=path, remedy="Write PREFIX: IRI")
    try:
        import curies
    except ImportError as error:
        raise InputError(
            "the prefixes of SSSOM need curies, which is not installed",
            remedy="pip install 'mh-diff[formats]'",
        ) from error
    try:
        converter = curies.load_prefix_map(
            {str(prefix): iri for prefix, iri in prefixes.items()}, strict=False
        )
    except ValueError as error:
        raise InputError(f"curie_map cannot be used ({str(error)[:200]})", path=path) from error

    def expand(identifier: str) -> str:
        direct = canonical(identifier)
        iri = converter.expand(identifier.strip()) if ":" in identifier else None
        whole = canonical(iri) if iri else direct
        return direct if whole == iri else whole  # an IRI that is neither OBO's nor SNOMED's stays a CURIE

    return expand


def _predicate(identifier: str) -> str:
    text = identifier.strip().removeprefix("<").removesuffix(">")
    return text.replace("http://www.w3.org/2004/02/skos/core#", "skos:")


def _confidence(rows: pl.DataFrame, path: Path, above: int, places: list[int]) -> list[float]:
    if "confidence" not in rows.columns:
        return [float("nan")] * rows.height
    found = []
    for place, text in zip(places, rows["confidence"].to_list(), strict=True):
        try:
            value = float(text) if text.strip() else float("nan")
        except ValueError:
            value = -1.0
        if value < 0 or value > 1:
            raise InputError(f"{text[:40]!r} is no confidence from 0 to 1", path=path, row=place + above + 2,
                             column="confidence")  # fmt: skip
        found.append(value)
    return found
