r"""Augmentation of images: in each training step a patient's image is moved and its greys are changed a little.

    x'(u) = clip( (1 + c) (x(A u) - mean) + mean + b + sigma eps, 0, 1),    A = S^-1 (1 + k) R S u + d

- u: a place in coordinates from -1 to 1 along each axis, S the sides of the image, so that R, the rotation
  (in 3-D one after the other about each axis), shears nothing; beyond the border the border goes on;
- k, d, angles: uniform between plus and minus `scale`, `shift` (a share of the side) and `rotation` (degrees);
- c, b: uniform between plus and minus `contrast` and `brightness`, mean: the mean of the moved image;
- eps: normal, sigma = `noise`. Pixels are in [0, 1], see `mhdiff.encoders.image`.

Nothing is mirrored: which side a finding is on means something. Outlines of findings (`data.masks`) move with their
image. A modality whose embeddings were stored has no pixels and is passed over: augment where its encoder is trained.

The random numbers are from a generator that is given, not from the global one, so that a run with it differs from one
without by this alone. Moving is by MONAI's `AffineTransform`, for a whole batch on its device.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import replace

import torch
from jaxtyping import Float
from monai.networks.layers import AffineTransform
from torch import Tensor, nn

from mhdiff.batch import Batch
from mhdiff.encoders.specs import EmbeddingSpec, ImageSpec
from mhdiff.training.spec import DataSpec
from ontology.errors import InputError


class Augmentation(nn.Module, ABC):
    """Changes what a training step is shown, and nothing in evaluation."""

    def build(self, spec: DataSpec) -> None:
        """Refuse data that it has no meaning for. By default there are none.

        Args:
            spec: The data.

        Raises:
            InputError: If it names what cannot be changed.
        """
        return None

    def forward(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Give the batch that the model learns from; itself in evaluation.

        Args:
            batch: The patients; left as they are.
            generator: Source of the random numbers, on the batch's device.
        """
        if not self.training:
            return batch
        with torch.autocast(
            batch.present.device.type, enabled=False
        ):  # bf16 has places to a hundredth of a side
            return self.change(batch, generator)

    @abstractmethod
    def change(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Change a batch of a training step.

        Args:
            batch: The patients; left as they are.
            generator: Source of the random numbers, on the batch's device.
        """


class ImageAugmentation(Augmentation):
    """Moves images and changes their greys, see the module.

    Args:
        rotation: Degrees, at most, about each axis; below 180.
        shift: Share of each side, at most.
        scale: Share by which it is made larger or smaller, at most; below 1.
        contrast: Share by which the differences from the mean grey grow or shrink, at most; below 1.
        brightness: What is added or taken, at most.
        noise: Standard deviation of what is added to each pixel.
        modalities: Which; None for all that have pixels.
    """

    def __init__(
        self,
        rotation: float = 5.0,
        shift: float = 0.05,
        scale: float = 0.05,
        contrast: float = 0.2,
        brightness: float = 0.1,
        noise: float = 0.02,
        modalities: list[str] | None = None,
    ) -> None:
        super().__init__()
        most = {
            "rotation": (rotation, 180.0),
            "shift": (shift, 1.0),
            "scale": (scale, 1.0),
            "contrast": (contrast, 1.0),
            "brightness": (brightness, 1.0),
            "noise": (noise, math.inf),
        }
        for name, (value, bound) in most.items():
            if not 0 <= value < bound:
                raise InputError(
                    f"augmentation.{name} is {value}", remedy=f"Give a number from 0 to below {bound:g}"
                )
        self.rotation, self.shift, self.scale = math.radians(rotation), shift, scale
        self.contrast, self.brightness, self.noise = contrast, brightness, noise
        self.modalities = modalities

    def build(self, spec: DataSpec) -> None:
        """Refuse modalities that are named and have no pixels, see `Augmentation.build`."""
        known = {m: x for m, x in spec.inputs.items() if m in (self.modalities or [])}
        if no := [m for m, x in known.items() if not isinstance(x, ImageSpec | EmbeddingSpec)]:
            raise InputError(
                f"augmentation.modalities names {', '.join(no)}, which has no pixels",
                remedy="Name images alone, or give null for all of them",
            )

    def change(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Move images and change their greys, see `Augmentation.change`."""
        inputs, masks = dict(batch.inputs), dict(batch.masks)
        names = list(batch.inputs) if self.modalities is None else self.modalities
        for name in names:
            if name not in inputs or "pixels" not in inputs[name]:
                continue
            pixels = inputs[name]["pixels"]
            if self.rotation or self.shift or self.scale:
                to_source = self._matrix(pixels, generator)
                pixels = _moved(pixels, to_source)
                if name in masks:
                    masks[name] = _moved(masks[name][:, None].to(pixels), to_source)[:, 0] > 0.5
            inputs[name] = inputs[name] | {"pixels": self._greys(pixels, generator)}
        return replace(batch, inputs=inputs, masks=masks)

    def _matrix(self, pixels: Float[Tensor, "batch channels *size"], generator: torch.Generator) -> Tensor:
        """Where in the image each place of the new one is taken from, one matrix a patient, axes from last to first."""
        rows, size = len(pixels), pixels.shape[:1:-1]
        axes = len(size)

        def drawn(*shape: int) -> Tensor:
            return 2 * torch.rand(rows, *shape, generator=generator, device=pixels.device) - 1

        turn = torch.eye(axes, device=pixels.device).expand(rows, -1, -1)
        for a in range(axes):
            for b in range(a + 1, axes):
                angle, plane = (
                    self.rotation * drawn(),
                    torch.eye(axes, device=pixels.device).repeat(rows, 1, 1),
                )
                plane[:, a, a], plane[:, b, b] = angle.cos(), angle.cos()
                plane[:, a, b], plane[:, b, a] = -angle.sin(), angle.sin()
                turn = turn @ plane
        sides = torch.tensor(size, dtype=torch.float32, device=pixels.device)
        turn = turn * sides / sides[:, None]
        return torch.cat([(1 + self.scale * drawn(1, 1)) * turn, 2 * self.shift * drawn(axes, 1)], -1)

    def _greys(self, x: Float[Tensor, "batch channels *size"], generator: torch.Generator) -> Tensor:
        """Change contrast and brightness, and add noise."""
        shape = (len(x), *[1] * (x.ndim - 1))

        def drawn() -> Tensor:
            return 2 * torch.rand(shape, generator=generator, device=x.device) - 1

        if self.contrast:
            mean = x.mean(tuple(range(1, x.ndim)), keepdim=True)
            x = (1 + self.contrast * drawn()) * (x - mean) + mean
        if self.brightness:
            x = x + self.brightness * drawn()
        if self.noise:
            x = x + self.noise * torch.randn(x.shape, generator=generator, device=x.device)
        return x.clamp(0, 1)


def _moved(x: Float[Tensor, "batch channels *size"], matrix: Tensor) -> Float[Tensor, "batch channels *size"]:
    transform = AffineTransform(
        normalized=True, padding_mode="border", align_corners=False, reverse_indexing=False
    )
    moved: Tensor = transform(x.float(), matrix)
    return moved
