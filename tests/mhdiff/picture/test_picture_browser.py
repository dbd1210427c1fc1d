"""The picture in a browser, with a real mouse and keyboard: search, hover, filters, keys; at 2,000 concepts too."""

import re

import pytest
from browser import Browser
from many_concepts import patient, terminology

from mhdiff.cli import main


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    root = tmp_path_factory.mktemp("pages")
    for name, count, evidence in (("small", 60, range(45, 60)), ("large", 5000, range(4600, 5000))):
        ontology = terminology(count)
        ontology.save(root / f"{name}-ontology")
        patient(ontology, evidence).save(root / f"{name}-graph")
        assert main([
            "graph", "view", str(root / f"{name}-graph"), "--sample", "7", "--out", str(root / f"{name}.html"),
            "--ontology", str(root / f"{name}-ontology"),
        ]) == 0  # fmt: skip
    return root


def overlapping(rects):
    return [
        (a, b) for i, a in enumerate(rects) for b in rects[:i]
        if a["rect"][0] < b["rect"][2] and b["rect"][0] < a["rect"][2]
        and a["rect"][1] < b["rect"][3] and b["rect"][1] < a["rect"][3]
    ]  # fmt: skip


def clean(browser, page):
    assert browser.errors == []
    assert browser.requests == [page.resolve().as_uri()]
    assert browser.run("document.title") == "Sample 7: one patient's graph"


CORNER = """(() => {
  const box = document.getElementById('canvas').getBoundingClientRect();
  return [box.left, box.top];
})()"""
BOXES = "graphView.nodes.map((_, i) => graphView.position(i))"
COLOURS_DRAWN = """(() => {
  const canvas = document.getElementById('canvas'), seen = new Set();
  const part = canvas.getContext('2d').getImageData(0, 60, canvas.width, canvas.height - 60).data;
  for (let i = 0; i < part.length; i += 40) seen.add(part[i] * 65536 + part[i + 1] * 256 + part[i + 2]);
  return seen.size;
})()"""
CONTRASTS = """(() => {
  const style = getComputedStyle(document.documentElement);
  const light = (name) => {
    const hex = style.getPropertyValue('--' + name).trim();
    const part = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255)
      .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
  };
  const ratio = (a, b) => {
    const [low, high] = [light(a), light(b)].sort((p, q) => p - q);
    return (high + 0.05) / (low + 0.05);
  };
  const polarities = ['present', 'absent', 'uncertain', 'family', 'historical'].map((p) => 'p-' + p);
  return ['ink', 'muted', 'isa', 'attribute', ...polarities].map((n) => ratio(n, 'ground'))
    .concat(['box', 'frame', 'focus'].map((n) => ratio('ink', n)));
})()"""
ABSENT = """graphView.nodes.findIndex((n) => n.kind === 'concept' && n.evidence.some((e) => e.polarity === 'absent'))"""
IN_SIGHT = """graphView.shown.find((i) => {
  const [x, y, w] = graphView.position(i);
  return graphView.nodes[i].kind === 'concept' && x > 100 && y > 100 && x + w < 800 && y < 500;
})"""


def corner(browser):
    return browser.run(CORNER)


def shown(browser):
    told = browser.run("document.getElementById('shown').textContent")
    return int(re.match(r"Shown: ([\d,]+) of", told)[1].replace(",", ""))


def find(browser, text, key="Enter"):
    browser.run("document.getElementById('search').value = ''; document.getElementById('search').focus()")
    browser.type(text)
    if key:
        browser.key(key)


@pytest.mark.parametrize("name", ["small", "large"])
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (400, True)])
def test_opens_legibly_without_error_or_network(browser, pages, name, width, dark):
    page = pages / f"{name}.html"
    browser.open(page, width, 900, dark)
    clean(browser, page)
    scale, labels = browser.run("graphView.scale"), browser.run("graphView.labels")
    assert (
        scale >= 0.6 or labels
    )  # either text fits into the boxes, or there are labels of the size of the screen
    assert overlapping(labels) == []
    boxes = [{"rect": [x, y, x + w, y + h]} for x, y, w, h in browser.run(BOXES)]
    assert len(boxes) > (2000 if name == "large" else 15)
    assert overlapping(boxes) == []
    assert browser.run("document.documentElement.scrollWidth") <= width
    ground = browser.run(
        "[...document.getElementById('canvas').getContext('2d').getImageData(2, 2, 1, 1).data]"
    )
    assert ground[:3] == ([18, 22, 29] if dark else [255, 255, 255])
    assert browser.run(COLOURS_DRAWN) > 8


def test_contrast_of_every_colour_that_carries_text(browser, pages):
    for dark in (False, True):
        browser.open(pages / "small.html", dark=dark)
        ratios = browser.run(CONTRASTS)
        assert min(ratios) >= 4.5


@pytest.mark.parametrize("text", ["condition number 50", "ailment50", "50"])
def test_search_finds_names_synonyms_and_sctids(browser, pages, text):
    browser.open(pages / "small.html")
    find(browser, text)
    chosen = browser.run("graphView.nodes[graphView.chosen]")
    assert chosen["sctid"] == "50"
    told = browser.run("document.getElementById('details').innerText")
    assert "Condition number 50 (disorder)" in told
    assert "ailment50" in told
    assert "SCTID 50" in told
    assert re.search(r"uncertain|present|absent|family|historical", told)
    x, y, w, h = browser.run("graphView.position(graphView.chosen)")
    wide, high = browser.run(
        "[document.getElementById('canvas').clientWidth, document.getElementById('canvas').clientHeight]"
    )
    assert abs(x + w / 2 - wide / 2) < 2  # brought to the middle
    assert abs(y + h / 2 - high / 2) < 2
    clean(browser, pages / "small.html")


