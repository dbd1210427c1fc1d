"""From an `Ontology` back to the `Parts` that it was assembled from: what extensions, differences and writers use."""

from __future__ import annotations

import numpy as np
import polars as pl

from ontology.model import Ontology
from ontology.parts import PART_MAPS, PART_VALUES, TERMS, Parts
from ontology.tables import DETAILS


def disassemble(ontology: Ontology) -> Parts:
    """Give an ontology's content as tables that speak of SCTIDs; `assemble` makes the same ontology of them.

    Args:
        ontology: The ontology.
    """
    sctids, relations = ontology.sctids, ontology.relations
    details = ontology.details
    if details.height != len(sctids):
        details = pl.DataFrame({name: np.zeros(len(sctids)) for name in DETAILS}, schema=dict(DETAILS))
    terms = ontology.terms.with_columns(sctid=pl.Series(sctids[ontology.terms["concept"].to_numpy()]))
    maps = ontology.maps.with_columns(sctid=pl.Series(sctids[ontology.maps["concept"].to_numpy()]))
    values = ontology.values.with_columns(source=pl.Series(sctids[ontology.values["concept"].to_numpy()]))
    return Parts(
        concepts=pl.DataFrame({"sctid": sctids, "defined": ontology.defined}).hstack(details),
        inactive=ontology.inactive,
        terms=pl.concat([terms.select(*TERMS), ontology.inactive_terms]),
        dialects=ontology.dialects,
        relations=pl.DataFrame(
            {
                "source": sctids[relations.source],
                "type": ontology.relation_types[relations.type],
                "target": sctids[relations.target],
                "group": relations.group,
                "id": relations.id if relations.id is not None else np.zeros(len(relations), dtype=np.int64),
            }
        ),
        stated=ontology.stated,
        values=values.select(*PART_VALUES),
        maps=maps.select(*PART_MAPS),
        history=ontology.history,
        axioms=ontology.axioms,
        codes=ontology.codes,
        members=dict(ontology.members),
    )
