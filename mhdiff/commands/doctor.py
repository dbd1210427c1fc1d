"""`mhdiff doctor`: what is installed, where, and what is missing."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import shutil
from pathlib import Path
from typing import Any

from mhdiff import console
from mhdiff.commands import Verb
from mhdiff.config import find

MODEL = (
    "torch", "torch-geometric", "pytorch-lightning", "transformers", "monai", "captum", "jsonargparse", "scikit-learn",
)  # fmt: skip
OPTIONAL = ("meds", "fastobo", "py-horned-owl", "pyoxigraph", "curies", "isal")
PACKAGES = ("mh-diff", *MODEL, "polars", "scipy", "networkx", "rdflib", "owlready2", *OPTIONAL)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _device() -> dict[str, Any]:
    try:
        import torch
    except ModuleNotFoundError:
        return {"torch": None}
    return {
        "cuda": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "bf16": torch.cuda.is_available() and torch.cuda.is_bf16_supported(),
        "threads": torch.get_num_threads(),
    }


def examine() -> dict[str, Any]:
    """Collect versions, device, paths and problems."""
    import ontology

    missing = [p for p in PACKAGES if p not in OPTIONAL and _version(p) is None]
    problems = [f"{p} is not installed" for p in missing]
    if set(missing) & set(MODEL):
        problems.append(
            "without the packages of a model only `mhdiff ontology` works: pip install 'mh-diff[model]'"
        )
    home = Path(__file__).resolve().parents[1]
    if Path(ontology.__file__).resolve().parent.parent != home.parent:
        problems.append(
            f"the package 'ontology' comes from {ontology.__file__}, not from MH-Diff: "
            "another distribution of that name shadows it; uninstall it"
        )
    if importlib.util.find_spec("torchvision") is not None:
        problems.append("torchvision is installed; MH-Diff does not need it, and it may replace torch")
    if _version("pytorch-lightning") in ("2.6.2", "2.6.3"):
        problems.append("pytorch-lightning 2.6.2 and 2.6.3 were compromised: install another release")
    shared = Path(os.environ.get("MHDIFF_SHARED", "../shared"))
    return {
        "versions": {"python": platform.python_version(), **{p: _version(p) for p in PACKAGES}},
        "device": {**_device(), "cores": os.cpu_count()},
        "paths": {
            "mhdiff": str(home),
            "configs": str(find("demo").parent),
            "real data (MHDIFF_SHARED)": str(shared) if shared.is_dir() else None,
            "free disk GiB": round(shutil.disk_usage(".").free / 2**30, 1),
        },
        "problems": problems,
    }


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _run(arguments: argparse.Namespace) -> None:
    found = examine()
    if arguments.json:
        console.out_json(found)
        return
    for part in ("versions", "device", "paths"):
        console.out(part)
        for name, value in found[part].items():
            console.out(f"  {name:26} {'-' if value is None else value}")
    console.out("problems")
    for problem in found["problems"] or ["none"]:
        console.out(f"  {problem}")


VERB = Verb("versions, device and paths, and what is missing", _configure, _run)
