"""MIMIC-CXR from invented files to an evaluated model, through the command line alone; no word of a report gets out."""

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
def test_from_files_to_an_evaluated_model(tmp_path, source, whole_way, capsys):
    cohort, onto = tmp_path / "cohort", str(tmp_path / "ontology")
    assert main(["ontology", "build", "builtin", "--out", onto]) == 0
    assert main(["cohort", "import", "mimic-cxr", str(source), "--out", str(cohort)]) == 0
    modalities = ["image", "note", "labs", "codes"]
    metrics = whole_way(
        cohort, "mimic_pneumonia", modalities, *SMALL, ontology=onto, config="configs/mimic_cxr.yaml"
    )
    assert metrics["task"] == "mimic_pneumonia"
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err
    assert any(SECRET in (text or "") for text in Cohort.open(cohort).events["text_value"])
    for file in (tmp_path / "run").rglob("*"):
        if file.suffix in (".json", ".yaml", ".txt", ".html") and file.name != "preprocess.json":
            assert SECRET not in file.read_text(encoding="utf-8"), file.name
    for file in (cohort / "metadata/import_report.json", tmp_path / "audit.html"):
        assert SECRET not in file.read_text(encoding="utf-8"), file.name
