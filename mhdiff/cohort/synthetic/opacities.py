"""What a finding does to a chest: its attenuation and the mask of where it is.

A `Look` is a kind of change at a site; `alter` changes the anatomy itself (a large heart, flat domes), and
`paint` gives what is added to the picture of the anatomy. The same look at the same site differs between
patients in extent, texture and exact place, which are drawn from the generator given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from mhdiff.cohort.synthetic.anatomy import LEFT, RIGHT, Anatomy, Plane, Regions, soft

ZONES = {
    # Centre and half height in y, and the largest distance from the midline as a share of the half width.
    "all": (0.48, 0.50, 1.1),
    "apex": (0.15, 0.09, 1.1),
    "upper": (0.26, 0.15, 1.1),
    "middle": (0.60, 0.11, 0.68),
    "mid": (0.47, 0.12, 1.1),
    "lingula": (0.60, 0.11, 0.80),
    "lower": (0.70, 0.15, 1.1),
    "base": (0.78, 0.10, 1.1),
    "hilum": (0.44, 0.10, 0.50),
}
"""Lung zones and lobes, as they project on a frontal view."""


@dataclass(frozen=True)
class Look:
    """How a finding looks.

    Attributes:
        kind: One of `KINDS`.
        side: "right", "left" or "both".
        zone: One of `ZONES`.
    """

    kind: str
    side: str = "both"
    zone: str = "all"

    @property
    def sides(self) -> tuple[int, ...]:
        """The sides as signs."""
        return {"right": (RIGHT,), "left": (LEFT,), "both": (RIGHT, LEFT)}[self.side]


def alter(anatomy: Anatomy, look: Look) -> Anatomy:
    """Change the anatomy where the finding is a change of shape.

    Args:
        anatomy: The patient's anatomy.
        look: The finding.
    """
    if look.kind == "cardiomegaly":
        return replace(anatomy, heart=max(anatomy.heart * 1.36, 0.205))
    if look.kind == "hyperinflation":
        return replace(
            anatomy, dome=min(anatomy.dome + 0.065, 0.87), flat=0.045, heart=anatomy.heart * 0.86, apex=0.065
        )
    return anatomy


def paint(look: Look, anatomy: Anatomy, regions: Regions, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Paint a finding.

    Args:
        look: The finding.
        anatomy: The anatomy after `alter`.
        regions: Its regions.
        rng: Source of extent, texture and place.

    Returns:
        What is added to the attenuation, and the membership of the finding's mask in [0, 1].
    """
    change = np.zeros_like(regions.y)
    mask = np.zeros_like(regions.y)
    for sign in look.sides:
        delta, where = KINDS[look.kind](look, sign, anatomy, regions, rng)
        change += delta
        mask = np.maximum(mask, where)
    return change.astype(np.float32), mask.astype(np.float32)


