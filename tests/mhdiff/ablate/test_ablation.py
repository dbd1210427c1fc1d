"""An ablation from its YAML to its table: resumed, parallel, with failures that stay visible."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from fake_training import embed_cell, fit_cell

from graph_builders import NULLS
from mhdiff.ablate import Ablation, run
from mhdiff.ablate.cells import plan
from mhdiff.ablate.draws import is_drawn
from mhdiff.commands.ablate import VERB, table
from mhdiff.config import find
from ontology.errors import InputError


def trained(tmp_path):
    log = tmp_path / "log.txt"
    return log.read_text().splitlines() if log.exists() else []


def arms(**more):
    return {"weak": ["--arm=weak", "--strength=0.2"], "strong": ["--arm=strong", "--strength=2"]} | more


def test_the_stronger_arm_wins_and_the_table_holds_everything(make, tmp_path):
    document = run(make(), tmp_path / "out", fit_cell)
    assert json.loads((tmp_path / "out" / "ablation.json").read_text()) == document
    json.dumps(document, allow_nan=False)
    assert len(trained(tmp_path)) == 2 * 3 * 2
    assert document["classes"] == ["none", "bacterial", "viral"]
    for arm in document["arms"].values():
        assert (arm["status"], arm["n"], arm["parameters"]) == ("done", 90, 100)
        assert set(arm["by_seed"]) == {"1", "2"}
        mean = sum(arm["by_seed"][s]["auroc"] for s in "12") / 2
        assert arm["metrics"]["auroc"]["value"] == pytest.approx(mean)
    rows = [row for row in document["differences"] if row["metric"] == "auroc"]
    assert [(row["arm"], row["reference"], row["n"]) for row in rows] == [("strong", "weak", 90)]
    values = {name: arm["metrics"]["auroc"]["value"] for name, arm in document["arms"].items()}
    assert rows[0]["value"] == pytest.approx(values["strong"] - values["weak"])
    assert rows[0]["low"] > 0
    assert "strong - weak: +" in table(document)
    assert {row["class"] for row in document["differences_per_class"]} == set(document["classes"])


def test_a_null_that_is_drawn_for_every_seed_widens_its_difference(make, tmp_path):
    null = ["--arm=weak", "--strength=0.2", "--data.null_seed={seed}"]
    document = run(make(arms=arms(null=null), contrasts=[["strong", "null"]]), tmp_path / "out", fit_cell)
    rows = {
        (row["arm"], row["reference"]): row for row in document["differences"] if row["metric"] == "auroc"
    }
    assert "draws" not in rows["strong", "weak"]
    told = rows["strong", "null"]
    assert told["draws"] == 2
    assert told["low"] < told["patients_low"] < told["patients_high"] < told["high"]
    assert all(row["draws"] == 2 for row in document["differences_per_class"] if row["reference"] == "null")
    assert "over 2 draws of the null" in table(document)


def test_an_arm_may_have_seeds_of_its_own(make, tmp_path):
    null = {"set": ["--arm=null", "--strength=0.2", "--data.null=permuted", "--data.null_seed={seed}"],
            "seeds": [1, 3, 4, 5]}  # fmt: skip
    ablation = make(arms=arms(null=null), contrasts=[["strong", "null"], ["null", "weak"]])
    assert ablation.seeds_of("null") == (1, 3, 4, 5)
    assert ablation.seeds_of("weak") == ablation.seeds == (1, 2)
    assert ablation.all_seeds == (1, 2, 3, 4, 5)
    document = run(ablation, tmp_path / "out", fit_cell)
    counted = {name: sum(line.startswith(name) for line in trained(tmp_path)) for name in document["arms"]}
    assert counted == {"weak": 6, "strong": 6, "null": 12}
    assert {name: arm["seeds"] for name, arm in document["arms"].items()} == {
        "weak": [1, 2], "strong": [1, 2], "null": [1, 3, 4, 5],
    }  # fmt: skip
    by_seed = document["arms"]["null"]["by_seed"]
    assert list(by_seed) == ["1", "3", "4", "5"]
    rows = {(r["arm"], r["reference"]): r for r in document["differences"] if r["metric"] == "auroc"}
    told = rows["strong", "null"]
    assert told["draws"] == 4
    assert told["rank_p"] == 1 / 5  # strong is better than each of the four
    assert told["low"] < told["patients_low"]
    value = document["arms"]["strong"]["metrics"]["auroc"]["value"]
    assert told["value"] == pytest.approx(value - np.mean([figures["auroc"] for figures in by_seed.values()]))
    brier = next(r for r in document["differences"] if r["reference"] == "null" and r["metric"] == "brier")
    scores = [figures["brier"] for figures in by_seed.values()]
    better = sum(score <= document["arms"]["strong"]["metrics"]["brier"]["value"] for score in scores)
    assert brier["rank_p"] == (1 + better) / 5
    assert "rank_p" not in rows["strong", "weak"]
    assert "rank_p" not in rows["null", "weak"]
    assert {r["rank_p"] for r in document["differences_per_class"] if r["reference"] == "null"} >= {1 / 5}
    text = table(document)
    assert "over 4 draws of the null, rank p 0.200" in text
    assert "seeds [1, 3, 4, 5]" in text
    # More draws train only themselves.
    (tmp_path / "log.txt").unlink()
    run(make(arms=arms(null=null | {"seeds": [1, 3, 4, 5, 6]})), tmp_path / "out", fit_cell)
    assert trained(tmp_path) == [f"null {fold} 6" for fold in range(3)]


def test_an_arm_whose_first_seed_is_not_the_first_is_prepared_too(make, tmp_path):
    late = {"set": ["--arm=late", "--strength=1"], "seeds": [9]}
    seen = []
    run(
        make(arms=arms(late=late)),
        tmp_path / "out",
        fit_cell,
        prepare=lambda _, options, patterns, rare: seen.append(options),
    )
    assert sorted(option for options in seen for option in options if option.startswith("--arm=")) == [
        "--arm=late", "--arm=strong", "--arm=weak",
    ]  # fmt: skip


def test_a_deleted_cell_is_trained_again_and_gives_the_same_table(make, tmp_path):
    first = run(make(), tmp_path / "out", fit_cell)
    assert all(cell["peak_mib"] > 10 for cell in first["cells"])
    cells = sorted((tmp_path / "out" / "cells").iterdir())
    (cells[0] / "predictions.parquet").unlink()
    (cells[1] / "predictions.parquet").write_bytes(b"PAR1 not really")
    (tmp_path / "out" / "cells" / f".{cells[2].name}.new-killed").mkdir()
    (tmp_path / "log.txt").unlink()
    again = run(make(), tmp_path / "out", fit_cell)
    assert len(trained(tmp_path)) == 2
    drop = [document.pop("cells") for document in (first, again)]
    for document in (first, again):
        for arm in document["arms"].values():
            arm.pop("seconds")
    assert first == again
    assert [c["key"] for c in drop[0]] == [c["key"] for c in drop[1]]
    assert not list((tmp_path / "out" / "cells").glob(".*"))


def test_an_added_arm_trains_only_its_own_cells_and_equal_arms_share(make, tmp_path):
    run(make(), tmp_path / "out", fit_cell)
    (tmp_path / "log.txt").unlink()
    more = arms(middle=["--arm=middle", "--strength=1"], twin=["--arm=middle", "--strength=1"])
    more["strong"] = {"arm": "strong", "strength": 2.0}
    document = run(make(arms=more, contrasts=[["strong", "middle"]]), tmp_path / "out", fit_cell)
    assert trained(tmp_path) == [f"middle {fold} {seed}" for seed in (1, 2) for fold in range(3)]
    pairs = {(row["arm"], row["reference"]) for row in document["differences"]}
    assert pairs == {("strong", "weak"), ("middle", "weak"), ("twin", "weak"), ("strong", "middle")}
    assert document["arms"]["twin"]["metrics"] == document["arms"]["middle"]["metrics"]


def test_keys_change_with_whatever_matters(make, tmp_path, monkeypatch):
    cohort = tmp_path / "cohort"
    (cohort / "metadata").mkdir(parents=True)
    (cohort / "metadata" / "dataset.json").write_text("{}")
    (cohort / "data.parquet").write_bytes(b"1")
    runs = tmp_path / "runs"
    runs.mkdir()
    ablation = make().with_overrides([f"--data.cohort={cohort}", f"--out={runs}"])
    keys = [cell.key for cell in plan(ablation).cells]
    assert len(set(keys)) == len(keys)
    (runs / "log.txt").write_text("a run folder is no data")
    assert [cell.key for cell in plan(ablation).cells] == keys
    (cohort / "data.parquet").write_bytes(b"2")
    changed = [cell.key for cell in plan(ablation).cells]
    assert not set(changed) & set(keys)
    (tmp_path / "base.yaml").write_text("model: {dim: 16}\n")
    assert not {cell.key for cell in plan(ablation).cells} & set(changed)
    monkeypatch.setattr("mhdiff.ablate.cells.code_fingerprint", lambda: "newer")
    assert not {cell.key for cell in plan(ablation).cells} & set(changed)


@pytest.mark.parametrize("mode", ["raise", "nan", "silent"])
def test_a_failed_cell_leaves_its_arm_failed_and_the_others_whole(make, tmp_path, mode):
    more = arms(broken=["--arm=broken", "--strength=1", f"--mode={mode}"])
    document = run(make(arms=more, contrasts=[["broken", "strong"]]), tmp_path / "out", fit_cell)
    broken = document["arms"]["broken"]
    assert broken["status"] == "failed"
    assert broken["metrics"]["auroc"]["value"] is None
    assert [f["fold"] for f in broken["failures"]] == [1, 1]
    assert document["arms"]["strong"]["status"] == "done"
    rows = [row for row in document["differences"] if "broken" in (row["arm"], row["reference"])]
    assert rows
    assert all(row["value"] is None and row["reason"] for row in rows)
    assert {c["status"] for c in document["cells"] if c["arm"] == "broken"} == {"done", "failed"}
    assert len(list((tmp_path / "out" / "failed").iterdir())) == 2
    assert "undefined" in table(document)
    # What failed is tried again; what did not is kept.
    (tmp_path / "log.txt").unlink()
    run(make(arms=more), tmp_path / "out", fit_cell)
    assert trained(tmp_path) == ["broken 1 1", "broken 1 2"]


def test_processes_give_the_same_table_and_survive_one_that_dies(make, tmp_path):
    settings = {
        "arms": arms(dying=["--arm=dying", "--strength=1", "--mode=die"]),
        "seeds": [1],
        "replicates": 20,
    }
    document = run(make(**settings), tmp_path / "out", fit_cell, workers=2)
    dying = document["arms"]["dying"]
    assert dying["status"] == "failed"
    assert "exit code 9" in dying["failures"][0]["message"]
    alone = run(make(**settings | {"arms": arms()}), tmp_path / "alone", fit_cell)
    for name in ("weak", "strong"):
        assert document["arms"][name]["metrics"] == alone["arms"][name]["metrics"]


@pytest.mark.parametrize(
    ("mode", "workers"),
    [
        ("input", 1),
        ("usage", 1),
        # as test_clusters.py stops an array, and test_tune_search.py a search by two processes
        pytest.param("input", 2, marks=pytest.mark.slow),
    ],
)
def test_wrong_input_stops_everything(make, tmp_path, mode, workers):
    more = arms(wrong=["--arm=wrong", f"--mode={mode}", "--everywhere=1", "--strength=1"])
    with pytest.raises(InputError, match=r"no images|arm 'wrong' was refused"):
        run(make(arms=more), tmp_path / "out", fit_cell, workers=workers)
    assert len(trained(tmp_path)) <= 3 + workers
    assert not (tmp_path / "out" / "ablation.json").exists()


def test_a_process_that_is_told_to_end_does_and_the_cell_is_not_failed(make, tmp_path):
    from pytorch_lightning.utilities.exceptions import SIGTERMException

    def terminated(config, overrides, out, patterns):
        if len(trained(tmp_path)) == 4:
            raise SIGTERMException
        fit_cell(config, overrides, out, patterns)

    with pytest.raises(SIGTERMException):
        run(make(), tmp_path / "out", terminated)
    assert not list((tmp_path / "out").glob("failed/*"))
    (tmp_path / "log.txt").unlink()
    run(make(), tmp_path / "out", fit_cell)
    assert len(trained(tmp_path)) == 12 - 4


def test_arms_are_refused_before_anything_is_trained_or_written(make, tmp_path):
    seen = []

    def prepare(base, overrides, patterns, rare):
        seen.append(overrides)
        if "--arm=strong" in overrides:
            raise SystemExit(2)

    with pytest.raises(InputError, match="arm 'strong' was refused"):
        run(make(), tmp_path / "out", fit_cell, prepare=prepare)
    assert len(seen) == 2
    assert not trained(tmp_path)
    assert not (tmp_path / "out").exists()


def test_arms_on_different_patients_are_not_paired(make, tmp_path):
    document = run(
        make(arms=arms(fewer=["--arm=fewer", "--strength=2", "--fewer=1"])), tmp_path / "out", fit_cell
    )
    assert document["arms"]["fewer"]["n"] == 89
    rows = {row["arm"]: row for row in document["differences"] if row["metric"] == "auroc"}
    assert rows["fewer"]["value"] is None
    assert "different patients" in rows["fewer"]["reason"]
    assert rows["strong"]["value"] is not None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"arm": {}}, "unknown key 'arm'"),
        ({"arms": None}, "'arms' is missing"),
        ({"arms": {"weak": []}}, "two or more arms"),
        ({"arms": {"weak": ["strength=1"], "b": []}}, "arms.weak"),
        ({"reference": "nobody"}, "no arm is called 'nobody'"),
        ({"contrasts": [["weak"]]}, "pairs"),
        ({"contrasts": [["weak", "nobody"]]}, "nobody"),
        ({"folds": 1}, "folds"),
        ({"folds": "three"}, "folds"),
        ({"seeds": []}, "seeds"),
        ({"seeds": [1, 1]}, "seeds"),
        ({"arms": {"weak": {"set": [], "seeds": [1, 1]}, "b": []}}, "arms.weak.seeds"),
        ({"arms": {"weak": {"set": ["strength=1"], "seeds": [1]}, "b": []}}, "arms.weak.set"),
        ({"replicates": -1}, "replicates"),
        ({"base": "no-such.yaml"}, "no such configuration"),
    ],
)
def test_a_wrong_yaml_is_refused(make, changes, says):
    with pytest.raises(InputError, match=says):
        make(**changes)


def test_somebody_elses_folder_and_a_busy_one_are_refused(make, tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"holds no plan\.json"):
        run(make(), tmp_path / "theirs", fit_cell)
    inner = []

    def nested(config, overrides, out, patterns):
        if not inner:
            inner.append(1)
            with pytest.raises(InputError, match="another process"):
                run(make(), tmp_path / "out", fit_cell)
        fit_cell(config, overrides, out, patterns)

    assert run(make(), tmp_path / "out", nested)["arms"]["weak"]["status"] == "done"


def test_the_shipped_ablation_has_its_arms():
    ablation = Ablation.load("ablations/demo.yaml")
    assert ablation.base.name == "demo.yaml"
    assert ablation.base.parent.name == "configs"
    assert list(ablation.arms) == ["none", "linked", "message_passing", "permuted"]
    assert ("message_passing", "permuted") in ablation.comparisons()
    cells = plan(ablation).cells
    permuted = next(cell for cell in cells if cell.arm == "permuted")
    assert f"--data.null_seed={permuted.seed}" in permuted.overrides
    assert any(option.startswith("--data.split=fold:0/") for option in permuted.overrides)
    assert f"--seed_everything={permuted.seed}" in permuted.overrides


@pytest.mark.parametrize(
    "name", sorted(path.name for path in (find("demo").parent / "ablations").glob("*.yaml"))
)
def test_no_shipped_ablation_starts_from_an_ablation(name):
    base = Ablation.load(f"ablations/{name}").base
    assert "model" in yaml.safe_load(base.read_text())


@pytest.mark.parametrize("base", ["other.yaml", "{folder}/other.yaml", "mine.yaml"])
def test_an_ablation_is_refused_as_the_base_of_another(make, tmp_path, base):
    ablation = make().source
    ablation.rename(tmp_path / "other.yaml")
    document = yaml.safe_load((tmp_path / "other.yaml").read_text())
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump(document | {"base": base.format(folder=tmp_path)}))
    with pytest.raises(InputError, match="is an ablation or a search itself"):
        Ablation.load(mine)


@pytest.mark.slow
def test_the_shipped_controls_hold_both_channels_against_every_null():
    ablation = Ablation.load("ablations/controls.yaml")
    assert {"none", "free", "linked", "similarity", "distance", "plain_bias"} <= set(ablation.arms)
    for channel in ("tokens", "bias", "both"):
        assert f"--model.guidance.channels={channel}" in ablation.arms[f"{channel}/real"]
        for name, null in NULLS.items():
            arm = f"{channel}/{name}"
            assert {f"--model.guidance.channels={channel}", f"--data.null={name}"} <= set(ablation.arms[arm])
            assert is_drawn(ablation.arms[arm]) == null.drawn
            assert len(ablation.seeds_of(arm)) == (19 if null.drawn else 3)  # a rank p of .05 at the least
            assert (f"{channel}/real", arm) in ablation.comparisons()
    cells = plan(ablation).cells
    assert len(cells) == len({cell.key for cell in cells}) == 981  # as its first lines say


def test_the_verb_exits_with_1_when_a_cell_failed(make, tmp_path, monkeypatch, capsys):
    import sys
    import types

    stub = types.ModuleType("mhdiff.training.run")
    stub.fit_cell = fit_cell
    stub.embed_cell = embed_cell
    for name in ("run", "embed"):
        monkeypatch.setitem(sys.modules, f"mhdiff.training.{name}", stub)
    monkeypatch.setattr("mhdiff.commands.ablate._prepare", lambda base, overrides, patterns, rare: None)
    make(arms=arms(broken=["--arm=broken", "--strength=1", "--mode=raise"]), replicates=10)
    import argparse

    parser = argparse.ArgumentParser()
    VERB.configure(parser)
    given = parser.parse_args(
        ["-c", str(tmp_path / "ablation.yaml"), "--out", str(tmp_path / "out"), "--set", "extra=1", "--json"]
    )
    with pytest.raises(SystemExit) as stopped:
        VERB.run(given)
    assert stopped.value.code == 1
    document = json.loads(capsys.readouterr().out)
    assert "--extra=1" in document["cells"][0]["overrides"]
    frames = [pl.read_parquet(file) for file in Path(tmp_path / "out" / "cells").rglob("*.parquet")]
    assert len(frames) == 16
