r"""Guidance by what pairs of concepts are to each other in the ontology: looked up, pair by pair, for a batch.

Each different pair of a batch is looked up once in a reach that was made with the graph (`graph_builders.reach`), so
the cost grows with the batch and never with the square of the ontology.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from graph_builders import ConceptGraph
from graph_builders.reach import Reach, Shared, meet
from mhdiff.batch import EvidenceBatch
from mhdiff.guidance.base import Guidance
from ontology.recognise import POLARITIES


class ReachIndex(nn.Module):
    """A reach as buffers, so that it moves with the model; no part of its state.

    Args:
        reach: The reach.
    """

    start: Tensor
    node: Tensor
    hops: Tensor
    kind: Tensor
    keys: Tensor

    def __init__(self, reach: Reach) -> None:
        super().__init__()
        for name in ("start", "node", "hops", "kind", "keys"):
            self.register_buffer(name, getattr(reach, name), persistent=False)

    def meet(
        self, a: Int64[Tensor, " pairs"], b: Int64[Tensor, " pairs"], other: "ReachIndex | None" = None
    ) -> Shared:
        """Find where pairs meet.

        Args:
            a: First nodes.
            b: Second nodes.
            other: The reach of the second ones; the same by default.
        """
        return meet(self.start, self.node, (other or self).keys, a, b)


class PairLookup(Guidance):
    """Base of the members that look pairs up; the graph speaks through the bias, and concept tokens are plain.

    Args:
        graph: The concept side of the graph.
        dim: Width of a token.
        heads: Number of attention heads.
        polarity_gain: `ignore`: a pair counts the same whatever its polarities; `learned`: each pair of polarities
            has a factor for each head, 1 at the start, so that a denied concept can turn what an affirmed one is
            drawn to.
        embedding_dropout: See `Guidance`.
        embedding_std: See `Guidance`.
        features: See `Guidance`.
        learn_embedding: See `Guidance`.
    """

    gives_bias = True

    def __init__(
        self,
        graph: ConceptGraph,
        dim: int,
        heads: int,
        polarity_gain: Literal["ignore", "learned"] = "ignore",
        embedding_dropout: float = 0.2,
        embedding_std: float = 0.1,
        features: Literal["all"] | Sequence[str] = "all",
        learn_embedding: bool = True,
    ) -> None:
        super().__init__(graph, dim, heads, embedding_dropout, embedding_std, features, learn_embedding)
        self.gain: nn.Parameter | None = None
        if polarity_gain == "learned":
            self.gain = nn.Parameter(torch.ones(heads, len(POLARITIES), len(POLARITIES)))
            self.learns_bias = True

    def states(self) -> Float[Tensor, "concept dim"]:
        """Give the embeddings as they are."""
        return self.embedded()

    def meeting(self, a: int, b: int) -> int | None:
        """Give the concept in which the score of a pair comes about, for whoever tells why; None where there is none.

        Args:
            a: A concept, as a node.
            b: Another.
        """
        return None

    def one_pair(self, a: int, b: int) -> tuple[Int64[Tensor, "1"], Int64[Tensor, "1"]]:
        """Give a pair as tensors where the reaches are.

        Args:
            a: A concept.
            b: Another.
        """
        device = self.polarity.weight.device
        return torch.tensor([a], device=device), torch.tensor([b], device=device)

    @abstractmethod
    def look_up(
        self, a: Int64[Tensor, " pairs"], b: Int64[Tensor, " pairs"]
    ) -> Float[Tensor, "#heads pairs"]:
        """Score pairs of concepts.

        Args:
            a: First concepts, as nodes.
            b: Second concepts; the score is symmetric.
        """

    def pairs(
        self,
        evidence: EvidenceBatch,
        tokens: Float[Tensor, "batch evidence dim"],
        mask: Bool[Tensor, "batch evidence"],
    ) -> Float[Tensor, "batch #heads evidence evidence"]:
        """Look every pair of a patient's concepts up, each different one once.

        Args:
            evidence: The batch's evidence.
            tokens: Read for its dtype only.
            mask: Which places hold evidence of a present modality.
        """
        concept = evidence.concept.flatten(1).clamp(min=0)
        wanted = mask[:, :, None] & mask[:, None, :]
        left, right = concept[:, :, None].expand_as(wanted), concept[:, None, :].expand_as(wanted)
        key = torch.minimum(left, right) * self.num_nodes + torch.maximum(left, right)
        found, place = torch.unique(key[wanted], return_inverse=True)
        looked = self.look_up(found // self.num_nodes, found % self.num_nodes).to(tokens.dtype)
        scores = tokens.new_zeros(*wanted.shape, looked.shape[0])
        scores[wanted] = looked.t()[place]
        scores = scores.permute(0, 3, 1, 2)
        if self.gain is None:
            return scores
        polarity = evidence.polarity.flatten(1).clamp(min=0)
        gain = self.gain[:, polarity[:, :, None], polarity[:, None, :]].transpose(0, 1)
        return scores * gain
