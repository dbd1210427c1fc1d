"""The terms of a layer over those of a base, and which of them are preferred.

| of the layer | what becomes of it |
|---|---|
| a description of an SCTID that the base has | it replaces the base's |
| a term that the concept has, whatever its capitals | the base's stays; preferred, it becomes the preferred one |
| an FSN that says the same without its semantic tag | no new name: the base's stays |
| another FSN | it replaces the base's, and both are noted |
| a preferred synonym | the base's preferred synonym of that language becomes an acceptable one, and both are noted |
| language reference sets (RF2) | they decide as at a load: the first one in the order that prefers a term |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from ontology.parts import Parts
from ontology.rf2_refsets import preferred

if TYPE_CHECKING:
    from ontology.overlay import Changes

_TAG = r"^(.*\S)\s+\([^()]+\)$"


def lay_terms(
    base: Parts, layer: Parts, back: Parts, changes: Changes, order: list[int]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Lay terms and dialects over one another.

    Args:
        base: What lies below.
        layer: What is laid over it.
        back: What the layer takes back.
        changes: Where all is noted.
        order: The language reference sets in the order in which they decide a preferred term.

    Returns:
        The terms and the dialects of both.
    """
    below = _without(base.terms, back.terms, changes)
    above, below = _by_identifier(layer.terms, below, changes)
    fresh, known = _known(above, below)
    fresh = _full_names(fresh, below, changes)
    replaced = below.filter(pl.col("kind") == "fsn").join(
        fresh.filter(pl.col("kind") == "fsn").select("sctid"), on="sctid", how="semi"
    )
    pairs = replaced.select("sctid", was="term").join(
        fresh.filter(pl.col("kind") == "fsn").select("sctid", now="term"), on="sctid"
    )
    changes.note("fully specified names replaced", pairs)
    below = below.join(replaced, on=below.columns, how="anti", maintain_order="left")
    changes.note("new terms", fresh.select("sctid", "term", pl.col("kind").cast(pl.String)))
    below, fresh = _preferences(below, fresh, known, layer.dialects, changes)
    terms = pl.concat([below, fresh])
    dialects = _dialects(base, layer, back, terms)
    return _by_dialect(terms, dialects, layer, back, order), dialects


def _without(below: pl.DataFrame, back: pl.DataFrame, changes: Changes) -> pl.DataFrame:
    if back.is_empty():
        return below
    words = ["sctid", "term"]
    named, told = back.filter(pl.col("id") != 0), back.filter(pl.col("id") == 0).select(words)
    kept = below.join(named.select("id"), on="id", how="anti", maintain_order="left")
    missed = named.join(below.select("id"), on="id", how="anti")
    # an identifier that the base does not have speaks only of terms that have none
    alike = kept.filter(pl.col("id") == 0).join(missed, on=words, how="semi")
    kept = kept.join(pl.concat([alike.select(words), told]), on=words, how="anti", maintain_order="left")
    gone = below.join(kept, on=below.columns, how="anti", maintain_order="left")
    changes.note("terms taken back", gone.select("sctid", "term", pl.col("kind").cast(pl.String)))
    missed = pl.concat([missed.select(words), told]).join(gone, on=words, how="anti")
    changes.note("terms taken back that were not there", missed)
    return kept


