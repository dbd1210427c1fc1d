"""A cell is one training: an arm, a fold of a repetition, and a seed. Its key is a hash of all that it depends on.

``key = sha256(base configuration's text, overrides in order, patterns, fingerprints of the data they name, code)``,
so that a cell is trained once, is found again after a kill, and is trained anew when anything that matters
has changed. Only where images are kept (`data.image_cache`) is left out: what is read is the same. Two arms whose
overrides are the same share their cells. The patterns that are offered belong to it, since
how a cell diagnoses is settled for them: asking for more patterns trains anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from mhdiff.ablate.beside import decisive_options, decisive_text
from mhdiff.ablate.code import code_fingerprint, own_code
from mhdiff.ablate.config import Ablation
from mhdiff.ablate.repeats import dealing, first_split_seed
from mhdiff.config import find
from ontology.errors import InputError

_BULKY = ("images",)  # files below these are known by name and size; reading them all would take minutes
# A folder is data if it holds one of these: a cohort, an ontology, a graph, a pretrained model, embeddings. Others are
# where runs are written, and change by themselves.
_MARKERS = ("metadata/dataset.json", "ontology.json", "graph.json", "config.json", "embeddings.json")


@dataclass(frozen=True)
class Cell:
    """One training.

    Args:
        arm: Name of the arm.
        fold: Index of the held-out fold; None where the base configuration's own split is kept.
        seed: Seed of the training.
        overrides: Everything that is put on top of the base configuration, in order.
        key: What identifies the cell on disk.
        encoders: The key of the encoders whose outputs it is trained from; None: it trains its own.
        repeat: Index of the repetition that dealt the fold; None where folds are dealt once.
    """

    arm: str
    fold: int | None
    seed: int
    overrides: tuple[str, ...]
    key: str
    encoders: str | None = None
    repeat: int | None = None

    @property
    def place(self) -> str:
        """Repetition and fold, if there are any, counted from 1 as people do, and seed."""
        repeat = "" if self.repeat is None else f"repetition {self.repeat + 1} "
        return f"{repeat}{'' if self.fold is None else f'fold {self.fold + 1} '}seed {self.seed}"


#: The name that the training of shared encoders has where cells have an arm's.
ENCODERS = "encoders"


@dataclass(frozen=True)
class Plan:
    """What an ablation comes to.

    Attributes:
        cells: The trainings of its arms, in order.
        encoders: Those of the encoders that they share, by key.
        data: By path the fingerprint of each file or folder that the configuration names.
    """

    cells: list[Cell]
    encoders: dict[str, Cell]
    data: dict[str, str]


class CellMaker:
    """Makes cells of one base configuration, and knows the data that they name.

    Args:
        base: The base configuration.

    Raises:
        InputError: If it is not readable.
    """

    def __init__(self, base: Path) -> None:
        self.base, self.deciding, self.code = base, decisive_text(_read(base)), code_fingerprint()
        self.data: dict[str, str] = {}

    def cell(
        self,
        arm: str,
        fold: int | None,
        seed: int,
        options: Sequence[str],
        patterns: tuple[str, ...] = (),
        encoders: str | None = None,
        repeat: int | None = None,
    ) -> Cell:
        """Make a cell.

        Args:
            arm: Name of its arm.
            fold: Index of its fold, if it has one.
            seed: Seed of the training, put after the options.
            options: Its overrides, `--key=value`.
            patterns: Patterns of modalities that are offered beside the fullest.
            encoders: Key of the encoders that it shares.
            repeat: Index of the repetition that dealt its fold, if there are any.
        """
        overrides = (*options, f"--seed_everything={seed}")
        deciding = tuple(decisive_options(overrides))
        named = data_fingerprints(self.deciding, deciding, self.base, self.data)
        self.data |= named
        decides = {
            "base": self.deciding,
            "overrides": deciding,
            "patterns": patterns,
            "data": sorted(named.values()),
            "code": self.code,
        }
        shared = {} if encoders is None else {"encoders": encoders}
        return Cell(arm, fold, seed, overrides, _hash(decides | shared), encoders, repeat)


def plan(ablation: Ablation) -> Plan:
    """List the cells of an ablation, and the fingerprints of the data that they name.

    Args:
        ablation: The ablation.

    Raises:
        InputError: If the base configuration is not readable.
    """
    maker = CellMaker(ablation.base)
    folds: list[int | None] = [None] if ablation.folds is None else [*range(ablation.folds)]
    made = Plan([], {}, maker.data)
    first = 0
    if ablation.repeats > 1:
        first = first_split_seed(_document(maker.deciding, maker.base), ablation.common, maker.base)

    def cell(
        arm: str,
        repeat: int | None,
        fold: int | None,
        seed: int,
        own: tuple[str, ...],
        patterns: tuple[str, ...],
        of: str | None,
    ) -> Cell:
        written = [*ablation.common, *own]
        if fold is not None:
            written += [f"--data.split=fold:{fold}/{ablation.folds}", *dealing(repeat, first)]
        values = {"seed": str(seed), "fold": str(fold), "folds": str(ablation.folds)}
        return maker.cell(
            arm, fold, seed, [_fill(option, values) for option in written], patterns, of, repeat
        )

    # Repetitions and seeds outermost: an ablation that is stopped early has whole sets of folds of the first ones.
    for repeat, seed in product(ablation.repetitions, ablation.all_seeds):
        for fold in folds:
            of = None
            if ablation.encoders is not None:
                own_seed = ablation.encoders.seed_for(seed, ablation.all_seeds)
                encoders = cell(ENCODERS, repeat, fold, own_seed, ablation.encoders.overrides, (), None)
                made.encoders[encoders.key], of = encoders, encoders.key
            made.cells.extend(
                cell(arm, repeat, fold, seed, own, ablation.offered, of)
                for arm, own in ablation.arms.items()
                if seed in ablation.seeds_of(arm)
            )
    return made


def data_fingerprints(
    text: str, overrides: tuple[str, ...], path: Path, known: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Fingerprint every existing file or folder of data, and a user's own code, that a configuration or override names.

    A value that a later override replaces is read by nobody, and does not count.

    Args:
        text: The configuration, YAML.
        overrides: Options `--key=value`.
        path: Where the configuration came from, for the message.
        known: Fingerprints that were taken a moment ago and need not be taken again.

    Raises:
        InputError: If a text is no YAML, or a configuration on top of it does not exist.
    """
    known = known or {}
    pairs = [(key, value) for key, _, value in (option.partition("=") for option in overrides)]
    files = {value: find(value) for key, value in pairs if key == "--config"}
    texts = [(_document(text, path), 0)]  # each with the place of the first override that is put on top of it
    texts += [
        (_document(_read(files[value]), files[value]), place)
        for place, (key, value) in enumerate(pairs)
        if key == "--config"
    ]
    settled = {_key(key): value for key, value in pairs if key != "--config" and not key.endswith("+")}
    named = {*settled.values(), *(value for key, value in pairs if key.endswith("+"))}
    for document, place in texts:
        named |= {*_strings(document, {_key(key) for key, _ in pairs[place:]})}
    found = {name: where for name in sorted(named) if (where := _data_path(name)) is not None} | files
    own = {name: mark for name in sorted(named - found.keys()) if (mark := known.get(name) or own_code(name))}
    return {name: known.get(name) or _of_path(where) for name, where in sorted(found.items())} | own


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("the configuration cannot be read", path=path) from error


