"""Predictions of a run on spoilt records, stored once in `corruptions.parquet` beside `predictions.parquet`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import polars as pl
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mhdiff import console
from mhdiff.batch import Batch
from mhdiff.corruption import Corruption, corruption
from mhdiff.encoders.preprocess import reader_class
from mhdiff.evaluate.corrupted import ACTS_ON, CLEAN, SCORE
from mhdiff.evaluate.patterns import all_patterns, pattern_name
from mhdiff.evaluate.stored import write_predictions
from mhdiff.inference import Inference, diagnose
from mhdiff.model import MHDiff, Output
from mhdiff.training.data import MultimodalData
from mhdiff.training.module import Diagnosis
from mhdiff.training.run import open_run
from mhdiff.training.settle import settled
from ontology.errors import InputError

FILE = "corruptions.parquet"

#: Hutchinson's probes of each modality's density. Of a prior over four modalities of width 64, trained on made-up
#: latents, 4 erred by .40 nats and 16 by .18, where patients differed by 1.6, in a ninth and a quarter of the exact
#: trace's time.
PROBES = 8

#: How strange a record is, higher for stranger: from the network and its output to one number a sample.
Score = Callable[[MHDiff, Output], Float[Tensor, " batch"]]


def unlikely(net: MHDiff, output: Output) -> Float[Tensor, " batch"]:
    """Give minus the log-density of the shared latent under the prior, in nats.

    Args:
        net: The network.
        output: What it gave.
    """
    return -net.prior.log_likelihood(output.latents, torch.Generator(output.logits.device).manual_seed(0))


def unlikely_together(net: MHDiff, output: Output) -> Float[Tensor, " batch"]:
    """Give minus the joint log-density of the present modalities' latents under the prior, in nats; 0 without any.

    Args:
        net: The network.
        output: What it gave.
    """
    generator = torch.Generator(output.logits.device).manual_seed(0)
    return -net.prior.block_log_likelihood(output.latents, generator=generator)


def surprises(net: MHDiff, output: Output) -> Float[Tensor, "batch modality"]:
    """Give how surprising each modality is given the others that are there, in nats; 0 where it is absent.

    That is minus the log-density of its latent given theirs. The densities are those of standardised latents: on their
    own scales, which encoders are free to choose, one modality would always be more surprising than the others.

    Args:
        net: The network.
        output: What it gave.
    """
    latents, volume = output.latents, net.prior.std.log().sum(dim=1)
    told = []
    for block in range(1, 1 + latents.present.shape[1]):
        generator = torch.Generator(output.logits.device).manual_seed(block)
        told.append(net.prior.block_log_likelihood(latents, block, generator, PROBES) + volume[block])
    return -torch.stack(told, dim=1).masked_fill(~latents.present, 0.0)


def odd_one_out(net: MHDiff, output: Output) -> Float[Tensor, " batch"]:
    """Give the most surprising modality's `surprises`: a note of somebody else, say; 0 without any.

    Args:
        net: The network.
        output: What it gave.
    """
    latents = output.latents
    most = surprises(net, output).masked_fill(~latents.present, -torch.inf).amax(dim=1)
    return most.masked_fill(~latents.known, 0.0)


#: By name, the scores by which spoilt records are flagged.
SCORES: dict[str, Score] = {
    "log_likelihood": unlikely,
    "joint": unlikely_together,
    "odd_one_out": odd_one_out,
}


def differs(one: Batch, other: Batch) -> Bool[Tensor, " batch"]:
    """Say which samples' inputs or evidence are not the same in two batches of the same samples.

    Args:
        one: A batch.
        other: A batch; its notes may be longer or shorter.
    """
    found = (one.evidence.concept != other.evidence.concept).flatten(1).any(1)
    for field in ("weight", "polarity"):
        found |= (getattr(one.evidence, field) != getattr(other.evidence, field)).flatten(1).any(1)
    for modality, tensors in one.inputs.items():
        for name, tensor in tensors.items():
            a, b = tensor.flatten(1), other.inputs[modality][name].flatten(1)
            width = min(a.shape[1], b.shape[1])
            found |= (a[:, :width] != b[:, :width]).any(1)
            found |= (a[:, width:] != 0).any(1) | (b[:, width:] != 0).any(1)
    return found


def predict_corrupted(
    module: Diagnosis,
    data: MultimodalData,
    spoilers: Sequence[Corruption],
    scores: Mapping[str, Score] | None = None,
    inference: Inference | None = None,
) -> pl.DataFrame:
    """Predict held-out samples as they are and spoilt, with every modality offered.

    Args:
        module: A built module.
        data: A data module that is set up.
        spoilers: What spoils them.
        scores: How strange a record is, by name; None for `SCORES`.
        inference: How they are diagnosed, as the clean ones are; by default by denoising at the prior's own time.

    Returns:
        The frame of `mhdiff.evaluate.corrupted`.

    Raises:
        InputError: If a corruption acts on no modality of the data, or on one that is stored as embeddings.
    """
    for asked in spoilers:
        if not data.corruptible(asked):
            raise InputError(
                f"'{asked}' acts on no modality of this run ({', '.join(data.modalities)})",
                remedy="Leave it out; `all` takes those that act on one",
            )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module.to(device).eval()
    clean = data.dataset(["held_out"])
    frames = []
    every: list[Corruption | None] = [None, *spoilers]
    for spoiler in every:
        spoilt = clean if spoiler is None else data.dataset(["held_out"], corruption=spoiler)
        walk = spoilt.batches(4 * data.batch_size, f"predicting {spoiler or 'clean records'}")
        for rows, batch in walk:
            changed = torch.zeros(len(rows), dtype=torch.bool)
            if spoiler is not None:
                changed = differs(clean.collate(rows), batch)
            with torch.no_grad():
                moved = batch.to(device)
                found = diagnose(module.net, module.net.features(moved), moved, inference)
                told = {
                    f"{SCORE}{name}": score(module.net, found.output).double().cpu().numpy()
                    for name, score in (SCORES if scores is None else scores).items()
                }
            probability = found.probabilities.cpu().numpy()
            frames.append(
                pl.DataFrame(
                    {
                        "sample_id": batch.sample_id.numpy(),
                        "pattern": [pattern_name(data.offered, data.offered)] * len(batch),
                        "corruption": [CLEAN if spoiler is None else str(spoiler)] * len(batch),
                        "seed": [0 if spoiler is None else spoiler.seed] * len(batch),
                        "changed": changed.numpy(),
                        "label": batch.label.numpy(),
                    }
                    | {f"p_{i}": probability[:, i] for i in range(probability.shape[1])}
                    | told
                )
            )
    meta = data.samples.select("sample_id", "subject_id", "site", "split")
    return pl.concat(frames).join(meta, on="sample_id", how="left", maintain_order="left")


def predict_run_corrupted(run: str | Path, spoilers: Sequence[Corruption], every: bool = False) -> Path:
    """Add predictions of spoilt records to a finished run's `corruptions.parquet`, those that are not there.

    A file that lacks one of `SCORES`, as an earlier version wrote it, is begun anew; one that does not say which
    modalities a corruption acts on gets that column.

    Args:
        run: The run's folder.
        spoilers: What spoils them.
        every: Whether corruptions that act on no modality of the run, or on a stored one, are left out, not refused.

    Returns:
        The file.
    """
    path = Path(run) / FILE
    old = pl.read_parquet(path) if path.is_file() else None
    lacking = [] if old is None else [name for name in SCORES if f"{SCORE}{name}" not in old.columns]
    if lacking and spoilers:
        console.say(
            f"{path} lacks the scores {', '.join(lacking)}: what was spoilt before is told when asked for"
        )
        old = None
    there = set() if old is None else set(old.select("corruption", "seed").unique().iter_rows())
    missing = [one for one in spoilers if (str(one), one.seed) not in there]
    if missing:
        module, data = open_run(run)
        if every:
            missing = [one for one in missing if (on := data.corruptible(one)) and not data.are_stored(on)]
    found = old
    if missing:
        inference = settled(Path(run), module, data, all_patterns(data.offered))
        found = predict_corrupted(module, data, missing, inference=inference)
        if old is not None:
            replaced = pl.col("corruption").is_in([CLEAN, *map(str, missing)])
            found = pl.concat([found, old.filter(~replaced)], how="diagonal")
    if found is not None and (missing or ACTS_ON not in found.columns):
        write_predictions(_saying_on_what(found, Path(run)), path)
    return path


def _saying_on_what(frame: pl.DataFrame, run: Path) -> pl.DataFrame:
    """Put beside each row the modalities that its corruption acts on, as patterns are named; none for clean records."""
    facts = json.loads((run / "run.json").read_text())
    names = [name for name in frame["corruption"].unique(maintain_order=True) if name != CLEAN]
    acting = acting_on(run, facts.get("offered", facts["modalities"]), names)
    told = {CLEAN: ""} | {name: "+".join(modalities) for name, modalities in acting.items()}
    return frame.with_columns(
        pl.col("corruption").replace_strict(told, return_dtype=pl.String).alias(ACTS_ON)
    )


def acting_on(run: str | Path, modalities: Sequence[str], names: Sequence[str]) -> dict[str, list[str]]:
    """Name the modalities that corruptions act on, as the run's preprocessing tells.

    Args:
        run: The run's folder.
        modalities: The run's modalities.
        names: The corruptions.
    """
    kinds = json.loads((Path(run) / "preprocess.json").read_text())["preprocessors"]
    classes = {m: reader_class(kinds[m]["kind"]) for m in modalities if m in kinds}
    return {
        name: [
            m for m, kind in classes.items() if kind is not None and issubclass(kind, corruption(name).reads)
        ]
        for name in names
    }
