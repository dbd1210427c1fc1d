r"""The founding proposal's binary A_onto.

.. math:: A_{ij} = 1 \text{ if a concept of token } i \text{ and one of token } j \text{ are at most } k
          \text{ relations apart, else } 0

A modality's concepts are all its evidence; a concept token's is itself. Which pairs are linked is looked up in the
sorted keys :math:`iN + j`, so that no N x N matrix is ever made.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from graph_builders import ConceptGraph
from graph_builders.adjacency import pair_keys, within_hops
from mhdiff.batch import EvidenceBatch
from mhdiff.guidance.base import Guidance


class Linked(Guidance):
    """Binary links between evidence within `hops` relations; concept tokens are plain embeddings.

    Args:
        graph: The concept side of the graph.
        dim: Width of a token.
        heads: Number of attention heads.
        hops: How many relations, in either direction, still count as linked.
        embedding_dropout: See `Guidance`.
        embedding_std: See `Guidance`.
    """

    gives_bias = True
    keys: Tensor

    def __init__(
        self,
        graph: ConceptGraph,
        dim: int,
        heads: int,
        hops: int = 2,
        embedding_dropout: float = 0.2,
        embedding_std: float = 0.1,
    ) -> None:
        super().__init__(graph, dim, heads, embedding_dropout, embedding_std)
        self.num_nodes = graph.num_nodes
        keys = pair_keys(within_hops(graph.edge_index, graph.num_nodes, hops))
        self.register_buffer("keys", keys, persistent=False)

    def states(self) -> Float[Tensor, "concept dim"]:
        """Give the embeddings as they are: here the graph speaks through the bias alone."""
        return self.embedded()

    def bias(
        self,
        evidence: EvidenceBatch,
        tokens: Float[Tensor, "batch evidence dim"],
        mask: Bool[Tensor, "batch evidence"],
    ) -> Float[Tensor, "batch heads token token"]:
        """Look every pair of concepts up.

        Args:
            evidence: The batch's evidence.
            tokens: Read for its dtype only.
            mask: Which places hold evidence of a present modality.
        """
        concept = evidence.concept.flatten(1).clamp(min=0)
        query = concept[:, :, None] * self.num_nodes + concept[:, None, :]
        place = torch.searchsorted(self.keys, query).clamp(max=len(self.keys) - 1)
        linked = (self.keys[place] == query) & mask[:, :, None] & mask[:, None, :]
        batch, modalities, slots = evidence.concept.shape
        to_modality = linked.view(batch, modalities * slots, modalities, slots).any(-1)
        between = to_modality.view(batch, modalities, slots, modalities).any(2)
        top = torch.cat([between, to_modality.transpose(1, 2)], 2)
        bottom = torch.cat([to_modality, linked], 2)
        return torch.cat([top, bottom], 1)[:, None].to(tokens.dtype)