def _fill(option: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        option = option.replace("{" + name + "}", value)
    return option


def _document(text: str, path: Path) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise InputError(
            "this is no readable YAML", path=path, row=None if mark is None else mark.line + 1
        ) from error


def _key(option: str) -> str:
    """Give the dotted key that an option sets; a class's arguments may be written with or without `init_args`."""
    return option.removeprefix("--").replace(".init_args.", ".")


def _strings(value: Any, without: Container[str], key: str = "") -> Iterator[str]:
    """Give the strings in a document, without the values of some dotted keys.

    A mapping stays though its key is set: a class that is put in another's place keeps the arguments that fit.
    """
    if isinstance(value, dict):
        for name, entry in value.items():
            yield from _strings(entry, without, key if name == "init_args" else f"{key}.{name}".lstrip("."))
    elif key in without:
        return
    elif isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for entry in value:
            yield from _strings(entry, without, key)


def _data_path(name: str) -> Path | None:
    """Give the file or folder of data that a value of a configuration names, if it names one."""
    if not name or len(name) > 1000 or "\n" in name:
        return None
    try:
        path = Path(name)
        if path.is_file() or any((path / marker).is_file() for marker in _MARKERS):
            return path
        return find(f"tasks/{name}.yaml") if name.isidentifier() else None  # a shipped task, by name
    except (OSError, ValueError, InputError):
        return None  # no path that this system can have, or no task


def _of_path(path: Path) -> str:
    if path.is_file():
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        inside = file.relative_to(path)
        digest.update(f"{inside.as_posix()} {file.stat().st_size}".encode())
        if inside.parts[0] not in _BULKY:
            with file.open("rb") as handle:
                digest.update(hashlib.file_digest(handle, "sha256").digest())
    return digest.hexdigest()


def _hash(document: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]
