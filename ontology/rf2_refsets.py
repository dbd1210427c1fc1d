"""What RF2 reference sets say: preferred terms, maps, history, axioms, module dependencies; all others as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ontology.errors import InputError
from ontology.identifiers import (
    ACCEPTABLE,
    CONCEPT_INACTIVATION,
    DIALECTS,
    GB_ENGLISH,
    PREFERRED,
    UNSPECIFIED_CORRELATION,
    US_ENGLISH,
    system_of_refset,
)
from ontology.report import LoadReport
from ontology.rf2_files import COMPONENTS
from ontology.rf2_state import Release
from ontology.rf2_table import ID, TEXT
from ontology.tables import AXIOMS, HISTORY, fill

_MAPPED = ("extended map", "simple map")
_OWN_WAY = (*COMPONENTS, *_MAPPED, "language", "OWL expression")
OWL_AXIOMS = 733073007


class Names:
    """The names of reference sets, from their concepts' descriptions.

    Args:
        descriptions: sctid, kind, term.
        below: Names those that have no description here, as a layer's reference set may be one of the base's.
    """

    def __init__(self, descriptions: pl.DataFrame, below: Callable[[int], str] = lambda _: "") -> None:
        self._descriptions, self._below = descriptions, below
        self._known: dict[int, str] = {}

    def __call__(self, concept: int) -> str:
        """Give the fully specified name, another term, or nothing."""
        if concept not in self._known:
            rows = self._descriptions.filter(pl.col("sctid") == concept).sort("kind", maintain_order=True)
            self._known[concept] = str(rows["term"][0]) if rows.height else self._below(concept)
        return self._known[concept]


def _note(
    report: LoadReport, rows: pl.DataFrame, kind: str, names: Names, column: str = "refsetId"
) -> dict[int, str]:
    """Put the reference sets of some rows into the report, and give their names."""
    titles = {}
    counts = rows[column].value_counts(name="n").sort("n", column, descending=[True, False])
    for refset, n in counts.iter_rows():
        titles[int(refset)] = names(int(refset))
        report.refsets.append({"refset": str(refset), "name": titles[int(refset)], "kind": kind, "rows": n})
    return titles


def language(rows: Release) -> pl.DataFrame:
    """Read the language reference sets: refset, id (of a description), preferred.

    Args:
        rows: The release.
    """
    found = rows.active(
        "language", {"refsetId": ID, "referencedComponentId": ID, "acceptabilityId": ID}, identified=False
    )
    value = found["acceptabilityId"]
    rows.report.tolerate("unknown acceptability", int((~value.is_in([PREFERRED, ACCEPTABLE])).sum()))
    return found.select(refset="refsetId", id="referencedComponentId", preferred=value == PREFERRED)


def dialects(
    acceptability: pl.DataFrame,
    descriptions: pl.DataFrame,
    names: Names,
    report: LoadReport,
    wanted: Sequence[int | str],
) -> tuple[pl.DataFrame, NDArray[np.bool_]]:
    """Decide the preferred terms by the language reference sets.

    Args:
        acceptability: What `language` gave.
        descriptions: The active descriptions: id, sctid, kind.
        names: Names of reference sets.
        report: The account of the load.
        wanted: The dialects asked for, the most important first.

    Returns:
        The table of `tables.DIALECTS`, ordered by id and refset, and for each description whether it is preferred: for
        each concept and kind of term those count of the first reference set that prefers one.

    Raises:
        InputError: If a dialect is asked for that the release does not have.
    """
    titles = _note(report, acceptability, "language", names, "refset")
    order = _order(list(titles), titles, wanted)
    report.language_refset = str(order[0]) if order else ""
    parted = [acceptability.filter(pl.col("refset") == refset) for refset in sorted(titles)]
    # both sides ascend by id, so that the join merges them instead of hashing millions of identifiers
    places = descriptions.select("id").with_row_index("place").sort("id")
    table = (
        pl.concat(parted or [acceptability])
        .sort("id", maintain_order=True)
        .join(places, on="id", how="inner", maintain_order="left")
    )
    lost = acceptability.height - table.height
    report.drop("language", "the description is not active", lost, expected=True)
    report.count("language", used=table.height)
    return table.drop("place"), preferred(table, descriptions, order)


def preferred(table: pl.DataFrame, descriptions: pl.DataFrame, order: list[int]) -> NDArray[np.bool_]:
    """Mark each description that the first reference set that prefers any for its concept and kind prefers.

    Args:
        table: refset, id, preferred, and the place of the description among the descriptions.
        descriptions: sctid, kind.
        order: The reference sets in the order in which they decide.
    """
    chosen = np.zeros(descriptions.height, dtype=bool)
    # an SCTID has 18 digits, so four kinds fit into the number with it
    keys = descriptions.select(pl.col("sctid") * 4 + pl.col("kind").to_physical().cast(pl.Int64)).to_series()
    covered: pl.Series | None = None
    for refset in order:
        places = table.filter((pl.col("refset") == refset) & pl.col("preferred"))["place"].to_numpy()
        if covered is not None:
            places = places[~chosen[places]]  # dialects mostly agree
            places = places[~keys.gather(places).is_in(covered.implode()).to_numpy()]
        chosen[places] = True
        here = keys.gather(places)
        covered = here if covered is None else pl.concat([covered, here])
    return chosen


def _order(refsets: list[int], titles: dict[int, str], wanted: Sequence[int | str]) -> list[int]:
    first = []
    for dialect in wanted:
        text = str(dialect).strip()
        by_name = {name.lower(): refset for name, refset in DIALECTS.items()}
        refset = int(text) if text.isdecimal() else by_name.get(text.lower().replace("_", "-"), 0)
        if refset not in refsets:
            there = ", ".join(f"{r} {titles[r]}".strip() for r in refsets) or "none"
            raise InputError(
                f"there is no language reference set for the dialect '{dialect}'",
                remedy=f"Names are {', '.join(DIALECTS)}, or an SCTID; this release has: {there}",
            )
        first.append(refset)
    usual = [r for r in (US_ENGLISH, GB_ENGLISH) if r in refsets]
    return list(dict.fromkeys([*first, *usual, *refsets]))


def axioms(rows: Release) -> pl.DataFrame:
    """Read the OWL axioms; OWL rows of another reference set (ontology headers) stay with the generic members.

    Args:
        rows: The release.
    """
    found = rows.active(
        "OWL expression",
        {"refsetId": ID, "referencedComponentId": ID, "owlExpression": TEXT},
        identified=False,
    )
    kept = found.filter(pl.col("refsetId") == OWL_AXIOMS)
    rows.report.count("OWL expression", used=kept.height)
    rows.report.drop(
        "OWL expression", "it is a prefix or header, no axiom", found.height - kept.height, expected=True
    )
    if not found.height:
        return fill(AXIOMS)
    return kept.select(sctid="referencedComponentId", axiom="owlExpression")


def members(rows: Release, names: Names) -> dict[str, pl.DataFrame]:
    """Read every reference set that has no table of its own, with all its columns.

    Args:
        rows: The release.
        names: Names of reference sets.
    """
    tables = {}
    for kind in (kind for kind in rows.kinds() if kind not in _OWN_WAY):
        found = rows.members(kind)
        _note(rows.report, found, kind, names)
        if kind != "association":
            rows.report.count(
                "reference set" if kind.startswith("reference set with") else kind, used=found.height
            )
        renamed = {"effectiveTime": "effective_time", "moduleId": "module", "refsetId": "refset",
                   "referencedComponentId": "component"}  # fmt: skip
        tables[kind] = found.rename(renamed).with_columns(pl.col("effective_time").fill_null(0))
    return tables


def with_reasons(inactive: pl.DataFrame, tables: dict[str, pl.DataFrame], report: LoadReport) -> pl.DataFrame:
    """Give each inactive concept the reason that the concept inactivation reference set states.

    Args:
        inactive: The inactive concepts.
        tables: The generic members; the rows used are taken out of them.
        report: The account of the load.
    """
    values = tables.get("attribute value")
    if values is None:
        return inactive
    concerned = (pl.col("refset") == CONCEPT_INACTIVATION) & pl.col("component").is_in(
        inactive["sctid"].implode()
    )
    reasons = values.filter(concerned).select(
        sctid="component", reason=pl.col("valueId").cast(pl.Int64, strict=False).fill_null(0)
    )
    tables["attribute value"] = values.filter(~concerned)
    report.drop(
        "attribute value", "the reason of inactivation is no SCTID", int((reasons["reason"] == 0).sum())
    )
    single = reasons.unique("sctid", keep="last", maintain_order=True)
    report.drop("attribute value", "one more reason of the same inactivation", reasons.height - single.height)
    return inactive.join(single, on="sctid", how="left").with_columns(pl.col("reason").fill_null(0))


def history(rows: Release, names: Names, tables: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """Turn the associations between concepts into history; those of descriptions stay with the members.

    Args:
        rows: The release.
        names: Names of reference sets.
        tables: The generic members; what becomes history is taken out of them.
    """
    found = tables.pop("association", None)
    if found is None:
        return fill(HISTORY)
    target = pl.col("targetComponentId").cast(pl.Int64, strict=False)
    concept = ((pl.col("component") // 10) % 100).is_in([0, 10]) & target.is_not_null()
    of_terms = tables["association"] = found.filter(~concept)
    rows.report.count("association", used=of_terms.height)
    return found.filter(concept).select(source="component", refset="refset", target=target)


def maps(rows: Release, names: Names) -> pl.DataFrame:
    """Read simple and extended maps, and alternate identifiers, one row a target.

    Args:
        rows: The release.
        names: Names of reference sets.
    """
    report, frames = rows.report, []
    for kind in _MAPPED:
        own = ("mapTarget", "mapTargetDescription") if kind == "simple map" else (
            "mapGroup", "mapPriority", "mapRule", "mapAdvice", "mapTarget", "correlationId", "mapCategoryId"
        )  # fmt: skip
        found = rows.active(
            kind, {"refsetId": ID, "referencedComponentId": ID, **dict.fromkeys(own, TEXT)}, counted="map"
        )
        systems = {
            refset: system_of_refset(refset, title)
            for refset, title in _note(report, found, kind, names).items()
        }
        for entry in report.refsets:
            if entry["kind"] == kind:
                entry["system"] = systems[int(entry["refset"])]
        simple = kind == "simple map"
        if not simple:
            categories = found["mapCategoryId"]
            odd = categories.cast(pl.Int64, strict=False).is_null() & (categories != "")
            report.tolerate("mapCategoryId that is no SCTID: left out", int(odd.sum()))
        frames.append(
            found.select(
                sctid="referencedComponentId",
                system=pl.col("refsetId").replace_strict(systems, default="", return_dtype=pl.String),
                group=pl.lit(1, pl.Int32) if simple else _small(found, "mapGroup", report),
                priority=pl.lit(1, pl.Int32) if simple else _small(found, "mapPriority", report),
                rule=pl.lit("TRUE") if simple else pl.col("mapRule"),
                advice=pl.col("mapTargetDescription") if simple else pl.col("mapAdvice"),
                target=pl.col("mapTarget").str.strip_chars(),
                predicate=pl.lit("") if simple else _correlation(),
                confidence=pl.lit(float("nan")),
                origin=pl.format("refset:{}", "refsetId"),
                category=pl.lit(0, pl.Int64)
                if simple
                else pl.col("mapCategoryId").cast(pl.Int64, strict=False).fill_null(0),
            )
        )
    frames.append(_identifiers(rows, names))
    table = pl.concat(frames)
    report.tolerate("map row whose target is empty: the system has no code", int((table["target"] == "").sum()),
                    expected=True)  # fmt: skip
    return table


def _correlation() -> pl.Expr:
    value = pl.col("correlationId")
    return (
        pl.when(value.is_in(["", str(UNSPECIFIED_CORRELATION)]))
        .then(pl.lit(""))
        .otherwise(pl.format("sct:{}", value))
    )


def _small(rows: pl.DataFrame, column: str, report: LoadReport) -> pl.Series:
    """Read a mapGroup or mapPriority; 1 where a release left it empty."""
    values = rows[column].cast(pl.Int32, strict=False)
    report.tolerate(f"{column} that is no number: taken as 1", values.null_count())
    return values.fill_null(1)


def _identifiers(rows: Release, names: Names) -> pl.DataFrame:
    found = rows.active(
        "identifier", {"alternateIdentifier": TEXT, "identifierSchemeId": ID, "referencedComponentId": ID},
        identified=False,
    )  # fmt: skip
    schemes = found["identifierSchemeId"].unique().to_list()
    systems = {scheme: system_of_refset(scheme, names(scheme)) for scheme in schemes}
    return found.select(
        sctid="referencedComponentId",
        system=pl.col("identifierSchemeId").replace_strict(systems, default="", return_dtype=pl.String),
        group=pl.lit(1, pl.Int32),
        priority=pl.lit(1, pl.Int32),
        rule=pl.lit("TRUE"),
        advice=pl.lit(""),
        target=pl.col("alternateIdentifier").str.strip_chars(),
        predicate=pl.lit(""),
        confidence=pl.lit(float("nan")),
        origin=pl.format("identifier:{}", "identifierSchemeId"),
        category=pl.lit(0, pl.Int64),
    )


def check_dependencies(
    tables: dict[str, pl.DataFrame], report: LoadReport, path: Path, *, refuse: bool = True
) -> None:
    """Hold the module dependency rows against the versions that are there.

    A module's version is the latest sourceEffectiveTime of its own rows. Rows are often missing in practice: a version
    that is not known is counted, a version that differs is refused.

    Args:
        tables: The generic members.
        report: The account of the load.
        path: Where the release is, for the message.
        refuse: Whether a difference is an error; otherwise it is counted.

    Raises:
        InputError: If a module needs another version of a module than the one given.
    """
    rows = tables.get("module dependency")
    if rows is None or rows.is_empty():
        report.tolerate("release without module dependency rows", 1 if len(report.modules) > 2 else 0)
        return
    versions = dict(rows.group_by("module").agg(pl.col("sourceEffectiveTime").max()).iter_rows())
    newest = rows.filter(
        pl.col("sourceEffectiveTime") == pl.col("module").replace_strict(versions, return_dtype=pl.String)
    ).sort("module", "component")
    wrong = []
    for row in newest.iter_rows(named=True):
        found = versions.get(row["component"], "")
        needed = row["targetEffectiveTime"]
        report.dependencies.append({
            "module": str(row["module"]), "version": row["sourceEffectiveTime"], "needs": str(row["component"]),
            "needed": needed, "found": found,
        })  # fmt: skip
        if found and found != needed:
            wrong.append(
                f"module {row['module']} needs {row['component']} of {needed}, here it is of {found}"
            )
    if wrong and refuse:
        raise InputError(
            f"the packages do not belong together: {'; '.join(wrong[:3])}",
            path=path,
            remedy="Give the edition that the extension was made for, or --ignore-dependencies to lay it over this one",
        )
    report.tolerate("module dependency on another version than the one given", len(wrong))
    known = {int(module) for module in report.modules}
    lonely = known - set(rows["module"].to_list()) - set(rows["component"].to_list())
    report.tolerate("module without a module dependency row", len(lonely))