def _by_identifier(
    above: pl.DataFrame, below: pl.DataFrame, changes: Changes
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Let descriptions replace those of the same identifier."""
    named = above.filter(pl.col("id") != 0)
    again = below.join(named.select("id"), on="id", how="semi", maintain_order="left")
    content = [column for column in below.columns if column != "preferred"]
    other = again.join(named, on=content, how="anti", maintain_order="left")
    pairs = other.select("sctid", "id", was="term").join(named.select("id", now="term"), on="id").drop("id")
    changes.note("terms replaced", pairs)
    return above, below.join(other.select("id"), on="id", how="anti", maintain_order="left")


def _folded(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(folded=pl.col("term").str.to_lowercase(), kind_=pl.col("kind").cast(pl.String))


def _known(above: pl.DataFrame, below: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Tell new terms from those that their concept has already."""
    keys = ["sctid", "folded", "kind_"]
    rows = _folded(above).with_row_index("row")
    here = _folded(below.join(above.select("sctid").unique(), on="sctid", how="semi")).select(
        *keys, there="language"
    )
    same_language = (
        (pl.col("language") == pl.col("there")) | (pl.col("language") == "") | (pl.col("there") == "")
    )
    met = rows.join(here, on=keys).filter(same_language)["row"].unique()
    is_known = pl.col("row").is_in(met.implode())
    fresh = rows.filter(~is_known).unique([*keys, "language"], keep="first", maintain_order=True)
    return fresh.select(above.columns), rows.filter(is_known).select(*above.columns, "folded")


def _full_names(fresh: pl.DataFrame, below: pl.DataFrame, changes: Changes) -> pl.DataFrame:
    """Leave out names without a semantic tag where the base has one with it; a new wording becomes a synonym."""
    names = (
        below.filter(pl.col("kind") == "fsn")
        .select("sctid", tagged=pl.col("term").str.extract(_TAG))
        .drop_nulls()
        .unique("sctid", keep="first", maintain_order=True)
    )
    rows = fresh.join(names, on="sctid", how="left", maintain_order="left")
    same = pl.col("term").str.to_lowercase() == pl.col("tagged").str.to_lowercase()
    bare = (pl.col("kind") == "fsn") & pl.col("tagged").is_not_null() & ~pl.col("term").str.contains(_TAG)
    changes.note(
        "names without a semantic tag, left to the base's", rows.filter(bare & ~same).select("sctid", "term")
    )
    return rows.filter(~bare).drop("tagged")


def _preferences(
    below: pl.DataFrame, fresh: pl.DataFrame, known: pl.DataFrame, dialects: pl.DataFrame, changes: Changes
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Let a layer without language reference sets say which synonym is preferred."""

    def wanted(rows: pl.DataFrame) -> pl.DataFrame:
        chosen = rows.filter((pl.col("kind") == "synonym") & pl.col("preferred"))
        return chosen.join(dialects.select("id"), on="id", how="anti") if dialects.height else chosen

    asked = pl.concat([
        _folded(wanted(fresh)).select("sctid", "folded", "language", now="term"),
        wanted(known).select("sctid", "folded", "language", now="term"),
    ]).unique("sctid", keep="first", maintain_order=True)  # fmt: skip
    if asked.is_empty():
        return below, fresh
    rows = _folded(below).join(asked, on="sctid", how="left", suffix="_asked", maintain_order="left")
    same_language = (
        (pl.col("language") == pl.col("language_asked"))
        | (pl.col("language") == "")
        | (pl.col("language_asked") == "")
    )
    touched = (pl.col("kind") == "synonym") & pl.col("now").is_not_null() & same_language
    becomes = pl.col("folded") == pl.col("folded_asked")
    demoted = rows.filter(touched & pl.col("preferred") & ~becomes)
    changes.note("preferred terms replaced", demoted.select("sctid", was="term", now="now"))
    rows = rows.with_columns(preferred=pl.when(touched).then(becomes).otherwise("preferred"))
    return rows.select(below.columns), fresh


def _dialects(base: Parts, layer: Parts, back: Parts, terms: pl.DataFrame) -> pl.DataFrame:
    keys = ["refset", "id"]
    below = base.dialects
    for rows in (back.dialects, layer.dialects):
        if rows.height:
            below = below.join(rows.select(keys).unique(), on=keys, how="anti", maintain_order="left")
    table = pl.concat([below, layer.dialects.unique(keys, keep="last", maintain_order=True)])
    gone = base.terms.filter(pl.col("id") != 0).join(terms.select("id"), on="id", how="anti")
    return table.join(gone.select("id"), on="id", how="anti", maintain_order="left") if gone.height else table


def _by_dialect(
    terms: pl.DataFrame, dialects: pl.DataFrame, layer: Parts, back: Parts, order: list[int]
) -> pl.DataFrame:
    """Decide the preferred terms anew for the concepts whose descriptions or dialects the layer touches."""
    spoken = pl.concat([layer.dialects.select("id"), back.dialects.select("id")])
    if spoken.is_empty():
        return terms
    sctids = pl.concat([
        terms.join(spoken.unique(), on="id", how="semi").select("sctid"), back.terms.select("sctid")
    ]).unique()  # fmt: skip
    rows = terms.with_row_index("row")
    here = rows.filter(pl.col("id") != 0).join(sctids, on="sctid", how="semi", maintain_order="left")
    places = here.select("id").with_row_index("place")
    table = dialects.join(places, on="id", how="inner")
    counts = dict(dialects["refset"].value_counts(sort=True).iter_rows())
    chosen = preferred(table, here, list(dict.fromkeys([*order, *counts])))
    decided = here.select("row", decided=pl.Series(chosen))
    return (
        rows.join(decided, on="row", how="left", maintain_order="left")
        .with_columns(preferred=pl.coalesce("decided", "preferred"))
        .select(terms.columns)
    )
