"""Codes in patients' records to active concepts, with how sure that is; nothing vanishes on the way.

Records outlive releases: they hold SCTIDs that are inactive today. The historical associations say what became of them:

| association | followed as | confidence |
|---|---|---|
| same as, replaced by | the same meaning, at once | 1 |
| possibly or partially equivalent to, possibly replaced by, alternative, similar | one of n candidates | 1 / (n + 1) |
| was a | a more general meaning | 1, its kind says that it is general |
| moved to | only to a concept that is no namespace | 1 / (n + 1) |

The last column is a convention of this module, not SNOMED International's: of n candidates each gets the same share,
and one share is kept for "none of them". Chains are followed to their active ends; the confidence of a chain is the
product, its kind that of its weakest link. Circles end where they began. Where associations without doubt lead to an
active concept, the others are not followed.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import polars as pl

from ontology import codes as _codes
from ontology import identifiers as ids
from ontology import sctid as _sctid
from ontology.identifiers import normalise_code, normalise_system
from ontology.mapping import keyed, map_code, own_key
from ontology.rules import Patient

if TYPE_CHECKING:
    from ontology.model import Ontology

CERTAIN = (ids.SAME_AS, ids.REPLACED_BY)
POSSIBLE = (
    ids.POSSIBLY_EQUIVALENT_TO, ids.POSSIBLY_REPLACED_BY, ids.PARTIALLY_EQUIVALENT_TO, ids.ALTERNATIVE,
    ids.SIMILAR_TO, ids.MOVED_TO,
)  # fmt: skip
# From the strongest link to the weakest; a chain is as strong as its weakest.
_KINDS = (*CERTAIN, ids.WAS_A, *POSSIBLE)
_ORDER = {kind: place for place, kind in enumerate(_KINDS)}
STATUSES = ("active", "replaced", "generalised", "ambiguous", "mapped", "unresolved", "unknown", "malformed")


@dataclass(frozen=True)
class Target:
    """An active concept that a code leads to.

    Attributes:
        sctid: The concept.
        kind: "itself", the name of the historical association, "map", or a map's predicate.
        confidence: From 0 to 1, see the module.
        path: The concepts on the way, the code's own first; empty where the code is no concept.
    """

    sctid: int
    kind: str
    confidence: float
    path: tuple[int, ...] = ()


@dataclass(frozen=True)
class Normalised:
    """What became of a code.

    Attributes:
        code: As it was given.
        system: The code system, in its one spelling.
        status: One of `STATUSES`. active: a concept itself. replaced: one active concept of the same meaning.
            generalised: only more general ones. ambiguous: several, or possible ones. mapped: by a map, one concept.
            unresolved: an inactive concept that leads nowhere. unknown: no concept, and in no map. malformed: no SCTID.
        targets: The active concepts, the surest first.
    """

    code: str
    system: str
    status: str
    targets: tuple[Target, ...] = ()


class _History:
    """The associations of an ontology by their source, and its inactive concepts."""

    def __init__(self, ontology: Ontology) -> None:
        self.inactive = frozenset(ontology.inactive["sctid"].to_list())
        self._columns = tuple(ontology.history[name].to_numpy() for name in ("source", "refset", "target"))

    def onward(self, sctid: int) -> dict[int, list[int]]:
        """Give the targets of a concept's associations by their kind."""
        source, refset, target = self._columns
        start, end = np.searchsorted(source, sctid), np.searchsorted(source, sctid, side="right")
        found: dict[int, list[int]] = {}
        for kind, concept in zip(refset[start:end].tolist(), target[start:end].tolist(), strict=True):
            found.setdefault(kind, []).append(concept)
        return found


_HISTORIES: WeakKeyDictionary[Any, _History] = WeakKeyDictionary()


def _history(ontology: Ontology) -> _History:
    if ontology not in _HISTORIES:
        _HISTORIES[ontology] = _History(ontology)
    return _HISTORIES[ontology]


def normalise(
    ontology: Ontology, code: str | int, system: str = "SNOMED", *, patient: Patient | None = None
) -> Normalised:
    """Bring a patient's code to active concepts.

    Args:
        ontology: The ontology.
        code: The code.
        system: Its code system; the usual spellings are understood.
        patient: What is known, for rules by age and sex; a map row whose rule does not hold is left out.
    """
    known, text = normalise_system(system), str(code).strip()
    if known == "SNOMED":
        return _snomed(ontology, text)
    own = own_key(text, known)
    if own >= _codes.FIRST and own in ontology:
        return Normalised(text, known, "active", (Target(own, "itself", 1.0, (own,)),))
    if own >= _codes.FIRST and own in _history(ontology).inactive:
        return _followed(ontology, own, text, known)
    rows = [row for row in map_code(ontology, text, known, patient=patient) if row.holds is not False]
    best: dict[int, Target] = {}
    for row in rows:
        target = Target(row.sctid, row.predicate or "map", 1.0 if row.confidence is None else row.confidence)
        if row.sctid not in best or best[row.sctid].confidence < target.confidence:
            best[row.sctid] = target
    status = "unknown" if not best else "mapped" if len(best) == 1 else "ambiguous"
    return Normalised(text, known, status, _sorted(best))


def _snomed(ontology: Ontology, text: str) -> Normalised:
    plain = _codes.canonical(text)
    if not (plain.isascii() and plain.isdecimal() and len(plain) <= 18):
        own = _codes.key(text)
        if own in ontology:
            return Normalised(text, "SNOMED", "active", (Target(own, "itself", 1.0, (own,)),))
        if own in _history(ontology).inactive:
            return _followed(ontology, own, text, "SNOMED")
        return Normalised(text, "SNOMED", "malformed")
    sctid = int(plain)
    if sctid in ontology:
        return Normalised(text, "SNOMED", "active", (Target(sctid, "itself", 1.0, (sctid,)),))
    if sctid in _history(ontology).inactive:
        return _followed(ontology, sctid, text, "SNOMED")
    fine = bool(_sctid.valid(np.array([sctid], dtype=np.int64))[0])
    return Normalised(text, "SNOMED", "unknown" if fine else "malformed")


