"""All metrics of 100,000 predictions under 1,000 resamples of their patients, with percentile and with BCa intervals.

    python -m benchmarks.bench_statistics [--runs 3]

Predictions are of 50,000 patients with two samples each and three classes (70, 25, 5 %), softmaxes of made-up logits.
The headline metrics are those of metrics.json; every metric has calibration errors, slope, intercept, net benefit and
sensitivity at a fixed specificity besides.
"""

from __future__ import annotations

import argparse

from benchmarks.measure import Figure, Limit, Result, Stopwatch, child, run, spread, table

_SAMPLES, _REPLICATES, _PREVALENCE = 100_000, 1000, (0.7, 0.25, 0.05)


def _work(every: bool, accelerated: bool) -> Result:
    import numpy as np
    from scipy.special import softmax

    from mhdiff.evaluate.bootstrap import Resamples, bootstrap
    from mhdiff.evaluate.every_metric import EveryMetric
    from mhdiff.evaluate.metrics import WeightedMetrics
    from mhdiff.evaluate.predictions import Scored

    rng = np.random.default_rng(0)
    labels = rng.choice(len(_PREVALENCE), _SAMPLES, p=_PREVALENCE)
    p = softmax(
        rng.normal(size=(_SAMPLES, len(_PREVALENCE))) + 1.5 * np.eye(len(_PREVALENCE))[labels], axis=1
    )
    rows = np.arange(_SAMPLES)
    scored = Scored(rows, rows // 2, labels, p, (p > 0.3).astype(np.float64))
    with Stopwatch() as watch:
        resamples = Resamples.of(scored.subjects, _REPLICATES, 0)
        figures = EveryMetric if every else WeightedMetrics
        result = bootstrap({"one": [scored]}, resamples, figures=figures, accelerated=accelerated)["one"]
        told = [result.overall(name) for name in result.point.overall]
        told += [result.per_class(name, c) for name in result.point.per_class for c in range(3)]
    assert all(one["low"] is not None and "remark" not in one for one in told)
    return watch.result(figures=len(told))


WORKS = {
    "headline": lambda: _work(False, False),
    "every": lambda: _work(True, False),
    "every_bca": lambda: _work(True, True),
}


def measure(runs: int = 3) -> list[Figure]:
    """Take the figures.

    Args:
        runs: How often each work is done, each time in a process of its own.
    """
    names = {
        "headline": "headline metrics, percentiles",
        "every": "every metric, percentiles",
        "every_bca": "every metric, BCa",
    }
    found: list[Figure] = []
    for work, name in names.items():
        results = [run("benchmarks.bench_statistics", work) for _ in range(runs)]
        seconds, cpu = spread(results, digits=1), spread(results, "cpu", digits=1)
        found.append(
            Figure(
                f"{name}: {results[0]['figures']} figures of {_SAMPLES:,} predictions, {_REPLICATES:,} replicates",
                f"{seconds} s; processor {cpu} s; peak {spread(results, 'mib', digits=0)} MiB",
                sorted(r["seconds"] for r in results)[runs // 2],
                Limit(30, 15),
            )
        )
    return found


def main() -> None:
    """Print the table, or do one work as a child."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(WORKS, args.child)
    else:
        print(table(measure(args.runs)))


if __name__ == "__main__":
    main()
