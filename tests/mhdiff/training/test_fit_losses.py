"""Losses through the real command line: named in YAML, logged in the history, and resumed with a run."""

from __future__ import annotations

import json

import pytest
import torch
import yaml
from safetensors.torch import load_file

from mhdiff.ablate import Ablation
from mhdiff.cli import main
from mhdiff.config import find
from mhdiff.pretrained import from_pretrained, save_pretrained
from mhdiff.training.cli import parse
from mhdiff.training.data import MultimodalData
from mhdiff.training.progress import EpochLines
from mhdiff.training.run import fit

LOSSES = [
    {"class_path": "mhdiff.losses.LogitAdjusted", "init_args": {"label_smoothing": 0.1}},
    {"class_path": "mhdiff.losses.PriorLoss"},
    {
        "class_path": "mhdiff.losses.Contrastive",
        "init_args": {
            "weight": {"class_path": "mhdiff.losses.LinearWarmup", "init_args": {"weight": 0.1, "end": 1}}
        },
    },
    {"class_path": "mhdiff.losses.ExpectedGradients", "init_args": {"target": "agreement", "every": 2}},
    {
        "class_path": "mhdiff.losses.SyntheticLatents",
        "init_args": {"start": 1, "rare": 1.0, "keep_above": 0.0},
    },
    {"class_path": "mhdiff.losses.Adversarial", "init_args": {"r1_every": 1}},
    {"class_path": "mhdiff.losses.Unimodal", "init_args": {"weight": 0.2}},
    {"class_path": "mhdiff.losses.Focal", "init_args": {"log_only": True}},
]


class Stopped(Exception):
    """What ends a run after its first epoch."""


def options(small_config, out):
    given = f"--model.losses={json.dumps(LOSSES)}"
    moved = "--model.augmentation=mhdiff.augmentation.ImageAugmentation"
    return ["fit", "-c", str(small_config), given, moved, "--data.masks=truth/masks", "--out", str(out)]


def test_a_run_by_many_losses_is_resumed_bit_for_bit_and_tells_them(small_config, tmp_path, monkeypatch):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert main(options(small_config, whole)) == 0
    first, second = json.loads((whole / "history.json").read_text())
    assert first["train/contrastive/weighted"] == 0
    assert "train/contrastive" not in first
    assert second["train/contrastive/weighted"] == pytest.approx(0.1 * second["train/contrastive"], rel=1e-5)
    assert first["train/synthetic"] == 0 < second["train/synthetic"]
    for epoch in (first, second):
        assert epoch["train/classification"] == epoch["train/logit_adjusted"]
        assert 0 < epoch["train/ig_reg_agreement"] <= 1
        assert epoch["train/focal"] > 0
        assert "train/focal/weighted" not in epoch
        parts = [value for name, value in epoch.items() if name.endswith("/weighted")]
        assert epoch["train/loss"] == pytest.approx(sum(parts), rel=1e-4)
    state = load_file(whole / "model.safetensors")
    assert state["objective.losses.logit_adjusted.offset"].exp().sum() == pytest.approx(1, abs=1e-5)

    start = EpochLines.on_train_epoch_start

    def stop(self, trainer, module):
        if trainer.current_epoch == 1:
            raise Stopped
        start(self, trainer, module)

    with monkeypatch.context() as patched:
        patched.setattr(EpochLines, "on_train_epoch_start", stop)
        with pytest.raises(Stopped):
            fit(options(small_config, cut)[1:])
    assert not json.loads((cut / "run.json").read_text())["finished"]
    assert main(options(small_config, cut)) == 0
    again = load_file(cut / "model.safetensors")
    assert all(torch.equal(state[name], again[name]) for name in state)

    shared = from_pretrained(save_pretrained(whole, tmp_path / "shared")).module.state_dict()
    assert all(torch.equal(state[name], shared[name]) for name in state)


def test_the_history_tells_of_an_epoch_what_was_computed_in_it(small_config, tmp_path):
    losses = [*LOSSES[:2], {"class_path": "mhdiff.losses.ExpectedGradients", "init_args": {"every": 1000}}]
    out = tmp_path / "run"
    assert (
        main(["fit", "-c", str(small_config), f"--model.losses={json.dumps(losses)}", "--out", str(out)]) == 0
    )
    first, second = json.loads((out / "history.json").read_text())
    assert first["train/ig_reg_sparsity"] > 0
    assert "train/ig_reg_sparsity" not in second
    assert second["tuning/loss"] != first["tuning/loss"]


def test_masks_are_those_of_the_cohort_and_come_with_the_batch(small_config):
    cli = parse(["-c", str(small_config), "--data.masks=truth/masks"])
    data: MultimodalData = cli.datamodule
    data.setup()
    lazy = data.dataset(["train"])
    data.cache_images = not data.cache_images
    held = data.dataset(["train"])
    for dataset in (lazy, held):
        batch = dataset.collate(range(12)).to("cpu")
        mask = batch.masks["image"]
        assert mask.shape == (12, 32, 32)
        assert mask.dtype == torch.bool
        assert not mask[~batch.present[:, data.modalities.index("image")]].any()
        assert 0 < mask.float().mean() < 0.5
    assert torch.equal(lazy.collate(range(12)).masks["image"], mask)
    assert sum(data.spec.counts) == len(data.dataset(["train"]))
    labels = data.dataset(["train"]).labels
    assert list(data.spec.counts) == torch.bincount(labels, minlength=len(data.spec.classes)).tolist()
    assert data.dataset(["train"]).collate([0]).inputs["image"].keys() == {"pixels"}  # no encoder is shown it


def test_wrong_losses_are_refused(small_config, tmp_path, capsys):
    base = ["fit", "-c", str(small_config), "--out", str(tmp_path / "run")]
    for given, words in (
        ('[{"class_path": "mhdiff.losses.PriorLoss"}]', "nothing that trains the diagnosis"),
        ('[{"class_path": "mhdiff.losses.CrossEntropy", "init_args": {"gamma": 1}}]', "gamma"),
    ):
        assert main([*base, f"--model.losses={given}"]) == 2
        assert words in capsys.readouterr().err
    assert main([*base, "--data.masks=truth/nowhere"]) == 2
    assert "data.masks" in capsys.readouterr().err


def test_every_arm_of_the_shipped_ablation_is_accepted():
    ablation = Ablation.load(find("ablations/losses.yaml"))
    assert set(ablation.arms) == {
        "ce", "balanced", "focal", "logit_adjusted", "adv", "contrastive", "unimodal", "synthetic", "ig_reg",
    }  # fmt: skip
    content = yaml.safe_load(find("ablations/losses.yaml").read_text())
    for name, arm in content["arms"].items():
        cli = parse(["-c", str(find("demo")), *content["set"], *arm])
        names = list(cli.model.objective.losses)
        assert len(names) == (2 if name in ("ce", "balanced", "focal", "logit_adjusted") else 3), name
