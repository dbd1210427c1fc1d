"""`data.image_cache` in trainings: the same predictions to the bit, and no part of what a run or a cell is known by."""

from __future__ import annotations

import json

import polars as pl
import pytest
import torch
import yaml

from mhdiff.ablate.beside import decisive_text
from mhdiff.ablate.cells import CellMaker
from mhdiff.cli import main
from mhdiff.corruption.pixels import Noise
from mhdiff.encoders import ImageReader
from mhdiff.pretrained import _config
from mhdiff.training.cli import config_text, parse
from mhdiff.training.run import _own_folder, fit_cell
from ontology.errors import InputError


@pytest.fixture(scope="module")
def trained(small_config, tmp_path_factory):
    """Folder with runs without a cache, with a new one, and with one that is there."""
    root = tmp_path_factory.mktemp("cached")
    shorter = ["--data.cache_images=false", "--trainer.max_epochs=1"]
    cache = [f"--data.image_cache={root / 'cache'}", *shorter]
    fit_cell(small_config, shorter, root / "without")
    fit_cell(small_config, cache, root / "first")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ImageReader, "read", lambda self, path: pytest.fail("a file was read again"))
        fit_cell(small_config, cache, root / "second")
    return root


@pytest.mark.parametrize("name", ["first", "second"])
def test_predictions_are_the_same_to_the_bit(trained, name):
    plain, kept = (pl.read_parquet(trained / run / "predictions.parquet") for run in ("without", name))
    assert plain.equals(kept)
    for file in ("model.safetensors", "preprocess.json"):
        assert (trained / "without" / file).read_bytes() == (trained / name / file).read_bytes(), file


def test_a_run_may_go_on_with_another_cache_and_is_shared_without(trained, small_config, tmp_path, capsys):
    other = [
        "--trainer.max_epochs=1",
        "--data.cache_images=false",
        f"--data.image_cache={tmp_path / 'other'}",
        "--data.image_cache_gib=1",
    ]
    assert main(["fit", "-c", str(small_config), *other, "--out", str(trained / "first")]) == 0
    assert "training is finished" in capsys.readouterr().err
    plain = config_text(parse(["-c", str(small_config)]))
    assert "image_cache: null" in plain
    assert _own_folder(plain) == _own_folder(config_text(parse(["-c", str(small_config), *other[2:]])))
    assert str(trained / "cache") in (trained / "first" / "config.yaml").read_text()
    assert "image_cache" not in json.dumps(_config(trained / "first"))
    assert not (tmp_path / "other").exists()


def test_a_cache_among_data_is_refused(small_config, small_data, tmp_path, capsys):
    base = ["fit", "-c", str(small_config), "--out", str(tmp_path / "run")]
    assert main([*base, f"--data.image_cache={small_data / 'cohort' / 'cache'}"]) == 2
    assert "the folder of the cohort" in capsys.readouterr().err
    assert not (small_data / "cohort" / "cache").exists()
    data = parse(["-c", str(small_config), f"--data.image_cache={small_data}"]).datamodule
    with pytest.raises(InputError, match="no cache of images"):
        data.setup()


def test_a_cells_key_does_not_know_of_it(small_config, tmp_path):
    """In whichever way it is set; and nothing else of the base is lost from the key."""
    text = small_config.read_text()
    config = yaml.safe_load(text)

    def key(base, *options):
        path = tmp_path / "base.yaml"
        path.write_text(base)
        return CellMaker(path).cell("arm", 0, 1, ["--trainer.max_epochs=3", *options]).key

    plain = key(text)
    assert key(text, f"--data.image_cache={tmp_path}", "--data.image_cache_gib=3.5") == plain
    for line in (
        "  image_cache: runs/cache\n",
        '  image_cache: "a # b"  # why\n  image_cache_gib: 5\n',
        "  image_cache:\n",
    ):
        for before in ("  batch_size:", "  task:", "  cohort:"):
            changed = text.replace(before, line + before, 1)
            assert changed != text
            assert yaml.safe_load(changed)["data"].keys() - config["data"].keys() >= {"image_cache"}
            assert key(changed) == plain
            assert key(changed.replace("max_concepts: 12", "max_concepts: 11")) != plain
    assert text.count("max_concepts: 12") == 1
    assert key(text, "--data.num_workers=1") != plain
    flow = "data: {cohort: a, image_cache: b, graph: c}\n"
    for written in (
        flow,
        "data: {image_cache: b, cohort: a, graph: c}\n",
        "data: {cohort: a, graph: c, image_cache_gib: 3}\n",
    ):
        assert decisive_text(written) == "data: {cohort: a, graph: c}\n"
        assert key(written) == key("data: {cohort: a, graph: c}\n")
    for untouched in (
        "model: {image_cache: 3}\n",
        "image_cache: x\n",
        "- data\n",
        "",
        "data: [\n",
        "data: {task: image_cache}\n",
    ):
        assert decisive_text(untouched) == untouched


def test_the_verb_tells_what_is_kept_and_takes_it_away(trained, tmp_path, capsys):
    cache = str(trained / "cache")
    assert main(["cohort", "image-cache", cache, "--json"]) == 0
    (reader,) = json.loads(capsys.readouterr().out)["readers"]
    images = sum(1 for file in (trained / "cache").glob("*/*/*") if file.parts[-3] == reader["name"])
    assert reader["images"] == images > 50
    assert (reader["reader"], reader["settings"]["size"]) == (
        "mhdiff.encoders.preprocess_image.ImageReader",
        [32, 32],
    )
    assert main(["cohort", "image-cache", cache, "--clear", "--unused", "1"]) == 0
    assert capsys.readouterr().out == "0 images, 0.0 MiB\n"
    assert main(["cohort", "image-cache", cache]) == 0
    assert f"{images} images" in capsys.readouterr().out
    for wrong, message in (([str(tmp_path)], "no cache of images"), ([cache, "--unused", "3"], "--clear")):
        assert main(["cohort", "image-cache", *wrong]) == 2
        assert message in capsys.readouterr().err
    assert main(["cohort", "image-cache", cache, "--clear"]) == 0
    assert main(["cohort", "image-cache", cache]) == 0
    assert capsys.readouterr().out.endswith("\n0 images, 0.0 MiB\n")
    assert sorted(file.name for file in (trained / "cache").iterdir()) == ["CACHEDIR.TAG", "new"]


def test_pixels_are_spoilt_after_they_are_read(trained, small_config):
    """What a corruption leaves is never kept; memory may be filled from what is kept."""
    cache = str(trained / "cache")
    data = parse(
        ["-c", str(small_config), "--data.cache_images=false", f"--data.image_cache={cache}"]
    ).datamodule
    data.setup()
    found = []
    for kept in (data.kept, None):
        data.kept = kept
        for corruption, held in ((Noise(3), False), (None, False), (Noise(3), True), (None, True)):
            data.cache_images = held
            batch = data.dataset(["tuning"], corruption=corruption).collate(range(8))
            found.append(batch.inputs["image"]["pixels"])
    assert all(torch.equal(one, other) for one, other in zip(found[:4], found[4:], strict=True))
    assert not torch.equal(found[0], found[1])
