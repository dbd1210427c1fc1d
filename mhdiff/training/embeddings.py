"""What encoders gave, written once: shards of safetensors, and which training fold may use them.

embeddings.json            what they were made with, by part; `finished` when the last shard is there
shard-00000.safetensors    sample_id [n], present/<modality> [n], embedding/<modality> [n, width], float32

safetensors rather than Parquet: a shard is the tensors themselves, to the bit, and is mapped instead of parsed; there
is no column to name and no row to search, since a shard's rows are the samples in order.

An encoder that was trained, or a reader that was fitted, has seen its training fold, and its best epoch was chosen on
its tuning fold. What it says of those patients is too good to be tested on, so such embeddings may be used with that
very split and no other. A frozen pretrained network has seen none of the patients and may be used with any.

What was read is named by digests too: two tasks of one name may blind other concepts, and what names the label in an
embedding cannot be blinded later.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from jaxtyping import Bool, Shaped
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from mhdiff.cohort.task import Task
from ontology.errors import InputError
from ontology.files import atomic_write, sha256

MARKER = "embeddings.json"
FORMAT = 2
_REMEDY = "Write them again into another folder: mhdiff embed RUN --out DIR"
#: What `reads` names, in words.
TOLD = {
    "task_content": "content of the task (classes, prefixes, window or what is blinded)",
    "label_codes": "set of codes that define the label, which the graph holds",
}
_NEEDED = ("finished", "cohort", "task", *TOLD, "split", "split_name", "modalities", "shards")


def reads(cohort: str, task: Task, label_codes: Iterable[str]) -> dict[str, str]:
    """Name what the encoders are shown: embeddings serve only where all of it is the same.

    Args:
        cohort: Fingerprint of the cohort.
        task: The task.
        label_codes: Codes that define the label, of which no event is shown.

    Returns:
        `cohort`, `task`, its name, and SHA-256 of its content and of the codes.
    """
    return {
        "cohort": cohort,
        "task": task.name,
        "task_content": _digest(task_content(task)),
        "label_codes": _digest(sorted(label_codes)),
    }


def task_content(task: Task) -> dict[str, Any]:
    """Give what of a task decides what is read, as plain data.

    Args:
        task: The task.
    """
    content: dict[str, Any] = _plain(task)
    for name in ("description", "deidentify", "path"):
        del content[name]
    content["analytes"] = task.measures.digest
    if task.deidentify is not None:
        content["deidentify"] = task.deidentify.describe()
    return content


def _plain(value: Any) -> Any:
    """Give a task as plain data; what tasks came to have later is left out where it is not said.

    So embeddings of older tasks stay theirs.
    """
    if is_dataclass(value):
        said = [f for f in fields(value) if getattr(value, f.name) or not f.metadata.get("later")]
        return {f.name: _plain(getattr(value, f.name)) for f in said}
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()


def split_fingerprint(samples: pl.DataFrame) -> str:
    """Give SHA-256 of which sample is in which split.

    Args:
        samples: sample_id and split.
    """
    rows = samples.sort("sample_id").select("sample_id", "split").rows()
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def shard_path(folder: Path, number: int) -> Path:
    """Give the file of a shard.

    Args:
        folder: The embeddings' folder.
        number: Which shard, from 0.
    """
    return folder / f"shard-{number:05d}.safetensors"


def write_shard(path: Path, tensors: dict[str, Shaped[Tensor, n * width]]) -> None:
    """Write a shard whole or not at all.

    Args:
        path: Its file.
        tensors: Its content.
    """
    fresh = path.with_suffix(".new")
    save_file(tensors, fresh)
    fresh.replace(path)


def write_facts(folder: Path, facts: dict[str, Any]) -> None:
    """Write embeddings.json whole or not at all.

    Args:
        folder: The embeddings' folder.
        facts: Its content.
    """
    atomic_write(folder / MARKER, json.dumps(facts, indent=1))


def read_facts(folder: Path) -> dict[str, Any] | None:
    """Read embeddings.json; None where there is none.

    Args:
        folder: The embeddings' folder.

    Raises:
        InputError: If it is not JSON, or not what this version writes.
    """
    path = folder / MARKER
    if not path.is_file():
        return None
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError("the file is not JSON", path=path, remedy=_REMEDY) from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT or any(k not in facts for k in _NEEDED):
        raise InputError(
            f"the file is no description of embeddings of format {FORMAT}", path=path, remedy=_REMEDY
        )
    return facts


@dataclass(frozen=True, eq=False)
class Embeddings:
    """A folder of embeddings, opened.

    Attributes:
        path: The folder.
        facts: What embeddings.json says.
        sample_ids: The samples, ascending.
        tensors: `present/<modality>` and `embedding/<modality>`, one row a sample.
    """

    path: Path
    facts: dict[str, Any]
    sample_ids: np.ndarray[Any, np.dtype[np.int64]]
    tensors: dict[str, Tensor]

    @classmethod
    def open(cls, path: str | Path) -> Embeddings:
        """Open a folder.

        Args:
            path: The folder.

        Raises:
            InputError: If it holds no embeddings, unfinished ones, or a shard that cannot be read or was changed.
        """
        folder = Path(path)
        facts = read_facts(folder)
        if facts is None:
            raise InputError(
                "data.embeddings is no folder that mhdiff embed wrote", path=folder, remedy=_REMEDY
            )
        if not facts.get("finished"):
            raise InputError(
                "the embeddings are not finished", path=folder, remedy="Start the same mhdiff embed again"
            )
        try:
            shards = [load_file(shard_path(folder, i)) for i in range(facts["shards"])]
        except (OSError, SafetensorError) as error:
            raise InputError("a shard is missing or cut short", path=folder, remedy=_REMEDY) from error
        for number in range(facts["shards"]):
            file = shard_path(folder, number)
            if sha256(file) != facts.get("files", {}).get(file.name):
                raise InputError("a shard was changed after it was written", path=file, remedy=_REMEDY)
        joined = {name: torch.cat([shard[name] for shard in shards]) for name in shards[0]}
        ids = joined.pop("sample_id").numpy()
        return cls(folder, facts, ids, joined)

    @property
    def modalities(self) -> list[str]:
        """Names of the modalities that are stored."""
        return list(self.facts["modalities"])

    def width(self, modality: str) -> int:
        """Give the width of what is stored.

        Args:
            modality: Which modality.
        """
        return int(self.facts["modalities"][modality]["width"])

    def is_latent(self, modality: str) -> bool:
        """Say whether z_m itself is stored.

        Args:
            modality: Which modality.
        """
        return bool(self.facts["modalities"][modality]["latent"])

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what they were made with (weights, reading, cohort, task, split) and of the shards' bytes."""
        made = {key: value for key, value in self.facts.items() if key != "finished"}
        return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()

    def check(self, here: Mapping[str, str], modalities: Sequence[str], samples: pl.DataFrame) -> None:
        """Refuse to train from them what they were not made for.

        Args:
            here: What `reads` gives of cohort and task in use.
            modalities: The modalities in use.
            samples: The samples in use, with their split.

        Raises:
            InputError: If cohort, task or what the task blinds differ, no modality or not every sample is stored, or
                encoders that were fitted were fitted on another split.
        """
        for what in ("cohort", "task", *TOLD):
            if self.facts[what] != here[what]:
                raise InputError(
                    f"the embeddings were made from another {TOLD.get(what, what)} ({self.facts[what][:12]}) than the "
                    f"one given ({here[what][:12]})",
                    path=self.path,
                    remedy=_REMEDY,
                )
        used = [m for m in modalities if m in self.modalities]
        if not used:
            raise InputError(
                f"the embeddings hold {', '.join(self.modalities)}, none of the modalities in use",
                path=self.path,
                remedy="Leave data.embeddings out, or choose other data.modalities",
            )
        bound = [m for m in used if self.facts["modalities"][m]["fitted"]]
        if bound and self.facts["split"] != split_fingerprint(samples):
            raise InputError(
                f"the encoders of {', '.join(bound)} were fitted on the training fold of another split "
                f"({self.facts['split_name']}): patients that they have learned by heart would be tested on",
                path=self.path,
                remedy="Take the data.split and data.split_seed of that run, or embed with a run of this split",
            )
        lost = np.setdiff1d(samples["sample_id"].to_numpy(), self.sample_ids)
        if lost.size:
            raise InputError(
                f"{lost.size} samples are not among the embeddings, such as {lost[0]}",
                path=self.path,
                remedy=_REMEDY,
            )

    def rows(
        self, modality: str, sample_ids: Sequence[int]
    ) -> tuple[dict[str, Tensor], Bool[Tensor, " samples"]]:
        """Give what is stored of some samples, and which of them have the modality.

        Args:
            modality: Which modality.
            sample_ids: Samples that are stored, in the order wanted.
        """
        place = torch.from_numpy(np.searchsorted(self.sample_ids, np.asarray(sample_ids, dtype=np.int64)))
        return {"embedding": self.tensors[f"embedding/{modality}"][place]}, self.tensors[
            f"present/{modality}"
        ][place]
