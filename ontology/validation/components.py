"""Descriptions, relationships and concrete values: what they refer to, and what each concept must have of them."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from ontology import sctid
from ontology.identifiers import FSN, STATED, SYNONYM
from ontology.validation.columns import CONCEPT
from ontology.validation.findings import FILE, LINE, Findings
from ontology.validation.references import MODULE, Known, check, named_by_format

_ACTIVE = pl.col("active") == 1
PACKAGE = "_package"


def check_descriptions(rows: pl.DataFrame, known: Known, findings: Findings) -> pl.DataFrame:
    """Check what descriptions refer to, and that a concept has one fully specified name in a language.

    Args:
        rows: The latest row of each description.
        known: The concepts.
        findings: Where problems are noted.

    Returns:
        The descriptions without their terms; `named` says whether the row is active and its term not empty.
    """
    check(rows, "conceptId", known, findings)
    check(rows, "moduleId", known, findings, sort=MODULE)
    named = _ACTIVE & (pl.col("term").str.strip_chars() != "")
    slim = rows.select("id", "conceptId", "typeId", "active", FILE, LINE, PACKAGE, named=named)
    full = rows.filter(named & (pl.col("typeId") == FSN)).select(
        "conceptId", "languageCode", "term", FILE, LINE
    )
    again(full, ["conceptId", "languageCode"], "several-fsns", "conceptId", findings)
    return slim


def check_names(concepts: pl.DataFrame, descriptions: pl.DataFrame, known: Known, findings: Findings) -> None:
    """Check that each active concept has a fully specified name.

    Args:
        concepts: The latest row of each concept.
        descriptions: As `check_descriptions` gave them.
        known: What there is.
        findings: Where problems are noted.
    """
    if known.unread & {"concept", "description"}:
        return
    named = descriptions.filter(pl.col("named") & (pl.col("typeId") == FSN))["conceptId"].unique()
    nameless = concepts.filter(_ACTIVE & ~pl.col("id").is_in(named.implode()) & ~known.spared("id"))
    findings.add("no-fsn", nameless, "id")


def again(rows: pl.DataFrame, key: Sequence[str], kind: str, column: str, findings: Findings) -> None:
    """Note each row that has the key of an earlier one, and where that is.

    Args:
        rows: The rows, in the files' order.
        key: The columns that should be said once.
        kind: What the later ones are.
        column: The column to name.
        findings: Where problems are noted.
    """
    twice = rows.filter(pl.struct(key).is_duplicated()) if rows.height else rows
    if twice.is_empty():
        return
    over = list(key)
    twice = twice.with_columns(
        _first=pl.struct(FILE, LINE).first().over(over), _later=pl.int_range(pl.len()).over(over) > 0
    ).filter("_later")
    places = [f"first in {findings.place(first[FILE], first[LINE])}" for first in twice["_first"].to_list()]
    findings.add(kind, twice.with_columns(pl.Series("_detail", places)), column, detail="_detail")


def check_relationships(
    kind: str, rows: pl.DataFrame, concepts: pl.DataFrame, known: Known, findings: Findings
) -> None:
    """Check the ends and types of relationships, or of concrete values.

    Args:
        kind: The kind of the files.
        rows: The latest row of each relationship.
        concepts: The latest row of each concept.
        known: The concepts.
        findings: Where problems are noted.
    """
    ends = [column for column in ("sourceId", "destinationId") if column in rows.columns]
    check(rows, "moduleId", known, findings, sort=MODULE)
    for column in ends:
        check(rows, column, known, findings)
    _types(rows, known, findings)
    active = rows.filter(_ACTIVE)
    for column in ends:
        _inactive_ends(active, column, concepts, known, findings)
    if "destinationId" in ends:
        findings.add(
            "self-loop", active.filter(pl.col("sourceId") == pl.col("destinationId")), "destinationId"
        )
    stated = pl.col("characteristicTypeId") == STATED
    key = ["sourceId", "typeId", "destinationId" if "destinationId" in ends else "value", "relationshipGroup"]
    slim = active.select(*key, "modifierId", "id", FILE, LINE, _stated=stated)
    again(slim.drop_nulls(key), [*key, "modifierId", "_stated"], "duplicate-relationship", "id", findings)


def _types(rows: pl.DataFrame, known: Known, findings: Findings) -> None:
    types = rows["typeId"].drop_nulls().unique()
    types = types.filter(~types.is_in(known.active.implode()))
    types = types.filter(~named_by_format(types, known))
    if types.is_empty():
        return
    right = sctid.check_digits(types.to_numpy())
    fits = (types // 10 % 10 == CONCEPT) & (types // 100 % 10 <= 1)
    of = pl.col("typeId")
    findings.add("check-digit", rows.filter(of.is_in(types.filter(pl.Series(~right)).implode())), "typeId")
    types, fits = types.filter(pl.Series(right)), fits.filter(pl.Series(right))
    findings.add("partition", rows.filter(of.is_in(types.filter(~fits).implode())), "typeId")
    unknown = types.filter(fits)
    if known.judged(CONCEPT) and unknown.len():
        lost = rows.filter(_ACTIVE & of.is_in(unknown.implode()) & ~known.spared("typeId"))
        findings.add("relationship-type", lost, "typeId")


def _inactive_ends(
    active: pl.DataFrame, column: str, concepts: pl.DataFrame, known: Known, findings: Findings
) -> None:
    retired = concepts.filter(~_ACTIVE).select(pl.col("id").alias(column), _by=PACKAGE)
    found = active.join(retired, on=column, how="inner", maintain_order="left").filter(~known.spared(column))
    later = pl.col("_by") > pl.col(PACKAGE)
    findings.add("inactive-concept", found.filter(~later), column)
    findings.add("retired-by-layer", found.filter(later), column)


def check_preferred(
    concepts: pl.DataFrame,
    descriptions: pl.DataFrame,
    members: pl.DataFrame,
    known: Known,
    findings: Findings,
) -> None:
    """Check that each dialect prefers one term of a concept, and that some dialect prefers any.

    Args:
        concepts: The latest row of each concept.
        descriptions: As `check_descriptions` gave them.
        members: The active members that say preferred: id of the description, refsetId, `FILE`, `LINE`.
        known: What there is.
        findings: Where problems are noted.
    """
    terms = descriptions.filter(pl.col("named") & pl.col("typeId").is_in([FSN, SYNONYM]))
    chosen = members.join(
        terms.select("conceptId", "typeId", referencedComponentId="id"), on="referencedComponentId", how="inner",
        maintain_order="left",
    )  # fmt: skip
    # the same description said twice is a duplicate member, and no second preference
    once = chosen.unique(["refsetId", "referencedComponentId"], keep="first", maintain_order=True)
    again(once, ["refsetId", "conceptId", "typeId"], "several-preferred", "acceptabilityId", findings)
    if known.unread & {"concept", "description", "language"} or members.is_empty():
        return
    preferred = chosen.filter(pl.col("typeId") == SYNONYM)["conceptId"].unique()
    without = concepts.filter(_ACTIVE & ~pl.col("id").is_in(preferred.implode()) & ~known.spared("id"))
    findings.add("no-preferred-term", without, "id")
