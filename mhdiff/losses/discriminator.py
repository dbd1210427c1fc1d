"""The discriminator of cross-modal pairs: D(z_i, z_j, pair) is large for real pairs. It knows no label.

Smooth everywhere, since a penalty on its gradient is trained through.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ontology.errors import InputError


class PairDiscriminator(nn.Module):
    """A small network over two latents and which modalities they are of.

    Args:
        modalities: Number of modalities M; pairs are (i, j) with i < j.
        dim: Width of a latent.
        width: Width of the hidden layers.
        depth: Number of hidden layers.
        spectral: Whether the largest singular value of each layer is held at 1.
    """

    first: Tensor
    second: Tensor

    def __init__(
        self, modalities: int, dim: int, width: int = 64, depth: int = 2, spectral: bool = False
    ) -> None:
        super().__init__()
        if min(width, depth) < 1:
            raise InputError(
                f"a discriminator cannot have width {width} and depth {depth}", remedy="Give 1 or more"
            )
        i, j = torch.triu_indices(modalities, modalities, 1)
        self.register_buffer("first", i, persistent=False)
        self.register_buffer("second", j, persistent=False)
        self.kind = nn.Parameter(torch.randn(len(i), width) * 0.02)
        layers = [nn.Linear(2 * dim, width), *(nn.Linear(width, width) for _ in range(depth - 1))]
        self.hidden = nn.ModuleList([spectral_norm(layer) if spectral else layer for layer in layers])
        last = nn.Linear(width, 1)
        self.last = spectral_norm(last) if spectral else last

    def pairs(self, z: Float[Tensor, "batch modality dim"]) -> Float[Tensor, "batch pair two_dim"]:
        """Put the latents of each pair side by side.

        Args:
            z: The latents of the modalities.
        """
        return torch.cat([z[:, self.first], z[:, self.second]], dim=-1)

    def forward(self, pairs: Float[Tensor, "batch pair two_dim"]) -> Float[Tensor, "batch pair"]:
        """Judge all pairs of each patient.

        Args:
            pairs: What `pairs` gives, of standardised latents.
        """
        h = pairs
        for number, layer in enumerate(self.hidden):
            h = layer(h) if number else layer(h) + self.kind
            h = nn.functional.silu(h)
        return self.last(h)[..., 0]
