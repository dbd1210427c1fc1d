"""MIMIC-CXR from invented files to an evaluated model, through the command line alone; no word of a report gets out."""

import json

import mimic_source
import pytest

from mhdiff.cli import main
from mhdiff.cohort import Cohort

SECRET = "MARKEDWORD"
SMALL = (
    "--trainer.max_epochs=2", "--trainer.accelerator=cpu", "--data.image.init_args.size=32",
    "--data.text.init_args.vocab_size=200", "--data.text.init_args.max_length=32", "--data.max_concepts=4",
    "--model.dim=16", "--model.encoders.image.init_args.depth=10", "--model.encoders.image.init_args.width=4",
    "--model.encoders.note.init_args.layers=1", "--model.encoders.note.init_args.width=16",
    "--model.prior.init_args.warmup=2", "--model.prior.init_args.backbone.init_args.width=32",
    "--model.guidance.init_args.anchors=2",
)  # fmt: skip


@pytest.fixture
def source(tmp_path):
    made = mimic_source.many(tmp_path / "source", 30)
    folder = made.write()
    for report in made.files.rglob("s*.txt"):
        text = report.read_text().replace("___F with", f"___F, {SECRET} with")
        report.write_text(text.replace("FINDINGS:", f"FINDINGS: {SECRET}"))
    return folder


@pytest.mark.slow  # the import itself stays; manifest goes the whole way in make test
def test_from_files_to_an_evaluated_model(tmp_path, source, capsys):
    cohort, graph, onto, model = (str(tmp_path / name) for name in ("cohort", "graph", "ontology", "model"))
    folders = [f"--data.{name}={place}" for name, place in
               (("ontology", onto), ("cohort", cohort), ("graph", graph))]  # fmt: skip
    for call in (
        ["ontology", "build", "builtin", "--out", onto],
        ["cohort", "import", "mimic-cxr", str(source), "--out", cohort],
        ["cohort", "validate", cohort],
        ["cohort", "info", cohort, "--task", "mimic_pneumonia"],
        [
            "graph",
            "build",
            "--ontology",
            onto,
            "--cohort",
            cohort,
            "--task",
            "mimic_pneumonia",
            "--out",
            graph,
        ],
        ["fit", "-c", "configs/mimic_cxr.yaml", *folders, *SMALL, "--out", model],
        ["evaluate", model, "--replicates", "20"],
    ):
        assert main(call) == 0, call
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err
    assert any(SECRET in (text or "") for text in Cohort.open(cohort).events["text_value"])
    for file in (tmp_path / "model").rglob("*"):
        if file.suffix in (".json", ".yaml", ".txt", ".html") and file.name != "preprocess.json":
            assert SECRET not in file.read_text(encoding="utf-8"), file.name
    assert SECRET not in (tmp_path / "cohort/metadata/import_report.json").read_text()
    metrics = json.loads((tmp_path / "model/metrics.json").read_text())
    assert metrics["task"] == "mimic_pneumonia"
