"""The report of an ablation's folder: the questions in their order, with the figures of ablation.json."""

import copy
import json
import re

import pytest
from made_up_run import ablation, write_ablation

from mhdiff.ablate import Ablation
from mhdiff.report import write_report
from mhdiff.report.answers import answers, direction, doubts, rivals
from mhdiff.report.arms import certainty, pair
from mhdiff.report.by_frequency import by_frequency
from mhdiff.report.controls import channels, controls
from mhdiff.report.reach import power
from mhdiff.report.roles import asks, asks_guidance, compared, flipped, main_arm, options
from mhdiff.report.text import figure, number, probability, signed_figure
from ontology.errors import InputError

PRIOR = "--model.prior=mhdiff.diffusion.imputers"


def page(root, document=None):
    folder = write_ablation(root, document)
    return write_report(folder, folder / "report.html").read_text()


def renamed(overrides):
    """The made-up ablation with other arms: the same figures under other overrides."""
    document = ablation()
    for name, changed in overrides.items():
        document["arms"][name]["overrides"] = changed
        for cell in document["cells"]:
            if cell["arm"] == name:
                cell["overrides"] = ["--data.cohort=C", *changed]
    return document


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return page(tmp_path_factory.mktemp("ablation"))


def test_the_questions_stand_in_their_order(whole):
    order = [
        "help",
        "size",
        "certainty",
        "classes",
        "controls",
        "channels",
        "patterns",
        "metrics",
        "cost",
        "repeat",
    ]
    assert re.findall(r'<section id="(\w+)"', whole) == order
    assert re.findall(r'<a href="#(\w+)"', whole.split("<main")[0])[-len(order) :] == order
    assert "Does guidance help here?" in whole
    lead = re.search(r'class="lead">(.*?)</p>', whole, re.S).group(1)
    assert lead.startswith(
        "Ontology guidance (message passing): it helped here, and did better than the same graph"
    )


def test_every_figure_is_that_of_the_file(whole):
    document = ablation()
    for arm in document["arms"].values():
        assert figure(arm["metrics"]["auroc"]) in whole
        assert f">{figure(arm['metrics']['ece'])}<" in whole
    for d in document["differences"]:
        if d["metric"] == "auroc":
            assert signed_figure(d) in whole
            assert signed_figure(d["folds"]) in whole
            tested = d["folds"]["p_holm"]
            assert tested is None or f">{probability(tested)}<" in whole
    for pattern in document["patterns"].values():
        for row in pattern["arms"].values():
            assert f">{figure(row['metrics']['auroc'])}<" in whole
    for row in document["power"]["half_width"].values():
        assert f">{number(row['difference'])}<" in whole
    for told in ("0c" * 32, "0d" * 32, "abc123", "-c mine.yaml", "memory of each arm"):
        assert told in whole
    assert not re.search(r"https?://|@import|url\(|<script|<link|javascript:", whole)


def test_an_ablation_of_anything_else_is_told_by_its_own_arms(tmp_path):
    other = renamed(
        {"none": [f"{PRIOR}.NoPrior"], "linked": [f"{PRIOR}.MeanImputer"], "permuted": [f"{PRIOR}.VAE"]}
    )
    for part in (other["arms"], *(p["arms"] for p in other["patterns"].values())):
        part["vae"] = part.pop("permuted")
    text = json.dumps(other).replace('"permuted"', '"vae"')
    told = page(tmp_path, json.loads(text))
    assert "How does message passing compare?" in told
    assert "does not ask what ontology guidance is worth" in told
    assert "Of 2 arms that it was compared with, " in told
    assert 'id="controls"' not in told
    assert answers(json.loads(text)) == []


@pytest.mark.parametrize(
    ("name", "main", "guided"),
    [("ontology_guidance", "real", True), ("proposal", "full", True), ("baselines", "mh_diff", False),
     ("priors", "diffusion", False), ("layers", "no_round", False), ("losses", "ce", False)],
)  # fmt: skip
def test_the_shipped_ablations_are_read_as_what_they_ask(name, main, guided):
    plan = Ablation.load(f"ablations/{name}")
    document = {
        "reference": plan.reference,
        "arms": {arm: {"overrides": list(own)} for arm, own in plan.arms.items()},
        "cells": [{"arm": arm, "overrides": [*plan.common, *own]} for arm, own in plan.arms.items()],
        "differences": [{"arm": a, "reference": b, "metric": "auroc"} for a, b in plan.comparisons()],
    }
    assert (main_arm(document), asks_guidance(document)) == (main, guided)
    kinds = {pair: asks(document, *pair) for pair in plan.comparisons()}
    if name == "ontology_guidance":
        assert kinds["real", "none"] == kinds["real_bias", "none"] == "guidance"
        controls = {kinds["real", null] for null in ("permuted", "rewired", "random", "cooccurrence", "free")}
        assert controls == {"control"}
        assert {kinds["real", part] for part in ("real_tokens", "real_bias")} == {"channel"}
    if name == "proposal":
        assert (kinds["full", "without_ontology"], kinds["full", "plain"]) == ("guidance", "other")


