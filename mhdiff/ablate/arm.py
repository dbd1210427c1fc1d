"""One arm of an ablation as runs that can be evaluated: the stored cells of one of its seeds, a cell a fold.

Where folds are dealt several times, those of the first dealing: a patient is held out once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mhdiff.ablate.store import PREDICTIONS, record_of
from mhdiff.report.documents import needed
from ontology.errors import InputError


@dataclass(frozen=True)
class Arm:
    """The cells of one seed of an arm.

    Args:
        name: The arm.
        seed: The seed.
        cells: Their folders, in the order of the folds.
        places: What to call them, such as "fold 1 seed 3".
    """

    name: str
    seed: int
    cells: tuple[Path, ...]
    places: tuple[str, ...]


def stored_arm(folder: Path, name: str, seed: int | None = None) -> Arm:
    """Find the cells of an arm.

    Args:
        folder: The ablation's folder.
        name: The arm.
        seed: One of its seeds; the first if not given.

    Raises:
        InputError: If the folder is no finished ablation, has no such arm or seed, or a cell of them failed or is gone.
    """
    file, again = (
        folder / "ablation.json",
        "Run the ablation again: mhdiff ablate -c CONFIG --out " + str(folder),
    )
    if not file.is_file():
        raise InputError(
            "the folder is that of no finished ablation: there is no ablation.json",
            path=folder,
            remedy="Give the folder of mhdiff ablate; of a run, leave --arm out",
        )
    document = needed(file, again)
    arms: dict[str, Any] = document.get("arms") or {}
    if name not in arms:
        raise InputError(f"no arm is called '{name}'", path=file, remedy=f"Arms: {', '.join(arms)}")
    seeds = list(arms[name].get("seeds") or document.get("seeds") or [])
    wanted = seeds[0] if seed is None and seeds else seed
    own = [cell for cell in document.get("cells") or [] if cell["arm"] == name and cell["seed"] == wanted]
    own = [cell for cell in own if cell.get("repeat") == own[0].get("repeat")]
    if not own:
        told = ", ".join(map(str, seeds))
        raise InputError(
            f"arm '{name}' has no seed {wanted}", path=file, remedy=f"--arm-seed, its seeds: {told}"
        )
    failed = [cell for cell in own if cell["status"] == "failed"]
    if failed:
        raise InputError(
            f"arm '{name}' has no figures: {len(failed)} of {len(own)} trainings of seed {wanted} failed "
            f"({', '.join(map(_place, failed))}): {failed[0]['message']}",
            path=file,
            remedy=f"{again}; it trains what failed. Or another --arm-seed",
        )
    places = [folder / "cells" / cell["key"] for cell in own]
    gone = [place.name for place in places if not (place / PREDICTIONS).is_file() or record_of(place) is None]
    if gone:
        raise InputError(
            f"{len(gone)} of {len(own)} cells of arm '{name}' are not there, such as {gone[0]}",
            path=folder / "cells",
            remedy=f"{again}; it trains what is missing",
        )
    return Arm(name, int(own[0]["seed"]), tuple(places), tuple(_place(cell) for cell in own))


def _place(cell: dict[str, Any]) -> str:
    return f"seed {cell['seed']}" if cell["fold"] is None else f"fold {cell['fold'] + 1} seed {cell['seed']}"
