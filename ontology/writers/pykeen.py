"""An `Ontology` as triples for knowledge-graph embeddings, by integers for PyKEEN and as tab-separated identifiers.

`triples` fits `pykeen.triples.CoreTriplesFactory`, and the folder that `write` makes fits
`TriplesFactory.from_path(folder / "triples.tsv")`; PyKEEN itself is not needed here. A triple is said once, however
many role groups say it: embeddings know no groups. Terms, maps and concrete values are no triples.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ontology.errors import InputError
from ontology.files import atomic_directory
from ontology.model import Ontology
from ontology.writers.parquet import identifiers

MARKER = "relation_to_id.tsv"


def triples(onto: Ontology) -> tuple[NDArray[np.int64], dict[str, int], dict[str, int]]:
    """Give the relations as integers.

    Args:
        onto: The ontology.

    Returns:
        The triples, int64 [M, 3], of head, relation and tail, each once, in ascending order; the numbers of the
        entities by identifier, which are the node indices 0..N-1 of the ontology; and those of the relations, which are
        the indices into `relation_types`, so that is-a is 0. Every concept is an entity, with or without a relation.
    """
    relations = onto.relations
    columns = (relations.source, relations.type, relations.target)
    rows = np.stack([column.astype(np.int64) for column in columns], axis=1)
    unique = np.unique(rows, axis=0) if len(rows) else rows
    entities, kinds = (
        identifiers(onto, pl.Series(keys, dtype=pl.Int64)).to_list()
        for keys in (onto.sctids, onto.relation_types)
    )
    return (
        unique,
        {identifier: number for number, identifier in enumerate(entities)},
        {identifier: number for number, identifier in enumerate(kinds)},
    )


def write(onto: Ontology, path: str | Path) -> Path:
    """Write triples.tsv, entity_to_id.tsv and relation_to_id.tsv, whole or not at all.

    `triples.tsv` has no header, as PyKEEN expects; the other two have the columns id, identifier and label, the label
    being the preferred term and the relation's name, with tabs and line ends in it replaced by spaces.

    Args:
        onto: The ontology.
        path: The folder; an older one of this kind is replaced, anything else is not touched.

    Returns:
        The folder.

    Raises:
        InputError: If an identifier holds a tab or a line end, the folder holds something else, or it cannot be
            written.
    """
    rows, entities, relations = triples(onto)
    names, kinds = list(entities), list(relations)
    for identifier in (*names, *kinds):
        if any(sign in identifier for sign in "\t\n\r"):
            raise InputError(
                f"the identifier {identifier!r} holds a tab or a line end, which a table of triples cannot",
                remedy="Use `triples`, which gives integers",
            )
    labels = {
        "entity_to_id.tsv": (names, [onto.term(s) for s in onto.sctids.tolist()]),
        MARKER: (kinds, [onto.relation_name(s) for s in onto.relation_types.tolist()]),
    }
    try:
        with atomic_directory(path, marker=MARKER) as folder:
            lines = (f"{names[h]}\t{kinds[r]}\t{names[t]}\n" for h, r, t in rows.tolist())
            (folder / "triples.tsv").write_text("".join(lines), encoding="utf-8", newline="\n")
            for file, (keys, texts) in labels.items():
                table = [
                    f"{n}\t{key}\t{_plain(text)}\n"
                    for n, (key, text) in enumerate(zip(keys, texts, strict=True))
                ]
                (folder / file).write_text(
                    "id\tidentifier\tlabel\n" + "".join(table), encoding="utf-8", newline="\n"
                )
    except OSError as error:
        raise InputError(
            f"the folder cannot be written ({error.strerror or error})",
            path=path,
            remedy="Name a folder that you may write to",
        ) from error
    return Path(path)


def _plain(text: str) -> str:
    return " ".join(text.splitlines()).replace("\t", " ")
