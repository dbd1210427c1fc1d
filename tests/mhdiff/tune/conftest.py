"""A search over the fake training of the ablations."""

import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "ablate"))

from mhdiff.tune import Search


@pytest.fixture
def make(tmp_path):
    """Give a function that writes a search over the strength of a fake training and loads it."""
    (tmp_path / "base.yaml").write_text("model: {dim: 8}\n")

    def write(**changes):
        document = {
            "base": "base.yaml",
            "set": [f"--log={tmp_path / 'log.txt'}", "--arm=trial"],
            "method": "grid",
            "space": {"strength": [0.2, 1.0, 2.0]},
            "split": "site:a",
            "inner": 3,
        } | changes
        (tmp_path / "search.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
        return Search.load(tmp_path / "search.yaml")

    return write
