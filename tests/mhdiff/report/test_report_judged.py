"""What a run's report tells of metrics.json beyond the headline: decisions, subgroups, mechanisms, other runs."""

import json
import re

import pytest
from made_up_run import metrics, write

from mhdiff.report import write_report
from mhdiff.report.collect import collect
from mhdiff.report.decisions import BOX, _above, describe
from mhdiff.report.mechanisms import describe as mechanisms
from mhdiff.report.subgroups import describe as subgroups
from mhdiff.report.text import figure, number, probability, signed_figure


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    root = tmp_path_factory.mktemp("judged")
    run = write(root)
    return write_report(run, root / "report.html").read_text(), collect(run)


def test_every_part_of_metrics_json_is_shown_with_its_figures(report):
    text, _ = report
    document = metrics()
    full = next(iter(document["patterns"].values()))
    for row in full["per_class"].values():
        for name in (
            "sensitivity",
            "specificity",
            "sensitivity_at_90",
            "calibration_slope",
            "calibration_intercept",
        ):
            assert f">{figure(row[name])}<" in text
    for name, floor in full["calibration"]["floor"].items():
        assert f">{figure(full['metrics'][name])}<" in text
        assert f">{number(floor['mean'])}; up to {number(floor['high'])}<" in text
    for band in full["by_frequency"]:
        assert f">{figure(band['auroc'])}<" in text
    for curve in document["decision_curves"].values():
        for row in curve:
            assert f">{figure(row['model'])}<" in text
            assert f">{signed_figure(row['gain'])}<" in text
    for kind in document["subgroups"].values():
        for group in kind["groups"].values():
            assert figure(group["metrics"]["brier"]) in text
            assert signed_figure(group["gap"]["accuracy"]) in text
    for regime in document["regimes"].values():
        told = figure(regime["metrics"]["auroc"]) if regime["metrics"] else regime["reason"]
        assert told.replace("'", "&#39;") in text
    for row in (*document["robustness"]["levels"], document["robustness"]["relative"]):
        assert figure(row["auroc"]) in text
    assert figure(document["presence_only"]["metrics"]["auroc"]) in text


def test_another_run_is_told_pattern_by_pattern_with_delong(report):
    text, _ = report
    comparison = metrics()["against"]["runs/gated"]
    assert "This run minus runs/gated" in text
    for pattern in comparison["patterns"].values():
        assert signed_figure(pattern["difference"]["auroc"]) in text
    for row in comparison["delong"]["classes"].values():
        assert row["p"] is None or f">{probability(row['p_holm'])}<" in text


def test_another_run_that_did_better_is_in_the_first_lines(report, tmp_path):
    assert "Others did better" not in report[0]
    run = write(tmp_path)
    document = metrics()
    full = next(iter(document["against"]["runs/gated"]["patterns"].values()))
    full["difference"]["auroc"] |= {"value": -0.1, "low": -0.2, "high": -0.05}
    (run / "metrics.json").write_text(json.dumps(document))
    first = write_report(run, tmp_path / "report.html").read_text().split('<section id="guidance"')[0]
    assert "runs/gated did better than this run: AUROC +0.100 (95% interval +0.050 to +0.200)" in first


def test_a_decision_curve_is_drawn_where_its_values_are(report):
    _, found = report
    left, top, right, bottom = BOX
    for plot, rows in zip(describe(found)["plots"], metrics()["decision_curves"].values(), strict=True):
        assert len(plot["dots"]) == len(rows)
        heights = [y for _, y in plot["dots"]]
        values = [row["model"]["value"] for row in rows]
        order = sorted(range(len(rows)), key=lambda i: values[i])
        assert [heights[i] for i in order] == sorted(heights, reverse=True)
        zero, tick = plot["nobody"], dict((told, y) for y, told in plot["ticks"])
        assert tick[next(t for t in tick if float(t.replace("\N{MINUS SIGN}", "-")) == 0)] == pytest.approx(
            zero
        )
        for x, y in [*plot["dots"], *(p for pair in plot["ends"] for p in pair)]:
            assert left <= x <= right
            assert top <= y <= bottom
        for x, y in re.findall(r"([\d.]+),([\d.]+)", plot["everybody"]):
            assert left <= float(x) <= right
            assert top <= float(y) <= bottom


