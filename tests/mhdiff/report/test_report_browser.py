"""The reports in a browser: they fit a phone and a desk without scrolling sideways, and a keyboard reaches it all."""

import json
import re
import subprocess
import zlib

import pytest
from made_up_run import ablation, write, write_ablation
from pooled_runs import write_folds

from mhdiff.cli import main
from mhdiff.report import write_report

# Text that stands out from its ground by less than WCAG's AA asks: 4.5, or 3 for large text. Grounds that let
# through what is behind them are put on top of it.
FAINT = """(page) => {
  const view = page.defaultView;
  const parts = (text) => {
    const numbers = (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
    return numbers.length < 4 ? [...numbers, 1] : numbers;
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[3] * top[i] + (1 - top[3]) * under[i]);
  const linear = (v) => v / 255 <= .04045 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4;
  const light = (c) => c.slice(0, 3).reduce((sum, v, i) => sum + linear(v) * [.2126, .7152, .0722][i], 0);
  const ground = (e) => {
    const grounds = [];
    for (; e; e = e.parentElement) grounds.push(parts(view.getComputedStyle(e).backgroundColor));
    return grounds.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
  };
  const found = [];
  let read = 0;
  page.querySelectorAll("body *").forEach((e) => {
    const box = e.getBoundingClientRect();
    const written = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!written || !box.width || e.matches(".unseen, script, style")) return;
    const style = view.getComputedStyle(e), under = ground(e);
    const ink = over(parts(e.closest("svg") ? style.fill : style.color), under);
    const [low, high] = [light(ink), light(under)].sort((a, b) => a - b);
    const ratio = (high + .05) / (low + .05), size = parseFloat(style.fontSize);
    read += 1;
    if (ratio < (size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5))
      found.push(`${e.tagName}.${e.getAttribute("class")} ${ratio.toFixed(2)}`);
  });
  return {read, found: [...new Set(found)]};
}"""
# Headless Chromium has a minimum window width, so the page is measured inside a frame of the width wanted.
WRAPPER = """<!doctype html><meta charset="utf-8"><body style="margin:0"><pre id="result">waiting</pre>
<iframe id="frame" style="border:0;width:{width}px;height:900px"></iframe>
<script>
const frame = document.getElementById("frame");
frame.onload = () => {{
  const page = frame.contentDocument, root = page.documentElement;
  const before = root.scrollWidth;
  page.querySelectorAll("details").forEach((d) => {{ d.open = true; }});
  const wide = [...page.querySelectorAll("body *")].filter((e) => {{
    const box = e.getBoundingClientRect();
    return box.width && box.right > root.clientWidth + 1 && !e.closest(".scroll, pre, .skip, .unseen, svg");
  }}).map((e) => e.tagName + "." + e.className);
  document.getElementById("result").textContent = JSON.stringify({{
    inner: frame.contentWindow.innerWidth, closed: before, open: root.scrollWidth, wide,
    headings: [...page.querySelectorAll("section > h2")].map((h) => h.textContent),
    contents: [...page.querySelectorAll("nav a")].map((a) => a.textContent),
    landmarks: page.querySelectorAll("main, nav[aria-label], header").length,
    skip: page.querySelector("body > a").getAttribute("href") === "#content",
    // what scrolls sideways can be reached by keyboard, and is named
    stuck: [...page.querySelectorAll("body *")].filter((e) =>
      e.scrollWidth > e.clientWidth + 1 && ["auto", "scroll"].includes(getComputedStyle(e).overflowX)
      && !(e.tabIndex === 0 && (e.getAttribute("aria-label") || page.getElementById(e.getAttribute("aria-labelledby"))))
    ).map((e) => e.tagName + "." + e.className),
    scopeless: page.querySelectorAll("th:not([scope])").length,
    repeated: [...page.querySelectorAll("[id]")].map((e) => e.id).filter((id, i, all) => all.indexOf(id) !== i),
    astray: [...page.querySelectorAll("a[href^='#']")].filter(
      (a) => !page.querySelector(a.getAttribute("href"))).length,
    visible: [...page.querySelectorAll("section")].every((s) => s.getBoundingClientRect().height > 60),
    faint: ({faint})(page),
    unnamed: [...page.querySelectorAll("table")].filter((t) => !t.querySelector("caption")).length
      + [...page.querySelectorAll("img:not([alt])")].length
      + [...page.querySelectorAll("svg:not([aria-hidden]):not([aria-label])")].length,
  }});
}};
frame.srcdoc = {page};
</script>
"""


