"""SCTIDs for what has none: concepts, descriptions and relationships get one of a namespace, and keep it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from ontology.codes import FIRST
from ontology.errors import InputError
from ontology.functional_text import renamed
from ontology.identifiers import DIALECTS, US_ENGLISH
from ontology.model import Ontology
from ontology.parts import Parts
from ontology.sctid import make_sctid

CONCEPT, DESCRIPTION, RELATIONSHIP = "10", "11", "12"
_IDENTIFIERS = {"kind": pl.String(), "content": pl.String(), "sctid": pl.Int64()}
_KEYED = {
    "concepts": ("sctid",),
    "inactive": ("sctid", "reason"),
    "terms": ("sctid",),
    "maps": ("sctid",),
    "axioms": ("sctid",),
    "relations": ("source", "type", "target"),
    "stated": ("source", "type", "target"),
    "values": ("source", "type"),
    "history": ("source", "refset", "target"),
}
_RELATED = ("source", "type", "target", "group")


class Minter:
    """Gives SCTIDs of a namespace to contents that have none, and remembers which.

    Args:
        namespace: Seven digits, or None: then nothing can be given.
        earlier: The `identifiers.tsv` of an earlier release, or None.
    """

    def __init__(self, namespace: int | None, earlier: str | Path | None) -> None:
        if namespace is not None and not 10**6 <= namespace < 10**7:
            raise InputError(
                f"{namespace} is no namespace", remedy="It has seven digits and begins with no zero"
            )
        self._namespace = namespace
        rows = _earlier(earlier).iter_rows()
        self._known = {(kind, content): sctid for kind, content, sctid in rows}
        self._next = dict.fromkeys((CONCEPT, DESCRIPTION, RELATIONSHIP), 1)
        self.pass_over(np.array(list(self._known.values()), dtype=np.int64))

    def pass_over(self, *taken: np.ndarray) -> None:
        """Give no item number that is in use already.

        Args:
            taken: SCTIDs; those of other namespaces are no matter.
        """
        for sctids in taken:
            ours = sctids[(sctids // 1000 % 10**7 == self._namespace) & (sctids < FIRST)]
            for partition in self._next:
                items = ours[ours // 10 % 100 == int(partition)] // 10**10
                self._next[partition] = max(self._next[partition], 1 + int(items.max(initial=0)))

    def __call__(self, partition: str, content: str) -> int:
        """Give the SCTID of a content.

        Raises:
            InputError: If it has none yet and there is no namespace.
        """
        found = self._known.get((partition, content))
        if found is None:
            if self._namespace is None:
                raise InputError(
                    f"'{content}' has no SCTID",
                    remedy="Give the namespace that SNOMED International allocated to you (--namespace)",
                )
            found = make_sctid(self._next[partition], self._namespace, partition)
            self._next[partition] += 1
            self._known[partition, content] = found
        return found

    def frame(self) -> pl.DataFrame:
        """Give the table of `identifiers.tsv`."""
        rows = sorted((kind, content, sctid) for (kind, content), sctid in self._known.items())
        return pl.DataFrame(rows, schema=_IDENTIFIERS, orient="row")


def _earlier(path: str | Path | None) -> pl.DataFrame:
    if path is None:
        return pl.DataFrame(schema=_IDENTIFIERS)
    try:
        found = pl.read_csv(path, separator="\t", quote_char=None, schema=_IDENTIFIERS)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(
            f"the table of identifiers cannot be read ({error})",
            path=path,
            remedy="Give the one that was written",
        ) from error
    return found


def in_use(ontology: Ontology) -> list[np.ndarray]:
    """Give the SCTIDs that an ontology's components have.

    Args:
        ontology: The ontology.
    """
    ids = [ontology.terms["id"], ontology.inactive_terms["id"], ontology.values["id"], ontology.stated["id"]]
    ids.append(ontology.inactive["sctid"])
    relations = [] if ontology.relations.id is None else [ontology.relations.id]
    return [ontology.sctids, *relations, *(column.to_numpy() for column in ids)]


def with_sctids(parts: Parts, onto: Ontology, minter: Minter) -> Parts:
    """Give an SCTID to every component that has none, in the order of their content.

    Args:
        parts: The content of the ontology.
        onto: The ontology, which knows the codes behind keys.
        minter: Gives the SCTIDs.
    """
    used: set[int] = set()
    for name, columns in _KEYED.items():
        for column in columns:
            used.update(getattr(parts, name)[column].unique().to_list())
    for frame in parts.members.values():
        used.update(frame["component"].unique().to_list(), frame["refset"].unique().to_list())
    codes = sorted((onto.identifier(key), key) for key in used if key >= FIRST)
    new = {key: minter(CONCEPT, code) for code, key in codes}

    def known(column: str) -> pl.Expr:
        return pl.col(column).replace(new) if new else pl.col(column)

    parts = parts.copy()
    for name, columns in _KEYED.items():
        setattr(parts, name, getattr(parts, name).with_columns(known(column) for column in columns))
    if new and parts.axioms.height:
        names = {onto.identifier(old): str(sctid) for old, sctid in new.items()}
        texts = [
            renamed(axiom, lambda name: names.get(name, name)) for axiom in parts.axioms["axiom"].to_list()
        ]
        parts.axioms = parts.axioms.with_columns(axiom=pl.Series(texts, dtype=pl.String))
    parts.members = {
        kind: frame.with_columns(known("component"), known("refset")) for kind, frame in parts.members.items()
    }
    nameless = (pl.col("id") == 0) & (pl.col("language") == "")
    parts.terms = parts.terms.with_columns(
        language=pl.when(nameless).then(pl.lit("en")).otherwise("language")
    )
    before = parts.terms.height - int((parts.terms["id"] == 0).sum())
    parts.terms = _numbered(parts.terms, ("sctid", "kind", "term", "language"), DESCRIPTION, minter)
    parts.dialects = pl.concat([parts.dialects, _acceptable(parts.terms[before:], onto)])
    parts.relations = _numbered(parts.relations, _RELATED, RELATIONSHIP, minter)
    parts.stated = _numbered(parts.stated, _RELATED, RELATIONSHIP, minter)
    parts.values = _numbered(parts.values, ("source", "type", "value", "group"), RELATIONSHIP, minter)
    return parts


def _acceptable(terms: pl.DataFrame, onto: Ontology) -> pl.DataFrame:
    """Put new descriptions into the language reference set of their language, else into the one of the ontology."""
    usual = int(onto.report.language_refset or US_ENGLISH)
    for_language = {
        name.split("-")[0]: refset for name, refset in DIALECTS.items() if not name.startswith("en-")
    }
    refset = pl.col("language").replace_strict(for_language, default=usual, return_dtype=pl.Int64)
    return terms.select(
        refset.alias("refset"),
        "id",
        preferred=pl.col("preferred") & (pl.col("kind") != "other") | (pl.col("kind") == "fsn"),
    )


def _numbered(rows: pl.DataFrame, content: tuple[str, ...], partition: str, minter: Minter) -> pl.DataFrame:
    if not (rows["id"] == 0).any():
        return rows
    lacking = rows.filter(pl.col("id") == 0).sort(*content)
    texts = (
        lacking.select(pl.concat_str(pl.col(*content).cast(pl.String), separator="|")).to_series().to_list()
    )
    numbered = lacking.with_columns(id=pl.Series([minter(partition, text) for text in texts], dtype=pl.Int64))
    return pl.concat([rows.filter(pl.col("id") != 0), numbered.select(rows.columns)])
