"""Run the encoders once over all samples and write what they give, see `mhdiff.training.embeddings`.

A run's encoders are trained: their latents z_m are written. Without a run there is nothing trained, and only modalities
whose network is pretrained and frozen are written, as the features that stand before their projection; the others are
encoded as ever when training from the folder. Shards that are there are kept when the same command starts again.

A shard's batches are the same wherever it is encoded, so that shards may be encoded by many machines that see the same
files: each opens the run or configuration once, and writes whole files.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mhdiff import console
from mhdiff.encoders.base import Encoder
from mhdiff.mapped import Mapper
from mhdiff.training.data import MultimodalData
from mhdiff.training.embed_shard import Shard, Source, embed_shard, encode
from mhdiff.training.embeddings import (
    FORMAT,
    MARKER,
    TOLD,
    read_facts,
    shard_path,
    split_fingerprint,
    write_facts,
    write_shard,
)
from mhdiff.training.module import Diagnosis
from mhdiff.training.run import fit
from ontology.errors import InputError
from ontology.files import sha256

SHARD = 2048


def embed_run(
    run: str | Path, out: str | Path, modalities: Sequence[str] | None = None, on: Mapper | None = None
) -> Path:
    """Write what a finished run's encoders give.

    Args:
        run: Its folder.
        out: The folder to write or to go on with.
        modalities: Which; None for all.
        on: What runs the shards elsewhere; None encodes them here.

    Raises:
        InputError: If the run cannot be opened, was itself trained from embeddings, or `out` holds something else.
    """
    source = Source(str(run))
    module, data = source.open()
    if data.stored is not None:
        raise InputError(
            "the run was trained from embeddings and has no encoders of its own",
            path=run,
            remedy=f"Give the run or configuration that wrote {data.embeddings_path}",
        )
    return write(module, data, Path(out), modalities or data.modalities, on=on, source=source)


def embed_cell(config: Path, overrides: list[str], out: Path) -> None:
    """Train the encoders that an ablation's arms share, and write what they give.

    Args:
        config: The base configuration.
        overrides: Options in the style of the command line.
        out: A folder; gets `run` and `embeddings`.
    """
    run = fit(["--config", str(config), *overrides, "--out", str(out / "run")])
    embed_run(run, out / "embeddings")
    shutil.rmtree(run / "checkpoints", ignore_errors=True)


def embed_config(
    arguments: Sequence[str],
    out: str | Path,
    modalities: Sequence[str] | None = None,
    on: Mapper | None = None,
) -> Path:
    """Write what the frozen pretrained encoders of a configuration give.

    Args:
        arguments: Options as of `mhdiff fit`.
        out: The folder to write or to go on with.
        modalities: Which; None for all whose encoder is frozen.
        on: What runs the shards elsewhere; None encodes them here.

    Raises:
        InputError: If none is frozen, one that is named is not, or `out` holds something else.
    """
    source = Source(arguments=tuple(arguments))
    module, data = source.open()
    frozen = [name for name, encoder in module.net.encoders.items() if encoder.frozen]
    wrong = [name for name in modalities or [] if name not in frozen]
    if wrong or not frozen:
        raise InputError(
            f"the encoder of {', '.join(wrong or module.net.encoders)} is not trained yet and not pretrained and "
            "frozen: what it gives says nothing",
            remedy="Train it first and give the run: mhdiff embed RUN --out DIR",
        )
    return write(module, data, Path(out), modalities or frozen, on=on, source=source)


def write(
    module: Diagnosis,
    data: MultimodalData,
    out: Path,
    modalities: Sequence[str],
    shard: int = SHARD,
    *,
    on: Mapper | None = None,
    source: Source | None = None,
) -> Path:
    """Write shards, or those of them that are missing.

    Args:
        module: A built module, in evaluation mode.
        data: A data module that is set up.
        out: The folder.
        modalities: Which modalities.
        shard: Samples a shard.
        on: What runs the shards elsewhere; None encodes them here.
        source: Where module and data come from; needed with `on`.

    Returns:
        The folder.

    Raises:
        InputError: If a modality is unknown, or the folder holds embeddings that were made with something else.
    """
    strange = sorted(set(modalities) - set(data.modalities))
    if strange:
        raise InputError(
            f"--modalities names {', '.join(strange)}", remedy=f"There are {', '.join(data.modalities)}"
        )
    ids = data.samples.sort("sample_id")["sample_id"].to_list()
    facts = _facts(module, data, modalities) | {"samples": len(ids), "shards": -(-len(ids) // shard)}
    _claim(out, facts)
    if (read_facts(out) or {}).get("finished"):
        console.say(f"{out}: all {len(ids)} samples are embedded already")
        return out
    write_facts(out, facts | {"finished": False})
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module.to(device).eval()
    missing = [i for i in range(facts["shards"]) if not shard_path(out, i).is_file()]
    if kept := facts["shards"] - len(missing):
        console.say(f"{out}: going on after {kept} of {facts['shards']} shards")
    what = f"embedding {len(ids)} samples"
    if on is None:
        for number in console.progress(missing, what, total=len(missing)):
            rows = encode(module, data, ids[number * shard : (number + 1) * shard], modalities, device)
            write_shard(shard_path(out, number), rows)
    else:
        assert source is not None
        threads = torch.get_num_threads()
        tasks = [Shard(source, out, tuple(modalities), number, shard, threads) for number in missing]
        for _ in console.progress(on(embed_shard, tasks), what, total=len(tasks)):
            continue
    files = {path.name: sha256(path) for path in (shard_path(out, i) for i in range(facts["shards"]))}
    write_facts(out, facts | {"finished": True, "files": files})
    console.say(f"{out}: {len(ids)} samples; {', '.join(modalities)}")
    return out


def _facts(module: Diagnosis, data: MultimodalData, modalities: Sequence[str]) -> dict[str, Any]:
    """Say what the embeddings are made with, part by part, so that a change can be named."""
    assert data.fitted is not None
    made: dict[str, Any] = {}
    for name in modalities:
        encoder, reader = module.net.encoders[name], data.fitted.preprocessors[name]
        assert isinstance(encoder, Encoder)
        frozen = encoder.frozen
        made[name] = {
            "width": _width(encoder),
            "latent": not frozen,
            "fitted": not frozen or reader.fits,
            "encoder": _weights(encoder),
            "reading": hashlib.sha256(json.dumps(reader.state(), sort_keys=True).encode()).hexdigest(),
        }
    return {
        "format": FORMAT,
        **data.reads,
        "split": split_fingerprint(data.samples),
        "split_name": f"{data.split}, seed {data.split_seed}",
        "modalities": made,
    }


def _width(encoder: Encoder) -> int:
    """Give the width of what `features` gives: that of the last linear map's input where the rest is frozen."""
    if not encoder.frozen:
        return encoder.dim
    last = [part for part in encoder.modules() if isinstance(part, nn.Linear) and part.weight.requires_grad]
    return last[-1].in_features


