"""The bias of one patient as a document; `mhdiff.explain.bias_lines` writes it as text.

sample_id, subject_id, guidance, ontology   which patient, of what
lambda                {mean, by_layer}: what the scores are multiplied by
how                   what the paths have to do with the scores, in words
between               [{modalities, bias, there, back, for, against, pairs, n_pairs, rest, evidence, gap, steps,
                      relations, said}]: one entry for each pair of modalities
  pairs               [{a, b, contribution, share, path}]: the strongest; with `rest` they sum to `bias`
  a, b                {modality, sctid, name, polarity, weight, source, text}
  path                [{from, relation, to, forward}]: empty for one and the same concept, null where there is none
  evidence            [{..., attribution}] by integrated gradients, or null where scores do not read tokens
  relations           {without, parts: [{relations, contribution}]} by Shapley values, or null without messages
  said                why there is no bias, where there is none
toward                [{modality, anchor, bias, drawn, pieces, n_pieces, rest, relations}]: the strongest for each
                      modality with evidence, or null where the guidance has no anchors
  drawn               [{sctid, name}]: the concepts of the graph that are drawn to the anchor most
  pieces              [{..., contribution, share, path, too_long}]: the strongest; with `rest` they sum to `bias`; a
                      path leads to the first of `drawn`
notes, warning        what a reader must know
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import polars as pl

from graph_builders import Step
from mhdiff.explain.bias import (
    Between,
    ByRelation,
    between,
    by_evidence,
    by_relation,
    contributions,
    mean_lambda,
)
from mhdiff.explain.explanation import WARNING
from mhdiff.explain.paths import PathTeller
from mhdiff.explain.toward import Toward, drawn_concepts, toward_anchors
from mhdiff.names import NodeNames
from mhdiff.training.data import MultimodalData
from mhdiff.training.module import Diagnosis
from ontology.errors import InputError
from ontology.recognise import POLARITIES

Document = dict[str, Any]
_ANCHORS = 2  # for each modality
_DRAWN = 3  # concepts that say what an anchor stands for


def explain_bias(
    module: Diagnosis,
    data: MultimodalData,
    sample_id: int,
    names: NodeNames,
    modalities: Sequence[str] | None = None,
    top: int = 5,
    steps: int = 32,
) -> Document:
    """Tell one sample's bias.

    Args:
        module: A trained module.
        data: Its data module, set up.
        sample_id: The sample.
        names: Names of the graph's nodes.
        modalities: Two modalities, or one and the same twice; by default every two.
        top: Pairs of concepts that are told one by one.
        steps: Points on the path of integrated gradients, to begin with.

    Raises:
        InputError: If there is no such sample or modality, or `top` or `steps` is below 1.
    """
    for name, value in (("top", top), ("steps", steps)):
        if value < 1:
            raise InputError(f"--{name} {value} tells nothing", remedy=f"Give --{name} >= 1")
    wanted = _wanted(data, modalities)
    row = data.samples.filter(pl.col("sample_id") == sample_id)
    if row.is_empty():
        raise InputError(f"there is no sample {sample_id}", remedy="See predictions.parquet for the samples")
    net = module.net.cpu().eval()
    batch = data.dataset([row["split"][0]], [sample_id]).collate([0])
    parts = contributions(net, batch.evidence, batch.present)
    teller = PathTeller(net.guidance, data.graph.concept_graph())
    document: Document = {
        "sample_id": sample_id,
        "subject_id": int(row["subject_id"][0]),
        "guidance": type(net.guidance).__name__,
        "ontology": data.graph.meta["ontology"]["name"],
        "lambda": {
            "mean": float(mean_lambda(net).mean()),
            "by_layer": [layer.tolist() for layer in net.fusion.lambdas],
        },
        "how": teller.how,
        "between": [],
        "toward": None,
        "notes": _notes(net, data, batch, sample_id, names),
        "warning": WARNING,
    }
    if parts is None:
        document["notes"].insert(
            0, f"{document['guidance']} as it was trained here gives no bias: the attention was not guided."
        )
        return document
    teller_of = _Teller(data, batch, sample_id, names, teller, top)
    asked = None if modalities is None else {m for pair in wanted for m in pair}
    toward = toward_anchors(net, batch.evidence, batch.present, _ANCHORS)
    aimed = [t for t in toward or () if asked is None or t.m in asked]
    messages = by_relation(net, batch.evidence, batch.present, wanted, [(t.m, t.anchor) for t in aimed])
    for number, (m, n) in enumerate(wanted):
        told = teller_of.between(between(parts, batch.evidence, batch.present, m, n))
        told |= {"evidence": None, "gap": None, "steps": None, "relations": None}
        if told["n_pairs"] and net.guidance.reads_tokens:
            found = by_evidence(net, batch.evidence, batch.present, m, n, steps)
            told |= {
                "evidence": teller_of.evidence(found.values, (m, n)),
                "gap": found.gap,
                "steps": found.steps,
            }
        if told["n_pairs"] and messages is not None:
            told["relations"] = _relations(messages[number])
        document["between"].append(told)
    if toward is not None:
        document["toward"] = teller_of.toward(aimed, drawn_concepts(net, _DRAWN))
        for told, carried in zip(
            document["toward"], (messages or ())[len(wanted) :], strict=messages is not None
        ):
            told["relations"] = _relations(carried)
    return document


def _relations(carried: ByRelation) -> Document:
    return {
        "without": carried.without,
        "parts": [
            {"relations": [r.replace("_", " ") for r in group], "contribution": value}
            for group, value in carried.parts
        ],
    }


def _wanted(data: MultimodalData, modalities: Sequence[str] | None) -> list[tuple[int, int]]:
    if modalities is None:
        return list(combinations(range(len(data.modalities)), 2))
    strange = [name for name in modalities if name not in data.modalities]
    if strange:
        raise InputError(
            f"the run has no modality '{strange[0]}'", remedy=f"It has: {', '.join(data.modalities)}"
        )
    m, n = (data.modalities.index(name) for name in modalities)
    return [(m, n)]


def _notes(net: Any, data: MultimodalData, batch: Any, sample_id: int, names: NodeNames) -> list[str]:
    notes = []
    if names.ontology is None:
        notes.append("Concepts are told by SCTID: the run names no ontology. Give --ontology DIR for names.")
    counted = data.graph.evidence.merged.filter(pl.col("sample_id") == sample_id)
    for m, name in enumerate(data.modalities):
        held, read = counted.filter(pl.col("modality") == name).height, int(batch.evidence.mask[0, m].sum())
        if held > read:
            notes.append(
                f"The model read {read} of {held} concepts of {name} (data.max_concepts): the others have no part in "
                "the bias."
            )
    if data.graph.meta["transforms"]:
        notes.append(
            f"The run's graph is a changed one ({', '.join(map(str, data.graph.meta['transforms']))}): its paths mean "
            "nothing."
        )
    return notes


class _Teller:
    """Gives names, sources and paths to numbers."""

    def __init__(
        self, data: MultimodalData, batch: Any, sample_id: int, names: NodeNames, teller: PathTeller, top: int
    ) -> None:
        self.modalities, self.names, self.teller, self.top = data.modalities, names, teller, top
        self.evidence_of, self.present = batch.evidence, batch.present[0].tolist()
        self.slots = batch.evidence.concept.shape[2]
        self.table = data.graph.evidence.table.filter(pl.col("sample_id") == sample_id)

    def between(self, found: Between) -> Document:
        shown = [pair for pair in found.pairs[: self.top] if pair.contribution]
        rest = found.pairs[len(shown) :]
        paths = [self.teller.path(self._node(pair.a), self._node(pair.b)) for pair in shown]
        nodes = {self._node(place) for pair in shown for place in (pair.a, pair.b)}
        nodes |= {node for steps in paths for s in steps or () for node in (s.node, s.next_node)}
        short = self.names.short({self.names.sctids[node] for node in nodes})
        told = [
            {
                "a": self._concept(pair.a, short),
                "b": self._concept(pair.b, short),
                "contribution": pair.contribution,
                "share": pair.share,
                "path": None if steps is None else [self._step(s, short) for s in steps],
                "too_long": self._too_long(steps),
            }
            for pair, steps in zip(shown, paths, strict=True)
        ]
        return {
            "modalities": [self.modalities[found.m], self.modalities[found.n]],
            "bias": found.bias,
            "there": found.there,
            "back": found.back,
            "for": sum(p.contribution for p in found.pairs if p.contribution > 0),
            "against": sum(p.contribution for p in found.pairs if p.contribution < 0),
            "n_pairs": len(found.pairs),
            "pairs": told,
            "rest": {
                "pairs": len(rest),
                "nothing": sum(p.contribution == 0 for p in rest),
                "contribution": sum(p.contribution for p in rest),
                "share": sum(p.share for p in rest),
            },
            "said": self._why_not(found),
        }

    def toward(self, found: Sequence[Toward], drawn: Sequence[Sequence[int]]) -> list[Document]:
        """Tell what modalities say towards anchors, and what the anchors have come to stand for."""
        told = []
        for part in found:
            shown = [piece for piece in part.pieces[: self.top] if piece[1]]
            rest = [value for _, value in part.pieces[len(shown) :]]
            total = sum(abs(value) for _, value in part.pieces)
            paths = [self.teller.path(self._node(place), drawn[part.anchor][0]) for place, _ in shown]
            nodes = {self._node(place) for place, _ in shown} | set(drawn[part.anchor])
            nodes |= {node for steps in paths for s in steps or () for node in (s.node, s.next_node)}
            short = self.names.short({self.names.sctids[node] for node in nodes})
            told.append(
                {
                    "modality": self.modalities[part.m],
                    "anchor": part.anchor + 1,
                    "bias": part.bias,
                    "drawn": [
                        {"sctid": self.names.sctids[node], "name": short[self.names.sctids[node]]}
                        for node in drawn[part.anchor]
                    ],
                    "pieces": [
                        {
                            **self._concept(place, short),
                            "contribution": value,
                            "share": abs(value) / total,
                            "path": None if steps is None else [self._step(s, short) for s in steps],
                            "too_long": self._too_long(steps),
                        }
                        for (place, value), steps in zip(shown, paths, strict=True)
                    ],
                    "n_pieces": len(part.pieces),
                    "rest": {"pieces": len(rest), "contribution": sum(rest)},
                    "relations": None,
                }
            )
        return told

    def _too_long(self, steps: Sequence[Step] | None) -> bool:
        return bool(steps and self.teller.longest is not None and len(steps) > self.teller.longest)

    def evidence(self, values: Any, pair: tuple[int, int]) -> list[Document]:
        """Tell the attributions of both modalities' evidence, the strongest first."""
        places = [
            m * self.slots + i
            for m in dict.fromkeys(pair)
            for i in range(self.slots)
            if self.evidence_of.concept[0, m, i] >= 0
        ]
        short = self.names.short({self.names.sctids[self._node(place)] for place in places})
        flat = values.flatten().tolist()
        told = [{**self._concept(place, short), "attribution": flat[place]} for place in places]
        return sorted(told, key=lambda row: -abs(row["attribution"]))

    def _node(self, place: int) -> int:
        return int(self.evidence_of.concept[0].flatten()[place])

    def _concept(self, place: int, short: dict[int, str]) -> Document:
        m, slot = divmod(place, self.slots)
        sctid = self.names.sctids[self._node(place)]
        polarity = POLARITIES[int(self.evidence_of.polarity[0, m, slot])]
        found = self.table.filter(
            (pl.col("modality") == self.modalities[m])
            & (pl.col("concept") == sctid)
            & (pl.col("polarity") == polarity)
        )
        source = found.row(0, named=True) if found.height else {"source": None, "text": None}
        return {
            "modality": self.modalities[m],
            "sctid": sctid,
            "name": short[sctid],
            "polarity": polarity,
            "weight": float(self.evidence_of.weight[0, m, slot]),
            "source": source["source"],
            "text": source["text"],
        }

    def _step(self, step: Step, short: dict[int, str]) -> Document:
        return {
            "from": short[self.names.sctids[step.node]],
            "relation": step.relation.replace("_", " "),
            "to": short[self.names.sctids[step.next_node]],
            "forward": step.forward,
        }

    def _why_not(self, found: Between) -> str | None:
        for m in dict.fromkeys((found.m, found.n)):
            name = self.modalities[m]
            if not self.present[m]:
                return f"{name} is absent in this patient, so there is no bias."
            if not bool((self.evidence_of.concept[0, m] >= 0).any()):
                return f"No concept was found in {name}, so there is no bias."
        if found.bias == 0 and not any(pair.contribution for pair in found.pairs):
            return "The ontology says nothing about any pair of their concepts: the bias is 0."
        return None
