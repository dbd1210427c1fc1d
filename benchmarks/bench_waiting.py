"""How long a person waits for an answer: show, search and paths, each in milliseconds.

    python -m benchmarks.bench_waiting ONTOLOGY [--queries N]

ONTOLOGY is a saved ontology; one of full size is what `mhdiff ontology build` makes of `make_rf2.py --scale 1.0`.
Queries are beginnings of words of its own terms. The walk over all terms, which search would be without its index, is
timed on the same queries.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.__main__ import line
from ontology import Ontology
from ontology.drawing import svg
from ontology.neighbourhood import neighbourhood
from ontology.words import FOLDER, words_of


def took(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - start)


def report(name: str, times: Iterable[float]) -> None:
    found = list(times)
    line(name, f"{statistics.median(found):.1f} ms", f"longest {max(found):.1f} ms, n = {len(found)}")


def walk(ontology: Ontology, query: str) -> int:
    rows = ontology.terms.lazy().filter(pl.col("kind").is_in(["fsn", "synonym"]))
    rows = rows.with_columns(lower=pl.col("term").str.to_lowercase())
    for word in words_of(query):
        rows = rows.filter(pl.col("lower").str.contains(rf"\b{word}"))
    return rows.select("concept", "lower", "kind", "preferred").collect().height


def queries(ontology: Ontology, count: int) -> dict[str, list[str]]:
    draw = np.random.default_rng(0)
    terms = ontology.terms["term"].gather(draw.integers(ontology.terms.height, size=4 * count)).to_list()
    split = [found for found in map(words_of, terms) if len(found) > 1][:count]
    kinds = {f"{n} letter{'s' if n > 1 else ''}": [w[0][:n] for w in split] for n in (1, 2, 3)}
    kinds["a word"] = [w[0] for w in split]
    kinds["two words, three letters each"] = [f"{w[1][:3]} {w[0][:3]}" for w in split]
    kinds["three words, one letter each"] = [" ".join(word[0] for word in (w * 2)[:3]) for w in split]
    kinds["no such term"] = [f"{w[0]} zzzz" for w in split]
    return kinds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ontology", type=Path)
    parser.add_argument("--queries", type=int, default=50)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "ontology"
        shutil.copytree(args.ontology, folder, ignore=shutil.ignore_patterns(FOLDER))
        draw = np.random.default_rng(1)
        line(
            "search: the index is made and written",
            f"{took(lambda: Ontology.open(folder).search('a')):.0f} ms",
        )
        report("search: the first of an ontology that was just opened", (
            took(lambda: Ontology.open(folder).search("a")) for _ in range(5)
        ))  # fmt: skip
        ontology = Ontology.open(folder)
        for kind, asked in queries(ontology, args.queries).items():
            report(f"search: {kind}", (took(lambda q=q: ontology.search(q)) for q in asked))
            report("  a walk over all terms", (took(lambda q=q: walk(ontology, q)) for q in asked[:10]))
        picked = draw.choice(ontology.sctids, size=(args.queries, 2)).tolist()
        line("path: the first", f"{took(lambda: ontology.path(*picked[0])):.0f} ms")
        report("path", (took(lambda p=p: ontology.path(*p)) for p in picked))
        report("path over is a", (took(lambda p=p: ontology.path(*p, ["is a"])) for p in picked))
        report(
            "all shortest paths counted, ten given", (took(lambda p=p: ontology.paths(*p)) for p in picked)
        )
        report(
            "ways to the roots, ten given", (took(lambda p=p: ontology.paths_to_roots(p[0])) for p in picked)
        )
        report(
            "least common ancestors", (took(lambda p=p: ontology.least_common_ancestors(*p)) for p in picked)
        )
        report("show: the first of an ontology that was just opened", (
            took(lambda: neighbourhood(Ontology.open(folder), picked[0][0], 20)) for _ in range(5)
        ))  # fmt: skip
        report("show", (took(lambda p=p: neighbourhood(ontology, p[0], 20)) for p in picked))
        report("show --svg", (took(lambda p=p: svg(ontology, p[0])) for p in picked))
        root = int(ontology.roots[0])
        line("show: a root", f"{took(lambda: neighbourhood(ontology, root, 20)):.0f} ms")


if __name__ == "__main__":
    main()