def _weights(encoder: Encoder) -> str:
    """Give SHA-256 over the class, and the weights and buffers that the features depend on."""
    digest = hashlib.sha256(f"{type(encoder).__module__}.{type(encoder).__qualname__}".encode())
    learned = {name for name, p in encoder.named_parameters() if p.requires_grad}
    for name, tensor in sorted(encoder.state_dict().items()):
        if not (encoder.frozen and name in learned):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _claim(out: Path, facts: dict[str, Any]) -> None:
    """Refuse a folder that holds embeddings made with something else, or something else."""
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / MARKER).is_file()):
        raise InputError(
            "the folder is not empty and holds no embeddings", path=out, remedy="Choose another --out"
        )
    old = read_facts(out)
    if old is not None:
        changed = _changed(old, facts)
        if changed:
            raise InputError(
                f"the folder holds embeddings that were made with another {', '.join(changed)}",
                path=out,
                remedy="Choose another --out, or delete the folder",
            )
    out.mkdir(parents=True, exist_ok=True)


def _changed(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Name what differs: "cohort", "encoder of image" ..."""
    named = [
        TOLD.get(key, key)
        for key in new
        if key not in ("modalities", "split_name") and old.get(key) != new[key]
    ]
    before, after = old.get("modalities", {}), new["modalities"]
    if set(before) != set(after):
        return [*named, f"choice of modalities ({', '.join(before)})"]
    told = {"encoder": "encoder", "reading": "preprocessing"}
    return named + [
        f"{told.get(key, key)} of {name}"
        for name in after
        for key in after[name]
        if before[name].get(key) != after[name][key]
    ]
