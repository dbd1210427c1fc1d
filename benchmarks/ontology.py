"""The ontology's speed and memory, whole: one command that prints the Markdown table of benchmarks/README.md.

    python -m benchmarks.ontology [--work DIR] [--release DIR] [--small DIR] [--runs 3]

Releases are synthetic, made by `tools/make_rf2.py` of the shared folder (MHDIFF_SHARED): at scale 1.0, with 370,000
active concepts and 1.2 GB of text, and at 0.1 for the growth. `--work` keeps them between runs; `--release` and
`--small` give folders that hold such a release with its zip already.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import bench_build, bench_questions
from benchmarks.measure import table

_HERE = Path(__file__).resolve().parent


def release(work: Path, scale: float) -> Path:
    """Make a release if it is not there yet, and give the folder that holds it and its zip.

    Args:
        work: Where releases are kept.
        scale: 1.0 is full size.
    """
    out = work / f"rf2-{scale}"
    if not any(out.glob("*.zip")):
        shared = Path(os.environ.get("MHDIFF_SHARED", _HERE.parents[1] / "shared"))
        command = [
            sys.executable,
            str(shared / "tools/make_rf2.py"),
            "--out",
            str(out),
            "--scale",
            str(scale),
        ]
        subprocess.run([*command, "--zip"], check=True, stdout=subprocess.DEVNULL)
    return out


def main(arguments: list[str] | None = None) -> None:
    """Measure everything and print the table.

    Args:
        arguments: The command line; by default that of the process.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, help="where releases are kept; a temporary folder by default")
    parser.add_argument("--release", type=Path, help="holds a full-size release and its zip")
    parser.add_argument("--small", type=Path, help="holds one of a tenth of the size")
    parser.add_argument("--runs", type=int, default=3, help="how often each figure is taken")
    args = parser.parse_args(arguments)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        work = args.work or Path(temporary)
        full, small = args.release or release(work, 1.0), args.small or release(work, 0.1)
        built = Path(temporary) / "built"
        print("building ...", file=sys.stderr)
        figures = bench_build.measure(full, small, built, args.runs)
        print("asking ...", file=sys.stderr)
        figures += bench_questions.measure(built / "full", args.runs)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(table(figures))
    print(
        f"\n{os.cpu_count()} cores, Python {platform.python_version()}, {args.runs} runs a figure, "
        f"{(time.perf_counter() - start) / 60:.0f} minutes; load of the machine at the end {load:.1f}"
    )


if __name__ == "__main__":
    main()
