"""The stylesheet's colours: text can be read on its ground, and who cannot tell red from green tells them apart."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

CSS = (Path(__file__).parents[3] / "mhdiff" / "report" / "templates" / "report.css").read_text()
NAMED = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6});", CSS))
TEXT, GRAPHIC = 4.5, 3.0  # WCAG 2.2, AA: 1.4.3 and 1.4.11
# What eyes without one of the cones see, on linear RGB: Machado, Oliveira and Fernandes 2009, severity 1.
SEEN = {
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
}  # fmt: skip
TO_XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]


def linear(colour):
    """Linear RGB of #rgb or #rrggbb."""
    digits = colour.removeprefix("#")
    digits = "".join(2 * d for d in digits) if len(digits) == 3 else digits
    values = np.array([int(digits[i : i + 2], 16) for i in (0, 2, 4)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    low, high = sorted(float(linear(c) @ TO_XYZ[1]) for c in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(rgb):
    xyz = np.array(TO_XYZ) @ np.clip(rgb, 0, 1) / [0.9505, 1.0, 1.089]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def apart(one, other, eyes):
    """How far two colours are apart for some eyes, in CIELAB."""
    first, second = (lab(np.array(SEEN[eyes]) @ linear(c)) for c in (one, other))
    return float(np.linalg.norm(first - second))


def value(written):
    """The colour that a declaration means; None for one that is inherited."""
    named = re.fullmatch(r"var\(--([a-z]+)\)", written)
    return NAMED[named[1]] if named else written if written.startswith("#") else None


def text_colours():
    """Each rule that colours text, with the ground that it sets too or the page's own."""
    rules = re.findall(r"([^{}]+)\{([^{}]*)\}", re.sub(r"/\*.*?\*/", "", CSS, flags=re.DOTALL))
    for selector, body in rules:
        given = dict(re.findall(r"(?:^|;)\s*([a-z-]+): ([^;]+)", body))
        inks = [given.get("color")] + ([given.get("fill")] if selector.strip().endswith(" text") else [])
        ground = value(given.get("background", "")) or NAMED["paper"]
        for ink in filter(None, inks):
            if value(ink):
                yield " ".join(selector.split()), value(ink), ground


RULES = list(text_colours())


def test_the_rules_that_colour_text_are_found():
    assert len(RULES) > 15
    assert {"body", ".failed", "svg text"} <= {selector for selector, _, _ in RULES}
    assert contrast("#000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize(("selector", "ink", "ground"), RULES, ids=[rule[0] for rule in RULES])
def test_text_can_be_read_on_its_ground(selector, ink, ground):
    assert contrast(ink, ground) >= TEXT


@pytest.mark.parametrize("ground", ["paper", "wash"])
@pytest.mark.parametrize("ink", ["ink", "soft", "blue"])
def test_text_of_every_section_can_be_read_on_paper_and_wash(ink, ground):
    assert contrast(NAMED[ink], NAMED[ground]) >= TEXT


@pytest.mark.parametrize("mark", ["ink", "blue", "grey", "vermillion"])
def test_marks_of_figures_stand_out_from_the_page(mark):
    assert contrast(NAMED[mark], NAMED["paper"]) >= GRAPHIC


@pytest.mark.parametrize("eyes", SEEN)
def test_colours_are_told_apart_without_red_or_green(eyes):
    """15 in CIELAB is some six times what is just told apart side by side."""
    colours = ["ink", "blue", "sky", "orange", "vermillion", "grey", "paper"]
    near = {
        f"{a}, {b}": round(apart(NAMED[a], NAMED[b], eyes), 1)
        for a, b in itertools.combinations(colours, 2)
        if apart(NAMED[a], NAMED[b], eyes) < 15
    }
    assert near == {}
    if eyes == "deuteranopia":
        assert apart("#d62728", "#2ca02c", eyes) < 15  # a usual red and green are not
