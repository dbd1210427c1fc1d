"""Read an RF2 release: concepts, descriptions, inferred relationships, language and map reference sets.

The state of a component is its row with the latest effectiveTime, over all files of the release; a row
without one is not yet released and therefore the latest. Only then does `active` decide. So a Full release
gives its current state, and packages laid over one another are resolved rather than added up.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ontology import sctid
from ontology.assemble import assemble
from ontology.errors import InputError
from ontology.identifiers import (
    ACCEPTABLE,
    CASES,
    EXISTENTIAL,
    FULLY_DEFINED,
    GB_ENGLISH,
    KINDS,
    PREFERRED,
    STATED,
    US_ENGLISH,
    system_of_refset,
)
from ontology.model import Ontology
from ontology.parts import Parts
from ontology.report import LoadReport
from ontology.rf2_files import COLUMNS, RF2File, Table, find_files, read_table
from ontology.tables import INACTIVE, fill

_MAP_TEXTS = ("mapRule", "mapAdvice", "mapTarget")


def load_rf2(path: str | Path, *, strict: bool = False, name: str | None = None) -> Ontology:
    """Load the Snapshot of an RF2 release folder (its Full, where it has no Snapshot).

    Args:
        path: The release folder.
        strict: Refuse a release in which any row had to be dropped or anything odd was tolerated.
        name: What to call the ontology; the folder's name by default.

    Returns:
        The ontology of all active concepts; its `report` says what was read, dropped and tolerated.

    Raises:
        InputError: If the folder is no RF2 release, or a file is damaged; it names file, line and column.
    """
    source = Path(path)
    report = LoadReport(source=name or source.resolve().name)
    files = find_files(source, report)
    concepts, inactive = _concepts(files, report)
    descriptions = _descriptions(files, report)
    relations = _relationships(files, report)
    preferred = _preferred(files, descriptions, report)
    terms = descriptions.with_columns(preferred=pl.col("id").is_in(preferred.implode()))
    maps = _maps(files, descriptions, report)
    parts = Parts(
        concepts=concepts,
        inactive=fill(INACTIVE, {"sctid": inactive}),
        terms=terms,
        relations=relations,
        maps=maps,
    )
    ontology = assemble(report.source, parts, report, path=source)
    if strict and (problems := report.problems()):
        raise InputError(
            f"strict, and there are problems: {'; '.join(problems)}",
            path=source,
            remedy="Mend the release, or leave --strict out: then this is counted in the report",
        )
    return ontology


def _rows(
    files: list[RF2File],
    kind: str,
    numbers: dict[str, int],
    texts: tuple[str, ...],
    report: LoadReport,
    *,
    inactive_too: bool = False,
) -> pl.DataFrame:
    """Read all files of a kind, validate, and give the latest state of each (normally: active) row."""
    member = "refsetId" in COLUMNS[kind]
    wanted = ["id", "effectiveTime", "active", *numbers]
    frames, full = [], False
    for file in (f for f in files if f.kind == kind):
        extra = [c for c in texts if c in file.header]
        table = read_table(file, [*wanted, *extra], report)
        frames.append(_checked(table, numbers, extra, member))
        full |= file.release == "Full"
    if not frames:
        schema = {"id": pl.String() if member else pl.Int64(), "effectiveTime": pl.String()}
        return pl.DataFrame(
            schema=schema | dict.fromkeys(numbers, pl.Int64()) | dict.fromkeys(texts, pl.String())
        )
    frame = pl.concat(frames, how="diagonal").with_columns(pl.col(c).fill_null("") for c in texts if frames)
    report.count(kind, read=frame.height)
    if frame["id"].n_unique() < frame.height:
        latest = (
            frame.with_columns(
                time=pl.when(pl.col("effectiveTime") == "").then(pl.lit("~")).otherwise("effectiveTime")
            )
            .sort("time", maintain_order=True)
            .unique("id", keep="last", maintain_order=True)
            .drop("time")
        )
        if not full:
            report.tolerate(
                f"{kind} row replaced by a later row of the same id", frame.height - latest.height
            )
        frame = latest
    active = frame.filter(pl.col("active") == "1")
    report.count(kind, active=active.height)
    report.effective_time = max(report.effective_time, str(active["effectiveTime"].max() or ""))
    return frame if inactive_too else active


def _checked(table: Table, numbers: dict[str, int], texts: list[str], member: bool) -> pl.DataFrame:
    times = table.frame["effectiveTime"]
    wrong = (~times.str.contains(r"^([0-9]{8})?$")).arg_true()
    if len(wrong):
        raise table.fail(int(wrong[0]), "effectiveTime", "this is no date of the form YYYYMMDD")
    identity = table.frame["id"] if member else table.integers("id")
    if member and len(blank := (identity == "").arg_true()):
        raise table.fail(int(blank[0]), "id", "a row has no identifier")
    return pl.DataFrame(
        [
            identity,
            times,
            table.one_of("active", ("0", "1"), "this is neither 0 nor 1"),
            *(table.integers(column, minimum=minimum) for column, minimum in numbers.items()),
            *(table.frame[column] for column in texts),
        ]
    )


def _concepts(files: list[RF2File], report: LoadReport) -> tuple[pl.DataFrame, NDArray[np.int64]]:
    numbers = {"moduleId": 1, "definitionStatusId": 1}
    every = _rows(files, "concept", numbers, (), report, inactive_too=True)
    rows = every.filter(pl.col("active") == "1")
    modules = rows["moduleId"].value_counts(sort=True, name="n")
    report.modules = {str(module): n for module, n in modules.iter_rows()}
    report.tolerate("concept id with a wrong check digit", int((~sctid.valid(rows["id"].to_numpy())).sum()))
    report.count("concept", used=rows.height)
    inactive = every.filter(pl.col("active") == "0")["id"].sort().to_numpy()
    return rows.select(sctid="id", defined=pl.col("definitionStatusId") == FULLY_DEFINED), inactive


def _descriptions(files: list[RF2File], report: LoadReport) -> pl.DataFrame:
    rows = _rows(
        files, "description", {"conceptId": 1, "typeId": 1, "caseSignificanceId": 1}, ("term",), report
    )
    blank = rows["term"].str.strip_chars() == ""
    report.drop("description", "the term is empty", int(blank.sum()))
    rows = rows.filter(~blank)
    report.tolerate("description of an unknown type", int((~rows["typeId"].is_in(list(KINDS))).sum()))
    report.tolerate("unknown case significance", int((~rows["caseSignificanceId"].is_in(list(CASES))).sum()))
    return rows.select(
        "id",
        "term",
        sctid="conceptId",
        kind=pl.col("typeId").replace_strict(KINDS, default="other", return_dtype=pl.String),
        case_significance=pl.col("caseSignificanceId").replace_strict(
            CASES, default="ci", return_dtype=pl.String
        ),
    )


def _relationships(files: list[RF2File], report: LoadReport) -> pl.DataFrame:
    numbers = {
        "sourceId": 1,
        "destinationId": 1,
        "relationshipGroup": 0,
        "typeId": 1,
        "characteristicTypeId": 1,
    }
    rows = _rows(files, "relationship", {**numbers, "modifierId": 1}, (), report)
    if (rows["relationshipGroup"] >= 2**31).any():
        raise InputError("a relationshipGroup is larger than any release has", column="relationshipGroup")
    stated = rows["characteristicTypeId"] == STATED
    report.drop("relationship", "it is stated, not inferred", int(stated.sum()))
    universal = ~stated & (rows["modifierId"] != EXISTENTIAL)
    report.drop("relationship", "its modifier is not 'some'", int(universal.sum()))
    kept = rows.filter(~stated & ~universal)
    return kept.select(source="sourceId", type="typeId", target="destinationId", group="relationshipGroup")


def _preferred(files: list[RF2File], descriptions: pl.DataFrame, report: LoadReport) -> pl.Series:
    """Give the descriptions that are preferred in US English, or in the language refset that is there."""
    numbers = {"refsetId": 1, "referencedComponentId": 1, "acceptabilityId": 1}
    rows = _rows(files, "language", numbers, (), report)
    counts = dict(rows["refsetId"].value_counts(sort=True, name="n").iter_rows())
    for refset, n in counts.items():
        report.refsets.append(
            {"refset": str(refset), "name": _fsn(descriptions, refset), "kind": "language", "rows": n}
        )
    if not counts:
        return pl.Series(dtype=pl.Int64)
    largest = min(counts, key=lambda refset: (-counts[refset], refset))
    chosen = next((refset for refset in (US_ENGLISH, GB_ENGLISH) if refset in counts), largest)
    report.language_refset = str(chosen)
    report.tolerate(
        "unknown acceptability", int((~rows["acceptabilityId"].is_in([PREFERRED, ACCEPTABLE])).sum())
    )
    known = rows["referencedComponentId"].is_in(descriptions["id"].implode())
    report.drop("language", "the description is not active", int((~known).sum()), expected=True)
    report.count("language", used=int((known & (rows["refsetId"] == chosen)).sum()))
    preferred = (pl.col("refsetId") == chosen) & (pl.col("acceptabilityId") == PREFERRED)
    return rows.filter(preferred)["referencedComponentId"]


def _maps(files: list[RF2File], descriptions: pl.DataFrame, report: LoadReport) -> pl.DataFrame:
    frames = []
    for kind in ("extended map", "simple map"):
        texts = ("mapTarget",) if kind == "simple map" else ("mapGroup", "mapPriority", *_MAP_TEXTS)
        rows = _rows(files, kind, {"refsetId": 1, "referencedComponentId": 1}, texts, report)
        counts = rows["refsetId"].value_counts(sort=True, name="n")
        systems: dict[int, str] = {}
        for refset, n in counts.iter_rows():
            title = _fsn(descriptions, refset)
            systems[refset] = system_of_refset(refset, title)
            entry = {"refset": str(refset), "name": title, "kind": kind, "rows": n, "system": systems[refset]}
            report.refsets.append(entry)
        frame = rows.select(
            sctid="referencedComponentId",
            system=pl.col("refsetId").replace_strict(systems, return_dtype=pl.String)
            if systems
            else pl.lit(""),
            group=_small(rows, "mapGroup", report),
            priority=_small(rows, "mapPriority", report),
            rule=pl.col("mapRule") if "mapRule" in rows.columns else pl.lit("TRUE"),
            advice=pl.col("mapAdvice") if "mapAdvice" in rows.columns else pl.lit(""),
            target=pl.col("mapTarget").str.strip_chars(),
        )
        empty = frame["target"] == ""
        report.drop("map", "the target is empty: there is no code for it", int(empty.sum()), expected=True)
        frames.append(frame.filter(~empty))
        if kind in report.rows:
            report.rows.setdefault("map", {"read": 0, "active": 0, "used": 0})
            numbers = report.rows.pop(kind)
            report.count("map", read=numbers["read"], active=numbers["active"])
    return pl.concat(frames)


def _small(rows: pl.DataFrame, column: str, report: LoadReport) -> pl.Series:
    """Read a mapGroup or mapPriority; 1 where a simple map has none or a release left it empty."""
    if column not in rows.columns:
        return pl.Series(column, np.ones(rows.height), dtype=pl.Int32)
    values = rows[column].cast(pl.Int32, strict=False)
    report.tolerate(f"{column} that is no number: taken as 1", values.null_count())
    return values.fill_null(1)


def _fsn(descriptions: pl.DataFrame, concept: int) -> str:
    rows = descriptions.filter(pl.col("sctid") == concept).sort(pl.col("kind") != "fsn", maintain_order=True)
    return str(rows["term"][0]) if rows.height else ""
