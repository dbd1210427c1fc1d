"""One shard of embeddings, as it can be made by another process or on another machine: see `mhdiff.training.embed`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from mhdiff.encoders.base import Encoder
from mhdiff.training.cli import parse
from mhdiff.training.data import MultimodalData
from mhdiff.training.embeddings import shard_path, write_shard
from mhdiff.training.module import Diagnosis
from mhdiff.training.progress import quiet
from mhdiff.training.run import open_run


@dataclass(frozen=True)
class Source:
    """Where encoders and samples come from, as another process opens it.

    Attributes:
        run: Folder of a run; None where a configuration is given.
        arguments: Options as of `mhdiff fit`.
    """

    run: str | None = None
    arguments: tuple[str, ...] = ()

    def open(self) -> tuple[Diagnosis, MultimodalData]:
        """Give the built module, in evaluation mode, and the data module, set up.

        Raises:
            InputError: If the run or the configuration cannot be opened.
        """
        if self.run is not None:
            return open_run(self.run)
        quiet()
        cli = parse(self.arguments)
        data, module = cli.datamodule, cli.model
        data.prepare_data()
        data.setup()
        module.build(data.spec)
        module.eval()
        return module, data


@dataclass(frozen=True)
class Shard:
    """A shard that is to be encoded.

    Attributes:
        source: What encodes it, and of whom.
        out: Folder of the embeddings.
        modalities: Which modalities.
        number: Its number.
        size: Samples a shard.
        threads: How many are used; they decide on the last bits of a sum.
    """

    source: Source
    out: Path
    modalities: tuple[str, ...]
    number: int
    size: int
    threads: int


_opened = lru_cache(maxsize=1)(Source.open)


def embed_shard(task: Shard) -> None:
    """Write a shard, where it is not there yet.

    Args:
        task: The shard.
    """
    path = shard_path(task.out, task.number)
    if path.is_file():
        return
    torch.set_num_threads(task.threads)
    module, data = _opened(task.source)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module.to(device).eval()
    ids = data.samples.sort("sample_id")["sample_id"].to_list()
    rows = encode(module, data, ids[task.number * task.size :][: task.size], task.modalities, device)
    write_shard(path, rows)


def encode(
    module: Diagnosis,
    data: MultimodalData,
    ids: Sequence[int],
    modalities: Sequence[str],
    device: torch.device,
) -> dict[str, Tensor]:
    """Give what the encoders say of some samples.

    Args:
        module: A built module, in evaluation mode.
        data: A data module that is set up.
        ids: The samples, ascending.
        modalities: Which modalities.
        device: Where the module is.

    Returns:
        `sample_id` [n], `present/<modality>` [n] and `embedding/<modality>` [n, width], float32.
    """
    splits = data.samples["split"].unique().to_list()
    dataset = data.dataset(splits, ids)
    found: dict[str, list[Tensor]] = {name: [] for name in modalities}
    with torch.inference_mode():
        for _, made in dataset.batches(4 * data.batch_size):
            batch = made.to(device)
            for name in modalities:
                encoder = module.net.encoders[name]
                assert isinstance(encoder, Encoder)
                found[name].append(encoder.features(batch.inputs[name]).float().cpu())
    rows: dict[str, Tensor] = {"sample_id": dataset.sample_ids}
    for name in modalities:
        here = dataset.present[:, data.modalities.index(name)]
        rows[f"present/{name}"] = here.clone()
        rows[f"embedding/{name}"] = torch.where(here[:, None], torch.cat(found[name]), 0.0).contiguous()
    return rows
