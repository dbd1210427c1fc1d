"""An ablation of the fake training, as YAML."""

import pytest
import yaml

from mhdiff.ablate import Ablation


@pytest.fixture
def make(tmp_path):
    """Give a function that writes an ablation of weak, strong and strong-again arms and loads it."""
    (tmp_path / "base.yaml").write_text("model: {dim: 8}\n")

    def write(**changes):
        document = {
            "base": "base.yaml",
            "set": [f"--log={tmp_path / 'log.txt'}"],
            "arms": {
                "weak": ["--arm=weak", "--strength=0.2"],
                "strong": {"arm": "strong", "strength": 2.0},
            },
            "reference": "weak",
            "folds": 3,
            "seeds": [1, 2],
            "replicates": 100,
        } | changes
        (tmp_path / "ablation.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
        return Ablation.load(tmp_path / "ablation.yaml")

    return write
