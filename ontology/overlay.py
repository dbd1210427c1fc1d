"""The tables of a layer over those of a base: what is new, what replaces something, what is taken back.

A row of the layer meets a row of the base by its identifier where both have one, else by what it says. Where they
differ the layer's holds; a row that the base has already is not added again. Every decision is noted in `Changes` under
a name that a person understands.

| of the layer | what becomes of it |
|---|---|
| a concept that says no more than its identifier | a mention: the base's concept stays as it is, active or not |
| a concept of an earlier effectiveTime than the base's | left out, as RF2 has it |
| an inactive concept | it is deactivated, with its terms and history; its relations and maps are lost, and noted |
| a role group of a relation without identifier | it gets a number that is free, unless the base has the same group |
| a relation to a concept that nobody knows | dangling: left out, and noted |
| a row that takes something back (`Parts.withdrawn`) | the base's row goes; where there is none, that is noted |
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from ontology.identifiers import IS_A
from ontology.overlay_terms import lay_terms
from ontology.parts import Parts
from ontology.tables import MEMBERS

# By what a row is known where it has no identifier.
_KEYS: dict[str, tuple[str, ...]] = {
    "relations": ("source", "type", "target", "group"),
    "stated": ("source", "type", "target", "group"),
    "values": ("source", "type", "group", "value"),
    "maps": ("sctid", "system", "origin", "group", "priority", "rule", "target"),
    "history": ("source", "refset", "target"),
    "axioms": ("sctid", "axiom"),
}
# The concepts without which a row says nothing.
_ENDS = {"relations": ("source", "target"), "values": ("source",), "maps": ("sctid",), "history": ("source",)}
_NAMES = {
    "relations": "relations", "stated": "stated relations", "values": "concrete values", "maps": "maps",
    "history": "historical associations", "axioms": "axioms", "members": "reference set members",
}  # fmt: skip


@dataclass
class Changes:
    """What a layer does to what lies below it.

    Attributes:
        tables: Under the name of each kind of change its rows, in SCTIDs: "new concepts", "dangling relations" ...
    """

    tables: dict[str, pl.DataFrame] = field(default_factory=dict)

    def note(self, what: str, rows: pl.DataFrame) -> None:
        """Add rows to a kind of change; none is noted for none.

        Args:
            what: The kind's name.
            rows: The rows.
        """
        if rows.height:
            known = self.tables.get(what)
            self.tables[what] = rows if known is None else pl.concat([known, rows], how="diagonal")

    def counts(self) -> dict[str, int]:
        """Give the number of rows by kind."""
        return {what: rows.height for what, rows in self.tables.items()}


def minus(rows: pl.DataFrame, others: pl.DataFrame, on: tuple[str, ...] | list[str]) -> pl.DataFrame:
    """Give the rows that are not among others, in their order.

    Args:
        rows: The rows.
        others: What to leave out.
        on: The columns that say whether two rows are the same.
    """
    if others.is_empty() or rows.is_empty():
        return rows
    return rows.join(others.select(on).unique(), on=list(on), how="anti", maintain_order="left")


def among(rows: pl.DataFrame, others: pl.DataFrame, on: tuple[str, ...] | list[str]) -> pl.DataFrame:
    """Give the rows that are among others, in their order; arguments as `minus`."""
    if others.is_empty() or rows.is_empty():
        return rows.clear()
    return rows.join(others.select(on).unique(), on=list(on), how="semi", maintain_order="left")


def lay_over(base: Parts, layer: Parts, changes: Changes, *, number: int, dialects: list[int]) -> Parts:
    """Lay a layer over a base.

    Args:
        base: What lies below.
        layer: What is laid over it; `withdrawn` is what it takes back.
        changes: Where all is noted.
        number: The layer's number, for the concepts that it brings.
        dialects: The language reference sets in the order in which they decide a preferred term.

    Returns:
        The parts of both; relations have both their ends among the active concepts.
    """
    back = layer.withdrawn or Parts()
    concepts, inactive = _concepts(base, layer, changes, number)
    layer = _renumbered(base, layer)
    merged: dict[str, Any] = {"concepts": concepts, "inactive": inactive}
    for name, keys in _KEYS.items():
        below = getattr(base, name)
        rows, replaced = _rows(name, below, getattr(layer, name), getattr(back, name), changes)
        merged[name] = rows = _standing(name, rows, below, merged, changes)
        fresh = minus(rows, below, keys)
        changes.note(
            f"new {_NAMES[name]}", minus(fresh, replaced, ("id",)) if "id" in rows.columns else fresh
        )
    merged["terms"], merged["dialects"] = lay_terms(base, layer, back, changes, dialects)
    merged["codes"] = pl.concat([base.codes, layer.codes]).unique("key", keep="first", maintain_order=True)
    parts = Parts(**merged, members=_members(base, layer, back, changes))
    _orphans(base, parts, changes)
    return parts


def _concepts(base: Parts, layer: Parts, changes: Changes, number: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    mention = (pl.col("module") == 0) & (pl.col("effective_time") == 0) & ~pl.col("defined")
    active, inactive = base.concepts, base.inactive
    coming = layer.concepts.unique("sctid", keep="last", maintain_order=True)
    leaving = minus(layer.inactive.unique("sctid", keep="last", maintain_order=True), coming, ("sctid",))
    known = pl.concat([active.select("sctid", "effective_time"), inactive.select("sctid", "effective_time")])
    coming, leaving = (_not_older(rows, known, changes) for rows in (coming, leaving))
    new = minus(minus(coming, active, ("sctid",)), inactive, ("sctid",))
    changes.note("new concepts", new.select("sctid"))

    asleep = among(coming, inactive, ("sctid",))
    changes.note("mentions of inactive concepts", asleep.filter(mention).select("sctid"))
    woken = asleep.filter(~mention)
    changes.note("reactivated concepts", woken.select("sctid"))

    said = among(coming, active, ("sctid",)).filter(~mention)
    before = active.rename({column: f"{column}_before" for column in active.columns if column != "sctid"})
    details = ("defined", "module", "effective_time")
    said = said.join(before, on="sctid", how="left", maintain_order="left").with_columns(
        # what the layer does not say stays
        module=pl.when(pl.col("module") == 0).then("module_before").otherwise("module"),
        effective_time=pl.when(pl.col("effective_time") == 0)
        .then("effective_time_before")
        .otherwise("effective_time"),
        layer="layer_before",
    )
    other = pl.any_horizontal(pl.col(column) != pl.col(f"{column}_before") for column in details)
    shadowing = said.filter(other)
    changes.note("shadowed concepts", shadowing.select("sctid", *details))

    deactivated = among(leaving, active, ("sctid",))
    changes.note("deactivated concepts", deactivated.select("sctid", "reason"))
    changes.note(
        "new inactive concepts",
        minus(minus(leaving, active, ("sctid",)), inactive, ("sctid",)).select("sctid"),
    )
    fresh = pl.concat([new, woken]).with_columns(layer=pl.lit(number, dtype=pl.Int16))
    kept = minus(minus(active, shadowing, ("sctid",)), leaving, ("sctid",))
    silent = among(leaving, inactive, ("sctid",))
    reasons = inactive.select("sctid", reason_before="reason")
    leaving = (
        leaving.join(reasons, on="sctid", how="left", maintain_order="left")
        .with_columns(
            reason=pl.when((pl.col("reason") == 0) & pl.col("reason_before").is_not_null())
            .then("reason_before")
            .otherwise("reason")
        )
        .drop("reason_before")
    )
    still = minus(minus(inactive, woken, ("sctid",)), silent, ("sctid",))
    return (
        pl.concat([kept, shadowing.select(active.columns), fresh.select(active.columns)]),
        pl.concat([still, leaving.select(inactive.columns)]),
    )


def _not_older(rows: pl.DataFrame, known: pl.DataFrame, changes: Changes) -> pl.DataFrame:
    times = known.select("sctid", before="effective_time")
    rows = rows.join(times, on="sctid", how="left", maintain_order="left")
    older = (pl.col("effective_time") > 0) & (pl.col("effective_time") < pl.col("before").fill_null(0))
    changes.note("states older than the base's", rows.filter(older).select("sctid", "effective_time"))
    return rows.filter(~older).drop("before")


def _rows(
    name: str, below: pl.DataFrame, above: pl.DataFrame, back: pl.DataFrame, changes: Changes
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give the rows of both, and those of the base that one of the same identifier replaces."""
    title, keys = _NAMES[name], _KEYS[name]
    by_id = "id" in above.columns
    kept, missed = _without(name, below, back)
    changes.note(f"{title} taken back", minus(below, kept, [*keys, "id"] if by_id else keys))
    changes.note(f"{title} taken back that were not there", missed)
    replaced = kept.clear()
    if by_id:
        named = above.filter(pl.col("id") != 0)
        replaced = minus(among(kept, named, ("id",)), named, [*keys, "id"])
        kept = minus(kept, replaced, ("id",))
    above = above.unique(list(keys), keep="last", maintain_order=True)
    fresh = minus(above, kept, keys)
    if len(above.columns) > len(keys) + by_id:  # the same row may say more: another advice, a confidence
        differ = minus(among(above, kept, keys).fill_nan(-1), kept.fill_nan(-1), above.columns)
        replaced = pl.concat([replaced, among(kept, differ, keys)])
        kept, fresh = minus(kept, differ, keys), pl.concat([fresh, among(above, differ, keys)])
    changes.note(f"{title} replaced", replaced)
    return pl.concat([kept, fresh]), replaced


