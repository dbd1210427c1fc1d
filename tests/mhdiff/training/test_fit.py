"""`mhdiff fit` through the real command line: parts swapped, bad input refused, runs resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
import torch
import yaml
from safetensors.torch import load_file

from mhdiff.cli import main

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    "conv",
    [
        "torch_geometric.nn.GATv2Conv",
        # as tests/mhdiff/guidance/test_layers_from_yaml.py trains SAGEConv
        pytest.param("torch_geometric.nn.SAGEConv", marks=pytest.mark.slow),
        pytest.param("torch_geometric.nn.GraphConv", marks=pytest.mark.slow),
        "my_layer.Mine",
    ],
)
def test_any_convolution_is_swapped_from_the_command_line(conv, small_config, tmp_path, monkeypatch):
    (tmp_path / "my_layer.py").write_text(
        "from torch_geometric.nn import SAGEConv\n\n\nclass Mine(SAGEConv):\n"
        "    def __init__(self, in_channels: int, out_channels: int) -> None:\n"
        "        super().__init__(in_channels, out_channels, aggr='max')\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    options = [
        "-c",
        str(small_config),
        f"--model.guidance.conv={conv}",
        "--trainer.max_epochs=1",
        "--out",
        "run",
    ]
    assert main(["fit", *options]) == 0
    saved = yaml.safe_load(Path("run/config.yaml").read_text())
    assert saved["model"]["guidance"]["init_args"]["conv"]["class_path"] == conv
    assert json.loads(Path("run/run.json").read_text())["finished"]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--model.guidance.convv=torch_geometric.nn.SAGEConv", "convv"),
        ("--model.guidance.conv=torch.nn.Linear", "MessagePassing"),
        ("--model.guidance.conv=nowhere.Nothing", "nowhere"),
        ("--modle.dim=3", "modle"),
        ("--model.dim=many", "many"),
        ("--model.guidance=mhdiff.fusion.masking.ModalityMasking", "Guidance"),
    ],
)
def test_a_wrong_key_class_or_value_is_refused_before_any_data_is_read(
    option, message, small_config, tmp_path, capsys
):
    config = yaml.safe_load(small_config.read_text())
    for part in ("cohort", "graph", "ontology"):
        config["data"][part] = "/nowhere"  # reading any of them would give another message
    broken = tmp_path / "config.yaml"
    broken.write_text(yaml.safe_dump(config))
    assert main(["fit", "-c", str(broken), option, "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "/nowhere" not in said
    assert "Traceback" not in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--data.cohort=/nowhere", "/nowhere"),
        ("--data.graph=/nowhere", "/nowhere"),
        ("--data.split=fold:7/3", "fold"),
        ("--data.split=site:atlantis", "atlantis"),
        ("--data.modalities=[image,smell]", "smell"),
        ("--model.heads=3", "heads"),
        ("--model.guidance.conv={class_path: torch_geometric.nn.GATv2Conv, init_args: {heads: 4}}", "concat"),
    ],
)
def test_bad_input_exits_2_with_the_remedy(option, message, small_config, tmp_path, capsys):
    assert main(["fit", "-c", str(small_config), option, "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_a_graph_of_another_ontology_is_refused_with_both_fingerprints(
    small_config, small_data, tmp_path, capsys
):
    from ontology import Ontology, load_rf2
    from ontology.builtin import write_rf2

    folder = write_rf2(tmp_path / "rf2")
    descriptions = next(folder.rglob("sct2_Description*"))
    text = descriptions.read_text(encoding="utf-8")
    descriptions.write_bytes(text.replace("pneumonia", "pneumonja").replace("\n", "\r\n").encode())
    load_rf2(folder).save(tmp_path / "other")
    code = main(
        [
            "fit",
            "-c",
            str(small_config),
            f"--data.ontology={tmp_path / 'other'}",
            "--out",
            str(tmp_path / "run"),
        ]
    )
    said = capsys.readouterr().err
    assert code == 2
    assert Ontology.open(small_data / "ontology").fingerprint[:8] in said
    assert Ontology.open(tmp_path / "other").fingerprint[:8] in said


def test_a_missing_image_is_named(small_config, small_data, tmp_path, capsys):
    import shutil

    shutil.copytree(small_data / "cohort", tmp_path / "cohort")
    gone = sorted((tmp_path / "cohort" / "images").iterdir())[0]
    gone.unlink()
    code = main(
        [
            "fit",
            "-c",
            str(small_config),
            f"--data.cohort={tmp_path / 'cohort'}",
            "--out",
            str(tmp_path / "run"),
        ]
    )
    assert code == 2
    told = capsys.readouterr().err
    assert "is missing" in told
    assert "cohort validate" in told  # which says whose it is, where --cases asks for it
    assert gone.name not in told


def test_a_folder_of_another_run_is_never_overwritten(small_config, small_run, capsys):
    before = (small_run / "model.safetensors").read_bytes()
    assert main(["fit", "-c", str(small_config), "--model.dim=32", "--out", str(small_run)]) == 2
    assert "model.dim" in capsys.readouterr().err
    assert (small_run / "model.safetensors").read_bytes() == before


def test_nothing_of_the_test_fold_is_in_what_was_fitted(small_config, small_data, small_run, tmp_path):
    """Poison every held-out patient's inputs: the trained weights stay the same bit for bit."""
    import shutil

    shutil.copytree(small_data / "cohort", tmp_path / "cohort")
    folder = tmp_path / "cohort"
    held = pl.read_parquet(folder / "metadata" / "subject_splits.parquet").filter(
        pl.col("split") == "held_out"
    )
    file = next((folder / "data").glob("*.parquet"))
    events = pl.read_parquet(file)
    poisoned = pl.col("subject_id").is_in(held["subject_id"].implode())
    events.with_columns(
        pl.when(poisoned)
        .then(pl.col("numeric_value") * 1000)
        .otherwise(pl.col("numeric_value"))
        .alias("numeric_value"),
        pl.when(poisoned & pl.col("code").str.starts_with("NOTE"))
        .then(pl.lit("poison poison poison"))
        .otherwise(pl.col("text_value"))
        .alias("text_value"),
    ).write_parquet(file)
    from mhdiff.builtin import build_cohort_graph

    build_cohort_graph(small_data / "ontology", folder, "pneumonia", tmp_path / "graph")
    options = [
        f"--data.cohort={folder}",
        f"--data.graph={small_data / 'graph'}",
        "--out",
        str(tmp_path / "run"),
    ]
    # The graph's own fingerprint of the cohort differs now, so the clean graph is re-labelled as built from it.
    relabelled = tmp_path / "relabelled"
    shutil.copytree(small_data / "graph", relabelled)
    meta = json.loads((relabelled / "graph.json").read_text())
    other = json.loads((tmp_path / "graph" / "graph.json").read_text())
    meta["cohort"] = other["cohort"] if "cohort" in other else other["meta"]["cohort"]
    (relabelled / "graph.json").write_text(json.dumps(meta))
    options[1] = f"--data.graph={relabelled}"
    assert main(["fit", "-c", str(small_config), *options]) == 0
    clean, dirty = (
        load_file(small_run / "model.safetensors"),
        load_file(tmp_path / "run" / "model.safetensors"),
    )
    assert all(torch.equal(clean[name], dirty[name]) for name in clean)


