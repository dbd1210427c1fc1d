"""Read RF2: packages in folders or zips, Snapshot, Full or Delta, laid over one another, to one `Ontology`.

The state of a component is its row with the latest effectiveTime, over all files of all packages; a row without one is
not yet released and therefore the latest; at the same time, the later package wins. Only then does `active` decide. So
a Full release gives its state at any moment, a Delta changes the packages before it, and an extension overrides its
edition, whatever the order of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from ontology import rf2_refsets, sctid
from ontology.assemble import assemble
from ontology.errors import InputError
from ontology.identifiers import CASES, EXISTENTIAL, FULLY_DEFINED, KINDS, STATED
from ontology.model import Ontology
from ontology.parts import Parts
from ontology.report import LoadReport
from ontology.rf2_files import RF2File, find_files
from ontology.rf2_source import entries
from ontology.rf2_state import Release
from ontology.rf2_table import ID, NUMBER, TEXT


@dataclass(frozen=True)
class Options:
    """How to read a release.

    Attributes:
        as_of: A moment, YYYYMMDD; then the Full is read, as it was then. 0 takes the newest state.
        dialects: Language reference sets in the order in which they decide the preferred term: SCTIDs, or names such as
            "en-GB". Those not named follow: US English, GB English, the others by size.
        check_dependencies: Refuse packages whose module dependency rows ask for another version than is there.
    """

    as_of: int = 0
    dialects: Sequence[int | str] = field(default_factory=tuple)
    check_dependencies: bool = True


def load_rf2(
    path: str | Path | Sequence[str | Path],
    *,
    strict: bool = False,
    name: str | None = None,
    as_of: int | str | None = None,
    dialects: Sequence[int | str] = (),
    check_dependencies: bool = True,
) -> Ontology:
    """Load RF2 packages.

    Args:
        path: The release's folder or its zip; or several, the edition first, then its extensions and Deltas.
        strict: Refuse a release in which any row had to be dropped or anything odd was tolerated.
        name: What to call the ontology; the first folder's name by default.
        as_of: Give the state at this effectiveTime, YYYYMMDD, from the Full; by default the newest one.
        dialects: Which language reference sets decide the preferred term, the most important first: "en-GB", an SCTID.
        check_dependencies: Refuse packages that need another version of a module than the one given.

    Returns:
        The ontology of all active concepts; its `report` says what was read, dropped and tolerated.

    Raises:
        InputError: If there is no RF2 release, or a file is damaged; it names file, line and column.
    """
    sources = [Path(path)] if isinstance(path, str | Path) else [Path(p) for p in path]
    if not sources:
        raise InputError("no source is given", remedy="Give the folder or the zip of an RF2 release")
    report = LoadReport(source=name or title_of(sources[0]))
    moment = str(as_of or 0)
    if not (moment == "0" or (moment.isascii() and moment.isdecimal() and len(moment) == 8)):
        raise InputError(f"'{as_of}' is no effectiveTime", remedy="Give it as YYYYMMDD")
    parts = read(sources, report, Options(int(moment), tuple(dialects), check_dependencies))
    ontology = assemble(report.source, parts, report, path=sources[0])
    if strict:
        report.refuse_problems(sources[0])
    return ontology


def title_of(source: Path) -> str:
    """Name an ontology after its folder or zip.

    Args:
        source: The folder or zip.
    """
    name = source.resolve().name
    return name.removesuffix(".zip") if source.is_file() else name


def recognises(path: Path) -> bool:
    """Say whether a path is an RF2 release: a folder or zip with RF2 files.

    Args:
        path: The path.
    """
    if not (path.is_dir() or path.suffix.lower() == ".zip"):
        return False
    return any(
        e.filename[:4] in ("sct2", "der2", "xsct", "xder") for e in entries(path) if e.name.endswith(".txt")
    )


def read(path: Path | Sequence[Path], report: LoadReport, options: Options | None = None) -> Parts:
    """Read packages to parts.

    Args:
        path: One package or several, later ones over earlier ones.
        report: The account of the load, filled.
        options: How to read.

    Raises:
        InputError: As `load_rf2`.
    """
    options = options or Options()
    sources = [path] if isinstance(path, Path) else list(path)
    release = "Full" if options.as_of else ""
    files = [f for i, s in enumerate(sources) for f in find_files(s, report, package=i, release=release)]
    kinds = {file.kind for file in files}
    for kind, example in (
        ("concept", "sct2_Concept_Snapshot"),
        ("relationship", "sct2_Relationship_Snapshot"),
    ):
        if kind not in kinds:
            raise InputError(
                f"there is no {kind} file",
                path=sources[0],
                remedy=f"A release has one whose name begins with {example}_",
            )
    rows = Release(files, report, options.as_of)
    parts = _parts(rows, options)
    rf2_refsets.check_dependencies(parts.members, report, sources[0], refuse=options.check_dependencies)
    return parts


def read_layer(path: Path, report: LoadReport, base: Ontology) -> Parts:
    """Read a package to be laid over an ontology: what it says, and in `withdrawn` what its inactive rows take back.

    It need not be complete: a Delta will do, or a reference set alone. The exact rule, the latest effectiveTime of each
    component, needs the base's own rows: for that give the packages to `load_rf2` together.

    Args:
        path: The package.
        report: The account of the load, filled.
        base: What it is laid over; it names reference sets, and has the descriptions that language rows speak of.

    Raises:
        InputError: As `load_rf2`.
    """
    files = find_files(path, report, package=1)
    parts = _parts(Release(files, report), Options(), base)
    # the same files once more for their inactive rows, which are counted already
    parts.withdrawn = _parts(Release(files, LoadReport(), state=0), Options(), base)
    return parts


def _parts(rows: Release, options: Options, base: Ontology | None = None) -> Parts:
    # the largest files first, while nothing else is held
    relations, stated = _relationships(rows)
    acceptability = rf2_refsets.language(rows)
    axioms = rf2_refsets.axioms(rows)
    concepts, inactive = _concepts(rows)
    descriptions = _descriptions(rows)
    names = rf2_refsets.Names(descriptions)
    spoken_of = descriptions
    if base is not None:
        names = rf2_refsets.Names(descriptions, lambda sctid: base.fsn(sctid) if sctid in base else "")
        spoken_of = _with_those_of(base, descriptions)
    dialects, chosen = rf2_refsets.dialects(acceptability, spoken_of, names, rows.report, options.dialects)
    members = rf2_refsets.members(rows, names)
    inactive = rf2_refsets.with_reasons(inactive, members, rows.report)
    history = rf2_refsets.history(rows, names, members)
    return Parts(
        concepts=concepts,
        inactive=inactive,
        terms=descriptions.with_columns(preferred=pl.Series(chosen[: descriptions.height])),
        dialects=dialects,
        relations=relations,
        stated=stated,
        values=_values(rows),
        maps=rf2_refsets.maps(rows, names),
        history=history,
        axioms=axioms,
        members=members,
    )


def _with_those_of(base: Ontology, descriptions: pl.DataFrame) -> pl.DataFrame:
    """Put the base's descriptions behind those of a layer, for language rows that speak of them."""
    columns = ["id", "sctid", "kind"]
    below = pl.concat([
        base.terms.with_columns(sctid=pl.Series(base.sctids[base.terms["concept"].to_numpy()])).select(columns),
        base.inactive_terms.select(columns),
    ]).filter(pl.col("id") != 0)  # fmt: skip
    return pl.concat([descriptions.select(columns), below.join(descriptions, on="id", how="anti")])


