r"""Spoilt radiographs: noise, blur, and something in the way.

noise       p' = clip(p + s n, 0, 1),   n ~ N(0, I) per pixel
blur        p' = g_s * p,   g_s a Gaussian of s times the mean extent, half a pixel at least, cut at 3 s
occlusion   p' = 1 in a box of the share s of the area, at a random place inside the image; else p

s is the amount at a severity. Of each the random numbers are those of the sample: the same noise becomes louder, and
the same box grows around the same place.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from mhdiff.corruption.base import PixelCorruption
from mhdiff.encoders.preprocess_image import ImageReader


class Noise(PixelCorruption):
    """Adds Gaussian noise; the amount is its standard deviation, where 1 is the whole range of grey."""

    name = "noise"
    reads = ImageReader
    levels: ClassVar = (0.04, 0.08, 0.15, 0.25, 0.4)

    def pixels(
        self, image: Float[Tensor, channel * size], rng: np.random.Generator
    ) -> Float[Tensor, channel * size]:
        """Spoil one image, see `PixelCorruption.pixels`."""
        noise = torch.from_numpy(rng.standard_normal(tuple(image.shape)).astype(np.float32))
        return (image + self.amount * noise).clamp(0, 1)


class Blur(PixelCorruption):
    """Blurs; the amount is the Gaussian's standard deviation as a share of the image's mean extent."""

    name = "blur"
    reads = ImageReader
    levels: ClassVar = (0.01, 0.02, 0.035, 0.06, 0.1)

    def pixels(
        self, image: Float[Tensor, channel * size], rng: np.random.Generator
    ) -> Float[Tensor, channel * size]:
        """Spoil one image, see `PixelCorruption.pixels`."""
        axes = image.dim() - 1
        width = max(0.5, self.amount * sum(image.shape[1:]) / axes)
        reach = max(1, round(3 * width))
        x = torch.arange(-reach, reach + 1, dtype=image.dtype)
        kernel = torch.exp(-(x**2) / (2 * width**2))
        kernel = kernel / kernel.sum()
        blurred = image
        for axis in range(1, axes + 1):  # a Gaussian is the product of one along each axis
            line = blurred.movedim(axis, -1)
            flat = line.reshape(-1, 1, line.shape[-1])
            edged = functional.pad(flat, (reach, reach), mode="replicate")
            blurred = functional.conv1d(edged, kernel[None, None]).reshape(line.shape).movedim(-1, axis)
        return blurred.clamp(0, 1)


class Occlusion(PixelCorruption):
    """Covers a box with white, as a label or a device would; the amount is the share of the area or volume."""

    name = "occlusion"
    reads = ImageReader
    levels: ClassVar = (0.05, 0.1, 0.2, 0.35, 0.5)

    def pixels(
        self, image: Float[Tensor, channel * size], rng: np.random.Generator
    ) -> Float[Tensor, channel * size]:
        """Spoil one image, see `PixelCorruption.pixels`."""
        share = self.amount ** (1 / (image.dim() - 1))
        place: list[slice] = [slice(None)]
        for extent in image.shape[1:]:
            side = max(1, round(share * extent))
            first = round(float(rng.uniform()) * (extent - side))
            place.append(slice(first, first + side))
        covered = image.clone()
        covered[tuple(place)] = 1.0
        return covered
