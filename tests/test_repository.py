"""What holds for the whole repository."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mhdiff.cli import GROUPS, VERBS, main

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("ontology", "graph_builders", "mhdiff")


def test_the_package_ontology_is_ours():
    import ontology

    assert Path(ontology.__file__).resolve().parent == ROOT / "ontology"


def test_ontology_imports_no_torch_and_help_imports_nothing_heavy():
    heavy = "{'torch', 'transformers', 'monai', 'pytorch_lightning', 'captum', 'matplotlib'}"
    for module, also in (("ontology", ""), ("mhdiff.cli", "| {'polars', 'numpy', 'scipy'}")):
        code = f"import sys, {module}; found = ({heavy}{also}) & set(sys.modules); assert not found, found"
        subprocess.run([sys.executable, "-c", code], check=True)


def test_help_is_quick():
    start = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-m", "mhdiff", "--help"], capture_output=True, text=True, check=True
    )
    limit = 5.0  # the promise is one second on a quiet machine; benchmarks measure it, this only catches heavy imports
    assert time.monotonic() - start < limit
    for name in [*VERBS, *GROUPS]:
        assert name in result.stdout


@pytest.mark.parametrize("verb", [*[v for v in VERBS if v != "fit"], *GROUPS])
def test_every_verb_explains_itself(verb, capsys):
    assert main([verb, "--help"]) == 0
    assert "usage" in capsys.readouterr().out


def test_an_unknown_verb_exits_2(capsys):
    assert main(["divine"]) == 2
    assert "divine" in capsys.readouterr().err


def test_no_file_is_longer_than_500_lines():
    long = {
        str(path.relative_to(ROOT)): lines
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 500
    }
    assert not long


def test_nothing_is_printed_pickled_or_left_undone():
    pattern = re.compile(
        r"raise NotImplementedError|TODO|FIXME|(?<![\w.])print\(|pickle\.load|weights_only=False|/work/"
    )
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for match in pattern.finditer(path.read_text(encoding="utf-8"))
    ]
    assert not found


def test_torchvision_is_not_declared():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [
        d for group in (project["dependencies"], *project["optional-dependencies"].values()) for d in group
    ]
    assert not [name for name in declared if name.startswith("torchvision")]


def test_every_dependency_says_why():
    text = (ROOT / "pyproject.toml").read_text()
    section = text[text.index("dependencies = [") : text.index("[project.optional-dependencies]")]
    for line in section.splitlines():
        if line.strip().startswith('"'):
            assert "#" in line, line


def test_the_suite_of_ci_requires_the_real_data():
    script = (ROOT / ".ci" / "run").read_text()
    assert script.index("make check") < script.index("make test")
    assert "MHDIFF_SHARED_REQUIRED=1" in script
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
