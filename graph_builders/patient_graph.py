"""A cohort's graph with the evidence it was made from: built once, saved, opened to train and to explain.

On disk: graph.json (what it was built from, counts, coverage, checksums), graph.safetensors,
evidence.parquet, observed.parquet, samples.parquet.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from graph_builders.build import EVIDENCES, build_graph, link_evidence
from graph_builders.concept_graph import ConceptGraph
from graph_builders.evidence import Evidence
from graph_builders.nulls.base import EvidenceNull
from graph_builders.storage import LATER, MARKER, META, from_tensors, read_folder, to_tensors, write_folder
from graph_builders.structure import features, spread, structure
from graph_builders.tokens import TokenTable, rank_tokens, token_table
from graph_builders.view import View
from ontology.errors import InputError
from ontology.files import atomic_directory

if TYPE_CHECKING:
    from ontology import Ontology


def _taken(data: HeteroData, name: str) -> Any:
    """Take what a builder or an edit has to tell out of the graph; None where there is nothing."""
    if name not in data:
        return None
    found = data[name]
    del data[name]
    return found


@dataclass(frozen=True, eq=False)
class PatientGraph:
    """The graph of a cohort.

    Args:
        data: The PyG graph.
        evidence: What its evidence edges were made from.
        samples: One row a sample: sample_id, subject_id, ...
        meta: ontology {fingerprint, name}, cohort {fingerprint, kind}, task, modalities, view, slice (what the view
            kept and left out), transforms, edits (what those that take something out did); and analytes {sha256}, the
            table of units that numbers were read by, where it is known.
    """

    data: HeteroData
    evidence: Evidence
    samples: pl.DataFrame
    meta: dict[str, Any]

    @classmethod
    def build(
        cls,
        ontology: Ontology,
        evidence: Evidence,
        samples: pl.DataFrame,
        modalities: Sequence[str],
        view: View | None = None,
        *,
        cohort: dict[str, Any] | None = None,
        task: str = "",
        analytes: str | None = None,
    ) -> PatientGraph:
        """Build the graph and write down what it was built from.

        Args:
            ontology: The ontology.
            evidence: The evidence.
            samples: One row a sample.
            modalities: Names, in order.
            view: Which part of the ontology to keep.
            cohort: Fingerprint and kind of the cohort.
            task: Name of the task.
            analytes: SHA-256 of the table of units that numbers were read by; None where there is none.

        Raises:
            InputError: If the evidence does not fit the ontology, the samples or the modalities.
        """
        view = view or View()
        data = build_graph(ontology, evidence, samples, modalities, view)
        meta = {
            "ontology": {"fingerprint": ontology.fingerprint, "name": ontology.name},
            "cohort": {"fingerprint": "", "kind": "", **(cohort or {})},
            "task": task,
            "modalities": list(modalities),
            "view": view.as_dict(),
            "slice": _taken(data, "slice"),
            "transforms": [],
            "edits": [],
            **({} if analytes is None else {"analytes": {"sha256": analytes}}),
        }
        return cls(data, evidence, samples.sort("sample_id"), meta)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in order."""
        return tuple(self.meta["modalities"])

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Numbers of nodes and edges by type; reverse edges are not counted again."""
        edges = {
            " ".join(kind): int(self.data[kind].edge_index.shape[1])
            for kind in self.data.edge_types
            if not kind[1].startswith("rev_")
        }
        return {
            "nodes": {kind: int(self.data[kind].num_nodes) for kind in self.data.node_types},
            "edges": edges,
        }

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over what the graph was built from and what it holds, in hexadecimal."""
        digest = hashlib.sha256(
            json.dumps([self.meta, self.evidence.blinded.tolist()], sort_keys=True).encode()
        )
        for name, tensor in sorted(to_tensors(self.data).items()):
            digest.update(name.encode())
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()

    @cached_property
    def structure(self) -> dict[str, Any]:
        """What the concept side looks like, see `graph_builders.structure`; with terms once `named`."""
        return structure(self.data)

    def named(self, ontology: Ontology) -> PatientGraph:
        """Give the graph with the terms of the concepts that its description names.

        Args:
            ontology: The ontology that it was built from.

        Raises:
            InputError: If it was built from another one.
        """
        self.check_ontology(ontology)
        graph, told = replace(self), copy.deepcopy(self.structure)
        chain = told["longest_is_a_chain"] or {"concepts": []}
        for row in (*told["isolated"]["first"], *chain["concepts"]):
            row["term"] = ontology.term(row["concept"])
        graph.__dict__["structure"] = told
        return graph

    def describe(self) -> dict[str, Any]:
        """Give everything that graph.json says, save the checksums of its files."""
        return {
            **self.meta,
            "fingerprint": self.fingerprint,
            "counts": self.counts,
            "features": features(self.data),
            "structure": self.structure,
            "tokens": self._per_observation(),
            "concepts_per_patient": self._per_patient(),
            "coverage": self.evidence.report,
        }

    def check_ontology(self, ontology: Ontology) -> None:
        """Make sure that the graph was built from this ontology.

        Args:
            ontology: The ontology in use.

        Raises:
            InputError: If it was built from another one.
        """
        mine = self.meta["ontology"]
        if mine["fingerprint"] != ontology.fingerprint:
            raise InputError(
                f"the graph was built from the ontology '{mine['name']}' ({mine['fingerprint'][:12]}), "
                f"the one given is '{ontology.name}' ({ontology.fingerprint[:12]})",
                remedy="Give the ontology that the graph was built from, or build the graph again with "
                "`mhdiff graph build --ontology`",
            )

    def tokens(self, sample_ids: Sequence[int], modalities: Sequence[str], k: int) -> TokenTable:
        """Give the k concepts that stand for each sample's modality, ranked as `graph_builders.tokens` says.

        Args:
            sample_ids: Samples in the order wanted.
            modalities: Modalities in the order wanted.
            k: Number of tokens an observation.

        Raises:
            InputError: If the graph has no such sample or modality.
        """
        strange = sorted(set(modalities) - set(self.modalities))
        if strange:
            raise InputError(
                f"the graph has no modality '{strange[0]}'", remedy=f"It has: {', '.join(self.modalities)}"
            )
        lost = ~np.isin(np.asarray(sample_ids, dtype=np.int64), self.samples["sample_id"].to_numpy())
        if lost.any():
            first = int(np.asarray(sample_ids)[lost][0])
            raise InputError(
                f"the graph lacks {int(lost.sum())} of the samples, such as {first}",
                remedy="Build the graph from the same cohort and task",
            )
        return token_table(self._ranked, sample_ids, modalities, k)

    def concept_graph(self) -> ConceptGraph:
        """Give the concept side alone."""
        return ConceptGraph.from_data(self.data, self.modalities)

    def transform(self, transform: BaseTransform) -> PatientGraph:
        """Give the graph after a PyG transform, with the evidence edges where the concepts then are.

        Args:
            transform: Any transform of a HeteroData that keeps data["concept"].sctid and the observations. One that
                moves evidence between samples is an `EvidenceNull`.
        """
        before = self.data["concept"].sctid, self.data[EVIDENCES].edge_index
        data, evidence = copy.copy(self.data), self.evidence
        if isinstance(transform, EvidenceNull):  # its edges follow from the evidence, below
            evidence = transform.evidence(evidence, self.modalities)
        else:
            data = transform(data)
        lifted, edits = _taken(data, "lifted"), _taken(data, "edits")
        if lifted is not None and lifted.shape[1]:
            evidence = self._lifted(data, lifted)
        moved = data["concept"].sctid is not before[0] or data[EVIDENCES].edge_index is not before[1]
        if moved or evidence is not self.evidence:
            link_evidence(data, evidence, self.modalities)
        data.validate(raise_on_error=True)
        meta = {
            **self.meta,
            "transforms": [*self.meta["transforms"], repr(transform)],
            "edits": [*self.meta.get("edits", ()), *(edits or ())],
        }
        return replace(self, data=data, evidence=evidence, meta=meta)

    def _lifted(self, data: HeteroData, lifted: Any) -> Evidence:
        """Give the evidence for the concepts that stand for others after an edit."""
        old, new = lifted.numpy()
        sctids = data["concept"].sctid.numpy()
        order = np.argsort(sctids)
        place = np.minimum(np.searchsorted(sctids, new, sorter=order), max(len(sctids) - 1, 0))
        there = sctids[order[place]] == new if len(sctids) else np.zeros(len(new), dtype=bool)
        depth = data["concept"].depth.numpy()[order[place[there]]]
        return self.evidence.lifted(old[there], new[there], depth)

    def save(self, path: str | Path) -> None:
        """Write the graph into a folder, whole or not at all.

        Args:
            path: The folder; it is replaced if it holds a graph.

        Raises:
            InputError: If the folder holds something else.
        """
        with atomic_directory(path, marker=MARKER) as folder:
            write_folder(folder, self.data, self.evidence, self.samples, self.describe())

    @classmethod
    def open(cls, path: str | Path, *, verify: bool | None = None) -> PatientGraph:
        """Open a graph from its folder; its tensors are mapped, not read.

        Args:
            path: The folder.
            verify: Whether to compare all checksums. By default that is done up to 64 MiB, where it costs nothing; of
                larger graphs the sizes are compared.

        Raises:
            InputError: If it holds no graph, or one that was changed or cut short.
        """
        document, tensors, evidence, samples = read_folder(Path(path), verify)
        data = from_tensors(tensors, document["counts"]["nodes"])
        meta = {key: document[key] for key in (*META, *(name for name in LATER if name in document))}
        graph = cls(data, evidence, samples, meta)
        # What was computed from the tensors when they were written is not computed again; the checks vouch for them.
        graph.__dict__.update({key: document[key] for key in ("fingerprint", "structure")})
        return graph

    @cached_property
    def _ranked(self) -> pl.DataFrame:
        return rank_tokens(self.evidence, self.data["concept"].sctid.numpy())

    @cached_property
    def _held(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Count the concepts of each observation (`len`), and the different ones of each sample (`concept`)."""
        counts = [
            (
                part.group_by("sample_id", "modality").len(),
                part.group_by("sample_id").agg(pl.col("concept").n_unique()),
            )
            for part in self.evidence.merged_parts()
        ]
        return pl.concat(one for one, _ in counts), pl.concat(other for _, other in counts)

    def _per_observation(self) -> dict[str, dict[str, float]]:
        """Number of concepts an observation, by modality: what a choice of k cuts off."""
        assert self.evidence.observed is not None
        held, _ = self._held
        sizes = self.evidence.observed.join(held, on=["sample_id", "modality"], how="left").with_columns(
            pl.col("len").fill_null(0)
        )
        result: dict[str, dict[str, float]] = {}
        for name in self.modalities:
            mine = sizes.filter(pl.col("modality") == name)["len"].to_numpy()
            if len(mine):
                result[name] = {"observations": len(mine), **spread(mine)}
        return result

    def _per_patient(self) -> dict[str, float]:
        """Number of different concepts a sample, over all modalities; 0 for a sample without any."""
        _, held = self._held
        sizes = (
            self.samples.select("sample_id").join(held, on="sample_id", how="left")["concept"].fill_null(0)
        )
        return {"patients": len(sizes), **spread(sizes.to_numpy())} if len(sizes) else {"patients": 0}
