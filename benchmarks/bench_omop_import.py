"""How fast a large registry in the OMOP common data model becomes a cohort, and in how much memory.

    python -m benchmarks.bench_omop_import [--scale 1] [--runs 1] [--root DIR]

At scale 1 a registry of 1,000,000 persons and 100,000,000 measurements is made (`benchmarks.made_registry`), then, each
in a process of its own and in turn: its measurements rewritten by polars, Parquet to Parquet with nothing between, and
the registry imported with `--workers 2`. What the import leaves out is held against what was made unusable. Some 10 GB
of disk below --root.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Figure, Limit, Result, Stopwatch, alternate, child, median, run, spread, table

_MODULE = "benchmarks.bench_omop_import"
PERSONS, ROWS = 1_000_000, 100_000_000
WORKERS = 2  # processes of the import, one a core; polars' rewrite has both, too
RATE = Limit(1 / 3, 1 / 2, "of the rewrite's rows per second", more_is_better=True)
MEMORY = Limit(4, 2, "GiB")


def made(root: Path, persons: Path, rows: Path) -> Result:
    """The registry, and what of it cannot be used."""
    from benchmarks.made_registry import write_registry

    with Stopwatch() as watch:
        unusable = write_registry(root / "registry", int(str(persons)), int(str(rows)))
    (root / "unusable.json").write_text(json.dumps(unusable))
    return watch.result(bytes=_size(root / "registry"))


def rewritten(root: Path) -> Result:
    """The measurements read and written again by polars alone."""
    import polars as pl

    with Stopwatch() as watch:
        pl.scan_parquet(root / "registry" / "measurement" / "*.parquet").sink_parquet(
            root / "rewritten.parquet"
        )
    size = _size(root / "rewritten.parquet")
    (root / "rewritten.parquet").unlink()
    return watch.result(bytes=size)


def imported(root: Path) -> Result:
    """The registry imported, and what it left out compared with what was made unusable."""
    from mhdiff.cohort.omop import import_omop
    from mhdiff.mapped import apart

    with Stopwatch() as watch:
        report = import_omop(root / "registry", root / "cohort", on=apart(WORKERS))
    left_out = report.dropped.counts + report.refused.counts
    dropped = {reason.removeprefix("measurement: "): n for reason, n in left_out.items()}
    unusable = {what: n for what, n in json.loads((root / "unusable.json").read_text()).items() if n}
    written = sum(n for what, n in report.written.items() if what.startswith("LOINC"))
    read = report.read["measurement rows"]
    if dropped != unusable or written != read - sum(unusable.values()):
        raise RuntimeError(f"made unusable {unusable}, left out {dropped}; read {read} rows, wrote {written}")
    size = _size(root / "cohort")
    shutil.rmtree(root / "cohort")
    found = watch.result(bytes=size, rows=read, shards=report.written["shards"])
    theirs = resource.getrusage(resource.RUSAGE_CHILDREN)
    found["cpu"] += theirs.ru_utime + theirs.ru_stime
    found["mib"] += WORKERS * theirs.ru_maxrss / 1024  # as if all had been at their peak at once
    return found


def _size(place: Path) -> int:
    files = [place] if place.is_file() else [p for p in place.rglob("*") if p.is_file()]
    return sum(file.stat().st_size for file in files)


WORKS = {"made": made, "rewritten": rewritten, "imported": imported}


def measure(root: Path, persons: int, rows: int, runs: int) -> list[Figure]:
    """Take the figures.

    Args:
        root: An empty folder.
        persons: How many persons.
        rows: How many measurements.
        runs: How often each work is done.
    """
    source = run(_MODULE, "made", root, Path(str(persons)), Path(str(rows)))
    found = alternate(
        runs,
        rewritten=lambda: run(_MODULE, "rewritten", root),
        imported=lambda: run(_MODULE, "imported", root),
    )
    bare, ours = found["rewritten"], found["imported"]
    what = f"{persons:,} persons, {rows:,} measurements"
    return [
        Figure(f"{what}: made", f"{source['seconds']:,.0f} s, {source['bytes'] / 2**30:.2f} GiB of Parquet"),
        Figure("bare polars rewrite of the measurements", _told(bare, rows)),
        Figure(f"import, {ours[0]['shards']} shards", _told(ours, rows), median(bare) / median(ours), RATE),
        Figure("its peak memory", f"{spread(ours, 'mib', 0)} MiB", max(r["mib"] for r in ours) / 1024, MEMORY),
    ]  # fmt: skip


def _told(results: list[Result], rows: int) -> str:
    rate = rows / median(results)
    size = results[0]["bytes"] / 2**30
    return (
        f"{spread(results)} s; processor {median(results, 'cpu'):,.1f} s; {rate:,.0f} rows/s; {size:.2f} GiB"
    )


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--scale", type=float, default=1.0, help="share of the size: .1 a tenth, .01 a hundredth"
    )
    parser.add_argument("--runs", type=int, default=1, help="how often each work is done")
    parser.add_argument("--root", help="folder for the data; a temporary one by default")
    parser.add_argument("--child", nargs="+")
    given = parser.parse_args(arguments)
    if given.child:
        child(WORKS, given.child)
        return
    persons, rows = (max(1, round(given.scale * n)) for n in (PERSONS, ROWS))
    with tempfile.TemporaryDirectory(dir=given.root) as name:
        print(table(measure(Path(name), persons, rows, given.runs)))


if __name__ == "__main__":
    main(sys.argv[1:])