def _concepts(rows: Release) -> tuple[pl.DataFrame, pl.DataFrame]:
    report = rows.report
    every = rows.latest("concept", {"moduleId": ID, "definitionStatusId": ID}).select(
        "active",
        sctid="id",
        defined=pl.col("definitionStatusId") == FULLY_DEFINED,
        module="moduleId",
        effective_time=pl.col("effectiveTime").fill_null(0),
    )
    active = every.filter(pl.col("active") == 1).drop("active")
    report.modules = {str(m): n for m, n in active["module"].value_counts(sort=True, name="n").iter_rows()}
    report.tolerate(
        "concept id with a wrong check digit", int((~sctid.valid(active["sctid"].to_numpy())).sum())
    )
    report.count("concept", used=active.height)
    return active, every.filter(pl.col("active") == 0).drop("active")


def _descriptions(rows: Release) -> pl.DataFrame:
    report = rows.report
    wanted = {"conceptId": ID, "languageCode": TEXT, "typeId": ID, "term": TEXT, "caseSignificanceId": ID}
    found = rows.active("description", wanted)
    blank = found["term"].str.strip_chars() == ""
    if blank.any():
        report.drop("description", "the term is empty", int(blank.sum()))
        found = found.filter(~blank)
    report.tolerate("description of an unknown type", int((~found["typeId"].is_in(list(KINDS))).sum()))
    report.tolerate("unknown case significance", int((~found["caseSignificanceId"].is_in(list(CASES))).sum()))
    return found.select(
        "id",
        "term",
        sctid="conceptId",
        kind=pl.col("typeId").replace_strict(
            KINDS, default="other", return_dtype=pl.Enum([*KINDS.values(), "other"])
        ),
        case_significance=pl.col("caseSignificanceId").replace_strict(
            CASES, default="ci", return_dtype=pl.Enum(["ci", "cI", "CS"])
        ),
        language="languageCode",
    )


