"""Whether a graph's numbers were read by the table that training and predicting read by: another one is refused."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mhdiff.cohort.measurements.analytes import Analytes
from ontology.errors import InputError

_AGAIN = "mhdiff graph build --ontology ... --cohort ... --task ... --out ..."
_NOT_TOLD = (
    "the graph does not say by which table of analytes its numbers were read; to know it, build it again: "
)


def check_table(
    table: Analytes,
    codes: Iterable[str],
    meta: dict[str, Any],
    graph: Path | str,
    *,
    of_run: bool = False,
    exported: bool = False,
) -> list[str]:
    """Refuse a graph whose evidence was read by other units and limits than the inputs are.

    Args:
        table: The table in use.
        codes: The cohort's codes; rows of other codes are not compared.
        meta: What the graph was built from; one from before there was such a field says nothing of a table.
        graph: The graph's folder, for messages.
        of_run: Whether the table is the one that a run keeps.
        exported: Whether it is the one of an exported model, with which no graph can be built: that is told only.

    Returns:
        What the user should know, a sentence each.

    Raises:
        InputError: If the graph was built with another table.
    """
    held = (meta.get("analytes") or {}).get("sha256")
    if held is None:
        return [_NOT_TOLD + _AGAIN]
    here = table.digest_for(codes)
    if held == here:
        return []
    if exported:
        return [
            f"the exported model reads numbers by another table of analytes ({here[:12]}) than the graph "
            f"was built with ({held[:12]}): labs and their evidence may disagree"
        ]
    if of_run:
        raise InputError(
            f"the run reads numbers by another table of analytes ({here[:12]}) than the graph ({held[:12]})",
            path=graph,
            remedy="Put the graph back that the run was trained with, or train again",
        )
    raise InputError(
        f"the graph was built with another table of analytes ({held[:12]}) than the task has now ({here[:12]})",
        path=graph,
        remedy=f"Build it again: {_AGAIN}",
    )