@pytest.fixture(scope="module", params=["run", "pooled", "ablation"])
def report(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("browser")
    if request.param == "pooled":
        runs = [str(folder) for folder in write_folds(root)]
        assert main(["evaluate", *runs, "--out", str(root / "pooled"), "--replicates", "40"]) == 0
        return write_report(root / "pooled", root / "report.html")
    if request.param == "ablation":
        folder = write_ablation(root, ablation(failing="linked"))
        return write_report(folder, folder / "report.html")
    run = write(root, failing="linked")
    return write_report(
        run, root / "report.html", ablation=root / "ablation.json", stages=root / "stages.json"
    )


def headless(chromium, folder, *arguments):
    return subprocess.run(
        [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         f"--user-data-dir={folder / 'profile'}", *arguments],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip


@pytest.mark.parametrize("width", [400, 800, 1280])
def test_fits_the_window(chromium, report, tmp_path, width):
    wrapper = tmp_path / "wrapper.html"
    page = json.dumps(report.read_text()).replace("</", "<\\/")
    wrapper.write_text(WRAPPER.format(width=width, page=page, faint=FAINT))
    done = headless(
        chromium,
        tmp_path,
        "--window-size=1400,1000",
        "--virtual-time-budget=4000",
        "--dump-dom",
        wrapper.as_uri(),
    )
    told = re.search(r'<pre id="result">(.*?)</pre>', done.stdout, re.DOTALL)
    assert told, done.stderr[-2000:]
    measured = json.loads(told.group(1).replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&"))
    assert measured["inner"] == width
    assert measured["wide"] == []
    assert measured["closed"] <= width
    assert measured["open"] <= width
    assert measured["headings"] == measured["contents"]
    assert len(measured["headings"]) > 9
    assert measured["landmarks"] == 3
    assert measured["skip"]
    assert measured["stuck"] == []
    assert measured["repeated"] == []
    assert (measured["scopeless"], measured["astray"]) == (0, 0)
    assert measured["visible"]
    assert measured["unnamed"] == 0
    assert measured["faint"]["read"] > 200  # texts

    assert measured["faint"]["found"] == []


def pages_of(pdf):
    """The instructions of each page of a PDF, as Chromium writes one."""
    objects = {int(n): body for n, body in re.findall(rb"\n(\d+) 0 obj\n(.*?)\nendobj", pdf, re.DOTALL)}
    for body in objects.values():
        if re.search(rb"/Type\s*/Page\b", body):
            (number,) = re.findall(rb"/Contents (\d+) 0 R", body)
            head, _, stream = objects[int(number)].partition(b"stream\n")
            packed = stream.rpartition(b"\nendstream")[0]
            yield body, zlib.decompress(packed) if b"/FlateDecode" in head else packed


def test_it_prints_on_several_sheets_of_a4_with_text_on_each(chromium, report, tmp_path):
    printed = tmp_path / "report.pdf"
    headless(chromium, tmp_path, "--no-pdf-header-footer", f"--print-to-pdf={printed}", report.as_uri())
    pdf = printed.read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert pdf.rstrip().endswith(b"%%EOF")
    pages = list(pages_of(pdf))
    assert 2 < len(pages) < 40
    for page, drawn in pages:
        width, height = map(float, re.search(rb"/MediaBox\s*\[0 0 ([\d.]+) ([\d.]+)\]", page).groups())
        assert (round(width), round(height)) == (595, 842)
        assert len(re.findall(rb"\bT[jJ]\b", drawn)) > 5  # texts that are shown
