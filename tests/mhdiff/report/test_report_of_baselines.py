"""Baselines and estimators have a report like any run; what needs a model, or a guidance, says what it lacks."""

import json

import pytest

from mhdiff.cli import main
from mhdiff.config import find

QUICK = ["--estimator.init_args.looks=2", "--estimator.init_args.copies=2", "--estimator.init_args.words=50"]
RUNS = {
    "late_fusion": ["--trainer.max_epochs=1", "--data.modalities=[labs,codes]"],
    "logistic_regression": [*QUICK, "--data.modalities=[labs,codes]"],
}


@pytest.fixture(scope="module", params=RUNS)
def run(request, small_config, tmp_path_factory):
    out = tmp_path_factory.mktemp("baselines") / request.param
    given = ["-c", str(small_config), "-c", str(find(f"baselines/{request.param}")), "--out", str(out)]
    assert main(["fit", *given, *RUNS[request.param]]) == 0
    assert main(["evaluate", str(out), "--replicates", "10"]) == 0
    return out


def test_report_and_explanation(run, tmp_path, capsys):
    fitted = "estimator" in json.loads((run / "run.json").read_text())
    capsys.readouterr()
    code = main(["explain", str(run), "--json"])
    told = capsys.readouterr()
    if fitted:
        assert code == 2
        assert "keeps its predictions and no model" in told.err
    else:
        assert code == 0
        explanation = json.loads(told.out)
        assert explanation["completeness_gap"] < 0.05
        assert explanation["paths"] == []  # there is no guidance
        assert all(m["by_evidence"] == 0 for m in explanation["modalities"])
    out, tables = tmp_path / "report.html", tmp_path / "tables"
    assert main(["report", str(run), "--out", str(out), "--tables", str(tables)]) == 0
    text = out.read_text()
    assert ("LogisticRegression keeps its predictions and no model" in text) == fitted
    assert ("No path: the guidance put no bias" in text) != fitted
    assert (tables / "metrics.csv").is_file()
