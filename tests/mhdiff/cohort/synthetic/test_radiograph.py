from __future__ import annotations

import numpy as np
import pytest

from mhdiff.cohort.synthetic.anatomy import LEFT, RIGHT, Anatomy, grid, regions
from mhdiff.cohort.synthetic.looks import look_of
from mhdiff.cohort.synthetic.opacities import KINDS, ZONES, Look
from mhdiff.cohort.synthetic.radiograph import MACHINES, render
from mhdiff.cohort.synthetic.vocabulary import vocabulary

SHAPE_CHANGES = {"cardiomegaly", "hyperinflation"}


def chest(looks, seed=0, machine=0, size=96):
    return render(looks, MACHINES[machine], size, False, np.random.default_rng(seed))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_mask_covers_the_finding(kind):
    zone = "upper" if kind in {"cavity", "calcification", "bulla"} else "all"
    for seed, side in ((0, "right"), (1, "left")):
        with_it, mask = chest([Look(kind, side, zone)], seed)
        without, empty = chest([], seed)
        difference = np.abs(with_it.astype(float) - without)
        assert not empty.any()
        assert 0 < (mask > 0).mean() < 0.6
        ratio = 2.0 if kind in SHAPE_CHANGES else 8.0
        assert difference[mask > 0].mean() > ratio * difference[mask == 0].mean()


@pytest.mark.parametrize("zone", sorted(ZONES))
def test_finding_is_on_its_side(zone):
    # The patient's right is on the left of the picture.
    for side, half in (("right", np.s_[:, :48]), ("left", np.s_[:, 48:])):
        _, mask = chest([Look("consolidation", side, zone)])
        assert mask[half].sum() > 0.95 * mask.sum() > 0


def test_upper_and_lower_findings_are_where_they_say():
    rows = np.arange(96)[:, None]
    height = {}
    for zone in ("apex", "upper", "mid", "lower"):
        _, mask = chest([Look("ground_glass", "both", zone)])
        height[zone] = (rows * (mask > 0)).sum() / (mask > 0).sum()
    assert height["apex"] < height["upper"] < height["mid"] < height["lower"]


def test_layout_of_a_normal_chest():
    anatomy = Anatomy.draw(np.random.default_rng(0), female=False)
    parts = regions(anatomy, 96)
    image, _ = chest([])
    lungs = (parts.lungs[RIGHT] + parts.lungs[LEFT]) > 0.9
    heart, abdomen = parts.heart > 0.9, parts.abdomen > 0.9
    assert image[lungs].mean() + 60 < min(image[heart].mean(), image[abdomen].mean())
    # More of the heart is on the patient's left, and the right dome is the higher one.
    assert (parts.heart * (parts.side > 0)).sum() > 1.5 * (parts.heart * (parts.side < 0)).sum()
    assert parts.dome[RIGHT].min() < parts.dome[LEFT].min()


def test_same_generator_same_bytes_and_patients_and_machines_differ():
    look = [Look("patchy", "both", "lower")]
    assert np.array_equal(chest(look, 5)[0], chest(look, 5)[0])
    assert np.abs(chest(look, 5)[0].astype(int) - chest(look, 6)[0]).mean() > 5
    means = [chest([], 5, machine)[0].mean() for machine in range(len(MACHINES))]
    assert len({round(m) for m in means}) >= 4


@pytest.mark.parametrize("size", [32, 224])
def test_other_sizes(size):
    image, mask = chest([Look("effusion", "right", "base")], size=size)
    assert image.shape == mask.shape == (size, size)
    assert image.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 255}


def test_every_finding_of_the_terminology_is_drawn_at_its_site():
    words = vocabulary()
    clear = []
    for key in words.leaves_of("image"):
        look = look_of(key, words.tables)
        if look is None:
            clear.append(key)
            continue
        places = [p for p in words.tables.image_sites if p.site == words.tables.value(key, "finding_site")]
        assert places
        inside = np.zeros((96, 96), dtype=bool)
        x, y = grid(96)
        for place in places:
            inside |= ((x - place.x) / place.rx) ** 2 + ((y - place.y) / place.ry) ** 2 <= 1.5**2
        if look.kind == "pleural":  # a strip along the whole chest wall, not only where fluid gathers
            continue
        for seed in range(2):
            _, mask = chest([look], seed)
            assert inside[mask > 0].mean() > 0.5, key
    assert clear == ["no_acute_abnormality"]