def _followed(ontology: Ontology, start: int, text: str, system: str) -> Normalised:
    # where links without doubt lead nowhere, the others are followed too
    best = _search(ontology, start, certain_first=True) or _search(ontology, start, certain_first=False)
    kinds = {target.kind for target in best.values()}
    if not best:
        status = "unresolved"
    elif kinds <= {ids.ASSOCIATIONS[kind] for kind in CERTAIN}:
        status = "replaced" if len(best) == 1 else "ambiguous"
    else:
        status = "generalised" if kinds == {ids.ASSOCIATIONS[ids.WAS_A]} else "ambiguous"
    return Normalised(text, system, status, _sorted(best))


def _search(ontology: Ontology, start: int, *, certain_first: bool) -> dict[int, Target]:
    """Follow the surest chains first; each concept on the way is left once, by its surest chain."""
    history = _history(ontology)
    best: dict[int, Target] = {}
    left: set[int] = set()
    waiting: list[tuple[float, int, int, tuple[int, ...]]] = [(-1.0, 0, start, (start,))]
    while waiting:
        negative, weakest, here, path = heapq.heappop(waiting)
        if here in left:
            continue
        left.add(here)
        links = {kind: targets for kind, targets in history.onward(here).items() if kind in _ORDER}
        certain = {kind: targets for kind, targets in links.items() if kind in CERTAIN}
        for kind, targets in (certain if certain and certain_first else links).items():
            share = 1.0 if kind in CERTAIN or kind == ids.WAS_A else 1 / (len(targets) + 1)
            link = max(weakest, _ORDER[kind])
            for target in targets:
                if target in left or (kind == ids.MOVED_TO and _is_namespace(ontology, target)):
                    continue
                confidence = -negative * share
                if target not in ontology:
                    heapq.heappush(waiting, (-confidence, link, target, (*path, target)))
                elif target not in best or best[target].confidence < confidence:
                    best[target] = Target(target, ids.ASSOCIATIONS[_KINDS[link]], confidence, (*path, target))
    return best


def _is_namespace(ontology: Ontology, sctid: int) -> bool:
    return sctid in ontology and ontology.semantic_tag(sctid) == "namespace concept"


def _sorted(best: dict[int, Target]) -> tuple[Target, ...]:
    return tuple(sorted(best.values(), key=lambda target: (-target.confidence, target.sctid)))


NORMALISED = {
    "code": pl.String(),
    "status": pl.Enum(STATUSES),
    "concept": pl.Int64(),
    "kind": pl.String(),
    "confidence": pl.Float64(),
}


def normalise_all(ontology: Ontology, codes: Iterable[str | int], system: str = "SNOMED") -> pl.DataFrame:
    """Bring many codes of one system to active concepts; each distinct code is worked out once.

    Args:
        ontology: The ontology.
        codes: The codes.
        system: Their code system.

    Returns:
        `NORMALISED`: for each code, in order of first occurrence, one row a target; a code without any has one row,
        with null for the concept.
    """
    known = normalise_system(system)
    texts = pl.Series("code", [str(code).strip() for code in codes], dtype=pl.String).unique(
        maintain_order=True
    )
    active = pl.DataFrame(schema=NORMALISED)
    left = texts
    if known == "SNOMED":  # nearly all codes are active: a join settles them
        numbers = texts.str.extract(r"^([0-9]{6,18})$").cast(pl.Int64, strict=False).fill_null(0)
        here = pl.Series(ontology.indices(numbers.to_numpy()) >= 0, dtype=pl.Boolean)
        active = pl.DataFrame({"code": texts.filter(here), "concept": numbers.filter(here)}).select(
            "code", pl.lit("active", NORMALISED["status"]).alias("status"), "concept",
            pl.lit("itself").alias("kind"), pl.lit(1.0).alias("confidence"),
        )  # fmt: skip
        left = texts.filter(~here)
    elif left.len():
        icd = known.startswith("ICD-10")
        spelled = pl.DataFrame({"given": left}).with_columns(
            code=pl.col("given").map_elements(
                lambda text: normalise_code(text, known), return_dtype=pl.String
            )
            if not icd
            else pl.col("given")
            .str.to_uppercase()
            .str.replace(r"^ICD[-_ ]?10(WHO|[-_ ]?CM)?:", "")
            .str.replace_all(".", "", literal=True)
        )
        mapped = keyed(ontology).filter(pl.col("system") == known).select("code").unique()
        if ontology.codes.is_empty():  # without codes of its own only a map can know a code
            left = spelled.join(mapped, on="code", how="semi", maintain_order="left")["given"]
    rows: list[tuple[str, str, int | None, str, float]] = []
    done = set(left.to_list())
    for text in left.to_list():
        found = normalise(ontology, text, known)
        if not found.targets:
            rows.append((text, found.status, None, "", 0.0))
        rows += [(text, found.status, t.sctid, t.kind, t.confidence) for t in found.targets]
    settled = set(active["code"].to_list())
    rows += [
        (text, "unknown", None, "", 0.0)
        for text in texts.to_list()
        if text not in done and text not in settled
    ]
    table = pl.concat([active, pl.DataFrame(rows, schema=NORMALISED, orient="row")])
    order = texts.to_frame().with_row_index("place")
    return table.join(order, on="code", how="left").sort("place", maintain_order=True).drop("place")
