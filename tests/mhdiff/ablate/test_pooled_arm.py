"""An arm of an ablation evaluated as a run is: the table's figures, and all that the table has no room for."""

import json
import shutil

import pytest
from fake_training import fit_cell

from mhdiff.ablate import run
from mhdiff.cli import main
from mhdiff.evaluate.metrics import OVERALL

ARMS = {
    "weak": ["--arm=weak", "--strength=0.2"],
    "strong": {"arm": "strong", "strength": 2.0},
    "own": {"set": ["--arm=own", "--strength=1.0"], "seeds": [7]},
    "failing": ["--arm=failing", "--strength=1.0", "--mode=raise"],
}


@pytest.fixture
def ablated(make, tmp_path):
    """The folder of a small ablation, one arm of which failed, and its document."""
    out = tmp_path / "ablated"
    return out, run(make(arms=ARMS, patterns="all", replicates=20), out, fit_cell)


def evaluate(capsys, *options):
    capsys.readouterr()
    code = main(["evaluate", *map(str, options), "--replicates", "0"])
    return code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("arm", "options", "seed"), [("strong", [], 1), ("strong", ["--arm-seed", 2], 2), ("own", [], 7)]
)
def test_the_figures_are_those_of_the_ablations_table(ablated, tmp_path, capsys, arm, options, seed):
    folder, table = ablated
    out = tmp_path / "out"
    assert evaluate(capsys, folder, "--arm", arm, *options, "--out", out)[0] == 0
    found = json.loads((out / "metrics.json").read_text())
    full = found["patterns"]["image+note"]
    for metric in OVERALL:
        truth = table["arms"][arm]["by_seed"][str(seed)][metric]
        assert full["metrics"][metric]["value"] == pytest.approx(truth, abs=1e-12), metric
    assert full["n_subjects"] == table["arms"][arm]["n_subjects"] == 90
    if arm == "own":  # of one seed, so that the arm's own figures are that seed's
        for pattern, row in table["patterns"].items():
            for metric, figure in row["arms"][arm]["metrics"].items():
                mine = found["patterns"][pattern]["metrics"][metric]["value"]
                assert mine == pytest.approx(figure["value"], abs=1e-12)
        for name, row in table["arms"][arm]["per_class"].items():
            for metric in ("auroc", "auprc", "sensitivity", "specificity"):
                assert full["per_class"][name][metric]["value"] == pytest.approx(
                    row[metric]["value"], abs=1e-12
                )
    for metric in ("sensitivity_at_90", "ece_adaptive", "ece_classwise", "calibration_slope"):
        assert full["metrics"][metric]["value"] is not None
    assert set(found["subgroups"]["sex"]["groups"]) == {"F", "M"}
    facts = json.loads((out / "run.json").read_text())
    assert facts["pooled"]["from"] == [str(folder), "--arm", arm, "--arm-seed", str(seed)]
    assert [row["held_out"] for row in facts["pooled"]["runs"]] == ["fold:0/3", "fold:1/3", "fold:2/3"]


def test_the_report_of_an_arm_has_calibration_subgroups_and_the_commands(ablated, tmp_path, capsys):
    folder, _ = ablated
    out = tmp_path / "out"
    assert evaluate(capsys, folder, "--arm", "strong", "--out", out)[0] == 0
    assert main(["report", str(out), "--tables", str(tmp_path / "tables")]) == 0
    page = (out / "report.html").read_text()
    for part in (
        "3 models, each on the patients held out from it, reached a macro AUROC",
        "Reliability diagram",
        "The temperatures of the 3 models are",
        "By sex",
        "the ablation whose arm this is",
        "--arm strong",
        "--arm-seed 1",
        "3 runs were pooled; each has its own",
        f"--ablation {folder}",
    ):
        assert part in page, part
    assert "training of" not in page, "an arm is trained by its ablation"
    written = {file.name for file in (tmp_path / "tables").iterdir()}
    assert {"calibration-errors.csv", "subgroups-sex.csv", "classes.csv", "reliability.csv"} <= written
    assert main(["report", str(out), "--ablation", str(folder)]) == 0


def test_what_is_no_arm_is_refused_with_a_remedy(ablated, tmp_path, capsys):
    folder, _ = ablated
    lost = shutil.copytree(folder, tmp_path / "lost")
    key = next(
        c["key"] for c in json.loads((lost / "ablation.json").read_text())["cells"] if c["arm"] == "strong"
    )
    shutil.rmtree(lost / "cells" / key)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "ablation.json").write_text("{")
    out = ["--out", tmp_path / "out"]
    for options, says, remedy in (
        ([folder, "--arm", "strange", *out], "no arm is called 'strange'", "weak, strong, own, failing"),
        ([folder, "--arm", "strong", "--arm-seed", 9, *out], "arm 'strong' has no seed 9", "1, 2"),
        (
            [folder, "--arm", "failing", *out],
            "1 of 3 trainings of seed 1 failed (fold 2 seed 1): ",
            "it trains what failed",
        ),
        ([lost, "--arm", "strong", *out], "cells of arm 'strong' are not there", "it trains what is missing"),
        ([tmp_path, "--arm", "strong", *out], "no finished ablation", "leave --arm out"),
        ([broken, "--arm", "strong", *out], "no JSON", "Run the ablation again"),
        ([folder, folder, "--arm", "strong", *out], "2 folders were given", "ABLATION --arm NAME"),
        (["--arm", "strong", *out], "0 folders were given", "ABLATION --arm NAME"),
        ([folder, "--arm", "strong"], "no folder of their own", "--out DIR"),
        ([folder, "--arm", "strong", *out, "--corrupt", "noise"], "stay as they were trained", "mhdiff fit"),
        ([folder], "the folder is that of an ablation", "--arm NAME"),
    ):
        code, err = evaluate(capsys, *options)
        assert code == 2, options
        assert says in err, options
        assert remedy in err, options
        assert not (tmp_path / "out").exists()


def test_evaluating_an_arm_changes_nothing_of_its_ablation(ablated, tmp_path, capsys):
    folder, _ = ablated
    before = {file: file.stat().st_mtime_ns for file in sorted(folder.rglob("*"))}
    assert evaluate(capsys, folder, "--arm", "weak", "--out", tmp_path / "out")[0] == 0
    assert {file: file.stat().st_mtime_ns for file in sorted(folder.rglob("*"))} == before


def test_of_folds_that_were_dealt_twice_the_first_dealing_is_pooled(ablated, tmp_path, capsys):
    folder, _ = ablated
    assert evaluate(capsys, folder, "--arm", "strong", "--out", tmp_path / "once")[0] == 0
    table = json.loads((folder / "ablation.json").read_text())
    table["cells"] = [cell | {"repeat": repeat} for repeat in (0, 1) for cell in table["cells"]]
    (folder / "ablation.json").write_text(json.dumps(table))
    assert evaluate(capsys, folder, "--arm", "strong", "--out", tmp_path / "twice")[0] == 0
    once, twice = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("once", "twice"))
    assert once == twice
