"""How long an epoch takes over patients whose encoders' outputs are written already (`mhdiff embed`).

    python -m benchmarks.bench_epoch [--patients 10000] [--dim 64] [--threads 2] [--epochs 4] [--profile]

The built-in cohort's graph, ontology and task are real; its patients are repeated until there are enough, and stored
embeddings are noise, since what they say costs nothing. One process, the fit loop of Lightning as `mhdiff fit` runs it,
without the tuning split. The first epoch warms up and is not counted. Each row is another batch size or granularity.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from itertools import product
from pathlib import Path

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback
from torch_geometric.nn import SAGEConv

from benchmarks.__main__ import line
from mhdiff.batch import EvidenceBatch
from mhdiff.builtin import Builtin
from mhdiff.encoders.specs import EmbeddingSpec
from mhdiff.guidance import MessagePassing, NoGuidance
from mhdiff.training.cli import TRAINER_DEFAULTS
from mhdiff.training.data import MultimodalData
from mhdiff.training.dataset import SampleDataset
from mhdiff.training.module import Diagnosis
from mhdiff.training.progress import quiet
from mhdiff.training.sampler import EpochShuffle
from mhdiff.training.spec import DataSpec

LIMIT = 3.0
SOURCE = 500
GUIDANCE = {
    "none": NoGuidance,
    "messages": lambda g, d, h: MessagePassing(
        g, d, h, conv=SAGEConv, layers=3
    ),  # heavier than configs/demo.yaml
}


class Clock(Callback):
    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.cpu: list[float] = []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.start, self.start_cpu = time.perf_counter(), time.process_time()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.seconds.append(time.perf_counter() - self.start)
        self.cpu.append(time.process_time() - self.start_cpu)


def patients(root: Path, count: int, width: int) -> tuple[SampleDataset, DataSpec]:
    """Repeat the built-in cohort's evidence and presence, with noise in the place of embeddings."""
    places = {name: str(root / name) for name in ("ontology", "cohort", "graph")}
    Builtin(patients=SOURCE, image_size=48).prepare(*places.values(), "pneumonia")
    data = MultimodalData(places["cohort"], places["graph"], "pneumonia", max_concepts=12)
    data.setup()
    source = data.dataset(["train", "tuning", "held_out"])
    rows = torch.arange(count) % len(source)
    noise = {
        m: {"embedding": torch.randn(count, width, generator=torch.Generator().manual_seed(i))}
        for i, m in enumerate(data.modalities)
    }
    tokens = data.graph.tokens([int(s) for s in source.sample_ids], data.modalities, 12)
    made = SampleDataset(
        range(count), source.labels[rows].tolist(), data.modalities, source.present[rows], noise, {}, tokens
    )
    made.evidence = EvidenceBatch(
        source.evidence.concept[rows], source.evidence.weight[rows], source.evidence.polarity[rows]
    )
    spec = DataSpec(
        data.modalities,
        dict.fromkeys(data.modalities, EmbeddingSpec(width, True)),
        data.spec.classes,
        data.spec.graph,
    )
    return made, spec


def epochs(
    data: SampleDataset, spec: DataSpec, dim: int, batch: int, guidance: str, granularity: str, count: int
) -> Clock:
    torch.manual_seed(0)
    module = Diagnosis({}, guidance=GUIDANCE[guidance], dim=dim, granularity=granularity)  # type: ignore[arg-type]
    module.build(spec)
    loader = torch.utils.data.DataLoader(
        data, batch_size=batch, sampler=EpochShuffle(len(data), 0), collate_fn=data.collate
    )
    clock = Clock()
    trainer = Trainer(**TRAINER_DEFAULTS | {"max_epochs": count, "accelerator": "cpu"}, callbacks=[clock])
    trainer.fit(module, loader)
    return clock


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patients", type=int, default=10_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch", type=int, nargs="+", default=[512])
    parser.add_argument("--guidance", nargs="+", choices=list(GUIDANCE), default=list(GUIDANCE))
    parser.add_argument("--granularity", nargs="+", default=["modality", "concept"])
    parser.add_argument("--profile", action="store_true", help="also where one epoch's time goes")
    args = parser.parse_args()
    quiet()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as name:
        data, spec = patients(Path(name), args.patients, args.dim)
        start = time.perf_counter()
        for batch in torch.arange(args.patients).split(512):
            data.collate(batch.tolist())
        line("collate alone, batches of 512", f"{time.perf_counter() - start:.2f} s")
        for granularity in args.granularity:
            for guidance, size in product(args.guidance, args.batch):
                clock = epochs(data, spec, args.dim, size, guidance, granularity, args.epochs)
                took, cpu = clock.seconds[1:], clock.cpu[1:]
                line(
                    f"{args.patients} patients, {guidance}, tokens: {granularity}, batch {size}",
                    f"{statistics.median(took):.2f} s",
                    f"{min(took):.2f} to {max(took):.2f}, n = {len(took)}; cpu {min(cpu):.2f} s; limit {LIMIT:.0f}",
                )
        if args.profile:
            from torch.profiler import ProfilerActivity, profile

            with profile(activities=[ProfilerActivity.CPU]) as found:
                epochs(data, spec, args.dim, args.batch[-1], args.guidance[-1], args.granularity[-1], 2)
            print(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=25))


if __name__ == "__main__":
    main()