def test_codes_that_define_the_label_are_no_inputs(small_run, small_data):
    from mhdiff.cohort import Cohort, Task
    from ontology import Ontology

    ontology, task = Ontology.open(small_data / "ontology"), Task.load("pneumonia")
    hidden = {int(s) for b in task.blinded.concepts for s in ontology.descendants(b, include_self=True)}
    events = task.window(Cohort.open(small_data / "cohort")).events.filter(pl.col("modality") == "codes")
    tempting = {
        c
        for c in events["code"]
        if any(s in hidden for s in ontology.concepts_of(c.split("/")[1], c.split("/")[0]))
    }
    assert tempting  # the cohort plants such codes before prediction_time
    state = json.loads((small_run / "preprocess.json").read_text())
    assert state["window"]["events whose code defines the label"] > 0
    assert not tempting & set(state["preprocessors"]["codes"]["codes"])


@pytest.mark.slow
def test_killed_and_started_again_it_ends_as_if_never_killed(small_config, tmp_path):
    """Kill after the first epoch's checkpoint, and once more at a moment chosen by the clock."""
    options = ["fit", "-c", str(small_config), "--trainer.max_epochs=4"]
    assert main([*options, "--out", str(tmp_path / "whole")]) == 0
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "mhdiff", *options, "--out", str(out)]
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    for wait in ("checkpoint", "clock"):
        process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while wait == "checkpoint" and not (out / "checkpoints" / "last.ckpt").exists():
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        if wait == "clock":
            time.sleep(9)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command, cwd=REPOSITORY, env=environment, check=True, capture_output=True)
    whole, killed = (load_file(tmp_path / n / "model.safetensors") for n in ("whole", "killed"))
    for name, tensor in whole.items():
        torch.testing.assert_close(killed[name], tensor, rtol=1e-5, atol=1e-6, msg=name)
    one, two = (json.loads((tmp_path / n / "history.json").read_text()) for n in ("whole", "killed"))
    assert [e["tuning/loss"] for e in one] == pytest.approx([e["tuning/loss"] for e in two], rel=1e-5)
