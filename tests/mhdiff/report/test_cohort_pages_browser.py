"""The pages of an audit and of a cohort in a browser: phone and desk, keyboard, no request but for itself."""

import json

import pytest

from mhdiff.cli import main
from tests.mhdiff.picture.browser import Browser

MEASURE = """(() => {
  const root = document.documentElement;
  document.querySelectorAll("details").forEach((d) => { d.open = true; });
  const wide = [...document.querySelectorAll("body *")].filter((e) => {
    const box = e.getBoundingClientRect();
    return box.width && box.right > root.clientWidth + 1 && !e.closest(".scroll, pre, .skip, .unseen, svg");
  }).map((e) => e.tagName + "." + e.className);
  const named = (e) => e.getAttribute("aria-label") || document.getElementById(e.getAttribute("aria-labelledby"));
  return JSON.stringify({
    width: root.scrollWidth, wide,
    headings: [...document.querySelectorAll("section > h2")].map((h) => h.textContent),
    contents: [...document.querySelectorAll("nav a")].map((a) => a.textContent),
    stuck: [...document.querySelectorAll("body *")].filter((e) => e.scrollWidth > e.clientWidth + 1
      && ["auto", "scroll"].includes(getComputedStyle(e).overflowX) && !(e.tabIndex === 0 && named(e))).length,
    repeated: [...document.querySelectorAll("[id]")].map((e) => e.id).filter((id, i, all) => all.indexOf(id) !== i),
    astray: [...document.querySelectorAll("a[href^='#']")].filter(
      (a) => !document.querySelector(a.getAttribute("href"))).length,
    silent: [...document.querySelectorAll("svg:not([aria-hidden]):not([aria-label])")].length
      + [...document.querySelectorAll("table")].filter((t) => !t.querySelector("caption")).length,
    bare: [...document.querySelectorAll(".flag")].filter(
      (f) => !/^[\\u2715\\u25b2\\u25cb\\u2713] /.test(f.textContent)).length,
    smallest: Math.min(99, ...[...document.querySelectorAll(".upset svg text")].map(
      (t) => t.getBoundingClientRect().height)),
  });
})()"""


@pytest.fixture(scope="module")
def pages(small_data, tmp_path_factory):
    root = tmp_path_factory.mktemp("pages")
    cohort, given = str(small_data / "cohort"), ["--task", "pneumonia", "--html"]
    limits = root / "limits.yaml"
    limits.write_text("replicates: 200\nshortcut_fail: 0.5\nfeature_auroc: 0.6\nalpha: 0.5\n")
    audit = ["--ontology", str(small_data / "ontology"), "--thresholds", str(limits)]
    assert main(["cohort", "audit", cohort, *given, str(root / "audit.html"), *audit]) == 2
    assert main(["cohort", "info", cohort, *given, str(root / "info.html")]) == 0
    return root


@pytest.fixture(scope="module")
def browser(chromium, tmp_path_factory):
    one = Browser(tmp_path_factory.mktemp("profile"))
    yield one
    one.close()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["audit", "info"])
def test_a_page_fits_and_is_reached_by_keyboard(pages, browser, name, width):
    browser.open(pages / f"{name}.html", width=width)
    told = json.loads(browser.run(MEASURE))
    assert told["width"] <= width
    assert told["wide"] == []
    assert told["headings"] == told["contents"]
    assert len(told["headings"]) == 6
    assert (told["stuck"], told["repeated"], told["astray"], told["silent"], told["bare"]) == (0, [], 0, 0, 0)
    assert told["smallest"] > 9
    assert browser.errors == []
    assert all(request.startswith(("file:", "data:")) for request in browser.requests)


def test_the_first_key_leads_to_the_content(pages, browser):
    browser.open(pages / "audit.html")
    browser.run("document.body.focus()")
    browser.send("Input.dispatchKeyEvent", type="keyDown", key="Tab", code="Tab", windowsVirtualKeyCode=9)
    assert browser.run("document.activeElement.getAttribute('href')") == "#content"
