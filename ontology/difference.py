"""What changed between two ontologies, or two releases of one: concepts, terms, relations, maps, history.

Rows are compared by what they say, not by their identifiers or their order. The number of a role group says nothing
either: groups are compared by their content, so that a release that only numbers them anew shows no change, and a
relation that moved into another group is `regrouped`.

`Difference.carry_over` says for each concept of the old ontology which one of the new takes its place, so that
embeddings, graph nodes and cohorts of the old release can be carried on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from ontology.disassemble import disassemble
from ontology.files import atomic_directory
from ontology.layers import described
from ontology.model import Ontology
from ontology.normalise import normalise_all
from ontology.overlay import among, minus
from ontology.parts import Parts
from ontology.tables import MEMBERS

MARKER = "difference.json"
_KIND = pl.col("kind").cast(pl.String)
_EDGE = ["source", "type", "target"]
_MAP = ["sctid", "system", "group", "priority", "rule", "target", "origin", "advice", "predicate"]


@dataclass(frozen=True)
class Difference:
    """What changed.

    Attributes:
        old: The ontology before.
        new: The ontology after.
        tables: Under the name of each kind of change its rows, in SCTIDs; kinds without rows are there, too.
    """

    old: Ontology
    new: Ontology
    tables: dict[str, pl.DataFrame]

    def __bool__(self) -> bool:
        return any(rows.height for rows in self.tables.values())

    def counts(self) -> dict[str, int]:
        """Give the number of rows by kind of change, those without any left out."""
        return {what: rows.height for what, rows in self.tables.items() if rows.height}

    def carry_over(self) -> pl.DataFrame:
        """Say which concept of the new ontology takes the place of each of the old one.

        Returns:
            sctid (of the old one, each at least once), target (of the new one, null where nothing takes its place),
            kind ("itself", or the historical association), confidence: as `normalise.normalise_all`.
        """
        ids = pl.Series("code", self.old.sctids).cast(pl.String)
        shown = ids
        if not self.old.codes.is_empty():
            codes = self.old.codes.select(code=pl.col("key").cast(pl.String), text="code")
            shown = ids.to_frame().join(codes, on="code", how="left", maintain_order="left").select(
                pl.coalesce("text", "code")
            ).to_series()  # fmt: skip
        found = normalise_all(self.new, shown.to_list())
        keys = pl.DataFrame({"code": shown, "sctid": self.old.sctids})
        return keys.join(found, on="code", how="left", maintain_order="left").select(
            "sctid", target="concept", kind="kind", confidence="confidence"
        )

    def examples(self, what: str, limit: int = 5) -> list[str]:
        """Write the first rows of a kind of change as a person reads them.

        Args:
            what: The kind.
            limit: How many; 0 writes all.
        """
        rows = self.tables[what]
        # what is gone is named by the ontology that had it
        named_by = self.old if what.endswith(("gone", "vanished")) else self.new
        return described(named_by, rows.head(limit) if limit else rows)

    def as_dict(self, limit: int = 0) -> dict[str, Any]:
        """Give counts and rows, ready for JSON.

        Args:
            limit: How many rows of each kind; 0 gives all.
        """
        return {
            "old": {"name": self.old.name, "fingerprint": self.old.fingerprint, "concepts": len(self.old)},
            "new": {"name": self.new.name, "fingerprint": self.new.fingerprint, "concepts": len(self.new)},
            "counts": self.counts(),
            "rows": {
                what: (rows.head(limit) if limit else rows).fill_nan(None).to_dicts()
                for what, rows in self.tables.items()
                if rows.height
            },
        }

    def save(self, directory: str | Path) -> Path:
        """Write the tables as Parquet, with `carry_over.parquet` and the counts as JSON, whole or not at all.

        Args:
            directory: The folder; an older difference there is replaced, anything else is not touched.
        """
        import json

        with atomic_directory(directory, marker=MARKER) as folder:
            for what, rows in self.tables.items():
                if rows.height:
                    rows.write_parquet(folder / f"{what.replace(' ', '_').replace('-', '_')}.parquet")
            self.carry_over().write_parquet(folder / "carry_over.parquet")
            document = {key: value for key, value in self.as_dict(1).items() if key != "rows"}
            (folder / MARKER).write_text(json.dumps(document, indent=1, ensure_ascii=False), encoding="utf-8")
        return Path(directory)


def diff(old: Ontology, new: Ontology) -> Difference:
    """Compare two ontologies.

    Args:
        old: The one before.
        new: The one after.
    """
    a, b = disassemble(old), disassemble(new)
    tables = dict(_concepts(a, b))
    tables.update(_terms(a, b))
    tables.update(_edges(a, b))
    both = {
        "maps": (a.maps, b.maps, _MAP),
        "historical associations": (a.history, b.history, ["source", "refset", "target"]),
        "axioms": (a.axioms, b.axioms, ["sctid", "axiom"]),
        "stated relations": (a.stated, b.stated, [*_EDGE, "group"]),
    }
    for what, (before, after, keys) in both.items():
        tables[f"new {what}"] = minus(after, before, keys).select(keys)
        tables[f"{what} gone"] = minus(before, after, keys).select(keys)
    tables.update(_members(a, b))
    return Difference(old, new, tables)


def _concepts(a: Parts, b: Parts) -> Iterator[tuple[str, pl.DataFrame]]:
    key = ("sctid",)
    ids = [parts.select("sctid") for parts in (a.concepts, a.inactive, b.concepts, b.inactive)]
    before, asleep_before, after, asleep = ids
    fresh = minus(after, before, key)
    yield "new concepts", minus(fresh, asleep_before, key)
    yield "reactivated concepts", among(fresh, asleep_before, key)
    yield "deactivated concepts", among(b.inactive, before, key).select("sctid", "reason")
    yield "concepts vanished", minus(minus(before, after, key), asleep, key)
    yield "new inactive concepts", minus(minus(asleep, before, key), asleep_before, key)
    yield "inactive concepts vanished", minus(minus(asleep_before, after, key), asleep, key)
    pairs = a.concepts.join(b.concepts, on="sctid", suffix="_now").sort("sctid")
    for column, what in (("defined", "definition status changed"), ("module", "module changed")):
        changed = pairs.filter(pl.col(column) != pl.col(f"{column}_now"))
        yield what, changed.select("sctid", was=pl.col(column), now=pl.col(f"{column}_now"))


def _terms(a: Parts, b: Parts) -> Iterator[tuple[str, pl.DataFrame]]:
    keys = ["sctid", "term", "kind", "language"]
    columns = ["sctid", "term", _KIND, "language"]
    yield "new terms", minus(b.terms, a.terms, keys).select(columns).unique(maintain_order=True)
    yield "terms gone", minus(a.terms, b.terms, keys).select(columns).unique(maintain_order=True)
    for kind, what in (("fsn", "fully specified names changed"), ("synonym", "preferred terms changed")):
        first = pl.col("preferred") & (pl.col("kind") == kind)
        was, now = (
            parts.terms.filter(first)
            .unique("sctid", keep="first", maintain_order=True)
            .select("sctid", "term")
            for parts in (a, b)
        )
        pairs = was.join(now, on="sctid", suffix="_now", maintain_order="left")
        changed = pairs.filter(pl.col("term") != pl.col("term_now"))
        yield what, changed.select("sctid", was="term", now="term_now")
    case = a.terms.join(b.terms, on=keys, suffix="_now", maintain_order="left")
    changed = case.filter(pl.col("case_significance") != pl.col("case_significance_now"))
    yield (
        "case significance changed",
        changed.select(
            "sctid",
            "term",
            was=pl.col("case_significance").cast(pl.String),
            now=pl.col("case_significance_now").cast(pl.String),
        ),
    )


def _grouped(parts: Parts) -> pl.DataFrame:
    """Give relations and values as source, type, target, value, group, content: what stands in the same role group."""
    rows = pl.concat([
        parts.relations.select(*_EDGE, "group", value=pl.lit("")),
        parts.values.select("source", "type", "group", "value", target=pl.lit(0, pl.Int64)).select(
            *_EDGE, "group", "value"
        ),
    ])  # fmt: skip
    said = pl.format("{} {} {}", "type", "target", "value")
    contents = (
        rows.filter(pl.col("group") > 0)
        .select("source", "group", content=said)
        .group_by("source", "group")
        .agg(pl.col("content").unique().sort().str.join("\t"))
    )
    return rows.join(contents, on=["source", "group"], how="left", maintain_order="left").with_columns(
        pl.col("content").fill_null("")
    )


def _edges(a: Parts, b: Parts) -> Iterator[tuple[str, pl.DataFrame]]:
    before, after = _grouped(a), _grouped(b)
    plain = [*_EDGE, "value"]
    fresh, gone = minus(after, before, plain), minus(before, after, plain)
    is_value = pl.col("target") == 0
    for what, rows in (("new relations", fresh), ("relations gone", gone)):
        yield what, rows.filter(~is_value).select(*_EDGE, "group")
    for what, rows in (("new concrete values", fresh), ("concrete values gone", gone)):
        yield what, rows.filter(is_value).select("source", "type", "group", "value")
    moved = minus(among(after, before, plain), before, [*plain, "content"])
    # a group that gained or lost another relation is said by that relation already
    touched = pl.concat([fresh, gone]).select("source").unique()
    yield "relations regrouped", minus(moved, touched, ["source"]).filter(~is_value).select(*_EDGE, "group")


def _members(a: Parts, b: Parts) -> Iterator[tuple[str, pl.DataFrame]]:
    for what, rows, others in (
        ("new reference set members", b, a),
        ("reference set members gone", a, b),
    ):
        frames = []
        for kind, table in rows.members.items():
            other = others.members.get(kind)
            keys = [c for c in table.columns if c not in ("id", "effective_time", "module")]
            same = other is not None and set(keys) <= set(other.columns)
            frames.append(
                (minus(table, other, keys) if same and other is not None else table).select(*MEMBERS)
            )
        yield what, pl.concat(frames) if frames else pl.DataFrame(schema=dict(MEMBERS))
