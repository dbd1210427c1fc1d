"""The positive and the negative control: is the planted effect of the ontology found, and none where there is none?"""

from __future__ import annotations

import pytest
import torch
import yaml

from mhdiff.ablate import Ablation, run
from mhdiff.builtin import Builtin
from mhdiff.config import find
from mhdiff.training.run import fit_cell

PATIENTS = 1500  # an effect of 5 points has an interval of about +-2 at this size


@pytest.fixture(autouse=True)
def one_thread():
    """The number of threads decides the last bits, and training makes figures of them: fix it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.parametrize("signal", [1.0, 0.0])
def test_message_passing_beats_permuted_only_where_the_ontology_speaks(signal, tmp_path):
    folders = {part: str(tmp_path / part) for part in ("ontology", "cohort", "graph")}
    # Another seed than the demo's and than the ones that its settings were chosen on.
    Builtin(patients=PATIENTS, seed=2027, signal=signal, image_size=48).prepare(
        *folders.values(), "pneumonia"
    )
    config = yaml.safe_load(find("demo").read_text())
    del config["data"]["builtin"]
    config["data"] |= folders
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(config))
    ablation = yaml.safe_load(find("ablations/demo.yaml").read_text()) | {"base": str(tmp_path / "base.yaml")}
    ablation["arms"] = {name: ablation["arms"][name] for name in ("message_passing", "permuted")}
    ablation |= {"reference": "permuted", "contrasts": [], "seeds": [1, 2]}
    (tmp_path / "ablation.yaml").write_text(yaml.safe_dump(ablation))
    document = run(Ablation.load(tmp_path / "ablation.yaml"), tmp_path / "out", fit_cell)
    (difference,) = (row for row in document["differences"] if row["metric"] == "auroc")
    assert difference["n"] == PATIENTS
    if signal:
        assert difference["low"] > 0, difference
    else:
        assert difference["low"] <= 0 <= difference["high"], difference
