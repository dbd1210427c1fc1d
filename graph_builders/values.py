"""Concrete values of concepts ("has presentation strength numerator value" #500) as numbers that a model can read.

One block of columns for each attribute that has a value in the graph, in the order of its SCTID:

- numbers give two columns: sign(v) log(1 + |v|), the mean where there are several, and 1 where there is any number;
- texts give a column each, 1 where the text is stated; the most frequent `MOST_TEXTS` of an attribute are kept.

On nodes a row is a concept. On edges a row is a relation, and holds what its source states in the same role group:
the strength stands on the edge to the ingredient that it is the strength of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from graph_builders.slicing import Slice
from ontology.identifiers import NAMES

if TYPE_CHECKING:
    from ontology import Ontology

MOST_TEXTS = 64


class Values(NamedTuple):
    """Values as columns [rows, C] in float32, and what to tell about them."""

    table: np.ndarray[Any, np.dtype[np.float32]]
    report: dict[str, Any]


def node_values(ontology: Ontology, part: Slice) -> Values:
    """Give the concrete values of each concept of a slice [N, C].

    Args:
        ontology: The ontology.
        part: The slice.
    """
    place = pl.DataFrame({"concept": part.nodes, "row": np.arange(len(part.nodes))})
    stated = _stated(ontology)
    found = stated.join(place, on="concept")
    report = {"stated": stated.height, "of_concepts_in_the_graph": found.height, "used": found.height}
    return _columns(ontology, found, len(part.nodes), report)


def edge_values(ontology: Ontology, part: Slice) -> Values:
    """Give each relation of a slice the concrete values of its source in the same role group [E, C].

    Group 0 is no group: its values belong to the concept alone, so they stand on no edge.

    Args:
        ontology: The ontology.
        part: The slice, with its groups.
    """
    stated = _stated(ontology)
    inside = stated.filter(pl.col("concept").is_in(part.nodes.tolist()))
    edges = pl.DataFrame(
        {"concept": part.nodes[part.source], "group": part.group, "row": np.arange(len(part.source))}
    ).filter(pl.col("group") > 0)
    found = inside.with_row_index("value_row").join(edges, on=["concept", "group"])
    used = found["value_row"].n_unique()
    report = {
        "stated": stated.height,
        "of_concepts_in_the_graph": inside.height,
        "used": used,
        "in_no_group": inside.filter(pl.col("group") == 0).height,
        "without_an_edge_in_their_group": inside.filter(pl.col("group") > 0).height - used,
    }
    return _columns(ontology, found, len(part.source), report)


def _stated(ontology: Ontology) -> pl.DataFrame:
    """Read RF2's notation: "#5" is a number, everything else a text, in quotes or without."""
    value = pl.col("value")
    return ontology.values.select(
        pl.col("concept").cast(pl.Int64),
        "type",
        pl.col("group").cast(pl.Int64),
        value.str.strip_prefix("#").cast(pl.Float64, strict=False).alias("number"),
        value.str.strip_chars('"').alias("text"),
        value.str.starts_with("#").alias("numeric"),
    ).with_columns(number=pl.when("numeric").then("number"))


def _columns(ontology: Ontology, found: pl.DataFrame, rows: int, report: dict[str, Any]) -> Values:
    blocks, names, left_out = [], [], {}
    for kind in found["type"].unique().sort().to_list():
        mine = found.filter(pl.col("type") == kind)
        name = _name(ontology, kind)
        numbers, texts = mine.filter(pl.col("number").is_not_null()), mine.filter(pl.col("number").is_null())
        if numbers.height:
            row, value = numbers["row"].to_numpy(), numbers["number"].to_numpy()
            count = np.bincount(row, minlength=rows)
            mean = np.bincount(row, np.sign(value) * np.log1p(np.abs(value)), rows) / np.maximum(count, 1)
            blocks += [mean, count > 0]
            names += [name, f"{name}: known"]
        told = texts["text"].value_counts().sort(["count", "text"], descending=[True, False])
        for text in told["text"].head(MOST_TEXTS):
            column = np.zeros(rows)
            column[texts.filter(pl.col("text") == text)["row"].to_numpy()] = 1
            blocks.append(column)
            names.append(f"{name} = {text}")
        if told.height > MOST_TEXTS:
            left_out[name] = told.height - MOST_TEXTS
    table = np.stack(blocks, axis=1).astype(np.float32) if blocks else np.zeros((rows, 0), np.float32)
    return Values(table, {**report, "columns": names, "texts_left_out": left_out})


def _name(ontology: Ontology, kind: int) -> str:
    if ontology.indices([kind])[0] >= 0:
        return ontology.term(kind).lower()
    return NAMES.get(kind, ontology.identifier(kind))
