"""Where the shipped YAML files and shapes are: `configs/` in a checkout, `mhdiff/configs/` in an installed package."""

from __future__ import annotations

from pathlib import Path

from ontology.errors import InputError

_HERE = Path(__file__).resolve().parent
_SUFFIXES = (".yaml", ".ttl")
_ROOTS = (_HERE / "configs", _HERE.parent / "configs")


def find(name: str | Path) -> Path:
    """Find a configuration file by path or by its name below `configs/`.

    Args:
        name: A path to a file, or a name such as `tasks/pneumonia.yaml` or `demo`.

    Raises:
        InputError: If there is no such file; the message lists what there is.
    """
    given = Path(name)
    if given.is_file():
        return given
    parts = given.parts[1:] if given.parts and given.parts[0] == "configs" else given.parts
    for root in _ROOTS:
        for candidate in (root.joinpath(*parts), *(root.joinpath(*parts).with_suffix(s) for s in _SUFFIXES)):
            if candidate.is_file():
                return candidate
    known = sorted(
        {str(p.relative_to(r)) for r in _ROOTS if r.is_dir() for p in r.rglob("*") if p.suffix in _SUFFIXES}
    )
    raise InputError(
        "there is no such configuration file",
        path=given,
        remedy=f"Shipped ones: {', '.join(known) or 'none'}",
    )
