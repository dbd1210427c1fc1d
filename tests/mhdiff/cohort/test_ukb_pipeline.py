"""UK Biobank from invented files to an evaluated model of volumes, through the command line alone."""

import json

import pytest
import ukb_source

from mhdiff.cli import main
from tests import needs

SMALL = (
    "--trainer.max_epochs=2", "--trainer.accelerator=cpu", "--data.readers.image.init_args.size=16",
    "--data.readers.image.init_args.spacing=1.5", "--data.max_concepts=4", "--model.dim=16",
    "--model.encoders.image.init_args.width=4", "--model.prior.init_args.warmup=2",
    "--model.prior.init_args.backbone.init_args.width=32", "--model.guidance.init_args.anchors=2",
)  # fmt: skip


@pytest.mark.slow  # the import itself stays; manifest goes the whole way in make test
def test_from_files_to_an_evaluated_model(tmp_path, capsys):
    needs.module("nibabel")
    source = ukb_source.many(tmp_path / "ukb", 30).write()
    cohort, graph, onto, model = (str(tmp_path / name) for name in ("cohort", "graph", "ontology", "model"))
    folders = [f"--data.{name}={place}" for name, place in
               (("ontology", onto), ("cohort", cohort), ("graph", graph))]  # fmt: skip
    for call in (
        ["ontology", "build", "builtin", "--out", onto],
        ["cohort", "import", "uk-biobank", str(source), "--out", cohort],
        ["cohort", "validate", cohort],
        ["cohort", "info", cohort, "--task", "ukb_dementia"],
        ["graph", "build", "--ontology", onto, "--cohort", cohort, "--task", "ukb_dementia", "--out", graph],
        ["fit", "-c", "configs/uk_biobank.yaml", *folders, *SMALL, "--out", model],
        ["evaluate", model, "--replicates", "20"],
    ):
        assert main(call) == 0, call
    said = capsys.readouterr()
    assert "1000000" not in said.out + said.err  # no eid
    assert json.loads((tmp_path / "model/metrics.json").read_text())["task"] == "ukb_dementia"
