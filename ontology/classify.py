"""Inferred is-a from axioms, by an existing reasoner.

| reasoner | what it is                                        | needs                 | complete for           |
|----------|---------------------------------------------------|-----------------------|------------------------|
| hermit   | HermiT, whose jar owlready2 ships (LGPL)          | Java                  | all of OWL 2 DL        |
| pellet   | Pellet 2.3, whose jars owlready2 ships (AGPL)     | Java                  | OWL 2 DL but see below |
| elk      | pyelk-reasoner, ELK's rules in Python with Rust   | that package, no Java | OWL 2 EL, says if not  |

Pellet 2.3 makes nothing of reflexive properties and takes the numbers 5 and 5.0 for different ones.

A reasoner gets the axioms of the terminology as they are, and for a concept without axioms those that its relations
state. Two role groups stay two restrictions on the role group, so that what is said in different groups is not put
together. For elk, which knows no concrete values, each value is a class of its own: without ranges and functional
properties, which elk would call incomplete, that entails the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import polars as pl

from ontology import reasoners
from ontology.assemble import assemble
from ontology.axioms import number_groups, state
from ontology.codes import key
from ontology.disassemble import disassemble
from ontology.identifiers import IS_A
from ontology.logical import VALUE, active_axioms, document, logical_axioms, without_values
from ontology.model import Ontology
from ontology.parts import PART_VALUES, RELATIONS, Parts
from ontology.reasoners import NOTHING, REASONERS, THING
from ontology.report import LoadReport
from ontology.tables import fill
from ontology.writers.iris import from_iri

__all__ = ["REASONERS", "Classification", "classified", "classify", "with_inferred"]

_PAIRS = {"source": pl.Int64(), "target": pl.Int64()}


def _no_pairs() -> pl.DataFrame:
    return pl.DataFrame(schema=_PAIRS)


@dataclass(frozen=True)
class Classification:
    """What a reasoner found.

    Attributes:
        is_a: source, target: direct is-a between satisfiable classes; redundant ones are left out, and of equivalent
            classes each has the parents of all.
        equivalent: source, target: pairs of different classes that mean the same, the smaller key first.
        unsatisfiable: Classes that nothing can belong to, ascending.
        reasoner: Which one it was.
        seconds: How long it took.
        classes: How many classes it was given.
        added: source, target: is-a that `with_inferred` put in.
        removed: source, target: is-a that `with_inferred` took out.
    """

    is_a: pl.DataFrame
    equivalent: pl.DataFrame
    unsatisfiable: list[int]
    reasoner: str
    seconds: float
    classes: int = 0
    added: pl.DataFrame = field(default_factory=_no_pairs)
    removed: pl.DataFrame = field(default_factory=_no_pairs)


def classify(
    content: Ontology | Parts,
    *,
    reasoner: str = "auto",
    about: Iterable[int] | None = None,
    trust_relations: bool = False,
    memory_mb: int = 2000,
    timeout_s: float = 600.0,
) -> Classification:
    """Infer is-a from the axioms of a terminology, or from its relations where a concept has no axiom.

    Args:
        content: An ontology, or parts: of a base and its extension together, `Parts.together([base, extension])`.
        reasoner: One of `REASONERS`; "auto" is "hermit" where there is Java, else "elk".
        about: Only what is above these concepts is asked for. The reasoner then gets the axioms that decide it
            (`ontology.locality`), and the answer about these concepts is the same as that of the whole.
        trust_relations: Whether the relations of a concept with axioms hold as well. In an edition of SNOMED CT they
            were inferred from its axioms, and are found again. Where the base is not written as axioms (the built-in
            terminology, OBO, tables) and an extension's axioms speak of the base's concepts, they have to be trusted.
        memory_mb: The most memory that Java may take.
        timeout_s: The most seconds that the reasoner may take.

    Returns:
        With `about`, only pairs whose source is one of them, and only those of them that are unsatisfiable.

    Raises:
        InputError: If an axiom does not parse, the reasoner is missing, runs out of time or memory, or finds the
            whole inconsistent.
    """
    chosen = reasoners.choose(reasoner)
    started = time.perf_counter()
    parts = content if isinstance(content, Parts) else disassemble(content)
    wanted = None if about is None else {int(sctid) for sctid in about}
    axioms, classes = logical_axioms(parts, wanted, trust_relations)
    if chosen == "elk":
        axioms = [said for axiom in axioms if (said := without_values(axiom))]
    edges, same = reasoners.run(chosen, document(axioms, classes, parts), memory_mb, timeout_s)
    found = _result(edges, same, classes, chosen, time.perf_counter() - started)
    if wanted is None:
        return found
    return replace(
        found,
        is_a=found.is_a.filter(pl.col("source").is_in(wanted)),
        equivalent=found.equivalent.filter(pl.col("source").is_in(wanted) | pl.col("target").is_in(wanted)),
        unsatisfiable=[sctid for sctid in found.unsatisfiable if sctid in wanted],
    )


def _result(
    edges: list[tuple[str, str]], same: list[list[str]], classes: set[int], reasoner: str, seconds: float
) -> Classification:
    keys: dict[str, int] = {}

    def number(iri: str) -> int:
        if iri not in keys:
            keys[iri] = key(from_iri(iri))
        return keys[iri]

    ends = (NOTHING, THING)
    edges = [(a, b) for a, b in edges if not a.startswith(VALUE) and not b.startswith(VALUE)]
    empty = sorted({number(i) for group in same if NOTHING in group for i in group if i not in ends})
    everything = sorted({number(i) for group in same if THING in group for i in group if i not in ends})
    twins = [[number(i) for i in group if i not in ends] for group in same if NOTHING not in group]
    members = {k: group for group in twins for k in group}
    gone = set(empty)
    pairs = {
        (s, t)
        for a, b in edges
        if a not in ends and b not in ends
        for s in members.get(number(a), [number(a)])
        for t in members.get(number(b), [number(b)])
        if s not in gone and t not in gone
    }
    if everything:  # classes that mean owl:Thing are above whatever has nothing else above it
        below = {s for s, _ in pairs} | gone | set(everything)
        pairs |= {(s, t) for s in classes - below for t in everything}
    equal = sorted(
        (min(a, b), max(a, b)) for group in twins for i, a in enumerate(group) for b in group[i + 1 :]
    )
    return Classification(
        is_a=pl.DataFrame(sorted(pairs), schema=_PAIRS, orient="row"),
        equivalent=pl.DataFrame(equal, schema=_PAIRS, orient="row"),
        unsatisfiable=empty,
        reasoner=reasoner,
        seconds=seconds,
        classes=len(classes),
    )


def with_inferred(
    parts: Parts,
    *,
    reasoner: str = "auto",
    about: Iterable[int] | None = None,
    trust_relations: bool = False,
    memory_mb: int = 2000,
    timeout_s: float = 600.0,
) -> tuple[Parts, Classification]:
    """Put the inferred is-a in place of what was there, for concepts that have axioms; everything else is kept.

    A concept with axioms gets exactly the parents that the reasoner found; a concept without keeps its own and gets
    those that are new. Where a concept with axioms has no attribute at all, it gets those that its axioms state (none
    is inherited). Unsatisfiable concepts keep what they have, or else get the parents that their axioms state.

    Args:
        parts: The content, a base and its extension together.
        reasoner: As in `classify`.
        about: Only these concepts are changed; as in `classify`. Concepts that belong below one of them by its
            definition are then not found: leave it out where new concepts are defined and not only described.
        trust_relations: As in `classify`; without it, is-a of a concept with axioms goes where it follows from none.
        memory_mb: As in `classify`.
        timeout_s: As in `classify`.

    Returns:
        The parts, and what the reasoner found, with the is-a `added` and `removed`.

    Raises:
        InputError: As `classify`.
    """
    wanted = None if about is None else {int(sctid) for sctid in about}
    found = classify(
        parts,
        reasoner=reasoner,
        about=wanted,
        trust_relations=trust_relations,
        memory_mb=memory_mb,
        timeout_s=timeout_s,
    )
    rows, _ = state(active_axioms(parts))
    stated = number_groups(rows).filter(pl.col("gci") == 0)
    scope = pl.col("source").is_in(parts.concepts["sctid"].implode())
    if wanted is not None:
        scope &= pl.col("source").is_in(wanted)
    stated = stated.filter(scope)
    told = pl.col("source").is_in(stated["source"].unique().implode())
    empty = pl.col("source").is_in(found.unsatisfiable)
    old = parts.relations.filter(pl.col("type") == IS_A)
    inferred = found.is_a.filter(scope)
    taken_out = old.filter(told & scope & ~empty).join(inferred, on=["source", "target"], how="anti")
    new = inferred.join(old, on=["source", "target"], how="anti")
    lost = stated.filter(empty & (pl.col("type") == IS_A)).join(old, on="source", how="anti")
    lost = lost.filter(~pl.col("target").is_in([*found.unsatisfiable, key(THING), key(NOTHING)]))
    added = pl.concat([new, lost.select("source", "target")]).unique().sort("source", "target")
    attributes = stated.filter(pl.col("type") != IS_A)
    for frame in (parts.relations.filter(pl.col("type") != IS_A), parts.values):
        attributes = attributes.join(frame, on="source", how="anti")
    attributes = attributes.unique(["source", "type", "target", "value", "group"], maintain_order=True)
    done = parts.copy()
    done.relations = pl.concat([
        parts.relations.join(taken_out, on=["source", "type", "target"], how="anti", maintain_order="left"),
        fill(RELATIONS, added.with_columns(type=pl.lit(IS_A, dtype=pl.Int64))),
        fill(RELATIONS, attributes.filter(pl.col("target").is_not_null()).select("source", "type", "target", "group")),
    ])  # fmt: skip
    values = attributes.filter(pl.col("value").is_not_null()).select("source", "type", "group", "value")
    done.values = pl.concat([parts.values, fill(PART_VALUES, values)])
    return done, replace(
        found, added=added, removed=taken_out.select("source", "target").unique().sort("source", "target")
    )


def classified(ontology: Ontology, *, reasoner: str = "auto") -> tuple[Ontology, Classification]:
    """Give an ontology with the is-a that a reasoner infers from its axioms; `layers` says what that changed.

    Args:
        ontology: The ontology.
        reasoner: As in `classify`.

    Raises:
        InputError: As `classify`, or if what is inferred goes in circles.
    """
    parts, found = with_inferred(disassemble(ontology), reasoner=reasoner)
    made = assemble(ontology.name, parts, LoadReport())
    changes = {
        "inferred is-a": found.added.height,
        "is-a replaced by inferred ones": found.removed.height,
        "equivalent concepts": found.equivalent.height,
        "unsatisfiable concepts": len(found.unsatisfiable),
    }
    entry = {**ontology.layers[-1], "reasoner": found.reasoner, "classified": changes}
    return replace(made, report=ontology.report, layers=(*ontology.layers[:-1], entry)), found
