"""Members of reference sets: what they refer to, whether they say it twice, and what their own columns say."""

from __future__ import annotations

import polars as pl

from ontology.errors import InputError
from ontology.identifiers import PREFERRED
from ontology.rf2_files import MEMBER, RF2File
from ontology.rf2_refsets import OWL_AXIOMS
from ontology.rules import parse
from ontology.validation.columns import CONCEPT, DESCRIPTION, RELATIONSHIP, letters
from ontology.validation.components import PACKAGE, again
from ontology.validation.findings import FILE, LINE, Findings
from ontology.validation.references import (
    ATTRIBUTE,
    METADATA,
    MODULE,
    REFSET,
    Known,
    check,
)

_ACTIVE = pl.col("active") == 1
_ANY = (CONCEPT, DESCRIPTION, RELATIONSHIP)
# Kinds whose own column of components says everything, so that it is never empty.
_TELLING = {"association": "targetComponentId", "attribute value": "valueId"}
# Kinds whose members are said of concepts that RF2 itself needs.
_SORTS = {
    "module dependency": MODULE,
    "MRCM module scope": MODULE,
    "reference set descriptor": REFSET,
    "description type": METADATA,
    "MRCM attribute domain": ATTRIBUTE,
    "MRCM attribute range": ATTRIBUTE,
}


def check_language(
    rows: pl.DataFrame, descriptions: pl.DataFrame, known: Known, findings: Findings
) -> pl.DataFrame:
    """Check the members of language reference sets.

    Args:
        rows: The latest row of each member.
        descriptions: As `components.check_descriptions` gave them.
        known: What there is.
        findings: Where problems are noted.

    Returns:
        The active members that say preferred, slim.
    """
    _common(rows, known, findings)
    check(rows, "referencedComponentId", known, findings, parts=(DESCRIPTION,))
    active = rows.filter(_ACTIVE).select(
        "refsetId", "referencedComponentId", "acceptabilityId", FILE, LINE, PACKAGE
    )
    gone = descriptions.filter(~_ACTIVE).select(referencedComponentId="id", _by=PACKAGE)
    inactive = active.join(gone, on="referencedComponentId", how="inner", maintain_order="left")
    # that an extension retires a description of its edition is what layers are for
    inactive = inactive.filter((pl.col("_by") <= pl.col(PACKAGE)) & ~known.spared("referencedComponentId"))
    findings.add("inactive-description", inactive, "referencedComponentId")
    key = ["refsetId", "referencedComponentId"]
    twice = active.filter(pl.struct(key).is_duplicated()) if active.height else active
    conflict = pl.col("acceptabilityId").n_unique().over(key) > 1
    again(twice.filter(conflict), key, "acceptability-conflict", "acceptabilityId", findings)
    again(twice.filter(~conflict), key, "duplicate-member", "referencedComponentId", findings)
    return active.filter(pl.col("acceptabilityId") == PREFERRED)


def _common(rows: pl.DataFrame, known: Known, findings: Findings) -> None:
    check(rows, "moduleId", known, findings, sort=MODULE)
    check(rows, "refsetId", known, findings, sort=REFSET)


def check_identifiers(rows: pl.DataFrame, known: Known, findings: Findings) -> None:
    """Check alternate identifiers.

    Args:
        rows: The latest row of each.
        known: What there is.
        findings: Where problems are noted.
    """
    check(rows, "moduleId", known, findings, sort=MODULE)
    check(rows, "identifierSchemeId", known, findings, sort=METADATA)
    check(rows, "referencedComponentId", known, findings, parts=_ANY)