def cloud(size: int, cells: int, rng: np.random.Generator) -> Plane:
    """Give a smooth random texture, roughly standard normal.

    Args:
        size: Side in pixels.
        cells: Number of blobs along a side.
        rng: Source of randomness.
    """
    coarse = Image.fromarray(rng.standard_normal((cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float32)


def _zone(look: Look, sign: int, a: Anatomy, r: Regions) -> Plane:
    centre, half, reach = ZONES[look.zone]
    window = soft(half - np.abs(r.y - centre), 0.026) * soft(reach * a.width - np.abs(r.side), 0.015)
    # Little of what lies behind the heart shows, and nothing behind the mediastinum.
    return np.asarray(r.fields[sign] * window * (1.0 - r.mediastinum) * (1.0 - 0.45 * r.heart))


def _somewhere(look: Look, sign: int, a: Anatomy, rng: np.random.Generator) -> tuple[float, float]:
    """A point inside the zone, given as distance from the midline (signed) and y."""
    centre, half, reach = ZONES[look.zone]
    y = float(np.clip(rng.uniform(centre - 0.6 * half, centre + 0.6 * half), 0.17, 0.74))
    return sign * float(rng.uniform(0.32, min(reach * 0.85, 0.78))) * a.width, y


def _consolidation(
    look: Look, sign: int, a: Anatomy, r: Regions, rng: np.random.Generator
) -> tuple[Plane, Plane]:
    zone = _zone(look, sign, a, r)
    density = zone * np.clip(0.82 + 0.20 * cloud(len(r.y), 9, rng), 0.45, 1.0)
    # Air bronchograms: dark branches that stay aerated.
    x0, y0 = sign * 0.10, 0.45
    angle = np.arctan2(r.y - y0, sign * (r.side - x0))
    stripes = np.clip((np.cos(angle * rng.uniform(9.0, 13.0)) - 0.80) / 0.20, 0.0, 1.0)
    stripes *= soft(cloud(len(r.y), 8, rng), 0.3) * soft(0.30 - np.hypot(r.side - x0, r.y - y0), 0.04)
    return (0.29 - 0.11 * stripes) * density, zone


def _patchy(look: Look, sign: int, a: Anatomy, r: Regions, rng: np.random.Generator) -> tuple[Plane, Plane]:
    zone = _zone(look, sign, a, r)
    blotches = zone * soft(cloud(len(r.y), 11, rng) - 0.1, 0.22)
    return 0.25 * blotches, blotches


def _ground_glass(
    look: Look, sign: int, a: Anatomy, r: Regions, rng: np.random.Generator
) -> tuple[Plane, Plane]:
    haze = _zone(look, sign, a, r) * (0.8 + 0.2 * soft(cloud(len(r.y), 6, rng), 0.4))
    return 0.15 * haze, haze


def _interstitial(
    look: Look, sign: int, a: Anatomy, r: Regions, rng: np.random.Generator
) -> tuple[Plane, Plane]:
    zone = _zone(look, sign, a, r)
    net = sum(np.exp(-np.abs(cloud(len(r.y), cells, rng)) / 0.22) for cells in (40, 34, 28))
    return zone * (0.012 + 0.085 * net), zone


def _nodules(look: Look, sign: int, a: Anatomy, r: Regions, rng: np.random.Generator) -> tuple[Plane, Plane]:
    spots = np.zeros_like(r.y)
    for _ in range(int(rng.integers(6, 11))):
        cx, cy = _somewhere(look, sign, a, rng)
        spots = np.maximum(spots, soft(rng.uniform(0.013, 0.020) - np.hypot(r.side - cx, r.y - cy), 0.004))
    return 0.24 * spots * r.fields[sign], spots * r.fields[sign]


def _cavity(look: Look, sign: int, a: Anatomy, r: Regions, rng: np.random.Generator) -> tuple[Plane, Plane]:
    cx, cy = _somewhere(look, sign, a, rng)
    distance, radius = np.hypot(r.side - cx, r.y - cy), rng.uniform(0.058, 0.074)
    outer, inner = soft(radius - distance, 0.006), soft(0.66 * radius - distance, 0.006)
    level = soft(r.y - cy - 0.25 * radius, 0.004)
    return (0.36 * (outer - inner) + inner * (0.30 * level - 0.03)) * r.fields[sign], outer * r.fields[sign]


def _effusion(look: Look, sign: int, a: Anatomy, r: Regions, rng: np.random.Generator) -> tuple[Plane, Plane]:
    t = np.clip(sign * r.side / a.width, 0.0, 1.05)
    level = r.dome[sign].min() - rng.uniform(0.0, 0.07) + 0.05 * (1 - t) - 0.09 * t**6
    chest = soft(sign * r.side - 0.25 * a.width, 0.02) * soft(a.width + 0.005 - np.abs(r.side), 0.008)
    fluid = soft(r.y - level, 0.008) * chest * soft(r.dome[sign] + 0.02 - r.y, 0.02)
    return 0.34 * fluid * r.lungs[sign] + 0.03 * fluid, fluid * (1.0 - r.heart)


def _atelectasis(
    look: Look, sign: int, a: Anatomy, r: Regions, rng: np.random.Generator
) -> tuple[Plane, Plane]:
    _, cy = _somewhere(look, sign, a, rng)
    slope = rng.uniform(-0.25, 0.05)
    band = np.zeros_like(r.y)
    for offset in (0.0, 0.042):
        line = np.abs(r.y - cy - offset - slope * (sign * r.side - 0.2))
        span = soft(0.62 * a.width - np.abs(sign * r.side - 0.50 * a.width) * 1.9, 0.01)
        band = np.maximum(band, soft(0.011 - line, 0.004) * span)
    return 0.26 * band * r.fields[sign], band * r.fields[sign]


def _hilar(look: Look, sign: int, a: Anatomy, r: Regions, rng: np.random.Generator) -> tuple[Plane, Plane]:
    lumps = np.zeros_like(r.y)
    for dy in (-0.045, 0.0, 0.045):
        cx, cy = sign * rng.uniform(0.085, 0.105), 0.435 + dy + rng.uniform(-0.008, 0.008)
        lumps = np.maximum(lumps, soft(rng.uniform(0.036, 0.045) - np.hypot(r.side - cx, r.y - cy), 0.006))
    return 0.25 * lumps * r.lungs[sign], lumps


def _calcification(
    look: Look, sign: int, a: Anatomy, r: Regions, rng: np.random.Generator
) -> tuple[Plane, Plane]:
    cx, cy = _somewhere(look, sign, a, rng)
    grain = soft(0.017 - np.hypot(r.side - cx, r.y - cy), 0.003) * r.fields[sign]
    return 0.52 * grain, grain


def _pleural(look: Look, sign: int, a: Anatomy, r: Regions, rng: np.random.Generator) -> tuple[Plane, Plane]:
    depth = 0.042 + 0.008 * cloud(len(r.y), 8, rng)
    field = r.fields[sign]
    # The strip of the lung field that leaves it when the field is moved sideways.
    edge = soft(
        np.abs(r.side) - (a.width + 0.012 - depth - 0.10 * np.clip(0.42 - r.y, 0.0, 1.0) ** 1.3), 0.005
    )
    strip = field * edge * soft(r.y - 0.16, 0.02)
    return 0.26 * strip, strip


def _bulla(look: Look, sign: int, a: Anatomy, r: Regions, rng: np.random.Generator) -> tuple[Plane, Plane]:
    cx, cy = _somewhere(look, sign, a, rng)
    distance = np.hypot(r.side - cx, (r.y - cy) * 0.9)
    bulla = soft(0.075 - distance, 0.006) * r.lungs[sign]
    rim = soft(0.005 - np.abs(distance - 0.075), 0.003) * r.lungs[sign]
    return 0.16 * rim - 0.11 * bulla, np.maximum(bulla, rim)


def _heart(look: Look, sign: int, a: Anatomy, r: Regions, rng: np.random.Generator) -> tuple[Plane, Plane]:
    return np.zeros_like(r.y), r.heart * (1.0 - r.abdomen)


def _domes(look: Look, sign: int, a: Anatomy, r: Regions, rng: np.random.Generator) -> tuple[Plane, Plane]:
    near = soft(0.075 - np.abs(r.y - r.dome[sign]), 0.01)
    return np.zeros_like(r.y), near * soft(sign * r.side, 0.006) * soft(a.width - np.abs(r.side), 0.01)


KINDS: dict[str, Callable[[Look, int, Anatomy, Regions, np.random.Generator], tuple[Plane, Plane]]] = {
    "consolidation": _consolidation,
    "patchy": _patchy,
    "ground_glass": _ground_glass,
    "interstitial": _interstitial,
    "nodules": _nodules,
    "cavity": _cavity,
    "effusion": _effusion,
    "atelectasis": _atelectasis,
    "hilar": _hilar,
    "calcification": _calcification,
    "pleural": _pleural,
    "bulla": _bulla,
    "cardiomegaly": _heart,
    "hyperinflation": _domes,
}
"""How to paint each kind of finding on one side."""
