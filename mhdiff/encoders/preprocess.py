"""What preprocessing has in common: fitted on the training fold only, and written down as a plain dict.

`fit -> transform -> state() -> restore(state)`; a state holds numbers, strings and lists, so that it fits
into a run folder or a checkpoint without a pickle.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib import import_module
from typing import Any, Self

from ontology.errors import InputError

State = dict[str, Any]

_HOME = {
    "ImageReader": "preprocess_image",
    "WordPieceText": "preprocess_text",
    "HubText": "preprocess_text",
    "LabTable": "preprocess_structured",
    "CodeTable": "preprocess_structured",
}


class Preprocessor(ABC):
    """Turns one modality of a cohort into tensors.

    `report` counts, by reason, what the last `fit` or `transform` could not use or had to change.
    """

    report: dict[str, Any]

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


def restore(state: State) -> Preprocessor:
    """Make a preprocessor from its state.

    Args:
        state: What `Preprocessor.state` gave.

    Returns:
        The fitted preprocessor.

    Raises:
        InputError: If the state is of no kind that we know.
    """
    kind = state.get("kind")
    if kind not in _HOME:
        raise InputError(f"there is no preprocessing called {kind!r}", remedy=f"Known are {', '.join(_HOME)}")
    found: type[Preprocessor] = getattr(import_module(f"mhdiff.encoders.{_HOME[kind]}"), kind)
    return found.from_state(state)
