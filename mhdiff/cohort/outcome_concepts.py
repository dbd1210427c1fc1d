"""What an outcome means in one ontology: its concepts, expression and concept set; and the codes that stand for it.

A task is read without an ontology, so that what an expression gives is asked wherever one is at hand: when labels are
made, when evidence is collected, and by the audit.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mhdiff.cohort import concept_set
from mhdiff.cohort.outcome_classes import Recorded
from ontology.errors import InputError

if TYPE_CHECKING:
    from mhdiff.cohort.cohort import Cohort
    from mhdiff.cohort.task import Task
    from ontology import Ontology


def codes_of(
    cohort: Cohort, own: Recorded, ontology: Ontology, place: str, path: Path | None = None
) -> dict[str, str | None]:
    """Give the codes of a cohort that stand for what is meant by concepts, expression or set, with descriptions.

    Args:
        cohort: The cohort.
        own: What records a class.
        ontology: The ontology.
        place: Where that stands in the task, such as `outcome.classes.stage_1`.
        path: The task's file, for messages.

    Raises:
        InputError: If the expression cannot be evaluated, or it or the set gives nothing.
    """
    from graph_builders.collect import blinded_closure, vocabulary_code

    if not (own.concepts or own.ecl or own.concept_set):
        return {}
    wanted = set(blinded_closure(ontology, own.concepts)[0].tolist()) | _expressed(own, ontology, place, path)
    listed = _listed(own, ontology, place, path)
    named, never = concept_set.codes(own.concept_set, ontology), concept_set.excluded(own.concept_set)
    found: dict[str, str | None] = {}
    for code, description, parents in cohort.codes.select("code", "description", "parent_codes").iter_rows():
        references = [vocabulary_code(reference) for reference in (*(parents or ()), code)]
        texts = {f"{r[0]}/{r[1]}" for r in references if r is not None}
        meant = {c for r in references if r is not None for c in ontology.concepts_of(r[1], r[0])}
        if meant & wanted or texts & named or (meant & listed and not texts & never):
            found[code] = description
    return found


def drawn(own: Recorded, ontology: Ontology, place: str, path: Path | None = None) -> set[int]:
    """Give the concepts that an expression and a concept set mean; those of `concepts` are not among them.

    Args:
        own: What records a class.
        ontology: The ontology.
        place: Where that stands in the task, such as `outcome.classes.stage_1`.
        path: The task's file, for messages.

    Raises:
        InputError: If the expression cannot be evaluated, or it or the set gives nothing.
    """
    return _expressed(own, ontology, place, path) | _listed(own, ontology, place, path)


def _expressed(own: Recorded, ontology: Ontology, place: str, path: Path | None) -> set[int]:
    from ontology.ecl import select

    if not own.ecl:
        return set()
    try:
        found = set(select(ontology, own.ecl).tolist())
    except InputError as error:
        raise InputError(
            f"'{place}.ecl' cannot be evaluated in '{ontology.name}': {error.problem}",
            path=path,
            remedy=error.remedy or "Find concepts with: mhdiff ontology search",
        ) from error
    if not found:
        raise InputError(
            f"'{place}.ecl' gives no concept of '{ontology.name}'",
            path=path,
            remedy="Try the expression with: mhdiff ontology select",
        )
    return found


def _listed(own: Recorded, ontology: Ontology, place: str, path: Path | None) -> set[int]:
    found = concept_set.concepts(own.concept_set, ontology)
    if own.concept_set and not found and not concept_set.codes(own.concept_set, ontology):
        raise InputError(
            f"'{place}.concept_set' excludes all that it includes", path=path, remedy="See it in ATLAS"
        )
    return found


def blinded_in(task: Task, ontology: Ontology) -> tuple[int, ...]:
    """Give the concepts that a task blinds: those it lists, and those that its outcome means in an ontology.

    Args:
        task: The task.
        ontology: The ontology.

    Raises:
        InputError: If an expression of the outcome cannot be evaluated, or it or a set gives nothing.
    """
    if task.outcome is None:
        return task.blinded.concepts
    more: set[int] = set()
    for place, own in task.outcome.places.items():
        more |= drawn(own, ontology, place, task.path)
    return tuple(dict.fromkeys([*task.blinded.concepts, *sorted(more)]))
