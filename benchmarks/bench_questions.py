"""What an ontology on disk answers, and how fast: against NetworkX and nxontology where they answer the same.

    python -m benchmarks.bench_questions ONTOLOGY [--runs 3]

ONTOLOGY is a saved ontology. Each figure is taken in a process of its own that opens it; short works are repeated
there, in turn with the peer's. Samples are drawn with a fixed seed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Figure, Limit, Result, Stopwatch, child, median, repeated, run, spread, table

if TYPE_CHECKING:
    from ontology import Ontology

_PAIRS, _PEER_PAIRS = 1_000_000, 20_000
_ASKED = 10_000


def _opened(folder: Path) -> Ontology:
    from ontology import Ontology

    return Ontology.open(folder)


def _upward(onto: Ontology) -> Iterable[tuple[int, int]]:
    is_a = onto.relations.type == 0
    return zip(onto.relations.source[is_a].tolist(), onto.relations.target[is_a].tolist(), strict=True)


def _open_and_show(folder: Path) -> Result:
    import polars  # noqa: F401
    import scipy.sparse  # noqa: F401

    import ontology.store  # noqa: F401
    from mhdiff.commands.ontology import concept_document
    from ontology import Ontology

    with Stopwatch() as watch:
        onto = Ontology.open(folder)
        concept_document(onto, int(onto.sctids[len(onto) // 3]))
    return watch.result()


def _ancestors(folder: Path) -> Result:
    import networkx as nx
    import numpy as np

    from ontology.ancestry import ancestors_of_many

    onto = _opened(folder)
    asked = np.random.default_rng(0).choice(len(onto), _ASKED, replace=False)
    sctids = onto.sctids[asked]
    up = nx.DiGraph(_upward(onto))
    up.add_nodes_from(range(len(onto)))
    ours, single, theirs = [], [], []
    for _ in range(5):
        ours += repeated(lambda: ancestors_of_many(onto, sctids), 1)
        single += repeated(lambda: [onto.ancestors(sctid) for sctid in sctids.tolist()], 1)
        theirs += repeated(lambda: [nx.descendants(up, node) for node in asked.tolist()], 1)
    found = ancestors_of_many(onto, sctids)
    pairs = sum(len(nx.descendants(up, node)) for node in asked.tolist())
    assert len(found.indices) == pairs
    return {"ours": ours, "single": single, "theirs": theirs, "pairs": pairs}


def _closure(folder: Path) -> Result:
    from ontology import closure
    from ontology.closure import Adjacency

    onto = _opened(folder)
    # in memory, as a loader has them
    up, down = (
        Adjacency(links.indptr.copy(), links.indices.copy())
        for links in (onto.parent_links, onto.child_links)
    )
    times = repeated(lambda: closure.closure(up, closure.levels(up, down)))
    return {"times": times, "pairs": onto.closure.nnz - len(onto)}


def _similarity(folder: Path) -> Result:
    import networkx as nx
    import numpy as np
    from nxontology import NXOntology

    from ontology.similarity import similarities

    onto = _opened(folder)
    rng = np.random.default_rng(0)
    a, b = (rng.integers(len(onto), size=_PAIRS) for _ in range(2))
    metrics = ("resnik", "lin", "wu_palmer", "jaccard")
    first = repeated(lambda: similarities(onto, onto.sctids[a], onto.sctids[b], metrics), 1)[0]
    down = nx.DiGraph()
    down.add_nodes_from(range(len(onto)))
    down.add_edges_from((parent, kid) for kid, parent in _upward(onto))
    peer: Any = NXOntology(down)
    peer.freeze()
    some = list(zip(a[:_PEER_PAIRS].tolist(), b[:_PEER_PAIRS].tolist(), strict=True))

    def compared() -> list[tuple[float, float, float]]:
        pairs = (peer.similarity(x, y, ic_metric="intrinsic_ic_sanchez") for x, y in some)
        return [(pair.resnik, pair.lin, pair.batet) for pair in pairs]

    cold = repeated(compared, 1)[0]
    ours, warm = [], []
    for _ in range(5):
        ours += repeated(lambda: similarities(onto, onto.sctids[a], onto.sctids[b], metrics), 1)
        warm += repeated(compared, 1)
    found = similarities(onto, onto.sctids[a[:_PEER_PAIRS]], onto.sctids[b[:_PEER_PAIRS]], metrics)
    theirs = np.array(compared())
    for column, metric in enumerate(("resnik", "lin", "jaccard")):
        assert np.allclose(found[metric], theirs[:, column], atol=1e-9), metric
    return {"first": first, "ours": ours, "cold": cold, "warm": warm}


def _ecl(folder: Path) -> Result:
    import numpy as np

    from ontology.ecl import select

    onto = _opened(folder)
    relations = onto.relations
    attribute = (
        int(np.argmax(np.bincount(relations.type)[1:])) + 1
    )  # the one with the most relations, is-a apart
    rows = np.flatnonzero(relations.type == attribute)

    # below what most of its ends lie, the roots apart
    def commonest(ends: Any) -> int:
        above = np.bincount(onto.closure[ends].indices, minlength=len(onto))
        above[np.diff(onto.parent_links.indptr) == 0] = 0
        return int(onto.sctids[np.argmax(above)])

    x, y = commonest(relations.source[rows]), commonest(relations.target[rows])
    text = f"<< {x} : {int(onto.relation_types[attribute])} = << {y}"
    again = _opened(folder)
    first = repeated(lambda: select(again, text), 1)[0]
    return {
        "first": first,
        "times": repeated(lambda: select(again, text), 9),
        "found": len(select(again, text)),
    }


def _search(folder: Path) -> Result:
    import numpy as np
    import polars as pl

    onto = _opened(folder)
    terms = onto.terms.filter(pl.col("kind") == "synonym")["term"]
    chosen = terms.gather(np.random.default_rng(0).integers(len(terms), size=20)).to_list()
    queries = [" ".join(word[:5] for word in reversed(term.split()[:3])) for term in chosen]
    again = _opened(folder)
    first = repeated(lambda: again.search(queries[0]), 1)[0]
    times = [repeated(partial(again.search, query), 1)[0] for query in queries]
    return {"first": first, "times": times}


def _codes(folder: Path) -> Result:
    import numpy as np

    from ontology.normalise import normalise_all

    onto = _opened(folder)
    rng = np.random.default_rng(0)
    retired = rng.choice(onto.inactive["sctid"].to_numpy(), _ASKED // 2, replace=False)
    targets = [code for code in onto.maps["target"].unique(maintain_order=True).to_list() if code]
    icd10 = [targets[i] for i in rng.choice(len(targets), min(len(targets), _ASKED // 2), replace=False)]
    with Stopwatch() as watch:
        found = [normalise_all(onto, retired.tolist()), normalise_all(onto, icd10, "ICD-10")]
    statuses: dict[str, int] = {}
    for table_ in found:
        for status in table_.unique("code")["status"].to_list():
            statuses[status] = statuses.get(status, 0) + 1
    return watch.result(statuses=statuses, codes=len(retired) + len(icd10))


WORKS = {
    "open": _open_and_show,
    "ancestors": _ancestors,
    "closure": _closure,
    "similarity": _similarity,
    "ecl": _ecl,
    "search": _search,
    "codes": _codes,
}
_MODULE = "benchmarks.bench_questions"


def measure(folder: Path, runs: int = 3) -> list[Figure]:
    """Measure the questions.

    Args:
        folder: A saved ontology.
        runs: How many processes each figure is taken in; the similarity's one, as its peer takes long.
    """
    ask = partial(run, _MODULE)

    def several(work: str, key: str) -> list[float]:
        found = [ask(work, folder) for _ in range(runs)]
        results[work] = found[-1]
        return [median(one[key]) if isinstance(one[key], list) else float(one[key]) for one in found]

    results: dict[str, Result] = {}
    times = several("open", "seconds")
    limit = Limit(0.2, 0.03)
    figures = [Figure("`Ontology.open` and the first `show`", _ms(times), median(times), limit)]

    found = [ask("ancestors", folder) for _ in range(runs)]
    theirs = [median(one["theirs"]) for one in found]
    times, single = ([median(one[key]) for one in found] for key in ("ours", "single"))
    words = f"{_ms(times)}, one after the other {_ms(single)}; NetworkX {_ms(theirs)}"
    limit = Limit(10, 100, "x faster", more_is_better=True)
    figures.append(Figure(f"ancestors of {_ASKED:,} concepts", words, median(theirs) / median(times), limit))

    times = several("closure", "times")
    work = f"full closure, {results['closure']['pairs']:,} pairs"
    figures.append(Figure(work, f"{spread(times)} s", median(times), Limit(2.5, 0.7)))

    one, scale = ask("similarity", folder), _PAIRS / _PEER_PAIRS
    work = f"Resnik + Lin + Wu-Palmer + Jaccard of {_PAIRS:,} pairs"
    words = (
        f"{spread(one['ours'])} s, the first time {one['first']:.2f} s; nxontology, by {_PEER_PAIRS:,} pairs and "
        f"without Wu-Palmer: {scale * median(one['warm']):.0f} s warm, {scale * one['cold']:.0f} s cold"
    )
    figures.append(Figure(work, words, median(one["ours"]), Limit(0.6, 0.4)))

    times = several("ecl", "times")
    last = results["ecl"]
    work = f"ECL `<< X : a = << Y`, {last['found']:,} concepts found"
    words = f"{_ms(times)}, the first time {1000 * last['first']:.0f} ms"
    figures.append(Figure(work, words, median(times), Limit(0.1, 0.01)))

    times = several("search", "times")
    words = f"{_ms(times)} a query, the first {1000 * results['search']['first']:,.0f} ms"
    figures.append(Figure("search by beginnings of words", words))

    times = several("codes", "seconds")
    last = results["codes"]
    said = ", ".join(f"{n:,} {status}" for status, n in sorted(last["statuses"].items()))
    work = f"{last['codes']:,} codes normalised: inactive SCTIDs and ICD-10"
    figures.append(Figure(work, f"{spread(times)} s ({said})"))
    return figures


def _ms(seconds: list[float]) -> str:
    return f"{spread([1000 * one for one in seconds], digits=1)} ms"


def main() -> None:
    """Print the table, or do one work as a child."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ontology", type=Path, nargs="?", help="a saved ontology")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(WORKS, args.child)
    elif args.ontology is None:
        parser.error("give a saved ontology, or run python -m benchmarks.ontology, which makes one")
    else:
        print(table(measure(args.ontology, args.runs)))


if __name__ == "__main__":
    main()
