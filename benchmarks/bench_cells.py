"""How long one training of `configs/ablations/ontology_guidance.yaml` takes, where its time goes, and the whole of it.

    python -m benchmarks.bench_cells [--patients 2000] [--runs 3] [--parts]

Cells are trained as `mhdiff ablate` does it, from encoders' outputs that are there, one thread each, in processes that
have trained one cell before: a worker imports once for hundreds of them. The encoders themselves get one epoch, since
what they say costs nothing. `relation by relation` is the same cell, its rounds of messages as any other convolution's;
the two alternate, so that their ratio holds whatever else the machine does. The whole is cells times seconds over two
cores: `shipped` are the cells of the file, `in full` all arms on all folds and seeds with 19 draws of two nulls for
each of them, which is 5 x 5 x 3 + 2 x 19 x 5 x 3.
"""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

from benchmarks.measure import Figure, Limit, Result, Stopwatch, alternate, child, median, run, spread, table

_MODULE = "benchmarks.bench_cells"
_CORES, _FULL = 2, {"plain": 2 * 15, "graph": 3 * 15, "null": 2 * 19 * 15}
#: Arms of the file by what they cost: without messages, with them, and with a null graph that is drawn first.
KINDS = {"none": "plain", "free": "plain", "real": "graph", "permuted": "null"}
WHOLE = Limit(30 * 60, 10 * 60)
GAIN = Limit(1.2, 1.5, "x", more_is_better=True)


def ablation(root: Path, patients: int):
    """The shipped file, on data in a folder."""
    from mhdiff.ablate import Ablation
    from mhdiff.config import find

    places = [f"--data.{name}={root / name}" for name in ("ontology", "cohort", "graph")]
    return Ablation.load(find("ablations/ontology_guidance.yaml")).with_overrides(
        [*places, f"--data.builtin.patients={patients}", "--trainer.accelerator=cpu"]
    )


def first(root: Path, patients: int, arm: str):
    """The first cell of an arm, and the ablation."""
    from mhdiff.ablate.cells import plan

    whole = ablation(root, patients)
    return next(cell for cell in plan(whole).cells if cell.arm == arm), whole


def prepared(root: Path, patients: Path) -> Result:
    """Data and encoders' outputs, made once for all cells."""
    from mhdiff.ablate.cells import plan
    from mhdiff.training.cli import parse
    from mhdiff.training.embed import embed_cell

    count = int(str(patients))
    with Stopwatch() as watch:
        whole = ablation(root, count)
        cell = next(iter(plan(whole).encoders.values()))
        parse(["-c", str(whole.base), *cell.overrides]).datamodule.prepare_data()
        embed_cell(whole.base, [*cell.overrides, "--trainer.max_epochs=1"], root / "encoders")
    return watch.result(cells=Counter(cell.arm for cell in plan(whole).cells))


def trained(root: Path, patients: Path, arm: Path, rounds: Path, told: Path) -> Result:
    """Train one cell twice, and measure the second; with `told` also its parts."""
    import torch

    from mhdiff.guidance.together import Together
    from mhdiff.training.run import fit_cell

    torch.set_num_threads(1)
    if str(rounds) == "apart":
        Together.of = classmethod(lambda cls, one_by_one: None)  # type: ignore[method-assign,assignment]
    cell, whole = first(root, int(str(patients)), str(arm))
    overrides = [*cell.overrides, f"--data.embeddings={root / 'encoders' / 'embeddings'}"]
    with tempfile.TemporaryDirectory() as name:
        fit_cell(whole.base, [*overrides, "--trainer.max_epochs=1"], Path(name) / "warm", ())
        parts = timed() if str(told) == "parts" else {}
        with Stopwatch() as watch:
            fit_cell(whole.base, overrides, Path(name) / "cell", whole.offered)
    return watch.result(parts=dict(parts))


