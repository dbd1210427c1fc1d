"""The reports in a browser: they fit a phone and a desk without scrolling sideways, and a keyboard reaches it all."""

import json
import re
import subprocess

import pytest
from made_up_run import ablation, write, write_ablation
from pooled_runs import write_folds

from mhdiff.cli import main
from mhdiff.report import write_report

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


@pytest.mark.parametrize("width", [400, 800, 1280])
def test_fits_the_window(chromium, report, tmp_path, width):
    wrapper = tmp_path / "wrapper.html"
    page = json.dumps(report.read_text()).replace("</", "<\\/")
    wrapper.write_text(WRAPPER.format(width=width, page=page))
    done = subprocess.run(
        [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,1000", "--virtual-time-budget=4000",
         "--dump-dom", wrapper.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
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
