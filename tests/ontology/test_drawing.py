"""The picture of a neighbourhood: well formed whatever a term holds, and nothing in it covers anything else."""

import re
from itertools import combinations, pairwise
from xml.etree import ElementTree as ET

import pytest
import tiny_release
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_release import IDS

from mhdiff.cli import main
from ontology.drawing import draw, svg
from ontology.few import Few
from ontology.lettering import clean, width, wrap
from ontology.neighbourhood import Attribute, Child, End, Link, Name, Neighbourhood, Parent, neighbourhood
from tests.searches import examples

NS = "{http://www.w3.org/2000/svg}"
TERMS = st.one_of(
    st.text(min_size=1, max_size=120),
    st.sampled_from(['"Walking pneumonia', "a<b>&amp;</text>]]>", "x" * 300, "肺炎" * 40, "\x00\x0b\ud800"]),
    st.sampled_from(["😀" * 30, " "]),
)  # fmt: skip


def name(number, term="concept", active=True):
    return Name(number, str(number), term, f"{term} (finding)", active)


def few(items, more=0):
    return Few(tuple(items), len(items) + more)


@st.composite
def neighbourhoods(draw_, terms=TERMS, most=40):
    count, more = st.integers(0, most), st.sampled_from([0, 0, 1, 12345])
    term = lambda: draw_(terms)  # noqa: E731
    active = draw_(st.booleans())
    relation = st.sampled_from(
        ["finding site", "has presentation strength denominator value and more", "due to"]
    )

    def links(kinds):
        return [Link(draw_(kinds), name(i, term(), draw_(st.booleans()))) for i in range(draw_(count))]

    associations = st.sampled_from(["same as", "possibly equivalent to"])
    if not active:
        ends = [End(name(9, term()), "was a", 0.5, (name(1), name(2, term()), name(9)))] * draw_(
            st.integers(0, 2)
        )
        return Neighbourhood(
            name(1, term(), False), False, reason=name(5, term()), history=few(links(associations), draw_(more)),
            outcome="ambiguous", ends=few(ends),
        )  # fmt: skip
    attributes = [
        Attribute(g, draw_(relation), name(2, term()) if draw_(st.booleans()) else None, "#12.50")
        for g in sorted(draw_(st.lists(st.integers(0, 4), max_size=most)), key=lambda g: (g == 0, g))
    ]
    maps = [
        {"system": "ICD-10", "target": draw_(st.sampled_from(["J18.9", ""])), "advice": term(), "predicate": "",
         "group": draw_(st.integers(0, 2)),
         "rule": draw_(st.sampled_from(["TRUE", term()])), "priority": i}
        for i in range(draw_(st.integers(0, 4)))
    ]  # fmt: skip
    parents = [
        Parent(name(i, term()), (name(7, term()),) * draw_(st.integers(0, 9))) for i in range(draw_(count))
    ]
    children = [Child(name(i, term()), draw_(more)) for i in range(draw_(count))]
    return Neighbourhood(
        name(1, term()), draw_(st.booleans()),
        parents=few(parents, draw_(more)), children=few(children, draw_(more)),
        attributes=few(attributes, draw_(more)), inbound=few(links(relation), draw_(more)),
        former=few(links(associations), draw_(more)), maps=few(maps, draw_(more)),
    )  # fmt: skip


def boxes(root, kind):
    found = []
    for rect in root.iter(f"{NS}rect"):
        if kind in rect.get("class").split():
            x, y, w, h = (float(rect.get(key)) for key in ("x", "y", "width", "height"))
            found.append((x, y, x + w, y + h))
    return found


def segments(root):
    for path in root.iter(f"{NS}path"):
        if "edge" in (path.get("class") or "").split():
            points = [tuple(map(float, pair.split())) for pair in path.get("d").lstrip("M").split(" L")]
            for (x1, y1), (x2, y2) in pairwise(points):
                assert x1 == x2 or y1 == y2, "a slanting line"
                yield min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)


def overlap(a, b, slack=0.01):
    return min(a[2], b[2]) - max(a[0], b[0]) > slack and min(a[3], b[3]) - max(a[1], b[1]) > slack


def crosses(line, box, slack=0.01):
    inside = (box[0] + slack, box[1] + slack, box[2] - slack, box[3] - slack)
    return line[0] < inside[2] and line[2] > inside[0] and line[1] < inside[3] and line[3] > inside[1]


def check_geometry(text):
    root = ET.fromstring(text)
    _, _, wide, high = map(float, root.get("viewBox").split())
    things, labels, frames = boxes(root, "box"), boxes(root, "label"), boxes(root, "frame")
    samples = boxes(root, "sample")
    for one in (*things, *labels, *frames, *samples):
        assert one[0] >= 0 and one[1] >= 0 and one[2] <= wide and one[3] <= high  # noqa: PT018
    for a, b in combinations([*things, *labels, *samples], 2):
        assert not overlap(a, b), (a, b)
    frames = [frame for frame in frames if frame not in samples]
    for a, b in combinations(frames, 2):
        assert not overlap(a, b)
    for frame in frames:
        for thing in (*things, *labels):
            inside = (
                frame[0] <= thing[0]
                and frame[1] <= thing[1]
                and thing[2] <= frame[2]
                and thing[3] <= frame[3]
            )
            assert inside or not overlap(frame, thing)
    for line in segments(root):
        for thing in (*things, *samples):
            assert not crosses(line, thing), (line, thing)
        for label in labels:  # a line runs under its own name, through the middle
            assert not crosses(line, label) or line[1] == line[3] == pytest.approx((label[1] + label[3]) / 2)
    return root