def test_a_line_is_cut_where_it_leaves_the_figure():
    assert _above([(0, 1), (1, -1), (2, 1)], 0.0) == [(0, 1), (0.5, 0.0), (1.5, 0.0), (2, 1)]
    assert _above([(0, -1), (1, -2)], 0.0) == []


def test_what_has_no_figure_says_why(report):
    _, found = report
    document = metrics()
    document["subgroups"]["site"] = {"groups": None, "reason": "site is not known of any of these samples"}
    nothing = {
        "metrics": None,
        "reason": "no modality could be hidden",
        "driver": None,
        "hidden": 0.0,
        "rate": 0.5,
    }
    document["regimes"]["mcar"] = nothing
    document["robustness"] = {
        "levels": None,
        "relative": None,
        "effective": None,
        "reason": "with one modality",
    }
    document["presence_only"] = {
        "metrics": None,
        "reason": "no tuning predictions",
        "n_tuning": 0,
        "sets": None,
    }
    for kind in ("sex", "age"):
        for group in document["subgroups"][kind]["groups"].values():
            for part in ("metrics", "gap"):
                group[part]["auroc"] = {
                    "value": None,
                    "low": None,
                    "high": None,
                    "reason": "no sample of class viral",
                }
    found = collect(found.run)
    found.metrics = document
    told = {kind["title"]: kind for kind in subgroups(found)}
    assert told["By site"]["scores"] is None
    assert "not known" in told["By site"]["reason"]
    assert not told["By sex"]["defined"]
    assert told["By sex and age"]["defined"]
    parts = mechanisms(found)
    assert "no modality could be hidden" in str(parts["regimes"].rows[0][1])
    assert parts["robustness"]["reason"] == "with one modality"
    assert "no tuning predictions" in parts["presence"]


def test_metrics_of_an_earlier_version_give_a_report_that_names_what_is_not_there(tmp_path):
    run = write(tmp_path)
    document = metrics()
    for part in (
        "subgroups",
        "regimes",
        "robustness",
        "decision_curves",
        "presence_only",
        "against",
        "interval",
    ):
        del document[part]
    for pattern in document["patterns"].values():
        del pattern["by_frequency"], pattern["calibration"]["floor"], pattern["metrics"]["calibration_slope"]
        for row in pattern["per_class"].values():
            del row["calibration_slope"], row["calibration_intercept"]
    (run / "metrics.json").write_text(json.dumps(document))
    text = write_report(run, tmp_path / "report.html").read_text()
    for part in ("subgroups and sites", "modalities missing by a mechanism", "robustness", "decision curves",
                 "whether missingness is a shortcut", "figures by class frequency", "calibration by class",
                 "a comparison with another run"):  # fmt: skip
        assert text.count(f"{part}") >= 2, part  # in the list on top, and in its place
    assert f"mhdiff evaluate {run} --against OTHER_RUN" in text


def test_a_run_of_an_estimator_has_a_report(tmp_path):
    run = write(tmp_path)
    for name in ("history.json", "explanations/14.json"):
        (run / name).unlink()
    facts = json.loads((run / "run.json").read_text())
    del facts["best_epoch"], facts["best_tuning_loss"]
    (run / "run.json").write_text(json.dumps(facts | {"estimator": {"class": "GradientBoosting"}}))
    document = metrics()
    del document["corruptions"], document["latents"]
    (run / "metrics.json").write_text(json.dumps(document))
    text = write_report(run, tmp_path / "report.html").read_text()
    assert text.count("GradientBoosting keeps its predictions and no model") >= 3
    assert "settings to choose from and no epochs" in text
