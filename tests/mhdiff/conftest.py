"""The built-in data at toy size, made once a session, and a configuration that trains on them in seconds."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import yaml

from mhdiff.builtin import Builtin
from mhdiff.cli import main
from mhdiff.config import find
from mhdiff.diffusion import log_likelihood


@pytest.fixture
def coarse_density(monkeypatch):
    """Densities by two steps of their flow, where only their way is looked at; laws hold how fine they must be."""
    monkeypatch.setattr("mhdiff.diffusion.prior.log_likelihood", partial(log_likelihood, steps=2))


@pytest.fixture(scope="session")
def small_data(tmp_path_factory) -> Path:
    """Folder with ontology/, cohort/ and graph/ of 90 patients."""
    root = tmp_path_factory.mktemp("small")
    builtin = Builtin(patients=90, image_size=48)
    builtin.prepare(str(root / "ontology"), str(root / "cohort"), str(root / "graph"), "pneumonia")
    return root


@pytest.fixture(scope="session")
def small_config(small_data, tmp_path_factory) -> Path:
    """configs/demo.yaml itself, with small networks and the small data."""
    config = yaml.safe_load(find("demo").read_text())
    del config["data"]["builtin"]
    config["trainer"] |= {"max_epochs": 2, "accelerator": "cpu"}
    for part in ("ontology", "cohort", "graph"):
        config["data"][part] = str(small_data / part)
    config["data"]["image"]["init_args"]["size"] = 32
    config["model"]["dim"] = 16
    config["model"]["encoders"]["image"]["init_args"]["width"] = 4
    config["model"]["encoders"]["note"]["init_args"] = {"layers": 1, "heads": 2, "width": 32}
    config["model"]["prior"]["init_args"]["backbone"]["init_args"] = {"width": 32, "depth": 1}
    # a few of the ways to diagnose: settling and imputing took most of the time of predicting; docs try the usual ones
    config["model"]["inference"] = {"times": [0.0, 0.1], "imputed_times": [0.1], "draws": 2, "steps": 2}
    path = tmp_path_factory.mktemp("config") / "small.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(scope="session")
def small_run(small_config, tmp_path_factory) -> Path:
    """A finished run of two epochs."""
    out = tmp_path_factory.mktemp("run") / "run"
    assert main(["fit", "-c", str(small_config), "--out", str(out)]) == 0
    return out
