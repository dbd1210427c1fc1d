"""Where in the image: a heat map over the radiograph, and how much of it lies where the finding really is.

    relevance mass = sum_{i in mask} |a_i| / sum_i |a_i|        against the mask's share of the area, which
    is chance

The map is drawn in two colours that people with any colour vision can tell apart, orange for and sky blue
against, and only its opacity says how much, so that the radiograph stays readable.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

FOR, AGAINST = (230, 159, 0), (86, 180, 233)  # of the palette by Okabe and Ito


@dataclass(frozen=True)
class Relevance:
    """How well an attribution map points at a mask.

    Args:
        mass: Share of the absolute attribution inside the mask; None where nothing was attributed.
        hit: Whether the strongest pixel of the smoothed map lies inside; None where nothing was attributed.
        area: Share of the image that the mask covers: what chance would give.
    """

    mass: float | None
    hit: bool | None
    area: float


def relevance(attribution: Float[Tensor, "*size"], mask: Bool[Tensor, "*size"]) -> Relevance:
    """Compare a map with where the finding is.

    Args:
        attribution: The map, without a channel axis.
        mask: Where the finding is, of the same size.

    Returns:
        The share inside, whether the map's peak is inside, and the chance level.
    """
    size = attribution.abs().double()
    area = float(mask.double().mean())
    total = float(size.sum())
    if not total > 0:
        return Relevance(None, None, area)
    peak = int(smooth(size).argmax())
    return Relevance(float(size[mask].sum()) / total, bool(mask.flatten()[peak]), area)


def smooth(attribution: Float[Tensor, "*size"], share: float = 0.02) -> Float[Tensor, "*size"]:
    """Blur a map with a Gaussian, because single pixels of a gradient mean little.

    Args:
        attribution: The map.
        share: Standard deviation of the Gaussian, as a share of the longest axis.
    """
    sigma = max(share * max(attribution.shape), 1e-6)
    reach = max(1, round(3 * sigma))
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1).to(attribution) / sigma) ** 2)
    kernel = kernel / kernel.sum()
    out = attribution
    for axis in range(attribution.ndim):
        moved = out.movedim(axis, -1)
        flat = moved.reshape(-1, 1, moved.shape[-1])
        out = (
            torch.nn.functional.conv1d(flat, kernel[None, None], padding=reach)
            .view(moved.shape)
            .movedim(-1, axis)
        )
    return out


def overlay(
    image: Float[Tensor, "*size"],
    attribution: Float[Tensor, "*size"],
    mask: Bool[Tensor, "*size"] | None = None,
    least_side: int = 384,
) -> bytes:
    """Draw a map over an image.

    Args:
        image: Pixels in [0, 1]; of a volume, the slice with the largest attribution is drawn.
        attribution: The map, of the same size.
        mask: Where the finding is, drawn as a white outline.
        least_side: The shorter side of the picture, at least; small images are enlarged.

    Returns:
        A PNG file.
    """
    values = smooth(attribution.detach().float().cpu())
    grey, where = image.detach().float().cpu(), None if mask is None else mask.cpu()
    if values.ndim == 3:
        index = int(values.abs().sum(dim=(1, 2)).argmax())
        values, grey, where = values[index], grey[index], None if where is None else where[index]
    scale = float(torch.quantile(values.abs().flatten(), 0.995))
    strength = (values.abs() / scale).clamp(0, 1) if scale > 0 else torch.zeros_like(values)
    alpha = _enlarge(0.75 * strength, least_side)[..., None]
    positive = _enlarge((values > 0).float(), least_side)[..., None] >= 0.5
    colour = np.where(positive, np.array(FOR, np.float32), np.array(AGAINST, np.float32))
    base = 205 * _enlarge(grey.clamp(0, 1), least_side)[..., None]
    drawn = (1 - alpha) * base + alpha * colour
    if where is not None:
        drawn[_outline(_enlarge(where.float(), least_side) >= 0.5)] = 255
    return _encode(Image.fromarray(drawn.round().astype(np.uint8)))


def png(image: Float[Tensor, "*size"], least_side: int = 384) -> bytes:
    """Draw an image alone, in the size of its overlay.

    Args:
        image: Pixels in [0, 1]; of a volume, the middle slice is drawn.
        least_side: The shorter side of the picture, at least.

    Returns:
        A PNG file.
    """
    grey = image.detach().float().cpu().clamp(0, 1)
    grey = grey[len(grey) // 2] if grey.ndim == 3 else grey
    return _encode(Image.fromarray((255 * _enlarge(grey, least_side)).round().astype(np.uint8)))


def base64_png(data: bytes) -> str:
    """Give a PNG file as text.

    Args:
        data: The file.
    """
    return base64.b64encode(data).decode("ascii")


def _enlarge(plane: Tensor, least_side: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    factor = max(1.0, least_side / min(plane.shape))
    size = [round(factor * side) for side in plane.shape]
    out = torch.nn.functional.interpolate(plane[None, None], size, mode="bilinear")[0, 0]
    return out.numpy()


def _outline(
    mask: np.ndarray[tuple[int, int], np.dtype[np.bool_]],
) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """The pixels of the mask within two pixels of its edge."""
    inner = mask.copy()
    for _ in range(2):
        padded = np.pad(inner, 1)
        inner = inner & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner


def _encode(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
