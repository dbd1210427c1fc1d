"""The picture in a browser: every text lies within its box in the fonts that are there, by light and by dark."""

import html
import json
import re
import subprocess

import pytest
from tiny_release import IDS

from ontology.drawing import draw, svg
from ontology.neighbourhood import neighbourhood

PAGE = """<!doctype html><meta charset="utf-8"><body style="margin:0">{svg}<pre id="result">waiting</pre>
<script>
const root = document.querySelector("svg"), wide = [], low = [];
for (const text of root.querySelectorAll("g > .box ~ text, g > .label ~ text, text.caption")) {{
  const inner = text.getBBox(), outer = text.parentNode.querySelector("rect").getBBox();
  if (inner.x < outer.x || inner.x + inner.width > outer.x + outer.width) wide.push(text.textContent);
  if (inner.y < outer.y - 1 || inner.y + inner.height > outer.y + outer.height + 1) low.push(text.textContent);
}}
const numbers = (colour) => colour.match(/[0-9.]+/g).slice(0, 3).map(Number);
const light = (colour) => {{
  const part = numbers(colour).map((v) => v / 255).map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
}};
const contrasts = [...root.querySelectorAll("text")].map((text) => {{
  const own = text.parentNode.querySelector(":scope > rect:not(.sample):not(.inner)");
  const filled = own && getComputedStyle(own).fill !== "none" ? own : root.querySelector("rect.ground");
  const [a, b] = [light(getComputedStyle(text).fill), light(getComputedStyle(filled).fill)];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}});
document.getElementById("result").textContent = JSON.stringify({{
  wide, low, texts: contrasts.length, contrast: Math.min(...contrasts),
  ground: getComputedStyle(root.querySelector("rect.ground")).fill,
  arrows: [...root.querySelectorAll("path.edge")].every((p) => {{
    const end = p.getAttribute("marker-end");
    return !end || document.querySelector(end.slice(4, -1));
  }}),
}});
</script>
"""


def measured(chromium, tmp_path, picture, *options):
    page = tmp_path / "page.html"
    page.write_text(PAGE.format(svg=picture), encoding="utf-8")
    done = subprocess.run(
        [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", *options,
         f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,1000", "--virtual-time-budget=4000",
         "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    told = re.search(r'<pre id="result">(.*?)</pre>', done.stdout, re.DOTALL)
    assert told, done.stderr[-2000:]
    return json.loads(html.unescape(told.group(1)))


@pytest.fixture(scope="module")
def pictures(tiny, shared):
    from ontology import load

    diseases = load(shared / "data" / "rf2" / "disease-ontology")
    return {
        "grouped": svg(tiny, IDS["bacterial"]),
        "inbound": svg(tiny, IDS["lung"]),
        "root": svg(diseases, 138875005),
        "many": draw(neighbourhood(diseases, diseases.search("cancer")[0], 40)),
    }


@pytest.mark.parametrize("which", ["grouped", "inbound", "root", "many"])
@pytest.mark.parametrize("scheme", [("1", "rgb(255, 255, 255)"), ("0", "rgb(18, 22, 29)")])
def test_text_fits_and_is_readable(chromium, tmp_path, pictures, which, scheme):
    number, ground = scheme
    found = measured(chromium, tmp_path, pictures[which], f"--blink-settings=preferredColorScheme={number}")
    assert found["wide"] == []
    assert found["low"] == []
    assert found["texts"] > 5
    assert found["ground"] == ground
    assert found["contrast"] >= 4.5
    assert found["arrows"]
