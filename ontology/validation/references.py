"""Identifiers that name components: whether each is well formed, of the right kind, and known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from ontology import sctid
from ontology.identifiers import NAMES
from ontology.validation.columns import CONCEPT
from ontology.validation.findings import Findings

# A small release or an extension leaves out the concepts that RF2 itself needs. Whether those of a sort are there
# shows in the concept above them.
MODULE, REFSET, METADATA, ATTRIBUTE = 900000000000443000, 900000000000455006, 900000000000454005, 410662002
SORTS = {
    MODULE: "modules",
    REFSET: "reference sets",
    METADATA: "values and schemes",
    ATTRIBUTE: "attributes that the format itself names",
}
_NONE = pl.Series([], dtype=pl.Int64())


@dataclass
class Known:
    """The components of a release.

    Attributes:
        concepts: All concepts, by SCTID.
        active: Those that are active.
        descriptions: All descriptions.
        relationships: All relationships of every kind.
        mentioned: Identifiers in rows that are at fault themselves: nothing more is said of them.
        unread: Kinds of files that could not all be read: what refers to them is not judged.
        sorts: Which of MODULE, REFSET, METADATA and ATTRIBUTE the release has; those of another sort are not looked up.
    """

    concepts: pl.Series = field(default_factory=lambda: _NONE)
    active: pl.Series = field(default_factory=lambda: _NONE)
    descriptions: pl.Series = field(default_factory=lambda: _NONE)
    relationships: pl.Series = field(default_factory=lambda: _NONE)
    mentioned: set[int] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)
    sorts: set[int] = field(default_factory=set)

    def of(self, part: int) -> pl.Series:
        """Give the known components of a kind.

        Args:
            part: CONCEPT, DESCRIPTION or RELATIONSHIP.
        """
        return (self.concepts, self.descriptions, self.relationships)[part]

    def judged(self, part: int) -> bool:
        """Say whether all components of a kind could be read.

        Args:
            part: CONCEPT, DESCRIPTION or RELATIONSHIP.
        """
        kinds = (
            {"concept"},
            {"description"},
            {"relationship", "stated relationship", "concrete values"},
        )[part]
        return not kinds & self.unread

    def spared(self, column: str) -> pl.Expr:
        """Say of which identifiers nothing more is said, as a row that mentions them is at fault.

        Args:
            column: A column of identifiers.
        """
        return pl.col(column).is_in(pl.Series(list(self.mentioned), dtype=pl.Int64()).implode())


def check(
    rows: pl.DataFrame,
    column: str,
    known: Known,
    findings: Findings,
    *,
    parts: Sequence[int] = (CONCEPT,),
    sort: int = 0,
    value: str | None = None,
) -> None:
    """Note identifiers that are malformed, of another kind than the column's, or unknown.

    An identifier that names a component is not looked at further: if it is malformed, that is said where the component
    itself is. An inactive row may name what is not there, so only its form is judged.

    Args:
        rows: The latest rows, with `active`.
        column: The column.
        known: What there is.
        findings: Where problems are noted.
        parts: What the column may name.
        sort: MODULE, REFSET or METADATA, where it names such concepts.
        value: The column that holds the identifier as a number, if it is another one.
    """
    name = value or column
    strange = rows.filter(pl.col(name).is_not_null())
    for part in parts:
        strange = strange.filter(~pl.col(name).is_in(known.of(part).implode()))
    if strange.is_empty():
        return
    values = strange[name].to_numpy()
    right = sctid.check_digits(values)
    apart = values // 10 % 100
    allowed = [*parts, *(10 + part for part in parts)]
    fits = pl.Series(apart).is_in(allowed).to_numpy()
    findings.add("check-digit", strange.filter(pl.Series(~right)), column, value=name)
    findings.add("partition", strange.filter(pl.Series(right & ~fits)), column, value=name)
    if sort and sort not in known.sorts:
        return
    lost = strange.filter(pl.Series(right & fits))
    for part in parts:
        if not known.judged(part):
            lost = lost.filter(~(pl.col(name) // 10 % 10 == part))
    lost = lost.filter((pl.col("active") == 1) & ~known.spared(name))
    findings.add("dangling", lost, column, value=name)


def named_by_format(sctids: pl.Series, known: Known) -> pl.Series:
    """Say which relationship types need no concept of their own: the format names them, and no attributes are there.

    Args:
        sctids: The types.
        known: What there is.
    """
    return sctids.is_in([] if ATTRIBUTE in known.sorts else list(NAMES))