def test_who_does_better_than_the_main_arm_is_in_the_first_lines(tmp_path):
    document = ablation()
    shown, higher = rivals(document)
    assert (shown, higher) == ([], [])
    document["arms"]["permuted"]["metrics"]["auroc"]["value"] = 0.999
    document["arms"]["linked"]["metrics"]["auroc"]["value"] = 0.998
    for d in document["differences"]:
        if (d["arm"], d["reference"], d["metric"]) == ("message_passing", "permuted", "auroc"):
            d |= {"value": -0.05, "low": -0.09, "high": -0.01}
    told = page(tmp_path, document)
    first = told.split('<section id="help"')[0]
    assert "Message passing is not the best arm." in first
    assert "permuted did better than message passing: +0.050 (95% interval +0.010 to +0.090" in first
    assert "linked has an AUROC of 0.998" in first
    assert "the two were not compared" in first


def test_a_failed_control_stays_visible(tmp_path):
    told = page(tmp_path, ablation(failing="permuted"))
    assert "a null comparison failed" in told
    assert "Trainings that failed" in told
    assert "fold 2 of 2, seed 1" in told
    controlled = told.split('<section id="controls"')[1].split("</section>")[0]
    assert "the loss is NaN" in controlled


def test_where_every_arm_failed_there_is_a_report_all_the_same(tmp_path):
    document = ablation(failing="message_passing")
    nothing = {"value": None, "low": None, "high": None, "undefined": 0, "reason": "the loss is NaN"}
    for arm in document["arms"].values():
        arm |= {"status": "failed", "reason": "the loss is NaN", "per_class": {}, "by_seed": {}}
        arm |= {"n": 0, "n_subjects": 0}
        arm["metrics"] = dict.fromkeys(arm["metrics"], nothing)
    for d in [*document["differences"], *document["differences_per_class"]]:
        d |= nothing
        d["folds"] = None
    document |= {"power": None, "patterns": {}, "rare": None}
    told = page(tmp_path, document)
    assert "message passing has no AUROC: the loss is NaN." in told
    assert "was not compared" not in told.split('<section id="size"')[0].split("verdict")[1]


def test_what_a_comparison_asks():
    document = renamed({"linked": ["--model.guidance=mhdiff.guidance.MessagePassing"]})
    assert main_arm(document) == "message_passing"
    assert asks(document, "message_passing", "none") == "guidance"
    assert asks(document, "none", "message_passing") == "guidance"
    assert asks(document, "message_passing", "permuted") == "control"
    assert asks(document, "permuted", "none") == "floor"
    assert asks(document, "linked", "message_passing") == "other"
    mixed = renamed({"linked": ["--model.guidance=mhdiff.guidance.Linked", f"{PRIOR}.NoPrior"]})
    assert asks(mixed, "linked", "none") == "other"  # a prior differs too
    base = {
        "arms": {"a": {"overrides": ["--model.guidance.init_args.channels=bias", "--model.guidance=X"]}},
        "cells": [],
    }
    assert options(base, "a") == {
        "model.guidance": "X"
    }  # a class named anew forgets the options of the one before


def test_comparisons_are_told_from_the_guided_arm_and_in_the_order_of_the_questions():
    document = ablation()
    for d in document["differences"]:
        if (d["arm"], d["reference"]) == ("message_passing", "none"):
            before = d | {"folds": dict(d["folds"])}
            d |= flipped(d)
    rows = compared(document, "auroc")
    assert [d["asks"] for d in rows] == ["guidance", "guidance", "control", "floor"]
    assert pair(rows[0]) == "message passing \N{MINUS SIGN} none"
    turned = compared(document, before["metric"])[0]
    for key in ("value", "low", "high"):
        assert turned[key] == pytest.approx(before[key])
        assert turned["folds"][key] == pytest.approx(before["folds"][key])


