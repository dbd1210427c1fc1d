"""The kinds of sources that `mhdiff cohort import` reads: add an adapter by adding a line to `KINDS`."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Final, cast

from mhdiff.cohort.import_report import ImportReport
from ontology.errors import InputError

Adapter = Callable[[Path, Path], ImportReport]
KINDS: Final = {"covid-chestxray": "mhdiff.cohort.covid_chestxray:import_covid_chestxray"}


def adapter(kind: str) -> Adapter:
    """Give the function that imports a kind of source: (source, out) -> ImportReport.

    Args:
        kind: A key of `KINDS`.

    Raises:
        InputError: If there is no such kind.
    """
    if kind not in KINDS:
        raise InputError(f"there is no cohort adapter '{kind}'", remedy=f"Kinds: {', '.join(KINDS)}")
    module, name = KINDS[kind].split(":")
    return cast(Adapter, getattr(import_module(module), name))
