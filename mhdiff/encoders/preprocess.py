"""What preprocessing has in common: fitted on the training fold only, and written down as a plain dict.

`learn -> tensors -> state() -> restore(state)`; a state holds numbers, strings and lists, so that it fits
into a run folder or a checkpoint without a pickle.

There are two kinds. An `EventReader` makes tensors of events (values, codes, words) once, when a split is read. A
`FileReader` reads the files that events name, when a batch is made. A modality of one's own needs a subclass of
either, named in `data.readers`; nothing here has to know it.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import polars as pl
import torch
from jaxtyping import Bool
from torch import Tensor

from ontology.errors import InputError

if TYPE_CHECKING:
    from ontology import Ontology

State = dict[str, Any]
#: Before any reader was imported: a source that is newer may not be what runs here.
LOADED = time.time()

_HOME = {
    "ImageReader": "preprocess_image",
    "VolumeReader": "preprocess_volume",
    "WordPieceText": "preprocess_text",
    "HubText": "preprocess_text",
    "LabTable": "preprocess_structured",
    "CodeTable": "preprocess_codes",
}


class Preprocessor(ABC):
    """Turns one modality of a cohort into tensors.

    `report` counts, by reason, what the last reading could not use or had to change.

    Attributes:
        fits: Whether `learn` takes anything from the training fold, so that what is read belongs to that fold.
    """

    report: dict[str, Any]
    fits: ClassVar[bool] = True

    @property
    @abstractmethod
    def spec(self) -> Any:
        """What the modality's encoder is built from: any object that it understands."""

    def learn(self, events: pl.DataFrame, sample_ids: Sequence[int]) -> None:
        """Fit to the training fold; nothing, unless a subclass has something to learn.

        Args:
            events: The modality's events of the training fold.
            sample_ids: Its samples.
        """
        return None

    def use(self, ontology: Callable[[], Ontology] | None) -> None:
        """Take the ontology, before anything is learned or read; nothing, unless a subclass asks it.

        Args:
            ontology: Opens it; None where the data name none.
        """
        return None

    @abstractmethod
    def state(self) -> State:
        """Give everything that `from_state` needs, as a plain dict with the class's name under `kind`."""

    @classmethod
    @abstractmethod
    def from_state(cls, state: State) -> Self:
        """Make the preprocessor again.

        Args:
            state: What `state` gave.
        """


class EventReader(Preprocessor):
    """Makes tensors of a modality's events."""

    @abstractmethod
    def tensors(self, events: pl.DataFrame, sample_ids: Sequence[int]) -> dict[str, Tensor]:
        """Give one row a sample, of each tensor that the encoder reads; zeros for a sample without an event.

        Args:
            events: The modality's events, in the columns of `mhdiff.cohort.window`.
            sample_ids: The samples, in the order of the rows.
        """

    def present(self, events: pl.DataFrame, sample_ids: Sequence[int]) -> Bool[Tensor, " samples"]:
        """Say which samples have the modality: those with an event, unless a subclass asks for more.

        Args:
            events: As for `tensors`.
            sample_ids: The samples, in order.
        """
        known = set(events["sample_id"].to_list())
        return torch.tensor([sample in known for sample in sample_ids], dtype=torch.bool)


class FileReader(Preprocessor):
    """Reads the file that a sample's latest event names in its `text_value`, relative to the cohort's folder.

    Attributes:
        relies_on: Says that a row depends on nothing but the content and ending of its file, `state()`, the code of the
            class, and these: modules, and libraries by the name under which they are installed. `data.image_cache` then
            keeps rows. None, as it is for a subclass that says nothing itself: they are read anew each time.
    """

    fits: ClassVar[bool] = False
    relies_on: ClassVar[tuple[str, ...] | None] = None

    @abstractmethod
    def transform(self, paths: Sequence[Path | None]) -> dict[str, Tensor]:
        """Read one file a sample, as tensors of one row each.

        Args:
            paths: The files; None where a sample has none, which gives zeros.

        Raises:
            InputError: If a file cannot be read.
        """

    def stands_alone(self, path: Path) -> bool:
        """Say whether all that a row depends on is in this one file, as it is unless a subclass knows of others.

        Args:
            path: The file.
        """
        return True

    def recount(self, report: Mapping[str, int]) -> None:
        """Take into `report` what was counted when rows were read that were kept since.

        Args:
            report: How often, by reason.
        """
        for reason, times in report.items():
            self.report[reason] = self.report.get(reason, 0) + times


def restore(state: State, known: Preprocessor | None = None) -> Preprocessor:
    """Make a preprocessor from its state.

    Args:
        state: What `Preprocessor.state` gave.
        known: A reader, perhaps of the user's own: its class is taken where the state names it.

    Returns:
        The fitted preprocessor.

    Raises:
        InputError: If the state is of no kind that we know.
    """
    kind = str(state.get("kind"))
    own = type(known) if known is not None and kind == type(known).__name__ else None
    found = own or reader_class(kind)
    if found is None:
        raise InputError(
            f"there is no preprocessing called {kind!r}",
            remedy=f"Known are {', '.join(_HOME)}, and what data.readers names",
        )
    return found.from_state(state)


def reader_class(kind: str) -> type[Preprocessor] | None:
    """Give a class of ours by the name that states have under `kind`; None for one of somebody's own.

    Args:
        kind: The name.
    """
    if kind not in _HOME:
        return None
    found: type[Preprocessor] = getattr(import_module(f"mhdiff.encoders.{_HOME[kind]}"), kind)
    return found
