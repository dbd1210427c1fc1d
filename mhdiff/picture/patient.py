"""One patient's graph as a picture: modalities, observations, the evidence's concepts, and what these lead to.

An observation is one sample's one modality, as in the graph.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from mhdiff.names import Names
from mhdiff.picture.layout import LAYER, ROW, WIDE, Spot, layers, place
from mhdiff.picture.reached import RULE, Reached
from mhdiff.picture.sources import tell_sources
from ontology.errors import InputError
from ontology.recognise import POLARITIES

if TYPE_CHECKING:
    from graph_builders import PatientGraph
    from mhdiff.cohort import Cohort
    from ontology import Ontology

#: Concepts drawn at most, by default.
MOST = 2000


@dataclass
class Picture:
    """One patient's graph, placed.

    Args:
        facts: What it is of: sample, subject, prediction time, task, ontology, graph, modalities.
        nodes: Modalities, observations and concepts, with their place.
        edges: (from, to, kind) by position in `nodes`: "in", "evidences" with polarity and weight, or a relation.
        left_out: Concepts and relations that were not drawn, by kind; and the rule.
        notes: What a reader must know, in words.
    """

    facts: dict[str, Any]
    nodes: list[dict[str, Any]]
    edges: list[dict[str, Any]]
    left_out: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, Any]:
        """How many nodes there are by kind, and edges by kind and relation."""
        nodes: dict[str, int] = {"modality": 0, "observation": 0, "evidence": 0, "other concept": 0}
        for node in self.nodes:
            kind = node["kind"]
            nodes[kind if kind != "concept" else "evidence" if node["evidence"] else "other concept"] += 1
        edges: dict[str, int] = {}
        for edge in self.edges:
            edges[edge["kind"]] = edges.get(edge["kind"], 0) + 1
        return {"nodes": nodes, "edges": dict(sorted(edges.items(), key=lambda item: (-item[1], item[0])))}

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain values."""
        return {
            **self.facts,
            "counts": self.counts,
            "left_out": self.left_out,
            "notes": self.notes,
            "nodes": self.nodes,
            "edges": self.edges,
        }


def find_sample(graph: PatientGraph, sample: int | None, subject: int | None) -> int:
    """Give the sample that is meant.

    Args:
        graph: The graph.
        sample: A sample_id, or
        subject: a subject_id of one sample.

    Raises:
        InputError: If there is no such sample or subject, or the subject has several samples.
    """
    known = graph.samples["sample_id"]
    if sample is not None:
        if sample not in known:
            raise InputError(
                f"the graph has no sample {sample}", remedy=f"It has {', '.join(map(str, known.head(5)))} ..."
            )
        return sample
    if "subject_id" not in graph.samples.columns:
        raise InputError("the graph knows samples, no subjects", remedy="Give --sample")
    found = graph.samples.filter(pl.col("subject_id") == subject)["sample_id"].sort().to_list()
    if not found:
        raise InputError("the graph has no such subject", remedy="See samples.parquet for the subjects")
    if len(found) > 1:
        raise InputError(
            f"the subject has {len(found)} samples: {', '.join(map(str, found[:20]))}",
            remedy=f"Choose one, such as --sample {found[-1]}",
        )
    return int(found[0])


def draw_patient(
    graph: PatientGraph,
    sample: int,
    ontology: Ontology | None = None,
    cohort: Cohort | None = None,
    most: int = MOST,
) -> Picture:
    """Lay out one patient's graph.

    Args:
        graph: The graph of the cohort.
        sample: The sample; it is in the graph.
        ontology: Where names come from; the one that the graph was built from.
        cohort: Where values and descriptions of codes come from; the one that the graph was built from.
        most: Concepts drawn at most.

    Raises:
        InputError: If ontology or cohort are others than those that the graph was built from, or `most` is below 1.
    """
    if most < 1:
        raise InputError(f"a picture of {most} concepts shows nothing", remedy="Give --max-nodes >= 1")
    if ontology is not None:
        graph.check_ontology(ontology)
    if cohort is not None and cohort.fingerprint != graph.meta["cohort"]["fingerprint"]:
        raise InputError(
            f"the graph was built from another cohort ({graph.meta['cohort']['fingerprint'][:12]}) than "
            f"'{cohort.name}' ({cohort.fingerprint[:12]})",
            remedy="Give the cohort that the graph was built from",
        )
    return _Drawing(graph, sample, Names(ontology), cohort, most).picture()


