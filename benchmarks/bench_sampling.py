"""What a draw of latents costs: time against the network alone, and peak memory; every figure in a process of its own.

    python -m benchmarks.bench_sampling [--cases 10000] [--width 256] [--steps 25] [--runs 3]

10,000 latents with the default backbone by 25 steps of Heun's method, and by DPM-Solver++ with twice as many, which
is as many evaluations; the same number of runs of the backbone alone on the same rows is what they are held against.
One core each, and processor time is what counts: on a shared machine threads that wait for one another spend it too.
Two idle cores need no more of wall time.
"""

from __future__ import annotations

import argparse
import platform
import sys
from pathlib import Path

from benchmarks.measure import Figure, Limit, Result, Stopwatch, alternate, child, median, run, spread, table

_MODULE = "benchmarks.bench_sampling"


def prepared(width: Path, cases: Path):
    import torch

    from mhdiff.diffusion import ResidualMLP, VDenoiser

    torch.manual_seed(0)
    torch.set_num_threads(1)
    denoiser = VDenoiser(ResidualMLP(int(str(width)))).eval().requires_grad_(False)
    return denoiser, torch.randn(int(str(cases)), int(str(width)))


def drawn(solver: Path, steps: Path, width: Path, cases: Path) -> Result:
    from mhdiff import diffusion

    denoiser, z = prepared(width, cases)
    sampler = getattr(diffusion, str(solver))(denoiser, int(str(steps)))
    sampler(z[:100])
    with Stopwatch() as watch:
        out, effort = diffusion.timed(sampler, z)
    assert out.isfinite().all()
    return watch.result(evaluations=effort.evaluations)


def network(evaluations: Path, width: Path, cases: Path) -> Result:
    """The backbone as often as a draw asks it, without schedule and steps."""
    import torch

    denoiser, z = prepared(width, cases)
    level = torch.zeros(len(z))
    with torch.no_grad():
        denoiser.backbone(z[:100], level[:100])
        with Stopwatch() as watch:
            for _ in range(int(str(evaluations))):
                denoiser.backbone(z, level)
    return watch.result()


def imported(width: Path, cases: Path) -> Result:
    """Imports, weights and noise, of which the memory is not the draw's."""
    with Stopwatch() as watch:
        prepared(width, cases)
    return watch.result()


WORKS = {"drawn": drawn, "network": network, "imported": imported}


def measure(args: argparse.Namespace) -> list[Figure]:
    """Both samplers and the network alone, medians of the runs."""
    width, cases, steps = (Path(str(n)) for n in (args.width, args.cases, args.steps))
    twice = Path(str(2 * args.steps))
    found = alternate(
        args.runs,
        Heun=lambda: run(_MODULE, "drawn", Path("Heun"), steps, width, cases, one_core=True),
        network=lambda: run(_MODULE, "network", twice, width, cases, one_core=True),
        DPMSolver=lambda: run(_MODULE, "drawn", Path("DPMSolver"), twice, width, cases, one_core=True),
    )
    bare = run(_MODULE, "imported", width, cases)
    figures = []
    for solver in ("Heun", "DPMSolver"):
        results = found[solver]
        middle = median(results, "cpu")
        title = f"{args.cases:,} latents of width {args.width} by {solver}"
        limit = Limit(20.0, 10.0)
        ms = 1000 * middle / args.cases
        measured = f"processor {spread(results, 'cpu')} s; {results[0]['evaluations']} evaluations, {ms:.2f} ms a case"
        figures += [
            Figure(title, measured, middle, limit),
            Figure(
                "its peak memory beyond imports, weights and noise",
                f"{max(r['mib'] for r in results):,.0f} MiB, of which before {bare['mib']:,.0f} MiB",
                max(r["mib"] for r in results) - bare["mib"],
                Limit(256.0, 128.0, "MiB"),
            ),
        ]
    alone = [result["cpu"] for result in found["network"]]
    ratio = median(found["Heun"], "cpu") / median(alone)
    figures.insert(
        2,
        Figure(
            "Heun against as many runs of the network alone",
            f"the network {spread(alone)} s of processor",
            ratio,
            Limit(1.5, 1.2, "x"),
        ),
    )
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--runs", type=int, default=3)
    figures = measure(parser.parse_args())
    print(f"Python {platform.python_version()}, {platform.machine()}, one core\n")
    print(table(figures))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(WORKS, sys.argv[2:])
    else:
        main()
