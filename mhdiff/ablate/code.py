"""The code that predictions depend on, as one hash: sources, tables beside them, and versions of libraries.

What no prediction depends on (commands, reports, statistics) is left out, so that a better table trains nothing anew.
`tests/mhdiff/ablate/test_code_fingerprint.py` follows the imports of a training, and refuses a module that it reads and
that is left out here.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sysconfig
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

from mhdiff import __version__
from mhdiff.config import find

_HOME = Path(__file__).resolve().parents[2]
_OURS = ("ontology", "graph_builders", "mhdiff")
_STANDARD = sysconfig.get_path("stdlib")
_SUFFIXES = (".py", ".tsv", ".txt")
#: Packages of mhdiff that no prediction depends on...
_HARMLESS = ("ablate", "audit", "commands", "evaluate", "explain", "picture", "report", "tune")
#: ...and the modules in them on which predictions depend all the same: what is predicted, and how it is stored.
_READ = frozenset(
    f"mhdiff/evaluate/{name}.py" for name in ("__init__", "ceiling", "patterns", "predictions", "stored")
)
#: What computes, reads files or draws random numbers, by the names of the distributions.
LIBRARIES = (
    "torch", "torch-geometric", "transformers", "tokenizers", "monai", "pytorch-lightning", "scikit-learn", "scipy",
    "numpy", "polars", "pillow", "pydicom", "nibabel", "pint", "ucumvert", "lark", "presidio-analyzer", "spacy",
)  # fmt: skip


@cache
def code_fingerprint() -> str:
    """Hash the source of all that a prediction depends on, and the versions of what it is computed with."""
    digest = hashlib.sha256(__version__.encode())
    for file in sources():
        digest.update(file.relative_to(_HOME).as_posix().encode() + file.read_bytes())
    digest.update(find("analytes.yaml").read_bytes())  # every window reads its units and limits
    for library in LIBRARIES:
        try:
            digest.update(f"{library} {metadata.version(library)}".encode())
        except metadata.PackageNotFoundError:
            digest.update(f"{library} absent".encode())
    return digest.hexdigest()


def own_code(name: str) -> str | None:
    """Hash the package or module of a user's own part, such as `mine.layers.Fusion`, which a configuration names.

    Args:
        name: A value of a configuration.

    Returns:
        A hash of all that is in it; None for any other value, for parts of this project, which `code_fingerprint`
        knows, and for libraries that are installed.
    """
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)+", name):
        return None
    top = name.partition(".")[0]
    try:
        spec = None if top in _OURS else importlib.util.find_spec(top)  # imports nothing
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None or not (file := Path(spec.origin)).is_file():
        return None
    if file.is_relative_to(_STANDARD) or not {"site-packages", "dist-packages"}.isdisjoint(file.parts):
        return None
    digest = hashlib.sha256()
    within = sorted(file.parent.rglob("*.py")) if spec.submodule_search_locations else [file]
    for source in within:
        digest.update(source.relative_to(file.parent).as_posix().encode() + source.read_bytes())
    return digest.hexdigest()


def sources() -> Iterator[Path]:
    """Give the files of code, and the tables beside them, that a prediction may depend on, in order."""
    for package in _OURS:
        for file in sorted((_HOME / package).rglob("*")):
            inside = file.relative_to(_HOME)
            harmless = package == "mhdiff" and inside.parts[1] in _HARMLESS
            if file.suffix in _SUFFIXES and (not harmless or inside.as_posix() in _READ):
                yield file
