"""What a format has no place for, counted for one ontology: `left_out(ontology, "obo")`.

Each entry of `CONTENT` counts one kind of content; `LACKS` says which formats lose it. The rest comes back when the
file is read again, which the tests hold for every format that has a reader.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from ontology.disassemble import disassemble
from ontology.errors import InputError
from ontology.model import Ontology
from ontology.obo_spelling import HAS_DBXREF, split_xref
from ontology.parts import Parts
from ontology.writers.iris import ILLEGAL_IN_XML

# What is no language tag is left out by the writers of RDF.
_TAG = r"^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*$"


def _rows(name: str, condition: pl.Expr | None = None) -> Callable[[Parts], int]:
    def count(parts: Parts) -> int:
        frame: pl.DataFrame = getattr(parts, name)
        return frame.height if condition is None else frame.filter(condition).height

    return count


def _versions(parts: Parts) -> int:
    said = (pl.col("module") != 0) | (pl.col("effective_time") != 0)
    return parts.concepts.filter(said).height + parts.inactive.filter(said).height


def _identifiers(parts: Parts) -> int:
    return sum(table.filter(pl.col("id") != 0).height for table in (parts.relations, parts.values))


def _members(parts: Parts, without: str = "") -> int:
    return sum(frame.height for kind, frame in parts.members.items() if kind != without)


def _illegal(parts: Parts) -> int:
    return int(parts.terms["term"].str.contains(ILLEGAL_IN_XML.pattern).sum())


def _facts(parts: Parts) -> pl.DataFrame:
    """Give relations and concrete values as one table: source, type, target or value, group."""
    return pl.concat([
        parts.relations.select("source", "type", pl.col("target").cast(pl.String), "group"),
        parts.values.select("source", "type", pl.col("value").alias("target"), "group"),
    ])  # fmt: skip


def _repeated_groups(parts: Parts) -> int:
    """Count the rows of role groups that say what another group of the same concept says."""
    grouped = _facts(parts).filter(pl.col("group") != 0)
    content = (
        grouped.select("source", "group", said=pl.concat_str("type", "target", separator=" "))
        .sort("source", "group", "said")
        .group_by("source", "group", maintain_order=True)
        .agg(pl.col("said").str.join("\n"), pl.len().alias("rows"))
    )
    again = ~pl.struct("source", "said").is_first_distinct()
    return int(content.filter(again)["rows"].sum())


def _xrefs(parts: Parts) -> pl.DataFrame:
    """Give the maps that are cross-references and whose spelling leads back to them."""
    rows = parts.maps.filter(pl.col("predicate") == HAS_DBXREF)
    pairs = zip(rows["system"].to_list(), rows["target"].to_list(), strict=True)
    plain = [
        ":" not in system and split_xref(f"{system}:{target}" if system else target) == (system, target)
        for system, target in pairs
    ]
    return rows.filter(pl.Series(plain, dtype=pl.Boolean))


def _outside_refsets(parts: Parts) -> int:
    return parts.maps.filter(~pl.col("origin").str.contains(r"^(refset|identifier):[0-9]+$")).height


_synonym = pl.col("kind") == "synonym"
_fsn = pl.col("kind") == "fsn"

CONTENT: dict[str, Callable[[Parts], int]] = {
    "modules and effectiveTimes of concepts": _versions,
    "inactive concepts": _rows("inactive"),
    "reasons of inactivation": _rows("inactive", pl.col("reason") != 0),
    "historical associations": _rows("history"),
    "terms other than FSN and preferred term": lambda parts: (
        parts.terms.filter(~_fsn & ~(_synonym & pl.col("preferred"))).height
    ),
    "terms other than the preferred ones": lambda parts: (
        parts.terms.filter(~(_synonym & pl.col("preferred"))).height
    ),
    "preferences of FSNs and definitions": _rows("terms", ~_synonym & (pl.col("preferred") != _fsn)),
    "languages of terms": _rows("terms", pl.col("language") != ""),
    "languages of terms that are no language tag": _rows(
        "terms", (pl.col("language") != "") & ~pl.col("language").str.contains(_TAG)
    ),
    "terms with characters that XML cannot hold": _illegal,
    "terms of other kinds, written as acceptable synonyms": _rows("terms", pl.col("kind") == "other"),
    "blank terms": _rows("terms", pl.col("term").str.strip_chars() == ""),
    "case significances": _rows("terms", pl.col("case_significance") != "ci"),
    "ids of descriptions": _rows("terms", pl.col("id") != 0),
    "acceptabilities in language reference sets": _rows("dialects"),
    "ids of relationships": _identifiers,
    "role groups of relations": _rows("relations", pl.col("group") != 0),
    "numbers of role groups": lambda parts: _facts(parts).filter(pl.col("group") != 0).height,
    "attributes of a role group that is there twice": _repeated_groups,
    "stated relationships": _rows("stated"),
    "concrete values": _rows("values"),
    "maps": _rows("maps"),
    "maps other than cross-references": lambda parts: parts.maps.height - _xrefs(parts).height,
    "origins of cross-references": lambda parts: int((_xrefs(parts)["origin"] != "").sum()),
    "rules, groups and confidences of cross-references": lambda parts: _xrefs(parts).filter(
        (pl.col("rule") != "TRUE") | (pl.col("advice") != "") | (pl.col("category") != 0)
        | (pl.col("group") != 0) | (pl.col("priority") != 1) | pl.col("confidence").is_not_nan()
    ).height,
    "maps of no reference set, kept beside it in maps.tsv": _outside_refsets,
    "axioms": _rows("axioms"),
    "members of reference sets": _members,
    "members of reference sets other than subsets": lambda parts: _members(parts, "subset"),
}  # fmt: skip

_RF2_ALONE = (
    "modules and effectiveTimes of concepts",
    "case significances",
    "ids of descriptions",
    "acceptabilities in language reference sets",
    "ids of relationships",
    "stated relationships",
    "axioms",
)
_OBO = (
    *_RF2_ALONE,
    "languages of terms",
    "preferences of FSNs and definitions",
    "members of reference sets other than subsets",
)
_RDF = (
    *_RF2_ALONE,
    "languages of terms that are no language tag",
    "preferences of FSNs and definitions",
    "members of reference sets",
)
_EDGES_ONLY = (
    *_RF2_ALONE,
    "inactive concepts",
    "reasons of inactivation",
    "historical associations",
    "languages of terms",
    "concrete values",
    "maps",
    "members of reference sets",
)
LACKS: dict[str, tuple[str, ...]] = {
    "rf2": (
        "blank terms",
        "terms of other kinds, written as acceptable synonyms",
        "maps of no reference set, kept beside it in maps.tsv",
    ),
    "parquet": (),
    "turtle": (*_RDF, "blank terms"),
    "owl": (
        *_RDF,
        "terms with characters that XML cannot hold",
        "numbers of role groups",
        "attributes of a role group that is there twice",
        "maps other than cross-references",
        "origins of cross-references",
        "rules, groups and confidences of cross-references",
    ),
    "obo": _OBO,
    "obograph": _OBO,
    "graphml": (
        *_EDGES_ONLY,
        "terms other than FSN and preferred term",
        "terms with characters that XML cannot hold",
    ),
    "pykeen": (*_EDGES_ONLY, "terms other than the preferred ones", "role groups of relations"),
}


def left_out(ontology: Ontology, form: str) -> dict[str, int]:
    """Count what a format leaves out of an ontology.

    Args:
        ontology: The ontology.
        form: A key of `ontology.export.FORMATS`.

    Returns:
        How many of each kind of content are left out, in the order of `CONTENT`; kinds of which there is none are not
        named.

    Raises:
        InputError: If there is no such format.
    """
    if form not in LACKS:
        raise InputError(f"there is no format '{form}'", remedy=f"Formats: {', '.join(LACKS)}")
    parts = disassemble(ontology)
    return {what: n for what, count in CONTENT.items() if what in LACKS[form] and (n := count(parts))}
