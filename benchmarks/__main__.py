"""`make bench`: how fast the foundation is. Prints one line a figure; limits are those that the project promises."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path


def median(work: Callable[[], object], runs: int = 5) -> float:
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def line(name: str, value: str, limit: str = "") -> None:
    print(f"{name:58} {value:>14}  {limit}")


def bare_scan(file: Path) -> object:
    import polars as pl

    return (
        pl.scan_csv(file, separator="\t", quote_char=None, infer_schema=False)
        .filter(pl.col("active") == "1")
        .collect()
    )


def main() -> None:
    from mhdiff.builtin import Builtin, build_cohort_graph, synthesize_cohort
    from ontology import Ontology, load_rf2
    from ontology.builtin import write_rf2

    help_ = median(
        lambda: subprocess.run([sys.executable, "-m", "mhdiff", "--help"], capture_output=True, check=True)
    )
    line("mhdiff --help", f"{help_:.2f} s", "limit 1 s")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        rf2 = write_rf2(root / "rf2")
        shared = Path("../shared/data/rf2/disease-ontology")
        for release, title in ((rf2, "built-in"), (shared, "Disease Ontology")):
            if not release.is_dir():
                continue
            files = [
                f
                for f in release.rglob("sct2_*.txt")
                if f.name.split("_")[1] in ("Concept", "Description", "Relationship")
            ]
            scan = median(lambda files=files: [bare_scan(file) for file in files])
            load = median(lambda release=release: load_rf2(release))
            line(f"load_rf2, {title}, against a bare polars scan", f"{load / scan:.1f} x", f"({load:.2f} s)")
        onto = load_rf2(rf2)
        onto.save(root / "ontology")
        line(
            "Ontology.open, built-in",
            f"{median(lambda: Ontology.open(root / 'ontology')):.3f} s",
            "limit 0.2 s",
        )
        start = time.perf_counter()
        synthesize_cohort(root / "cohort", Builtin(patients=2000))
        line(
            "2,000 patients of the known-answer cohort, 96 x 96",
            f"{time.perf_counter() - start:.1f} s",
            "limit 60 s",
        )
        start = time.perf_counter()
        build_cohort_graph(root / "ontology", root / "cohort", "pneumonia", root / "graph")
        line("their evidence and graph", f"{time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