def test_a_search_without_result_says_so(browser, pages):
    browser.open(pages / "small.html")
    find(browser, "no such thing", key=None)
    assert browser.run("document.getElementById('hits').textContent") == "0 found"


@pytest.mark.parametrize("name", ["small", "large"])
def test_hover_shows_what_and_where_from(browser, pages, name):
    browser.open(pages / f"{name}.html")
    number = browser.run(ABSENT)
    x, y, w, h = browser.run(f"graphView.position({number})")
    left, top = corner(browser)
    assert browser.run("document.getElementById('tip').hidden")
    browser.mouse("mouseMoved", left + x + w / 2, top + y + h / 2)
    browser.settle()
    told = browser.run("document.getElementById('tip').innerText")
    node = browser.run(f"graphView.nodes[{number}]")
    for part in (
        node["fsn"],
        f"SCTID {node['sctid']}",
        "absent in",
        "</script>",
        "NOTE//CLINICAL",
        "2026-01-02 03:04",
    ):
        assert part in told
    browser.mouse("mouseMoved", left + 5, top + 300)
    browser.settle()
    assert browser.run("document.getElementById('tip').hidden")
    clean(browser, pages / f"{name}.html")


def test_filters_hide_and_say_so(browser, pages):
    browser.open(pages / "small.html")
    whole = shown(browser)

    def switch(where, name):
        browser.run(f"document.querySelector('#{where} input[data-name=\"{name}\"]').click()")
        browser.settle()
        return shown(browser)

    assert switch("by-polarity", "absent") < whole
    assert switch("by-polarity", "absent") == whole
    assert switch("by-modality", "note") < whole
    visible = browser.run("graphView.shown.map((i) => graphView.nodes[i])")
    assert "note" not in {n["name"] for n in visible}
    switch("by-modality", "note")
    assert kinds(browser)[0] == "is a"
    assert switch("by-relation", "is a") < whole
    browser.run("document.getElementById('none').click()")
    browser.settle()
    assert shown(browser) == 15  # the evidence alone
    assert switch("by-polarity", "absent") == 12
    left = browser.run("graphView.shown.map((i) => graphView.nodes[i]).filter((n) => n.kind === 'concept')")
    assert {e["polarity"] for n in left for e in n["evidence"]} == {
        "present",
        "uncertain",
        "family",
        "historical",
    }
    find(browser, "condition number 1", key=None)
    assert "hidden by a filter" in browser.run("document.getElementById('hits').textContent")
    clean(browser, pages / "small.html")


def kinds(browser):
    return browser.run("[...document.querySelectorAll('#by-relation input')].map((i) => i.dataset.name)")


def test_the_keyboard_walks_zooms_and_lets_go(browser, pages):
    browser.open(pages / "small.html")
    browser.run("document.getElementById('canvas').focus()")
    browser.key("ArrowRight")
    first = browser.run("graphView.nodes[graphView.chosen]")
    assert first["kind"] == "concept"
    assert first["fsn"] in browser.run("document.getElementById('tip').innerText")
    browser.key("ArrowRight")
    following = browser.run("graphView.nodes[graphView.chosen]")
    told = browser.run("document.getElementById('details').innerText")
    assert first["name"] in told[told.index("Led to by") :]
    browser.key("ArrowLeft")
    told = browser.run("document.getElementById('details').innerText")
    assert following["name"] in told[told.index("Leads to") :]
    before = browser.run("graphView.nodes[graphView.chosen]")
    browser.key("ArrowDown")
    after = browser.run("graphView.nodes[graphView.chosen]")
    assert after["x"] == before["x"]
    assert after["y"] > before["y"]
    scale = browser.run("graphView.scale")
    browser.key("+")
    assert browser.run("graphView.scale") == pytest.approx(scale * 1.25)
    browser.key("0")
    fitted = browser.run(BOXES)
    wide = browser.run("document.getElementById('canvas').clientWidth")
    assert all(x >= 0 and x + w <= wide for x, _, w, _ in fitted)
    browser.key("Escape")
    assert browser.run("graphView.chosen") == -1
    assert browser.run("document.getElementById('tip').hidden")
    browser.key("/")
    assert browser.run("document.activeElement.id") == "search"
    clean(browser, pages / "small.html")


def test_mouse_drags_zooms_and_chooses(browser, pages):
    browser.open(pages / "large.html")
    left, top = corner(browser)
    x, y, *_ = browser.run("graphView.position(0)")
    browser.mouse("mousePressed", left + 500, top + 60, button="left", buttons=1, clickCount=1)
    browser.mouse("mouseMoved", left + 530, top + 100, button="left", buttons=1)
    browser.mouse("mouseReleased", left + 530, top + 100, button="left", buttons=0, clickCount=1)
    assert browser.run("graphView.position(0)")[:2] == pytest.approx([x + 30, y + 40])
    scale = browser.run("graphView.scale")
    browser.mouse("mouseWheel", left + 400, top + 300, deltaX=0, deltaY=-300)
    browser.settle()
    assert browser.run("graphView.scale") > scale
    number = browser.run(IN_SIGHT)
    x, y, w, h = browser.run(f"graphView.position({number})")
    browser.click(left + x + w / 2, top + y + h / 2)
    assert browser.run("graphView.chosen") == number
    browser.run("new Promise((r) => setTimeout(r, 300))")  # the view rests: the lines are drawn anew
    clean(browser, pages / "large.html")
