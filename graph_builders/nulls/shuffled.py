"""ShuffledEvidence: the ontology as it is, the evidence of other patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
import torch
from torch_geometric.data import HeteroData
from torch_geometric.data.datapipes import functional_transform

from graph_builders.build import EVIDENCES
from graph_builders.evidence import Evidence
from graph_builders.nulls.base import EvidenceNull, Indices, read_samples, write_samples
from graph_builders.nulls.trades import trade
from ontology.errors import InputError
from ontology.recognise import POLARITIES

#: What a row of evidence says of the patient it was found in, and no other.
_OF_THE_PATIENT = ("start", "end", "text", "time")


@functional_transform("shuffled_evidence")
class ShuffledEvidence(EvidenceNull):
    """Deal the evidence out anew among the samples of a split, modality by modality.

    Two observations of one modality and one split that meet deal out anew what only one of them has, over and over (see
    `graph_builders.nulls.trades`). A piece of evidence is a concept with its polarity and weight.

    Kept: the concept graph; of each split and modality how often each concept occurs with which polarities and weights,
    and how many pieces each observation has, so an empty one stays empty.
    Destroyed: which patient has which evidence, which concepts occur together within and between modalities, and any
    link to images, notes and labels. Encoders still see the patient's own image, note, labs and codes.

    Nothing crosses from one split to another. In the evidence table a moved row keeps its source (the code) and loses
    time, text and place in the note, which were another patient's.

    Args:
        seed: Which draw.
        split: Sample ids, or spans of them ("0-4,7"), by the name of their split.
        rounds: How often every observation trades with another one.

    Raises:
        InputError: If a sample is in two splits, there are no splits, or no rounds.
    """

    name = "shuffled"

    def __init__(
        self, seed: int, split: Mapping[str, Sequence[int] | Indices | str], rounds: int = 20
    ) -> None:
        if rounds < 1:
            raise InputError(f"{rounds} rounds shuffle nothing", remedy="Give 1 or more")
        self.seed, self.rounds, self.report = seed, rounds, {}
        self.split = {name: read_samples(ids) for name, ids in split.items()}
        everyone = np.concatenate([np.empty(0, np.int64), *self.split.values()])
        if not len(everyone):
            raise InputError("evidence is shuffled within splits, and there are none")
        if len(np.unique(everyone)) < len(everyone):
            raise InputError("a sample is in two splits", remedy="Give each sample one split")

    @classmethod
    def of(
        cls, seed: int, *, within: str = "modality", split: Mapping[str, Sequence[int]]
    ) -> ShuffledEvidence:
        """Build the null for the splits of a data module.

        Args:
            seed: Which draw.
            within: Not read.
            split: Sample ids by the name of their split.
        """
        return cls(seed, split)

    def forward(self, data: HeteroData) -> HeteroData:
        """Give the graph with the evidence of other samples.

        Args:
            data: A shallow copy of the graph, which PyG's `__call__` makes; its tensors are not edited.

        Raises:
            InputError: If the graph has no evidence, or a sample of it is in no split.
        """
        observation = torch.from_numpy(self.destination(data)).to(data[EVIDENCES].edge_index.device)
        source, relation, target = EVIDENCES
        forward, backward = data[EVIDENCES], data[(target, f"rev_{relation}", source)]
        node = forward.edge_index[0]
        sctid, polarity = data["concept"].sctid[node], forward.polarity
        order = torch.from_numpy(  # the order in which link_evidence has them
            np.lexsort([one.cpu().numpy() for one in (polarity, sctid, observation)])
        ).to(node.device)
        values = {name: value[order] for name, value in forward.items() if name != "edge_index"}
        forward.edge_index = torch.stack([node, observation])[:, order]
        backward.edge_index = forward.edge_index.flip(0).contiguous()
        for name, value in values.items():
            forward[name], backward[name] = value, value.clone()
        return data

    def destination(self, data: HeteroData) -> Indices:
        """Give the observation that each evidence edge moves to [E].

        Args:
            data: The graph.

        Raises:
            InputError: If the graph has no evidence, or a sample of it is in no split.
        """
        if EVIDENCES not in data.edge_types:
            raise InputError("a graph without evidence has none to shuffle")
        node, observation = data[EVIDENCES].edge_index.cpu().numpy()
        return self._deal(
            data["observation"].sample_id.cpu().numpy(),
            data["observation"].modality.cpu().numpy(),
            observation,
            data["concept"].sctid.cpu().numpy()[node],
            data[EVIDENCES].polarity.cpu().numpy(),
        )

    def evidence(self, evidence: Evidence, modalities: Sequence[str]) -> Evidence:
        """Give the evidence with every piece in the sample that it moved to, in the graph or not.

        Args:
            evidence: The evidence.
            modalities: Names in the order of their numbers.

        Raises:
            InputError: If a sample is in no split.
        """
        assert evidence.observed is not None
        number = pl.DataFrame({"modality": list(modalities), "m": np.arange(len(modalities))})
        order = pl.DataFrame({"polarity": list(POLARITIES), "p": np.arange(len(POLARITIES))})
        seen = (
            evidence.observed.join(number, on="modality").sort("sample_id", "m").with_row_index("observation")
        )
        pieces = (
            evidence.merged.join(seen, on=["sample_id", "modality"])
            .join(order, on="polarity")
            .sort("observation", "concept", "p")
        )
        sample = seen["sample_id"].to_numpy()
        columns = (pieces[name].to_numpy().astype(np.int64) for name in ("observation", "concept", "p"))
        to = self._deal(sample, seen["m"].to_numpy(), *columns)
        keys = ["sample_id", "modality", "concept", "polarity"]
        moves = pieces.select(keys).with_columns(to=sample[to])
        table = evidence.table.join(moves, on=keys, how="left", maintain_order="left")
        away = pl.col("to") != pl.col("sample_id")
        table = table.with_columns(
            *(pl.when(away).then(None).otherwise(pl.col(name)).alias(name) for name in _OF_THE_PATIENT),
            sample_id=pl.col("to"),
        ).drop("to")
        return Evidence(table, evidence.report, evidence.blinded, evidence.observed)

    def _deal(
        self, sample: Indices, modality: Indices, observation: Indices, concept: Indices, polarity: Indices
    ) -> Indices:
        """Give the observation that each piece moves to; sample and modality are those of the observations."""
        place = np.full(len(sample), -1)
        for number, ids in enumerate(self.split.values()):
            place[np.isin(sample, ids)] = number
        if (place < 0).any():
            lost = np.unique(sample[place < 0])
            raise InputError(
                f"{len(lost)} samples of the graph are in no split, such as {lost[0]}",
                remedy="Give the splits of all samples",
            )
        piece = np.unique(concept, return_inverse=True)[1] * len(POLARITIES) + polarity
        _, group = np.unique(place * (int(modality.max(initial=0)) + 1) + modality, return_inverse=True)
        moved = trade(piece, observation, group, np.random.default_rng(self.seed), self.rounds)
        key = piece * (len(sample) + 1)
        alone = np.bincount(group)[group] == 1
        self.report = {
            "pieces": len(piece),
            "moved": float((~np.isin(key + moved, key + observation)).mean()) if len(piece) else 0.0,
            "without_a_partner": int(alone[observation].sum()),
        }
        return moved

    def __repr__(self) -> str:
        return self._text({name: repr(write_samples(ids)) for name, ids in self.split.items()})

    def __str__(self) -> str:
        return self._text({name: f"<{len(ids)} samples>" for name, ids in self.split.items()})

    def _text(self, split: Mapping[str, str]) -> str:
        inside = ", ".join(f"{name!r}: {ids}" for name, ids in split.items())
        more = "" if self.rounds == 20 else f", rounds={self.rounds}"
        return f"ShuffledEvidence(seed={self.seed}, split={{{inside}}}{more})"
