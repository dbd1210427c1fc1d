"""Small random ontologies, and the same as sets of tuples for a brute-force answer."""

import numpy as np
import polars as pl
from hypothesis import strategies as st

from ontology.assemble import assemble
from ontology.identifiers import IS_A
from ontology.parts import CONCEPTS, Parts
from ontology.report import LoadReport
from ontology.tables import MEMBERS, fill

SITE, AGENT, DOSE, REFSET = 363698007, 246075003, 1142135004, 723264001


def build(size, edges, values=(), members=()):
    """An ontology of the concepts 1..size; edges are (source, type, target, group)."""
    rows = pl.DataFrame(sorted(edges), ["source", "type", "target", "group"], orient="row") if edges else None
    terms = {
        "sctid": range(1, size + 1),
        "term": [f"concept {i}" for i in range(1, size + 1)],
        "kind": ["fsn"] * size,
    }
    table = [(f"m{c}", 0, 0, REFSET, c) for c in members]
    return assemble(
        "random",
        Parts(
            concepts=fill(CONCEPTS, {"sctid": np.arange(1, size + 1)}),
            terms=pl.DataFrame(terms),
            relations=rows if rows is not None else Parts().relations,
            values=pl.DataFrame(sorted(values), ["source", "type", "group", "value"], orient="row")
            if values
            else Parts().values,
            members={"reference set": pl.DataFrame(table, schema=dict(MEMBERS), orient="row")}
            if table
            else {},
        ),
        LoadReport(),
    )


@st.composite
def cases(draw):
    """(size, edges, values, members): acyclic is-a with several parents and roots, grouped attributes, numbers."""
    size = draw(st.integers(2, 9))
    edges = set()
    for node in range(2, size + 1):
        edges |= {(node, IS_A, p, 0) for p in draw(st.sets(st.integers(1, node - 1), max_size=2))}
    node, group = st.integers(1, size), st.integers(0, 2)
    edges |= draw(st.sets(st.tuples(node, st.sampled_from([SITE, AGENT]), node, group), max_size=8))
    values = draw(
        st.sets(st.tuples(node, st.just(DOSE), group, st.sampled_from(["#1", "#2.50", "#10"])), max_size=4)
    )
    edges |= {(1, SITE, 1, 0), (1, AGENT, 1, 0)}  # a type that nothing has cannot be asked for
    values |= {(1, DOSE, 0, "#7")}
    return size, edges, values, draw(st.sets(node, max_size=4))