class _Drawing:
    def __init__(
        self, graph: PatientGraph, sample: int, names: Names, cohort: Cohort | None, most: int
    ) -> None:
        self.graph, self.sample, self.names, self.cohort = graph, sample, names, cohort
        self.row = graph.samples.filter(pl.col("sample_id") == sample).row(0, named=True)
        self.table = graph.evidence.table.filter(pl.col("sample_id") == sample)
        self.reached = Reached(graph, sample, most)

    def picture(self) -> Picture:
        drawn, (edges, undrawn) = set(self.reached.drawn), self.reached.edges()
        ends = [(a, b) for a, b, _ in edges]
        evidence = [e for e in self.reached.evidence if e["node"] in drawn]
        short = self.names.short(int(self.reached.sctids[n]) for n in self.reached.drawn)
        bands = self._bands(evidence, short)
        seeds = [node for band in bands.values() for node in band]
        others = [n for n in self.reached.drawn if self.reached.steps[n] > 0]
        layer = layers(seeds, others, ends)
        where, spans = place(list(bands.values()), {n: layer[n] for n in others}, ends)
        nodes = self._modality_nodes(bands, spans)
        number = {n: len(nodes) + i for i, n in enumerate(self.reached.drawn)}
        rows = tell_sources(self.table, self.cohort, self.row.get("subject_id"))
        found: dict[int, list[dict[str, Any]]] = {}
        for e in evidence:
            found.setdefault(e["node"], []).append(e)
        for n in self.reached.drawn:
            nodes.append(self._concept(n, where[n], layer[n], short, found.get(n, []), rows))
        observation = {node["name"]: i for i, node in enumerate(nodes) if node["kind"] == "observation"}
        told: list[dict[str, Any]] = [
            {"from": i, "to": j, "kind": "in"}
            for name, i in observation.items()
            for j, node in enumerate(nodes)
            if node["kind"] == "modality" and node["name"] == name
        ]
        told += [
            {"from": number[e["node"]], "to": observation[e["modality"]], "kind": "evidences"}
            | {"polarity": e["polarity"], "weight": e["weight"]}
            for e in evidence
        ]
        told += [
            {"from": number[a], "to": number[b], "kind": self.reached.relations[k].replace("_", " ")}
            for a, b, k in edges
        ]
        return Picture(self._facts(), nodes, told, self._left_out(undrawn), self._notes())

    def _bands(self, evidence: list[dict[str, Any]], short: dict[int, str]) -> dict[str, list[int]]:
        """Give the evidence of each observation, each concept once, in the first modality that has it."""
        bands: dict[str, list[int]] = {m: [] for m in self.graph.modalities if m in self.reached.observed}
        first: dict[int, tuple[str, int]] = {}
        for m in bands:
            for e in evidence:
                if e["modality"] == m:
                    first.setdefault(e["node"], (m, POLARITIES.index(e["polarity"])))
        order = sorted(first, key=lambda n: (first[n][1], short[int(self.reached.sctids[n])].casefold(), n))
        for node in order:
            bands[first[node][0]].append(node)
        return bands

    def _modality_nodes(
        self, bands: dict[str, list[int]], spans: list[tuple[float, float]]
    ) -> list[dict[str, Any]]:
        """Make modalities and observations; those that were not observed stand below."""
        nodes: list[dict[str, Any]] = []
        left = -2 * (WIDE + LAYER)
        bottom = (spans[-1][1] if spans else -ROW) + 1.2 * ROW
        heights: dict[str, float] = {}
        for name, (top, end) in zip(bands, spans, strict=True):
            heights[name] = min((top + end) / 2, top + 4 * ROW)  # in a long band where it is seen at once
        for name in self.graph.modalities:
            seen = name in heights
            y = heights[name] if seen else bottom
            bottom += 0 if seen else ROW
            nodes.append(
                {"kind": "modality", "name": name, "fsn": name, "absent": not seen, "x": left, "y": y}
            )
        for name in bands:
            rows = self.table.filter(pl.col("modality") == name).height
            count = sum(e["modality"] == name for e in self.reached.evidence)
            said = f"{name}: {count} {'concept' if count == 1 else 'concepts'} from {rows} " + (
                "mention or event" if rows == 1 else "mentions and events"
            )
            said = said if rows else f"{name}: no concept found"
            nodes.append(
                {"kind": "observation", "name": name, "fsn": f"Observation of {name}", "said": said}
                | {"x": left + WIDE + LAYER, "y": heights[name]}
            )
        return nodes

    def _concept(
        self,
        node: int,
        where: Spot,
        layer: int,
        short: dict[int, str],
        evidence: list[dict[str, Any]],
        rows: dict[tuple[int, str, str], list[dict[str, Any]]],
    ) -> dict[str, Any]:
        sctid = int(self.reached.sctids[node])
        told = [
            {key: e[key] for key in ("modality", "polarity", "weight")}
            | {"sources": rows.get((sctid, e["modality"], e["polarity"]), [])}
            for e in sorted(
                evidence, key=lambda e: (self.graph.modalities.index(e["modality"]), e["polarity"])
            )
        ]
        fsn = self.names.fsn(sctid)
        return {
            "kind": "concept",
            "sctid": str(sctid),  # a browser's numbers have 53 bits
            "name": short[sctid],
            "fsn": fsn,
            "synonyms": [s for s in self.names.synonyms(sctid) if s not in (fsn, short[sctid])],
            "depth": None if (depth := self.graph.data["concept"].get("depth")) is None else int(depth[node]),
            "steps": int(self.reached.steps[node]),
            "layer": layer,
            "ancestor": bool(self.reached.ancestor[node]),
            "evidence": told,
            **{name: round(value, 1) for name, value in where._asdict().items()},
        }

    def _facts(self) -> dict[str, Any]:
        when = self.row.get("prediction_time")
        return {
            "sample_id": self.sample,
            "subject_id": self.row.get("subject_id"),
            "prediction_time": None if when is None else when.isoformat(sep=" ", timespec="minutes"),
            "task": self.graph.meta["task"],
            "graph": self.graph.fingerprint,
            "ontology": self.graph.meta["ontology"]["name"],
            "named": self.names.ontology is not None,
            "modalities": list(self.graph.modalities),
            "observed": self.reached.observed,
        }

    def _left_out(self, undrawn: int) -> dict[str, Any]:
        lost = {n for n in self.reached.lost if self.reached.steps[n] == 0}
        return {
            "evidence concepts": len(lost),
            "other concepts": len(self.reached.lost) - len(lost),
            "relations": undrawn,
            "most": self.reached.most,
            "rule": RULE,
        }

    def _notes(self) -> list[str]:
        notes = []
        if self.names.ontology is None:
            notes.append(
                "Concepts are shown by SCTID: no ontology was given. With --ontology DIR they have their names, and "
                "the search finds synonyms."
            )
        lost, drawn = self.reached.lost, self.reached.drawn
        if lost:
            out = sum(self.reached.steps[n] == 0 for n in lost)
            notes.append(
                f"{len(lost):,} of {len(lost) + len(drawn):,} concepts are not drawn ({out:,} with evidence, "
                f"{len(lost) - out:,} without), and the relations that they are part of. Kept were {len(drawn):,}: "
                f"{RULE}. More are drawn with --max-nodes."
            )
        held = set(self.reached.sctids.tolist())
        off = self.table.filter(~pl.col("concept").is_in(sorted(held)))["concept"].n_unique()
        if off:
            notes.append(
                f"{off:,} concepts of this patient's evidence are not in the graph and so not drawn."
            )
        if self.graph.meta["transforms"]:
            notes.append(f"The graph was changed: {', '.join(map(str, self.graph.meta['transforms']))}.")
        if not self.reached.evidence:
            notes.append(
                "No concept was found in this patient's data: there is nothing but the observations."
            )
        return notes