_ENDS = {"sourceId": ID, "destinationId": ID, "relationshipGroup": NUMBER, "typeId": ID}
_KIND = {"characteristicTypeId": ID, "modifierId": ID}


def _relationships(rows: Release) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give the inferred relationships, and the stated ones where a release has such a file."""
    report = rows.report
    found = rows.active("relationship", {**_ENDS, **_KIND})
    columns = {
        "source": "sourceId",
        "type": "typeId",
        "target": "destinationId",
        "group": "relationshipGroup",
    }
    kept = _existential(found, "relationship", report)
    stated = _existential(
        rows.active("stated relationship", {**_ENDS, **_KIND}), "stated relationship", report
    )
    by_author = pl.concat(
        [
            kept.filter(pl.col("characteristicTypeId") == STATED),
            stated.drop("characteristicTypeId", strict=False),
        ],
        how="diagonal",
    ).select("id", **columns)
    inferred = kept.filter(pl.col("characteristicTypeId") != STATED).select("id", **columns)
    if by_author.height:
        already = report.rows.setdefault("stated relationship", {"read": 0, "active": 0, "used": 0})
        already["used"] += by_author.height
    if inferred.is_empty() and not by_author.is_empty():
        report.tolerate("stated relationship used as there is no inferred one", by_author.height)
        report.count("relationship", read=by_author.height, active=by_author.height)
        inferred = by_author
    elif kept.height > inferred.height:
        report.drop(
            "relationship", "it is stated, and kept apart from the inferred ones", kept.height - inferred.height,
            expected=True,
        )  # fmt: skip
    return inferred, by_author


def _existential(rows: pl.DataFrame, kind: str, report: LoadReport) -> pl.DataFrame:
    universal = rows["modifierId"] != EXISTENTIAL
    report.drop(kind, "its modifier is not 'some'", int(universal.sum()))
    return (rows.filter(~universal) if universal.any() else rows).drop("modifierId")


def _values(rows: Release) -> pl.DataFrame:
    wanted = {"sourceId": ID, "value": TEXT, "relationshipGroup": NUMBER, "typeId": ID, **_KIND}
    found = _existential(rows.active("concrete values", wanted), "concrete values", rows.report)
    odd = ~found["value"].str.contains(r'^(#[-+]?[0-9]+(\.[0-9]+)?|".*"|true|false)$')
    rows.report.tolerate(
        "concrete value that is neither #number, quoted text nor truth value", int(odd.sum())
    )
    return found.select("id", "value", source="sourceId", type="typeId", group="relationshipGroup")


__all__ = ["Options", "RF2File", "load_rf2", "read", "read_layer", "recognises", "title_of"]