def timed() -> dict[str, float]:
    """Have the parts of a cell time themselves from now on."""
    import pytorch_lightning
    from pytorch_lightning.loops.evaluation_loop import _EvaluationLoop

    import mhdiff.training.run as run_
    import mhdiff.training.settle as settle_
    from mhdiff.training.checkpoint import RunCheckpoint
    from mhdiff.training.data import MultimodalData
    from mhdiff.training.dataset import SampleDataset
    from mhdiff.training.module import Diagnosis

    seconds: dict[str, float] = defaultdict(float)

    def watch(owner, name: str, part: str) -> None:
        work = getattr(owner, name)

        @functools.wraps(work)
        def measured(*given, **named):
            start = time.perf_counter()
            try:
                return work(*given, **named)
            finally:
                seconds[part] += time.perf_counter() - start

        setattr(owner, name, measured)

    for owner, name, part in (
        (run_, "parse", "configuration"),
        (run_, "config_text", "configuration"),
        (MultimodalData, "setup", "opening data"),
        (Diagnosis, "build", "building the model"),
        (pytorch_lightning.Trainer, "fit", "training in all"),
        (SampleDataset, "collate", "making batches"),
        (Diagnosis, "training_step", "forward"),
        (Diagnosis, "backward", "backward"),
        (Diagnosis, "configure_gradient_clipping", "clipping"),
        (Diagnosis, "optimizer_step", "steps in all"),
        (_EvaluationLoop, "run", "tuning split"),
        (RunCheckpoint, "on_train_epoch_end", "checkpoints"),
        (settle_, "settled", "settling and predicting"),
        (run_, "predict", "settling and predicting"),
        (run_, "write_predictions", "writing predictions"),
    ):
        watch(owner, name, part)
    return seconds


WORKS = {"prepared": prepared, "trained": trained}


def measure(root: Path, patients: int, runs: int) -> list[Figure]:
    """Take the figures.

    Args:
        root: Folder with the data, see `prepared`.
        patients: How many.
        runs: How often each cell is trained.
    """
    count = Path(str(patients))
    counted = run(_MODULE, "prepared", root, count)["cells"]

    def cell(arm: str, rounds: str) -> Result:
        return run(_MODULE, "trained", root, count, Path(arm), Path(rounds), Path("whole"))

    works = {f"{arm} together": functools.partial(cell, arm, "together") for arm in KINDS}
    works["real apart"] = functools.partial(cell, "real", "apart")
    found = alternate(runs, **works)
    figures, seconds = [], defaultdict(list)
    for name, results in found.items():
        arm, rounds = name.split()
        what = "" if rounds == "together" else ", relation by relation"
        told = (
            f"{spread(results)} s; processor {spread(results, 'cpu')} s; peak {spread(results, 'mib', 0)} MiB"
        )
        figures.append(Figure(f"a cell of `{arm}`{what}, {patients:,} patients", told))
        if rounds == "together":
            seconds[KINDS[arm]].append(median(results))
    # One beside the other: the machine's speed cancels in each pair.
    pairs = zip(found["real apart"], found["real together"], strict=True)
    gains = [apart["cpu"] / together["cpu"] for apart, together in pairs]
    figures.append(
        Figure("`real`: all relations together, against one by one", spread(gains), median(gains), GAIN)
    )
    price = {kind: sum(all_) / len(all_) for kind, all_ in seconds.items()}
    kinds = {"none": "plain", "free": "plain", "permuted": "null", "rewired": "null", "random": "null"}
    shipped = Counter()
    for arm, number in counted.items():
        shipped[kinds.get(arm, "null" if arm == "cooccurrence" else "graph")] += number
    for title, number in (("shipped", shipped), ("in full", _FULL)):
        total = sum(price[kind] * many for kind, many in number.items()) / _CORES
        what = f"`ontology_guidance` {title}, {sum(number.values())} cells on {_CORES} cores, by these"
        figures.append(Figure(what, f"{total / 60:.0f} min", total, WHOLE))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patients", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--parts", action="store_true", help="only where the time of a cell of `real` goes")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root, count = Path(name), Path(str(args.patients))
        if not args.parts:
            print(table(measure(root, args.patients, args.runs)))
            return
        run(_MODULE, "prepared", root, count)
        found = run(_MODULE, "trained", root, count, Path("real"), Path("together"), Path("parts"))
        for part, seconds in sorted(found["parts"].items(), key=lambda pair: -pair[1]):
            print(f"{part:24} {seconds:7.2f} s")
        print(f"{'all':24} {found['seconds']:7.2f} s")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(WORKS, sys.argv[2:])
    else:
        main()
