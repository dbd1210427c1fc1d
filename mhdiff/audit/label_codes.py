"""Does a code that defines the label stay among the inputs? What blinding takes out, against what it should.

A code should go if anything that it refers to is a blinded concept or below one: the code itself, its parent_codes,
theirs in turn, or, in a classification whose codes grow by appending (ICD), the code that it begins with. So does a
code that refers to one that the task blinds, whatever the ontology knows of it. And a code whose name says a blinded
word says it whatever it refers to.
"""

from __future__ import annotations

import re

import polars as pl

from graph_builders.collect import vocabulary_code
from mhdiff.audit.finding import FAILURE, WARNING, Check, Finding, cases
from mhdiff.audit.material import Material
from mhdiff.cohort.blind import Blinder

_GROWS = re.compile(r"^ICD-?(9|10)", re.IGNORECASE)
_SHOWN = 5


def check(material: Material) -> Check:
    """Look for codes that define the label and are among the inputs.

    Args:
        material: What is audited.
    """
    blinded, ontology = material.task.blinded, material.ontology
    here = material.inputs.group_by("code").agg(n=pl.col("sample_id").n_unique()).sort("code")
    names = {c: d for c, d in material.codes.select("code", "description").iter_rows()}
    allowed = set(material.thresholds.allowed_codes)
    defining = _defining(material) if ontology is not None else {}
    by_word = _by_word(here["code"].to_list(), names, blinded.words)
    found: list[Finding] = []
    meant = [code for code in here["code"] if code in defining and code not in allowed]
    said = [code for code in here["code"] if code in by_word and code not in (*meant, *allowed)]
    unsure = ontology is None and material.needs_ontology
    if meant:
        told = (
            f"{_list(meant)} mean what is blinded and are not taken out: correct their parent_codes or maps, or name "
            "them under `blinded.codes`"
        )
        found.append(Finding("label_code", FAILURE, told, _rows(material.inputs, meant)))
    if said and unsure:
        told = (
            f"{_list(said)} say a blinded word in their names. Whether the task's concepts take them out: "
            "give --ontology"
        )
        found.append(Finding("not_checked", WARNING, told, _rows(material.inputs, said)))
    elif said:
        told = (
            f"{_list(said)} say a blinded word in their names. Blind their concepts, or name them under "
            "`allowed_codes`"
        )
        found.append(Finding("label_code", FAILURE, told, _rows(material.inputs, said)))
    if unsure and not said:
        n = len(material.hidden)
        what = f"one of the {n} blinded concepts" if n else "what the outcome means"
        told = f"which codes mean {what}: give --ontology"
        found.append(Finding("not_checked", WARNING, told))
    if ontology is not None and (strangers := material.blinded["not_in_ontology"]):
        none = len(strangers) == len(material.hidden)
        told = f"{len(strangers)} of {len(material.hidden)} in '{ontology.name}': they blind nothing in notes and maps"
        found.append(Finding("unknown_concept", FAILURE if none else WARNING, told))
    return Check(
        "label_codes",
        "Does a code that defines the label stay among the inputs?",
        f"{here.height:,} codes; {len(material.hidden)} blinded concepts, {len(blinded.words)} blinded words",
        found,
    )


def _defining(material: Material) -> dict[str, str]:
    """Give each code of the cohort that is blinded, or below a blinded concept, by any of its references."""
    from graph_builders.collect import blinded_closure

    ontology, blinded = material.ontology, material.task.blinded
    assert ontology is not None
    hidden = set(blinded_closure(ontology, material.hidden)[0].tolist())
    parents = {c: list(p or ()) for c, p in material.codes.select("code", "parent_codes").iter_rows()}
    used = set(material.window["code"])

    def means(code: str) -> bool:
        if code.startswith(blinded.codes):
            return True
        read = vocabulary_code(code)
        if read is None:
            return False
        system, value = read
        tried = [value]
        if _GROWS.match(system):
            plain = value.replace(".", "")
            tried += [plain[:3], *(f"{plain[:3]}.{plain[3:end]}" for end in range(4, len(plain)))]
        return any(set(ontology.concepts_of(one, system)) & hidden for one in tried)

    found: dict[str, str] = {}
    for code in used:
        seen, waiting = {code}, [code]
        while waiting:
            reference = waiting.pop()
            if means(reference):
                found[code] = reference
                break
            fresh = [parent for parent in parents.get(reference, ()) if parent not in seen]
            seen.update(fresh)
            waiting += fresh
    return found


def _by_word(codes: list[str], names: dict[str, str | None], words: tuple[str, ...]) -> set[str]:
    regex = Blinder(words).regex
    if regex is None:
        return set()
    return {c for c in codes if regex.search(names.get(c) or "") or regex.search(re.sub(r"[/_]+", " ", c))}


def _rows(inputs: pl.DataFrame, codes: list[str]) -> pl.DataFrame:
    mine = inputs.filter(pl.col("code").is_in(codes)).select("subject_id", "code").unique()
    return cases((s, None, code) for s, code in mine.sort("code", "subject_id").iter_rows())


def _list(codes: list[str]) -> str:
    more = f" and {len(codes) - _SHOWN} more" if len(codes) > _SHOWN else ""
    return f"{len(codes)} codes ({', '.join(codes[:_SHOWN])}{more})"