def _standing(
    name: str, rows: pl.DataFrame, below: pl.DataFrame, parts: dict[str, Any], changes: Changes
) -> pl.DataFrame:
    """Leave out the rows that point nowhere."""
    asleep = parts["inactive"]["sctid"].implode()
    known = parts["concepts"]["sctid"].implode()
    ends = _ENDS.get(name, ())
    there = [pl.col(end).is_in(known) | (pl.col(end).is_in(asleep) & (name == "history")) for end in ends]
    lost = rows.filter(~pl.all_horizontal(there)) if there else rows.clear()
    if lost.is_empty():
        return rows
    before = among(lost, below, _KEYS[name])
    changes.note(f"{_NAMES[name]} lost with a deactivated concept", before)
    retired = pl.any_horizontal(pl.col(end).is_in(asleep) for end in ends)
    why = pl.when(retired).then(pl.lit("the concept is inactive")).otherwise(pl.lit("the concept is unknown"))
    changes.note(f"dangling {_NAMES[name]}", minus(lost, before, _KEYS[name]).with_columns(why=why))
    return minus(rows, lost, _KEYS[name])


def _without(name: str, below: pl.DataFrame, back: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give what stays of the base's rows, and the rows that took nothing back."""
    if back.is_empty():
        return below, back
    keys, identified = list(_KEYS[name]), "id" in below.columns
    named = back.filter(pl.col("id") != 0) if identified else back.clear()
    told = back.filter(pl.col("id") == 0) if identified else back
    kept = minus(below, named, ("id",)) if identified else below
    missed = minus(named, below, ("id",)) if identified else named
    if missed.height:  # an identifier that the base does not have speaks only of rows that have none
        alike = among(kept.filter(pl.col("id") == 0), missed, keys)
        kept, missed = minus(kept, alike, [*keys, "id"]), minus(missed, alike, keys)
    vague = told.filter((pl.col("group") == 0) if "group" in keys else False)
    if name == "maps":
        vague = told.filter(pl.col("origin") == "")
        told, spelled = (
            minus(told, vague, keys),
            pl.col("target").str.to_uppercase().str.replace_all(r"\.", ""),
        )
        vague, kept = vague.with_columns(spelled=spelled), kept.with_columns(spelled=spelled)
    loose = ["sctid", "system", "spelled"] if name == "maps" else [key for key in keys if key != "group"]
    left = minus(minus(kept, told, keys), vague, loose)
    missed = pl.concat([
        missed, minus(minus(told, vague, back.columns), kept, keys), minus(vague, kept, loose).select(back.columns)
    ])  # fmt: skip
    return left.select(below.columns), missed


def _renumbered(base: Parts, layer: Parts) -> Parts:
    """Give groups of the layer that have no identifiers numbers that mean the same, or nothing, in the base."""
    own = _grouped(layer, pl.col("id") == 0)
    if own.is_empty():
        return layer
    sources = own.select("source").unique()
    there = _grouped(base, pl.lit(True)).join(sources, on="source", how="semi")
    content = ["source", "content"]
    same = there.group_by(content).agg(found=pl.col("group").min())
    highest = there.group_by("source").agg(highest=pl.col("group").max())
    numbers = (
        own.join(same, on=content, how="left")
        .join(highest, on="source", how="left")
        .sort("source", "group")
        .with_columns(place=pl.col("found").is_null().cum_sum().over("source"))
        .select(
            "source",
            "group",
            number=pl.coalesce("found", pl.col("highest").fill_null(0) + pl.col("place")).cast(pl.Int32),
        )
        # a source that the base gives no group keeps the layer's own numbers
        .join(highest.select("source"), on="source", how="semi")
    )
    renumbered = layer.copy()
    for name in ("relations", "values"):
        rows: pl.DataFrame = getattr(layer, name)
        number = pl.when((pl.col("id") == 0) & (pl.col("group") > 0)).then(pl.col("number"))
        columns = rows.columns
        rows = rows.join(numbers, on=["source", "group"], how="left", maintain_order="left")
        setattr(renumbered, name, rows.with_columns(group=pl.coalesce(number, "group")).select(columns))
    return renumbered


def _grouped(parts: Parts, which: pl.Expr) -> pl.DataFrame:
    """Give each role group with what it says: source, group, content."""
    said = pl.format("{} {}", "type", pl.col("what"))
    rows = pl.concat([
        parts.relations.filter(which).select("source", "group", "type", what=pl.col("target").cast(pl.String)),
        parts.values.filter(which).select("source", "group", "type", what="value"),
    ])  # fmt: skip
    return (
        rows.filter(pl.col("group") > 0)
        .select("source", "group", content=said)
        .group_by("source", "group")
        .agg(pl.col("content").unique().sort().str.join("\t"))
    )


def _members(base: Parts, layer: Parts, back: Parts, changes: Changes) -> dict[str, pl.DataFrame]:
    merged = dict(base.members)
    title = _NAMES["members"]
    for kind, rows in back.members.items():
        below = merged.get(kind)
        if below is not None:
            merged[kind] = minus(below, rows, ("id",))
            changes.note(f"{title} taken back", among(below, rows, ("id",)).select(*MEMBERS))
    for kind, rows in layer.members.items():
        below = merged.get(kind, rows.clear())
        again = among(below, rows, ("id",))
        other = minus(again, rows, [column for column in rows.columns if column in again.columns])
        changes.note(f"{title} replaced", other.select(*MEMBERS))
        changes.note(f"new {title}", minus(rows, below, ("id",)).select(*MEMBERS))
        merged[kind] = pl.concat([minus(below, rows, ("id",)), rows], how="diagonal")
    return merged


def _orphans(base: Parts, parts: Parts, changes: Changes) -> None:
    """Note the concepts that have no parent now and had one before, or are new."""

    def below(content: Parts) -> pl.DataFrame:
        return content.relations.filter(pl.col("type") == IS_A).select(sctid="source")

    alone = minus(parts.concepts.select("sctid"), below(parts), ("sctid",))
    roots = minus(base.concepts.select("sctid"), below(base), ("sctid",))
    changes.note("concepts without a parent", minus(alone, roots, ("sctid",)))
