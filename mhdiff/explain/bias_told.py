"""The bias of one patient as a document, and as lines that a clinician can read.

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
notes, warning        what a reader must know
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import polars as pl

from graph_builders import Step
from mhdiff.explain.bias import Between, between, by_evidence, by_relation, contributions, mean_lambda
from mhdiff.explain.explanation import WARNING
from mhdiff.explain.paths import PathTeller
from mhdiff.names import NodeNames
from mhdiff.training.data import MultimodalData
from mhdiff.training.module import Diagnosis
from ontology.errors import InputError
from ontology.recognise import POLARITIES

Document = dict[str, Any]
_EVIDENCE = 8  # pieces of evidence that are told in text; the document has all


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
        "notes": _notes(net, data, batch, sample_id, names),
        "warning": WARNING,
    }
    if parts is None:
        document["notes"].insert(
            0, f"{document['guidance']} as it was trained here gives no bias: the attention was not guided."
        )
        return document
    teller_of = _Teller(data, batch, sample_id, names, teller, top)
    messages = by_relation(net, batch.evidence, batch.present, wanted)
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
            carried = messages[number]
            told["relations"] = {
                "without": carried.without,
                "parts": [
                    {"relations": [r.replace("_", " ") for r in group], "contribution": value}
                    for group, value in carried.parts
                ],
            }
        document["between"].append(told)
    return document


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
    anchors = getattr(getattr(net.guidance, "score", None), "anchors", None)
    if anchors is not None:
        notes.append(
            f"The guidance also has a bias towards {len(anchors)} anchors, which stand for no modality; it is not told "
            "here."
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
                "too_long": bool(
                    steps and self.teller.longest is not None and len(steps) > self.teller.longest
                ),
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


def lines(document: Document) -> list[str]:
    """Write a document as text.

    Args:
        document: What `explain_bias` gave.
    """
    scale = document["lambda"]["mean"]
    result = [
        f"sample {document['sample_id']}, subject {document['subject_id']}: what the ontology "
        f"({document['ontology']}) told the attention",
        f"guidance {document['guidance']}; bias in units of the attention's logits, lambda {scale:.3g} (mean of layers "
        "and heads) times its score",
        document["how"],
    ]
    for part in document["between"]:
        result += ["", *_told(part)]
    return [*result, "", *document["notes"], document["warning"]]


def _told(part: Document) -> list[str]:
    m, n = part["modalities"]
    head = f"within {m}" if m == n else f"{m} and {n}"
    if part["said"]:
        return [f"{head}: {part['said']}"]
    way = "" if m == n else f" (from {m} to {n} {part['there']:+.4f}, from {n} to {m} {part['back']:+.4f})"
    result = [f"{head}: bias {part['bias']:+.4f}{way}"]
    count = f"{part['n_pairs']} {'pair' if part['n_pairs'] == 1 else 'pairs'} of concepts"
    result.append(
        f"  {count}: {part['for']:+.4f} for and {part['against']:+.4f} against; shares are of both together"
    )
    for pair in part["pairs"]:
        result.append(f"  {pair['contribution']:+.4f}  share {pair['share']:4.0%}  {sentence(pair)}")
    rest = part["rest"]
    if rest["pairs"]:
        more = f"{rest['pairs']} more {'pair' if rest['pairs'] == 1 else 'pairs'}"
        if rest["nothing"]:
            more += (
                ", adding nothing"
                if rest["nothing"] == rest["pairs"]
                else f", {rest['nothing']} adding nothing"
            )
        result.append(f"  {rest['contribution']:+.4f}  share {rest['share']:4.0%}  {more}")
    if part["relations"]:
        result.append("  by relation that messages went along (Shapley values; they sum to the bias)")
        result.append(f"  {part['relations']['without']:+.4f}  without any message")
        for row in part["relations"]["parts"]:
            several = len(row["relations"])
            name = row["relations"][0] if several == 1 else f"{several} others together"
            result.append(f"  {row['contribution']:+.4f}  {name}")
    if part["evidence"] is not None:
        result.append(
            f"  by piece of evidence (integrated gradients, {part['steps']} points, completeness gap {part['gap']:.2%})"
        )
        first, others = part["evidence"][:_EVIDENCE], part["evidence"][_EVIDENCE:]
        result += [f"  {row['attribution']:+.4f}  {_named(row)}" for row in first]
        if others:
            result.append(f"  {sum(row['attribution'] for row in others):+.4f}  {len(others)} more")
    return result


def sentence(pair: Document) -> str:
    """Write a pair of concepts and the way between them on one line.

    Args:
        pair: One of `pairs`.
    """
    a, b, path = _named(pair["a"]), _named(pair["b"]), pair["path"]
    if path is None:
        return f"{a}  ...  {b}"
    if not path:
        return f"{a}  is the same concept as  {b}"
    walk = a
    for number, step in enumerate(path):
        arrow = f"--{step['relation']}-->" if step["forward"] else f"<--{step['relation']}--"
        walk += f"  {arrow}  {b if number == len(path) - 1 else step['to']}"
    return f"{walk}  (longer than messages reach)" if pair["too_long"] else walk


def _named(concept: Document) -> str:
    polarity = "" if concept["polarity"] == POLARITIES[0] else f" ({concept['polarity']})"
    return f"{concept['modality']}: {concept['name']}{polarity}"
