r"""The normal thorax of a frontal (PA) chest radiograph, as soft-edged regions of the unit square.

A region is a smooth membership in [0, 1], :math:`\operatorname{logistic}(d / \epsilon)` of the signed
distance d to its border; x runs from the patient's right (image left) to the patient's left, y from the neck
down. Brightness is attenuation: air is dark, soft tissue grey, bone and the abdomen bright. Every patient
has an anatomy of their own: chest width, midline, heart size, height of the domes, ribs and vessels vary.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFilter

Plane = Float[np.ndarray, "size size"]

RIGHT, LEFT = -1, 1
"""Sides of the patient, as the sign of x - midline in the image."""


@dataclass(frozen=True)
class Anatomy:
    """One patient's chest.

    Attributes:
        midline: x of the spine.
        width: Half width of the thorax inside the ribs.
        apex: y of the lung apices.
        dome: y of the top of the right hemidiaphragm; the left one is `tilt` lower.
        tilt: How much lower the left hemidiaphragm is.
        flat: Height of the domes (small in hyperinflation).
        heart: Transverse radius of the heart.
        axis: Rotation of the heart's long axis, in radians.
        body: Half width of the trunk.
        breast: Extra soft tissue over the lower zones.
        rib_gap: Distance between posterior ribs.
        rib_phase: y of the first posterior rib at the spine.
        curve: Sideways curve of the spine.
        texture: Seed of vessels and fine structure.
    """

    midline: float
    width: float
    apex: float
    dome: float
    tilt: float
    flat: float
    heart: float
    axis: float
    body: float
    breast: float
    rib_gap: float
    rib_phase: float
    curve: float
    texture: int

    @classmethod
    def draw(cls, rng: np.random.Generator, female: bool) -> Anatomy:
        """Draw a chest.

        Args:
            rng: Source of randomness.
            female: Sex; sets the soft tissue over the lower zones.
        """
        u = rng.uniform(-1.0, 1.0, 12)
        width = 0.385 + 0.022 * u[1]
        return cls(
            midline=0.5 + 0.014 * u[0],
            width=width,
            apex=0.085 + 0.02 * u[2],
            dome=0.765 + 0.03 * u[3],
            tilt=0.025 + 0.012 * u[4],
            flat=0.115 + 0.02 * u[5],
            heart=0.150 + 0.016 * u[6],
            axis=0.62 + 0.12 * u[7],
            body=width + 0.070 + 0.012 * u[8],
            breast=(0.055 if female else 0.012) + 0.012 * u[9],
            rib_gap=0.079 + 0.005 * u[10],
            rib_phase=0.115 + 0.02 * u[11],
            curve=float(rng.normal(0.0, 0.004)),
            texture=int(rng.integers(2**31)),
        )


@dataclass(frozen=True)
class Regions:
    """Memberships of the parts of one chest, each [size, size] in [0, 1].

    Attributes:
        x: Horizontal coordinate.
        y: Vertical coordinate.
        side: Signed distance from the midline; negative on the patient's right.
        body: The trunk, shoulders and neck.
        lungs: Lung fields in front of which nothing lies, by side.
        fields: Lung fields including what the heart covers, by side.
        heart: The heart.
        mediastinum: Great vessels, trachea's surroundings and spine.
        abdomen: What lies below the domes.
        dome: y of the hemidiaphragm at each column, by side.
    """

    x: Plane
    y: Plane
    side: Plane
    body: Plane
    lungs: dict[int, Plane]
    fields: dict[int, Plane]
    heart: Plane
    mediastinum: Plane
    abdomen: Plane
    dome: dict[int, Plane]


def soft(distance: np.ndarray, width: float) -> np.ndarray:
    """Give membership from the signed distance to a border, positive inside.

    Args:
        distance: Signed distance in units of the image's side.
        width: Blur of the border.
    """
    return np.asarray(1.0 / (1.0 + np.exp(np.clip(-distance / width, -30.0, 30.0))))


@lru_cache(maxsize=4)
def grid(size: int) -> tuple[Plane, Plane]:
    """Give the coordinates of the pixel centres, x and y.

    Args:
        size: Side of the image in pixels.
    """
    axis = ((np.arange(size) + 0.5) / size).astype(np.float32)
    x, y = np.meshgrid(axis, axis)
    return x, y


def regions(a: Anatomy, size: int) -> Regions:
    """Lay out a chest.

    Args:
        a: The anatomy.
        size: Side of the image in pixels.
    """
    x, y = grid(size)
    side = x - a.midline - a.curve * np.sin(6.0 * y)
    out = np.abs(side)
    # Each lung: a superellipse for the rounded apex above, straight and slightly flaring below its equator.
    centre, half, equator = 0.53 * a.width, 0.47 * a.width, 0.60
    above = np.clip((equator - y) / (equator - a.apex), 0.0, None)
    reach = half * np.sqrt(np.clip(1.0 - above**2.5, 0.0, None))
    reach = np.where(y > equator, half + 0.05 * (y - equator), reach)
    chest = soft(reach - np.abs(out - centre) + np.where(out < centre, 0.06, 0.0), 0.007) * soft(
        y - a.apex, 0.006
    )
    domes, fields = {}, {}
    for sign in (RIGHT, LEFT):
        u = (out - 0.45 * a.width) / (0.55 * a.width)
        top = a.dome + (a.tilt if sign == LEFT else 0.0)
        domes[sign] = top + a.flat * np.where(u > 0, np.abs(u) ** 2.2, 0.35 * u * u)
        fields[sign] = chest * soft(domes[sign] - y, 0.006) * soft(sign * side, 0.006)
    # Heart: an ellipse with its apex to the patient's left and down, and the right atrium beside the spine.
    hx, hy = side - 0.44 * a.heart, y - (a.dome - 0.085)
    cos, sin = np.cos(a.axis), np.sin(a.axis)
    along, across = hx * cos + hy * sin, -hx * sin + hy * cos
    oval = 1.0 - np.sqrt((along / (1.22 * a.heart)) ** 2 + (across / (0.80 * a.heart)) ** 2)
    atrium = 1.0 - np.sqrt(((side + 0.018) / (0.46 * a.heart)) ** 2 + ((y - a.dome + 0.085) / 0.115) ** 2)
    heart = np.maximum(soft(oval * a.heart, 0.007), soft(atrium * 0.06, 0.007))
    # Mediastinum: wide at the inlet, narrow at the hila; the knuckle and pulmonary trunk, left.
    half_width = (
        0.052 + 0.030 * np.clip((0.22 - y) / 0.22, 0.0, 1.0) + 0.012 * np.clip((y - 0.55) / 0.3, 0.0, 1.0)
    )
    band = soft(half_width - out, 0.007)
    knuckle = soft(0.040 - np.hypot(side - 0.042, (y - 0.30) * 0.75), 0.008)
    trunk = soft(0.040 - np.hypot(side - 0.040, (y - 0.43) * 0.45), 0.010)
    mediastinum = np.maximum(np.maximum(band, knuckle), trunk)
    clear = (1.0 - heart) * (1.0 - mediastinum)
    # Trunk with shoulders: the neck widens quickly into the shoulders, then runs straight down.
    shoulder = 0.105 + (a.body - 0.06) * soft(y - 0.105, 0.022) + 0.05 * np.clip(y - 0.2, 0.0, 0.4)
    body = soft(shoulder - out, 0.010)
    lowest = domes[RIGHT] + (domes[LEFT] - domes[RIGHT]) * soft(side, 0.02)
    return Regions(
        x=x,
        y=y,
        side=side,
        body=body,
        lungs={s: f * clear for s, f in fields.items()},
        fields=fields,
        heart=heart,
        mediastinum=mediastinum,
        abdomen=soft(y - lowest, 0.006) * body,
        dome=domes,
    )


def normal_chest(a: Anatomy, r: Regions) -> Plane:
    """Draw a chest without findings, as attenuation in about [0, 1].

    Args:
        a: The anatomy.
        r: Its regions.
    """
    out, y, size = np.abs(r.side), r.y, len(r.y)
    lungs = r.lungs[RIGHT] + r.lungs[LEFT]
    image = 0.03 + r.body * (0.50 + 0.05 * (1.0 - np.clip(out / 0.45, 0.0, 1.0)))
    central = np.maximum(r.heart, r.mediastinum)
    image += 0.10 * r.abdomen + 0.12 * central * (1.0 - 0.6 * r.abdomen)
    image -= lungs * (0.375 - 0.05 * np.clip((y - 0.35) / 0.4, 0.0, 1.0))
    image += lungs * a.breast * soft(0.17 - np.hypot(out - 0.21, (y - 0.66) * 0.9), 0.03)
    # Spine through the mediastinum, trachea with its carina, gastric bubble under the left dome.
    vertebra = 0.72 + 0.28 * np.cos(2.0 * np.pi * y / (0.9 * a.rib_gap))
    image += 0.05 * soft(0.034 - out, 0.005) * vertebra * r.body
    image -= 0.13 * soft(0.017 - np.abs(r.side + 0.004), 0.004) * soft(0.37 - y, 0.01)
    for s in (RIGHT, LEFT):
        fork = np.abs(r.side - s * (y - 0.365) * 0.9 + 0.004)
        image -= 0.08 * soft(0.012 - fork, 0.004) * soft(0.030 - np.abs(y - 0.395), 0.006)
    bubble = 1.0 - np.hypot((r.side - 0.19) / 0.085, (y - a.dome - a.tilt - 0.075) / 0.045)
    image -= 0.22 * soft(bubble * 0.05, 0.006) * r.abdomen
    image += _bones(a, r)
    image += _vessels(a, size) * (lungs + 0.25 * r.heart)
    return np.asarray(image, dtype=np.float32)


def _bones(a: Anatomy, r: Regions) -> np.ndarray:
    """Posterior and anterior ribs, clavicles and the medial borders of the scapulae."""
    out, y = np.abs(r.side), r.y
    t = out / (a.width + 0.015)
    inside = soft(1.0 - t, 0.02) * soft(r.body - 0.5, 0.1)
    posterior = np.zeros_like(y)
    anterior = np.zeros_like(y)
    # Both families of ribs are periodic in y, so that one phase gives all of them.
    back = (y - a.rib_phase + 0.055 * t - 0.165 * t**2.2) / a.rib_gap
    front = (y - a.rib_phase - 0.030 - 0.23 * (1.0 - t)) / (1.12 * a.rib_gap)
    for phase, thickness, layer in ((back, 0.21, posterior), (front, 0.24, anterior)):
        near = np.abs(phase - np.round(phase))
        # The cortex is brighter than the marrow.
        layer += soft(thickness - near, 0.03) * (0.55 + 0.45 * soft(near - thickness * 0.55, 0.04))
        layer *= (phase > -0.5) & (phase < 9.5)
    fade = 1.0 - r.abdomen * 0.75
    bone = 0.085 * posterior * inside * soft(t - 0.12, 0.02) * fade
    bone += 0.045 * anterior * inside * soft(t - 0.48, 0.05) * fade * (1.0 - 0.8 * r.heart)
    slope = 0.168 - 0.16 * out + 0.045 * np.sin(9.0 * (out - 0.06))
    bone += (
        0.13 * soft(0.0125 - np.abs(y - slope), 0.0035) * soft(out - 0.045, 0.006) * soft(a.width - out, 0.01)
    )
    blade = np.abs(out - a.width - 0.005 - 0.05 * np.sin(5.0 * (y - 0.18)))
    bone += 0.05 * soft(0.009 - blade, 0.004) * soft(0.13 - np.abs(y - 0.32), 0.02) * r.body
    head = np.hypot(out - a.body - 0.03, y - 0.20)
    bone += 0.13 * soft(0.055 - head, 0.006) * r.body
    return np.asarray(bone)


def _vessels(a: Anatomy, size: int) -> np.ndarray:
    """Hilar vessels that branch and thin out towards the periphery."""
    rng = np.random.default_rng(a.texture)
    scale = 2 * size
    canvas = Image.new("L", (scale, scale))
    pen = ImageDraw.Draw(canvas)
    for sign in (RIGHT, LEFT):
        hilum = np.array([a.midline + sign * 0.085, 0.445 if sign == RIGHT else 0.425])
        for angle in np.linspace(-1.25, 1.35, 9) + rng.normal(0.0, 0.08, 9):
            point, heading = hilum.copy(), angle
            length = 0.17 if angle > 0 else 0.13
            for step, (width, grey) in enumerate(((0.014, 190), (0.009, 140), (0.006, 95))):
                heads = (heading,) if step == 0 else (heading - 0.32, heading + 0.32)
                start = point
                for head in heads:
                    reach = length * (0.62**step) * rng.uniform(0.75, 1.2)
                    end = start + reach * np.array([sign * np.cos(head), np.sin(head)])
                    ends = [tuple((start * scale).tolist()), tuple((end * scale).tolist())]
                    pen.line(ends, fill=grey, width=max(1, round(width * scale)))
                    point, heading = end, head
        corners = np.stack([hilum - np.array([0.024, 0.050]), hilum + np.array([0.024, 0.055])])
        pen.ellipse((corners * scale).ravel().tolist(), fill=170)
    small = canvas.filter(ImageFilter.GaussianBlur(0.008 * scale)).resize((size, size), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32) * (0.20 / 255.0)