def check_members(
    kind: str, rows: pl.DataFrame, files: list[RF2File], known: Known, findings: Findings
) -> None:
    """Check the members of any other reference set.

    Args:
        kind: The kind of the files.
        rows: The latest row of each member.
        files: The files that they were read from.
        known: What there is.
        findings: Where problems are noted.
    """
    _common(rows, known, findings)
    axiom = (pl.col("refsetId") == OWL_AXIOMS) if kind == "OWL expression" else pl.lit(kind not in _SORTS)
    check(rows.filter(axiom), "referencedComponentId", known, findings, parts=_ANY)
    sort = _SORTS.get(kind, METADATA)
    check(rows.filter(~axiom), "referencedComponentId", known, findings, parts=_ANY, sort=sort)
    promised = next((found for file in files if (found := letters(file))), {})
    components = [column for column, letter in promised.items() if letter == "c"]
    if kind in _TELLING:
        components = list(dict.fromkeys([*components, _TELLING[kind]]))
    for column in components:
        if column in rows.columns and rows.schema[column] == pl.String():
            _component(kind, rows, column, known, findings)
    own = [column for column in files[0].header if column not in MEMBER]
    if kind == "module dependency":
        own.append("moduleId")
    active = rows.filter(_ACTIVE)
    again(
        active,
        ["refsetId", "referencedComponentId", *own],
        "duplicate-member",
        "referencedComponentId",
        findings,
    )
    if "mapRule" in rows.columns:
        _rules(active, findings)


def _component(kind: str, rows: pl.DataFrame, column: str, known: Known, findings: Findings) -> None:
    parsed = rows.with_columns(_number=pl.col(column).cast(pl.Int64, strict=False))
    unread = pl.col("_number").is_null() | (pl.col("_number") < 1) | (pl.col("_number") >= 10**18)
    may_lack = pl.lit(_TELLING.get(kind) != column) & (pl.col(column) == "")
    findings.add("identifier", parsed.filter(unread & ~may_lack & _ACTIVE), column)
    check(
        parsed.filter(~unread), column, known, findings, parts=_ANY,
        sort=0 if column == "targetComponentId" else METADATA, value="_number",
    )  # fmt: skip


def _rules(rows: pl.DataFrame, findings: Findings) -> None:
    problems = {}
    for rule in rows["mapRule"].unique().to_list():
        try:
            parse(rule)
        except InputError as error:
            problems[rule] = error.problem.removeprefix("the map rule ")
    if problems:
        found = rows.filter(pl.col("mapRule").is_in(list(problems)))
        detail = pl.Series("_detail", [problems[rule] for rule in found["mapRule"].to_list()])
        findings.add("map-rule", found.with_columns(detail), "mapRule", detail="_detail")


def check_dependencies(rows: pl.DataFrame, modules: pl.DataFrame, findings: Findings) -> None:
    """Check that packages belong together, as the loader does.

    A module's version is the latest sourceEffectiveTime of its own rows. A module's row is missed where there are rows
    at all, or more than two modules.

    Args:
        rows: The latest members of the module dependency reference set.
        modules: The modules of the active rows: moduleId, and `FILE` and `LINE` of the first row of each.
        findings: Where problems are noted.
    """
    active = rows.filter(_ACTIVE) if rows.width else rows
    if active.width and active.height:
        versions = active.group_by("moduleId").agg(_version=pl.col("sourceEffectiveTime").max())
        newest = active.join(versions, on="moduleId", maintain_order="left").filter(
            pl.col("sourceEffectiveTime") == pl.col("_version")
        )
        there = versions.select(referencedComponentId="moduleId", _found="_version")
        wrong = newest.join(there, on="referencedComponentId", maintain_order="left").filter(
            (pl.col("_found") != "") & (pl.col("_found") != pl.col("targetEffectiveTime"))
        )
        detail = pl.format(
            "module {} needs {} of {}, here it is of {}",
            "moduleId",
            "referencedComponentId",
            "targetEffectiveTime",
            "_found",
        )
        findings.add(
            "dependency-version", wrong.with_columns(_detail=detail), "targetEffectiveTime", detail="_detail"
        )
    elif modules.height <= 2:
        return
    named = (
        [*active["moduleId"].to_list(), *active["referencedComponentId"].to_list()] if active.width else []
    )
    lonely = modules.filter(~pl.col("moduleId").is_in(pl.Series(named, dtype=pl.Int64()).implode()))
    findings.add("module-without-dependency", lonely, "moduleId")