def test_a_difference_that_one_test_does_not_bear_out_is_doubted():
    d = {"arm": "a", "reference": "b", "metric": "auroc", "value": 0.1, "low": 0.02, "high": 0.2, "draws": 4,
         "rank_p": 0.2, "rank_p_holm": 0.4, "folds": {"p": 0.04, "p_holm": 0.2, "folds": 5}}  # fmt: skip
    folds, rank = doubts(d)
    assert "(p 0.200 after Holm's adjustment)" in folds
    plain = doubts(d | {"folds": {"p": 0.3, "p_holm": None, "folds": 5}})[0]
    assert "(p 0.300): trained" in plain
    assert "it is above all 4 draws, and so few give no p below 0.400" in rank
    assert (
        "its rank among the draws does not bear it out (p 0.600)"
        in doubts(d | {"rank_p": 0.4, "rank_p_holm": 0.6})[1]
    )
    assert doubts(d | {"low": -0.02}) == []
    sure = copy.deepcopy(d) | {"rank_p_holm": 0.05, "folds": {"p": 0.001, "p_holm": 0.01, "folds": 5}}
    assert doubts(sure) == []
    assert direction(d | {"metric": "brier"}) == "worse"


def test_channels_and_controls_are_told_where_there_are_some():
    document = ablation()
    assert channels(document) is None
    both = renamed({"linked": ["--model.guidance.channels=tokens"]})
    table = channels(both)
    assert [str(row[0]) for row in table.rows] == [
        "tokens; linked",
        "as the base configuration has it; message passing",
    ]
    control = controls(document)
    assert str(control.rows[0][0]).startswith("permuted; keeps every edge")
    assert controls(renamed({"permuted": [f"{PRIOR}.NoPrior"]})) is None  # another prior: no control any more


def test_what_an_earlier_version_did_not_write_is_left_out():
    document = ablation()
    for key in ("power", "families", "rare", "patterns", "interval"):
        document.pop(key, None)
    for d in document["differences"]:
        d.pop("folds", None)
    assert power(document) is None
    assert "Over folds" not in certainty(document).columns


def test_unusable_folders_are_named_and_nothing_is_written(tmp_path):
    folder = write_ablation(tmp_path)
    file = folder / "ablation.json"
    document = json.loads(file.read_text())
    out = folder / "report.html"
    for broken in (document | {"arms": {}}, {k: v for k, v in document.items() if k != "differences"}):
        file.write_text(json.dumps(broken))
        with pytest.raises(InputError, match="missing or empty"):
            write_report(folder, out)
    document["differences"][0]["arm"] = "stranger"
    file.write_text(json.dumps(document))
    with pytest.raises(InputError, match="'stranger' is compared and is no arm"):
        write_report(folder, out)
    file.unlink()
    with pytest.raises(InputError, match="mhdiff ablate"):
        write_report(folder, out)
    write_ablation(tmp_path)
    with pytest.raises(InputError, match="neither --ablation nor --stages"):
        write_report(folder, out, ablation=file)
    assert not out.exists()


def test_without_its_trainings_the_page_says_what_it_lacks(tmp_path):
    folder = write_ablation(tmp_path)
    (folder / "plan.json").unlink()
    for file in folder.glob("cells/*/run.json"):
        file.write_text("{")
    told = write_report(folder, folder / "report.html").read_text()
    assert "the plan of the trainings" in told
    assert "no training&#39;s run.json can be read" in told


def test_rare_classes_stand_beside_common_ones(whole):
    document = ablation()
    told = by_frequency(document)
    assert [table.id for table in told.values()] == ["frequency-arms", "frequency-differences"]
    first = next(iter(document["patterns"].values()))
    for row in first["differences"]:
        if row["metric"] in ("rare_auroc", "common_auroc") and row["arm"] == "message_passing":
            assert signed_figure(row) in {str(cell) for line in told["differences"].rows for cell in line}
            assert signed_figure(row) in whole
    for row in first["arms"].values():
        assert figure(row["metrics"]["common_auroc"]) in whole
    assert "p over folds" in whole
    for pattern in document["patterns"].values():
        for row in pattern["arms"].values():
            row["metrics"].pop("common_auroc")
    assert by_frequency(document)["arms"].columns == ("Arm", "Rare classes")
    assert by_frequency(document | {"patterns": {}}) is None


def test_an_arm_that_failed_is_seen_to_have_failed_among_rare_and_common_classes():
    document = ablation(failing="linked")
    told = by_frequency(document)["arms"]
    line = next(row for row in told.rows if row[0] == "linked")
    assert all("failed" in str(cell) for cell in line[1:])
