"""The shapes in the signatures are true: the laws of the whole model run again with every annotation checked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = "mhdiff.model,mhdiff.batch,mhdiff.guidance,mhdiff.fusion,beartype.beartype"


@pytest.mark.slow
def test_the_annotated_shapes_hold():
    tests = ["tests/laws/test_model_laws.py", "tests/contract/test_guidance_contract.py"]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        *tests,
        f"--jaxtyping-packages={PACKAGES}",
    ]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-3000:]
