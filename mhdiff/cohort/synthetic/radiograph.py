r"""One patient's chest radiograph with its findings, as the hospital's machine would show it.

.. math:: I = \operatorname{round}\big(255\,(g\,(A + \textstyle\sum_f \Delta_f))^{\gamma} + \varepsilon\big)

with the attenuation A of the patient's own anatomy, what each finding adds, and the site's exposure g, tone
curve, blur, grain and side marker. The mask is the union of the findings' places. Without findings the same
generator gives the same chest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFilter

from mhdiff.cohort.synthetic.anatomy import Anatomy, Plane, grid, normal_chest, regions
from mhdiff.cohort.synthetic.opacities import Look, alter, paint

_GLYPHS = {
    "R": ("11110", "10001", "10001", "11110", "10100", "10010", "10001"),
    "L": ("10000", "10000", "10000", "10000", "10000", "10000", "11111"),
    "P": ("11110", "10001", "10001", "11110", "10000", "10000", "10000"),
    "A": ("01110", "10001", "10001", "11111", "10001", "10001", "10001"),
}
SHARP = 0.35
"""Membership from which a pixel counts as part of a finding."""


@dataclass(frozen=True)
class Machine:
    """How a site's machine shows a chest.

    Attributes:
        exposure: Factor on the attenuation.
        contrast: Slope around middle grey.
        gamma: Exponent of the tone curve.
        grain: Standard deviation of the noise, in grey values.
        blur: Radius of the blur, as a share of the image's side.
        marker: Letters burnt into the picture.
        corner: Place of the marker: its left upper corner in x and y.
        border: Width of the dark frame of the collimator, as a share of the side.
    """

    exposure: float
    contrast: float
    gamma: float
    grain: float
    blur: float
    marker: str
    corner: tuple[float, float]
    border: float


MACHINES = (
    Machine(1.20, 1.00, 1.00, 3.0, 0.000, "R", (0.05, 0.05), 0.00),
    Machine(1.08, 1.22, 1.15, 6.0, 0.004, "L", (0.88, 0.05), 0.02),
    Machine(1.22, 0.90, 0.92, 7.5, 0.006, "PA", (0.05, 0.88), 0.00),
    Machine(1.15, 1.10, 0.90, 4.5, 0.002, "R", (0.06, 0.12), 0.03),
    Machine(1.25, 0.92, 1.20, 7.5, 0.005, "L", (0.86, 0.86), 0.00),
    Machine(1.05, 1.30, 1.00, 5.0, 0.000, "PA", (0.78, 0.05), 0.01),
)
"""One machine a site."""


def render(
    looks: Sequence[Look], machine: Machine, size: int, female: bool, rng: np.random.Generator
) -> tuple[UInt8[np.ndarray, "size size"], UInt8[np.ndarray, "size size"]]:
    """Render a radiograph and the mask of its findings.

    Args:
        looks: The findings, in the order in which they were drawn.
        machine: The site's machine.
        size: Side in pixels.
        female: Sex.
        rng: Source of anatomy, texture and grain; the findings use generators of their own.

    Returns:
        Grey values, and 255 where a finding is and 0 elsewhere.
    """
    anatomy = Anatomy.draw(rng, female)
    exposure = machine.exposure * rng.uniform(0.95, 1.05)
    seeds = rng.integers(2**63, size=8)
    grain = rng.standard_normal((size, size), dtype=np.float32) * machine.grain
    for look in looks:
        anatomy = alter(anatomy, look)
    chest = regions(anatomy, size)
    image = normal_chest(anatomy, chest)
    mask = np.zeros_like(image)
    for number, look in enumerate(looks):
        change, where = paint(look, anatomy, chest, np.random.default_rng([int(seeds[number % 8]), number]))
        # Two findings in one place do not add up to something brighter than bone.
        image = np.where(
            change > 0, image + change * np.clip((1.0 - image) / 0.75, 0.12, 1.0), image + change
        )
        mask = np.maximum(mask, where)
    tone: Plane = np.clip((image * exposure - 0.5) * machine.contrast + 0.5, 0.0, 1.0) ** machine.gamma
    if machine.blur:
        picture = Image.fromarray((255.0 * tone).astype(np.uint8))
        tone = np.asarray(picture.filter(ImageFilter.GaussianBlur(machine.blur * size)), np.float32) / 255.0
    x, y = grid(size)
    if machine.border:
        frame = np.minimum(np.minimum(x, 1.0 - x), np.minimum(y, 1.0 - y))
        tone = np.where(frame < machine.border, 0.02, tone)
    tone = _marked(tone, machine)
    grey = np.clip(np.round(255.0 * tone + grain), 0, 255).astype(np.uint8)
    return grey, np.where(mask > SHARP, 255, 0).astype(np.uint8)


def _marked(tone: np.ndarray, machine: Machine) -> np.ndarray:
    """Burn in the side marker, letters of 5 x 7 cells."""
    size = len(tone)
    cell = max(1, round(size / 120))
    result = tone.copy()
    left, top = (round(c * size) for c in machine.corner)
    for letter in machine.marker:
        glyph = np.array([[bit == "1" for bit in row] for row in _GLYPHS[letter]])
        stamp = np.kron(glyph, np.ones((cell, cell), dtype=bool))
        area = result[top : top + stamp.shape[0], left : left + stamp.shape[1]]
        area[stamp[: area.shape[0], : area.shape[1]]] = 0.97
        left += 6 * cell
    return result
