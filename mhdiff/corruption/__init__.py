"""What goes wrong with a patient's record, as named, seeded transforms that stand next to missing modalities.

A corruption acts on what is read, when a test sample is read; the cohort on disk is never touched. A new one is a
subclass of `EventCorruption` or `PixelCorruption` in a module of this package, and a line of `CORRUPTIONS`.
"""

from collections.abc import Sequence

from mhdiff.corruption.base import Corruption, EventCorruption, PixelCorruption, Record, Source
from mhdiff.corruption.codes import WrongCodes
from mhdiff.corruption.labs import MissingLabs, UnitError
from mhdiff.corruption.notes import ShuffledWords, TruncatedNote, WrongNote
from mhdiff.corruption.pixels import Blur, Noise, Occlusion
from ontology.errors import InputError

#: Every corruption by its name.
CORRUPTIONS: dict[str, type[Corruption]] = {
    kind.name: kind
    for kind in (
        *(Noise, Blur, Occlusion, WrongNote, ShuffledWords, TruncatedNote),
        *(UnitError, MissingLabs, WrongCodes),
    )
}


def corruption(text: str, seed: int = 0) -> Corruption:
    """Make a corruption from its name.

    Args:
        text: "noise", or "noise:5" with a severity from 0 to 5; 3 where it is not said.
        seed: Seed of what is drawn.

    Raises:
        InputError: If there is no such corruption or severity.
    """
    name, colon, severity = text.partition(":")
    if name not in CORRUPTIONS:
        raise InputError(
            f"there is no corruption '{name}'", remedy=f"Known are {', '.join(CORRUPTIONS)}, or all"
        )
    if colon and severity not in ("0", "1", "2", "3", "4", "5"):
        raise InputError(f"'{text}' has no severity", remedy=f"Write {name}:1 to {name}:5")
    return CORRUPTIONS[name](int(severity) if colon else 3, seed)


def corruptions(texts: Sequence[str], seed: int = 0) -> list[Corruption]:
    """Make several, each once; "all" or "all:5" stands for every one.

    Args:
        texts: Names as for `corruption`.
        seed: Seed of what is drawn.
    """
    named: list[str] = []
    for text in texts:
        name, colon, severity = text.partition(":")
        named += [f"{one}{colon}{severity}" for one in CORRUPTIONS] if name == "all" else [text]
    made = [corruption(name, seed) for name in named]
    return list({str(one): one for one in made}.values())


__all__ = [
    "CORRUPTIONS",
    "Corruption",
    "EventCorruption",
    "PixelCorruption",
    "Record",
    "Source",
    "corruption",
    "corruptions",
]
