"""How long an epoch takes over patients whose encoders' outputs are written already (`mhdiff embed`), and its memory.

    python -m benchmarks.bench_epoch [--patients 10000] [--batch 512] [--precision 32-true bf16-mixed] [--threads 2]
        [--epochs 4] [--profile]

Model and settings are those of `configs/demo.yaml`, read from it, without its encoders; `none` has no guidance. The
built-in cohort's graph, ontology and task are real; its patients are repeated until there are enough, and stored
embeddings are noise, since what they say costs nothing. One process, the fit loop of Lightning as `mhdiff fit` runs it,
without the tuning split. The first epoch warms up and is not counted. Each row is another guidance, granularity or
batch size, in a process of its own, whose peak memory is told.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

from benchmarks.measure import Figure, Limit, Result, Stopwatch, child, run, table

_MODULE = "benchmarks.bench_epoch"
SECONDS = Limit(3.0, 1.5)
SOURCE = 500
GUIDANCE = {"none": ["--model.guidance=mhdiff.guidance.NoGuidance"], "demo": []}


def demo(root: Path, *options: str):
    """The demo's module and data module, with the data in a folder."""
    from mhdiff.config import find
    from mhdiff.training.cli import parse
    from mhdiff.training.progress import quiet

    quiet()
    places = [f"--data.{name}={root / name}" for name in ("ontology", "cohort", "graph")]
    size = [f"--data.builtin.patients={SOURCE}", "--data.builtin.image_size=48", "--trainer.accelerator=cpu"]
    return parse(["-c", str(find("demo")), *places, *size, *options])


def patients(root: Path, count: int, width: int):
    """Repeat the built-in cohort's evidence and presence, with noise in the place of embeddings."""
    import torch

    from mhdiff.batch import EvidenceBatch
    from mhdiff.encoders.specs import EmbeddingSpec
    from mhdiff.training.dataset import SampleDataset
    from mhdiff.training.spec import DataSpec

    data = demo(root).datamodule
    data.prepare_data()
    data.setup()
    source = data.dataset(["train", "tuning", "held_out"])
    rows = torch.arange(count) % len(source)
    noise = {
        m: {"embedding": torch.randn(count, width, generator=torch.Generator().manual_seed(i))}
        for i, m in enumerate(data.modalities)
    }
    tokens = data.graph.tokens([int(s) for s in source.sample_ids], data.modalities, data.max_concepts)
    made = SampleDataset(
        range(count), source.labels[rows].tolist(), data.modalities, source.present[rows], noise, {}, tokens
    )
    made.evidence = EvidenceBatch(
        source.evidence.concept[rows], source.evidence.weight[rows], source.evidence.polarity[rows]
    )
    inputs = dict.fromkeys(data.modalities, EmbeddingSpec(width, True))
    return made, DataSpec(data.modalities, inputs, data.spec.classes, data.spec.graph)


def prepared(root: Path, count: Path) -> Result:
    """Imports, graph and patients, of which the memory is not training's."""
    with Stopwatch() as watch:
        made, _ = patients(root, int(str(count)), 64)
        start = time.perf_counter()
        for batch in range(0, len(made), 512):
            made.collate(range(batch, min(batch + 512, len(made))))
    return watch.result(collate=time.perf_counter() - start)


def epochs(
    root: Path,
    count: Path,
    guidance: Path,
    granularity: Path,
    batch: Path,
    precision: Path,
    threads: Path,
    many: Path,
) -> Result:
    """Train for some epochs, and give the seconds of each but the first."""
    import torch
    from pytorch_lightning import LightningModule, Trainer
    from pytorch_lightning.callbacks import Callback

    from mhdiff.training.cli import TRAINER_DEFAULTS
    from mhdiff.training.sampler import EpochShuffle

    class Clock(Callback):
        def __init__(self) -> None:
            self.seconds: list[float] = []
            self.cpu: list[float] = []

        def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            self.start, self.start_cpu = time.perf_counter(), time.process_time()

        def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            self.seconds.append(time.perf_counter() - self.start)
            self.cpu.append(time.process_time() - self.start_cpu)

    torch.set_num_threads(int(str(threads)))
    torch.utils.deterministic.fill_uninitialized_memory = False  # as `mhdiff fit` has it
    module = demo(root, *GUIDANCE[str(guidance)], f"--model.granularity={granularity}").model
    made, spec = patients(root, int(str(count)), module.dim)
    torch.manual_seed(0)
    module.build(spec)
    loader = torch.utils.data.DataLoader(
        made, batch_size=int(str(batch)), sampler=EpochShuffle(len(made), 0), collate_fn=made.collate
    )
    clock = Clock()
    settings = TRAINER_DEFAULTS | {
        "max_epochs": int(str(many)),
        "accelerator": "cpu",
        "precision": str(precision),
    }
    with Stopwatch() as watch:
        Trainer(**settings, callbacks=[clock]).fit(module, loader)
    return watch.result(epochs=clock.seconds[1:], processor=clock.cpu[1:])


WORKS = {"prepared": prepared, "epochs": epochs}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patients", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch", type=int, nargs="+", default=[512])
    parser.add_argument("--precision", nargs="+", default=["32-true", "bf16-mixed"])
    parser.add_argument("--guidance", nargs="+", choices=list(GUIDANCE), default=list(GUIDANCE))
    parser.add_argument("--granularity", nargs="+", default=["modality", "concept"])
    parser.add_argument("--profile", action="store_true", help="also where the time of the last row goes")
    args = parser.parse_args()
    count, threads, many = (Path(str(n)) for n in (args.patients, args.threads, args.epochs))
    with tempfile.TemporaryDirectory() as name:
        run(_MODULE, "prepared", Path(name), count)  # makes the cohort, once for all
        before = run(_MODULE, "prepared", Path(name), count)
        figures = [Figure("batches of 512 made, no training", f"{before['collate']:.2f} s")]
        every = product(args.granularity, args.guidance, args.batch, args.precision)
        for granularity, guidance, size, precision in every:
            place = (Path(guidance), Path(granularity), Path(str(size)), Path(precision))
            settings = (count, *place, threads, many)
            found = run(_MODULE, "epochs", Path(name), *settings)
            took = found["epochs"]
            told = (
                f"{statistics.median(took):.2f} ({min(took):.2f} to {max(took):.2f}) s, n = {len(took)}; processor "
                f"{min(found['processor']):.2f} s; peak {found['mib']:,.0f} MiB, of which before {before['mib']:,.0f}"
            )
            what = f"epoch of {args.patients:,}, guidance {guidance}, {granularity} tokens, batch {size}, {precision}"
            figures.append(Figure(what, told, statistics.median(took), SECONDS))
        print(table(figures))
        if args.profile:
            from torch.profiler import ProfilerActivity, profile

            with profile(activities=[ProfilerActivity.CPU]) as found:
                epochs(Path(name), *settings[:-1], Path("2"))
            print(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=25))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(WORKS, sys.argv[2:])
    else:
        main()