@given(neighbourhoods())
@settings(max_examples=examples(150), deadline=None)
def test_any_terms_give_well_formed_xml_without_overlaps(of):
    root = check_geometry(draw(of, "an ontology\x07 & more"))
    assert root.tag == f"{NS}svg"
    text = ET.tostring(root, encoding="unicode")
    for little in (of.parents, of.children, of.inbound, of.history):
        if little.more:
            assert f"{little.more:,} more" in text
    wanted = {clean(near.name.fsn) for near in (*of.parents.shown, *of.children.shown)} | {
        clean(of.concept.fsn)
    }
    tips = {title.text.split("\n")[0] for title in root.iter(f"{NS}title") if title.text}
    assert wanted <= tips


@pytest.mark.parametrize("count", [1, 2, 5, 6, 7, 11, 20, 39, 40])
def test_from_one_neighbour_to_forty_of_each_kind(count):
    long = "Structure of the left lower lobe of the lung, "
    each = [name(i, long * (i % 4 + 1)) for i in range(count)]
    of = Neighbourhood(
        name(1, long * 5), True,
        parents=few([Parent(n, (name(2, long),) * 6) for n in each]), children=few([Child(n, 7) for n in each]),
        attributes=few([Attribute(i // 3 + 1, "finding site", n, "") for i, n in enumerate(each)]),
        inbound=few([Link("due to", n) for n in each]), former=few([Link("same as", n) for n in each]),
    )  # fmt: skip
    root = check_geometry(draw(of))
    assert len(boxes(root, "box")) == 5 * count + 1
    assert len([f for f in boxes(root, "frame") if f not in boxes(root, "sample")]) == -(-count // 3) + 1
    assert (
        sum("isa" in (p.get("class") or "").split() for p in root.iter(f"{NS}path")) == 2 * count + 1
    )  # and the legend


def test_a_very_long_picture_keeps_its_places():
    rows = [Link("due to", name(i)) for i in range(25_000)]
    things = boxes(ET.fromstring(draw(Neighbourhood(name(1), False, inbound=few(rows)))), "box")
    tops = sorted(thing[1] for thing in things)
    assert tops[-1] > 1_000_000
    assert {round(b - a, 2) for a, b in pairwise(sorted(thing[1] for thing in things if thing[0] < 100))} == {
        54.0
    }


def test_what_is_drawn(tiny):
    root = check_geometry(svg(tiny, IDS["bacterial"]))
    titles = [title.text for title in root.iter(f"{NS}title")]
    assert (
        f"Bacterial pneumonia (disorder)\n{IDS['bacterial']}\nBacterial pneumonia\nPneumonia, bacterial"
        in titles
    )
    assert "Bacterial pneumonia (disorder) is a Infection (disorder)" in titles
    assert "Bacterial pneumonia (disorder): causative agent Bacterium (organism)" in titles
    captions = [t.text for t in root.iter(f"{NS}text") if t.get("class") == "caption"]
    assert captions == ["role group 1", "role group 2", "map to ICD-10"]
    names = [t.text for t in root.iter(f"{NS}text") if (t.get("class") or "").startswith("name attribute")]
    assert names == ["finding site", "causative agent"]
    assert root.get("role") == "img"
    label, description = root.get("aria-labelledby").split()
    said = {e.get("id"): e.text for e in root if e.get("id")}
    assert said[label].startswith("Bacterial pneumonia (disorder)")
    assert "Parents (2): Pneumonia; Infection." in said[description]
    assert "finding site Lung structure" in said[description]


def test_a_picture_is_on_its_own(tiny):
    text = svg(tiny, IDS["viral"])
    assert text.count("http") == 1  # the name of the SVG namespace
    assert "script" not in text
    assert not re.search(r"url\((?!#)", text)
    assert "prefers-color-scheme:dark" in text
    assert text == svg(tiny, IDS["viral"])
    assert "&quot;Walking" in text or '"Walking' in text


def test_limits_say_how_many_more(tiny):
    cut = neighbourhood(tiny, IDS["finding"], 2)
    assert (len(cut.children.shown), cut.children.total) == (2, 7)
    assert "5 more of 7 children" in draw(cut)
    assert "more" not in [
        r.get("class") for r in ET.fromstring(draw(neighbourhood(tiny, IDS["finding"]))).iter(f"{NS}rect")
    ]


def test_the_command_writes_the_file(tmp_path, capsys):
    source = tiny_release.write(tmp_path / "tiny")
    assert main(["ontology", "build", str(source), "--out", str(tmp_path / "o")]) == 0
    picture = tmp_path / "deep" / "a.svg"
    capsys.readouterr()
    assert main(["ontology", "show", str(tmp_path / "o"), "Viral pneumonia", "--svg", str(picture)]) == 0
    said = capsys.readouterr()
    assert str(picture) in said.err
    assert "Viral pneumonia" in said.out
    check_geometry(picture.read_text(encoding="utf-8"))
    assert main(["ontology", "show", str(tmp_path / "o"), "Viral pneumonia", "--svg", str(tmp_path)]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert main(["ontology", "show", str(tmp_path / "o"), "Viral pneumonia", "--limit", "-1"]) == 2


@given(st.text(max_size=80), st.floats(20, 300), st.integers(1, 4))
@settings(max_examples=examples(200), deadline=None)
def test_wrapped_lines_have_room_and_lose_nothing_unless_cut(text, room, most):
    given_ = clean(text)
    lines = wrap(given_, room, 12, most)
    assert 1 <= len(lines) <= most
    if all(len(line) > 1 for line in lines):
        assert all(width(line, 12) <= room for line in lines)
    if not lines[-1].endswith("…"):
        assert "".join(lines).replace(" ", "") == given_.replace(" ", "")
