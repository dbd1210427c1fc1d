"""UK Biobank from invented files to an evaluated model of volumes, through the command line alone."""

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
def test_from_files_to_an_evaluated_model(tmp_path, whole_way, capsys):
    needs.module("nibabel")
    source = ukb_source.many(tmp_path / "ukb", 30).write()
    cohort, onto = tmp_path / "cohort", str(tmp_path / "ontology")
    assert main(["ontology", "build", "builtin", "--out", onto]) == 0
    assert main(["cohort", "import", "uk-biobank", str(source), "--out", str(cohort)]) == 0
    modalities = ["image", "labs", "codes"]
    metrics = whole_way(
        cohort, "ukb_dementia", modalities, *SMALL, ontology=onto, config="configs/uk_biobank.yaml"
    )
    assert metrics["task"] == "ukb_dementia"
    said = capsys.readouterr()
    assert "1000000" not in said.out + said.err  # no eid
