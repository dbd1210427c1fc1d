"""The schemas of an ontology's tables, and `fill`, which brings a frame to one of them.

`concept` is a node index; `sctid`, `source`, `target`, `type` and `refset` are SCTIDs, or keys of `ontology.codes`
where a terminology has identifiers of another kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

KIND = pl.Enum(["fsn", "synonym", "definition", "other"])
CASE = pl.Enum(["ci", "cI", "CS"])

Schema = Mapping[str, Any]

# Aligned with `Ontology.sctids`: where each concept comes from.
DETAILS: Schema = {"module": pl.Int64(), "effective_time": pl.Int32(), "layer": pl.Int16()}

TERMS: Schema = {
    "concept": pl.Int32(),
    "term": pl.String(),
    "kind": KIND,
    "preferred": pl.Boolean(),
    "case_significance": CASE,
    "id": pl.Int64(),
    "language": pl.String(),
}
MAPS: Schema = {
    "concept": pl.Int32(),
    "system": pl.String(),
    "group": pl.Int32(),
    "priority": pl.Int32(),
    "rule": pl.String(),
    "advice": pl.String(),
    "target": pl.String(),
    "predicate": pl.String(),
    "confidence": pl.Float64(),
    "origin": pl.String(),
    "category": pl.Int64(),
}
STATED: Schema = {
    "source": pl.Int64(),
    "type": pl.Int64(),
    "target": pl.Int64(),
    "group": pl.Int32(),
    "id": pl.Int64(),
}
VALUES: Schema = {
    "concept": pl.Int32(),
    "type": pl.Int64(),
    "group": pl.Int32(),
    "value": pl.String(),
    "id": pl.Int64(),
}
# A description's acceptability in a language reference set.
DIALECTS: Schema = {"refset": pl.Int64(), "id": pl.Int64(), "preferred": pl.Boolean()}
INACTIVE: Schema = {
    "sctid": pl.Int64(),
    "defined": pl.Boolean(),
    "module": pl.Int64(),
    "effective_time": pl.Int32(),
    "reason": pl.Int64(),
}
INACTIVE_TERMS: Schema = {"sctid": pl.Int64(), **{k: v for k, v in TERMS.items() if k != "concept"}}
HISTORY: Schema = {"source": pl.Int64(), "refset": pl.Int64(), "target": pl.Int64()}
AXIOMS: Schema = {"sctid": pl.Int64(), "axiom": pl.String()}
CODES: Schema = {"key": pl.Int64(), "code": pl.String(), "label": pl.String()}
# The first columns of every frame in `members`; the columns of the reference set's own follow, as text.
MEMBERS: Schema = {
    "id": pl.String(),
    "effective_time": pl.Int32(),
    "module": pl.Int64(),
    "refset": pl.Int64(),
    "component": pl.Int64(),
}

# What a row says that does not say it.
DEFAULTS: Mapping[str, Any] = {
    "defined": False,
    "module": 0,
    "effective_time": 0,
    "layer": 0,
    "kind": "synonym",
    "preferred": False,
    "case_significance": "ci",
    "id": 0,
    "language": "",
    "group": 0,
    "priority": 1,
    "rule": "TRUE",
    "advice": "",
    "predicate": "",
    "confidence": float("nan"),
    "origin": "",
    "category": 0,
    "reason": 0,
    "label": "",
}


def fill(schema: Schema, frame: pl.DataFrame | Mapping[str, Any] | None = None) -> pl.DataFrame:
    """Bring a frame to a schema: its columns in order, cast, and the defaults of those that it lacks.

    Args:
        schema: One of the schemas of this module, or of `ontology.parts`.
        frame: A frame, or columns to make one of; None gives an empty one.

    Raises:
        KeyError: If a column is missing that has no default.
    """
    if frame is None:
        return pl.DataFrame(schema=schema)
    rows = frame if isinstance(frame, pl.DataFrame) else pl.DataFrame(frame)
    if list(rows.schema.items()) == list(schema.items()):
        return rows
    columns = []
    for name, kind in schema.items():
        if name in rows.columns:
            columns.append(pl.col(name).cast(kind) if rows.schema[name] != kind else pl.col(name))
        else:
            columns.append(pl.lit(DEFAULTS[name], dtype=kind).alias(name))
    return rows.select(pl.len().alias("_"), *columns).drop("_") if rows.width else pl.DataFrame(schema=schema)
