"""Encoders' outputs written once: the same numbers, gone on with after a kill, refused where they do not belong."""

from __future__ import annotations

import json
from dataclasses import replace

import polars as pl
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from mhdiff.ablate.cells import data_fingerprints
from mhdiff.cli import main
from mhdiff.cohort.task import Blinded, Task
from mhdiff.config import find
from mhdiff.training import embed
from mhdiff.training.embeddings import Embeddings, reads, shard_path
from mhdiff.training.run import open_run
from ontology.errors import InputError
from ontology.files import sha256


@pytest.fixture(scope="module")
def opened(small_run):
    return open_run(small_run)


@pytest.fixture(scope="module")
def stored(small_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("embeddings") / "stored"
    assert main(["embed", str(small_run), "--out", str(out)]) == 0
    return out


def test_what_is_stored_is_what_the_encoders_give(opened, stored):
    module, data = opened
    found = Embeddings.open(stored)
    dataset = data.dataset(["held_out"])
    batch = dataset.collate(range(len(dataset)))
    with torch.no_grad():
        for column, name in enumerate(data.modalities):
            inputs, present = found.rows(name, batch.sample_id.tolist())
            assert torch.equal(present, batch.present[:, column])
            latent = module.net.encoders[name](batch.inputs[name])
            torch.testing.assert_close(inputs["embedding"][present], latent[present], atol=1e-5, rtol=1e-4)
            assert not inputs["embedding"][~present].any()


@pytest.mark.slow  # test_embed_cell.py trains from stored encoders, too
def test_training_starts_where_the_encoders_stood_and_ends_in_a_run(
    opened, stored, small_config, tmp_path, capsys
):
    out = tmp_path / "run"
    options = [
        "-c",
        str(small_config),
        f"--data.embeddings={stored}",
        "--trainer.max_epochs=1",
        "--out",
        str(out),
    ]
    assert main(["fit", *options]) == 0
    assert main(["predict", str(out)]) == 0
    module, data = open_run(out)
    assert not any("bert" in name for name, _ in module.named_parameters())
    fresh = type(module.net.encoders["note"])(data.spec.inputs["note"], module.dim)
    e = torch.randn(3, module.dim)
    assert torch.equal(fresh({"embedding": e}), e)
    assert main(["evaluate", str(out), "--replicates", "5", "--corrupt", "blur"]) == 2
    assert "stored as embeddings" in capsys.readouterr().err
    capsys.readouterr()
    assert main(["evaluate", str(out), "--replicates", "5", "--corrupt", "all"]) == 0
    assert "corruptions" not in json.loads(
        (out / "metrics.json").read_text()
    )  # all of them act on stored ones
    assert main(["export", str(out), "--out", str(tmp_path / "export")]) == 2
    assert main(["embed", str(out), "--out", str(tmp_path / "again")]) == 2
    assert "no encoders of its own" in capsys.readouterr().err


def test_a_killed_embedding_goes_on_and_gives_the_same_bits(opened, tmp_path, monkeypatch):
    module, data = opened
    whole = embed.write(module, data, tmp_path / "whole", data.modalities, shard=25)
    real, done = embed.write_shard, []

    def killed(path, tensors):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(path)
        real(path, tensors)

    monkeypatch.setattr(embed, "write_shard", killed)
    with pytest.raises(KeyboardInterrupt):
        embed.write(module, data, tmp_path / "parts", data.modalities, shard=25)
    with pytest.raises(InputError, match="not finished"):
        Embeddings.open(tmp_path / "parts")
    monkeypatch.setattr(embed, "write_shard", lambda path, tensors: (done.append(path), real(path, tensors)))
    embed.write(module, data, tmp_path / "parts", data.modalities, shard=25)
    assert [path.name for path in done] == [f"shard-0000{i}.safetensors" for i in range(4)]
    for number in range(4):
        one, other = load_file(shard_path(whole, number)), load_file(shard_path(tmp_path / "parts", number))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("part", ["encoder of note", "preprocessing of labs", "cohort", "split"])
def test_another_encoder_preprocessing_cohort_or_split_is_refused_by_name(
    opened, tmp_path, part, monkeypatch
):
    module, data = opened
    out = embed.write(module, data, tmp_path / "out", data.modalities)
    embed.write(module, data, out, data.modalities)  # the same again is nothing to do
    if part == "encoder of note":
        weight = next(module.net.encoders["note"].parameters())
        monkeypatch.setattr(weight, "data", weight.data + 1e-3)
    elif part == "preprocessing of labs":
        labs = data.fitted.preprocessors["labs"]
        monkeypatch.setattr(labs.fitted, "mean", [m + 1e-3 for m in labs.fitted.mean])
    elif part == "cohort":
        monkeypatch.setitem(data.cohort.__dict__, "fingerprint", "another")
    else:
        turned = data.samples.with_columns(split=pl.col("split").reverse())
        monkeypatch.setattr(data, "samples", turned)
    with pytest.raises(InputError, match=f"another {part}"):
        embed.write(module, data, out, data.modalities)


def test_fitted_encoders_are_refused_on_another_fold_and_frozen_ones_are_not(
    stored, small_config, tmp_path, capsys
):
    options = ["-c", str(small_config), f"--data.embeddings={stored}", "--data.split=fold:0/3"]
    assert main(["fit", *options, "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert "training fold of another split" in said
    assert not (tmp_path / "run" / "model.safetensors").exists()
    found = Embeddings.open(stored)
    samples = pl.DataFrame({"sample_id": found.sample_ids, "split": ["train"] * len(found.sample_ids)})
    for facts in found.facts["modalities"].values():
        facts["fitted"] = False
    found.check(found.facts, found.modalities, samples)
    found.facts["modalities"]["labs"]["fitted"] = True
    found.check(found.facts, ["image", "note"], samples)
    with pytest.raises(InputError, match="encoders of labs"):
        found.check(found.facts, found.modalities, samples)


def test_a_frozen_network_is_stored_before_its_projection_and_gives_the_same_latent(small_config, tmp_path):
    from transformers import ResNetConfig, ResNetModel

    torch.manual_seed(0)
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1], "layer_type": "basic"}
    ResNetModel(ResNetConfig(**sizes)).save_pretrained(tmp_path / "resnet")
    config = yaml.safe_load(small_config.read_text())
    config["model"]["encoders"]["image"] = {
        "class_path": "mhdiff.encoders.image.PretrainedImage",
        "init_args": {"name_or_path": str(tmp_path / "resnet")},
    }
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    out = tmp_path / "stored"
    assert main(["embed", "-c", str(tmp_path / "c.yaml"), "--out", str(out)]) == 0
    facts = json.loads((out / "embeddings.json").read_text())
    assert list(facts["modalities"]) == ["image"]  # the others are not trained yet
    assert facts["modalities"]["image"] | {"encoder": "", "reading": ""} == {
        **{"width": 12, "latent": False, "fitted": False, "encoder": "", "reading": ""}
    }
    folded = [f"--data.embeddings={out}", "--data.split=fold:0/3", "--trainer.max_epochs=1"]
    assert main(["fit", "-c", str(tmp_path / "c.yaml"), *folded, "--out", str(tmp_path / "run")]) == 0
    module, data = open_run(tmp_path / "run")
    from mhdiff.encoders import ImageReader, PretrainedImage

    live = PretrainedImage(ImageReader(32).spec, module.dim, str(tmp_path / "resnet")).eval()
    live.project.load_state_dict(module.net.encoders["image"].out.state_dict())
    dataset = data.dataset(["held_out"])
    batch = dataset.collate(range(len(dataset)))
    here = batch.present[:, data.modalities.index("image")]
    paths = data.events("image").sort("sample_id")
    files = dict(paths.select("sample_id", "text_value").iter_rows())
    pixels = ImageReader(32).transform([data.cohort.path / files[int(s)] for s in batch.sample_id[here]])
    with torch.no_grad():
        torch.testing.assert_close(
            module.net.encoders["image"](batch.inputs["image"])[here], live(pixels), atol=1e-5, rtol=1e-4
        )


def test_options_of_fit_may_stand_apart_from_their_values(small_config, tmp_path, capsys):
    known = ["embed", "-c", str(small_config), "--trainer.max_epochs", "1", "--out", str(tmp_path / "out")]
    assert main(known) == 2
    assert "not trained yet" in capsys.readouterr().err  # which is what is wrong with it
    assert main(["embed", str(tmp_path), "-c", str(small_config), "--out", str(tmp_path / "out")]) == 2
    assert "either a run" in capsys.readouterr().err
    assert main(["embed", "--out", str(tmp_path / "out")]) == 2
    assert "either a run" in capsys.readouterr().err


def test_untrained_encoders_are_refused(small_config, tmp_path, capsys):
    assert main(["embed", "-c", str(small_config), "--out", str(tmp_path / "out")]) == 2
    assert "not trained yet" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_torn_or_strange_folder_is_refused(stored, tmp_path):
    import shutil

    torn = shutil.copytree(stored, tmp_path / "torn")
    shard_path(torn, 0).write_bytes(shard_path(torn, 0).read_bytes()[:-9])
    with pytest.raises(InputError, match="cut short"):
        Embeddings.open(torn)
    with pytest.raises(InputError, match=r"data\.embeddings"):
        Embeddings.open(tmp_path)
    short = shutil.copytree(stored, tmp_path / "short")
    rows = load_file(shard_path(stored, 0))
    save_file({key: tensor[:-1].clone() for key, tensor in rows.items()}, shard_path(short, 0))
    with pytest.raises(InputError, match="changed"):
        Embeddings.open(short)
    facts = json.loads((short / "embeddings.json").read_text())
    facts["files"][shard_path(short, 0).name] = sha256(shard_path(short, 0))
    (short / "embeddings.json").write_text(json.dumps(facts))
    assert Embeddings.open(short).fingerprint != Embeddings.open(stored).fingerprint
    found = Embeddings.open(short)
    samples = pl.DataFrame({"sample_id": rows["sample_id"].numpy()}).with_columns(split=pl.lit("train"))
    for facts in found.facts["modalities"].values():
        facts["fitted"] = False
    with pytest.raises(InputError, match="1 samples are not among"):
        found.check(found.facts, found.modalities, samples)


def test_embeddings_that_saw_the_label_are_refused_where_it_is_blinded(
    stored, small_config, tmp_path, capsys
):
    """A task of the same name that blinds nothing: its encoders may have read the diagnosis."""
    task = yaml.safe_load(find("tasks/pneumonia.yaml").read_text())
    assert task["blinded"]["words"]
    del task["blinded"]["words"]
    (tmp_path / "open.yaml").write_text(yaml.safe_dump(task))
    swap = [f"--data.embeddings={stored}", f"--data.task={tmp_path / 'open.yaml'}"]
    assert main(["fit", "-c", str(small_config), *swap, "--out", str(tmp_path / "run")]) == 2
    assert "another content of the task" in capsys.readouterr().err
    found = Embeddings.open(stored)
    samples = pl.DataFrame({"sample_id": found.sample_ids}).with_columns(split=pl.lit("train"))
    with pytest.raises(InputError, match="codes that define the label"):
        found.check(found.facts | {"label_codes": "none"}, found.modalities, samples)


def test_what_a_task_reads_is_named_whatever_its_words():
    task = Task.load("pneumonia")
    known = reads("c", task, ["A", "B"])
    assert reads("c", replace(task, description="other words"), ["B", "A"]) == known
    for other in (
        replace(task, blinded=Blinded(task.blinded.concepts, ())),
        replace(task, blinded=Blinded((1,), task.blinded.words)),
        replace(task, window_days=3.0),
        replace(task, modalities={**task.modalities, "note": ("NOTE//X",)}),
    ):
        assert reads("c", other, ["A", "B"])["task_content"] != known["task_content"]
    assert reads("c", task, ["A"])["label_codes"] != known["label_codes"]


@pytest.mark.parametrize("content", ["[1]", '{"finished": true}', '{"format": 1, "finished": true}', "null"])
def test_a_marker_that_says_something_else_is_refused(tmp_path, content):
    (tmp_path / "embeddings.json").write_text(content)
    with pytest.raises(InputError, match="format 2"):
        Embeddings.open(tmp_path)


def test_an_ablation_knows_embeddings_for_data(stored):
    named = f"--data.embeddings={stored}"
    assert str(stored) in data_fingerprints("{}", (named,), stored)
