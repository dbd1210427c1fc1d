"""What fusion, prior and head cost beside full-size encoders, compiled, and in bfloat16; each in a process of its own.

    python -m benchmarks.bench_core [--width 256] [--batch 32] [--steps 10] [--runs 3] [--only share compiled]

A step is forward, backward and AdamW: of a ResNet-50 and a BERT-base together, and of fusion, prior and head as in
training (masked patients to logits, unmasked ones to the prior's loss, its average). One core each, and processor time
is what counts. `torch.compile` needs a C++ compiler; its result is held against that of eager execution on the same
random numbers, before any step, and so is that of bfloat16 autocast. Steps that warm up, compilation too, are not
counted.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import time
from pathlib import Path

from benchmarks.measure import Figure, Limit, Result, Stopwatch, alternate, child, median, run, spread, table

_MODULE = "benchmarks.bench_core"
HOWS = ("eager", "compiled", "eager-bf16", "compiled-bf16")


def encoders(batch: Path, steps: Path) -> Result:
    import torch

    from benchmarks.core import FullSizeEncoders

    torch.manual_seed(0)
    net = FullSizeEncoders()
    inputs = net.inputs(int(str(batch)))
    optimiser = torch.optim.AdamW(net.parameters())

    def step() -> None:
        optimiser.zero_grad()
        sum(out.square().mean() for out in net(*inputs)).backward()
        optimiser.step()

    return _timed(step, int(str(steps)))


def core(how: Path, batch: Path, width: Path, steps: Path) -> Result:
    import torch
    from torch import nn

    from benchmarks.core import Core, Settings, given

    torch.set_num_threads(1)
    torch._inductor.config.fallback_random = True  # so that compiled steps draw what eager ones draw
    torch.manual_seed(0)
    settings = Settings(int(str(width)), batch=int(str(batch)))
    net, handed = Core(settings), given(settings)
    call = torch.compile(net, fullgraph=True) if str(how).startswith("compiled") else net
    half = torch.autocast("cpu", torch.bfloat16, enabled=str(how).endswith("bf16"))
    optimiser = torch.optim.AdamW(net.parameters())

    def forward(call: nn.Module) -> list[torch.Tensor]:
        torch.manual_seed(1)
        logits, loss = call(handed)
        return [logits.float().softmax(-1), nn.functional.cross_entropy(logits.float(), handed.label) + loss]

    def step() -> None:
        optimiser.zero_grad()
        with half:
            loss = forward(call)[1]
        loss.backward()
        optimiser.step()
        net.net.prior.update()

    plain = forward(net)
    start = time.perf_counter()
    with half:
        found = forward(call)
    first = time.perf_counter() - start
    away = [float((a - b).detach().abs().max()) for a, b in zip(found, plain, strict=True)]
    return _timed(step, int(str(steps)), first=first, probability=away[0], loss=away[1])


def imported() -> Result:
    """Imports, of which the memory is not the step's."""
    with Stopwatch() as watch:
        import benchmarks.core  # noqa: F401
    return watch.result()


def _timed(step, steps: int, **more: float) -> Result:
    step()
    with Stopwatch() as watch:
        for _ in range(steps):
            step()
    result = watch.result(**more)
    return result | {"seconds": result["seconds"] / steps, "cpu": result["cpu"] / steps}


def _peak(results: list[Result], before: float) -> str:
    return f"peak {max(r['mib'] for r in results):,.0f} MiB, of which imports {before:,.0f}"


def share(args: argparse.Namespace) -> list[Figure]:
    """The core's part of a training step."""
    batch, width, steps = (Path(str(n)) for n in (args.batch, args.width, args.steps))
    before = run(_MODULE, "imported")["mib"]
    theirs = run(_MODULE, "encoders", batch, Path("1"), one_core=True)
    found = alternate(
        args.runs, core=lambda: run(_MODULE, "core", Path("eager"), batch, width, steps, one_core=True)
    )["core"]
    ours, whole = median(found, "cpu"), theirs["cpu"]
    return [
        Figure(
            f"ResNet-50 + BERT-base, a step of {args.batch}",
            f"processor {whole:,.1f} s; {_peak([theirs], before)} MiB",
        ),
        Figure(
            f"fusion + prior + head of width {args.width}, a step of {args.batch}",
            f"processor {spread([1000 * r['cpu'] for r in found], digits=1)} ms; {_peak(found, before)} MiB",
            100 * ours / (whole + ours),
            Limit(5.0, 2.0, "% of a step of both"),
        ),
    ]


def compiled(args: argparse.Namespace) -> list[Figure]:
    """Eager against compiled execution, in float32 and in bfloat16."""
    if not any(shutil.which(name) for name in ("c++", "g++", "clang++")):
        return [Figure("torch.compile", "not measured: no C++ compiler on this machine")]
    batch, width, steps = (Path(str(n)) for n in (args.batch, args.width, args.steps))
    found = alternate(
        args.runs,
        **{
            how: lambda how=how: run(_MODULE, "core", Path(how), batch, width, steps, one_core=True)
            for how in HOWS
        },
    )
    eager = median(found["eager"], "cpu")
    figures = []
    for how in HOWS:
        results = found[how]
        said = (
            f"processor {spread([1000 * r['cpu'] for r in results], digits=1)} ms a step, {_peak(results, 0)}"
        )
        said = said.removesuffix(", of which imports 0")
        if how.startswith("compiled"):
            said += f"; {max(r['first'] for r in results):.0f} s until the first result"
        figures.append(
            Figure(
                f"{how}: eager float32 against it",
                said,
                eager / median(results, "cpu"),
                Limit(1.0, 1.3, "x", True),
            )
            if how != "eager"
            else Figure("eager", said)
        )
        if how != "eager":
            worst = max(r["probability"] for r in results)
            limit = Limit(1e-4, 1e-6, "") if how == "compiled" else Limit(0.03, 0.01, "")
            loss = max(r["loss"] for r in results)
            figures.append(
                Figure(
                    f"{how}: greatest difference of a probability", f"of the loss {loss:.1e}", worst, limit
                )
            )
    return figures


WORKS = {"encoders": encoders, "core": core, "imported": imported}
PARTS = {"share": share, "compiled": compiled}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=10, help="steps of the core that are timed together")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    args = parser.parse_args()
    figures = [figure for name in args.only for figure in PARTS[name](args)]
    print(
        f"Python {platform.python_version()}, {platform.machine()}, one core; load {os.getloadavg()[0]:.1f}\n"
    )
    print(table(figures))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(WORKS, sys.argv[2:])
    else:
        main()
