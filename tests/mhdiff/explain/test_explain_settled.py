"""`mhdiff explain` speaks of the diagnosis that `mhdiff evaluate` judges, by whichever way the run diagnoses."""

import json
import shutil
from itertools import pairwise

import polars as pl
import pytest

from mhdiff.cli import main
from mhdiff.commands.explain import lines
from mhdiff.evaluate.patterns import all_patterns, pattern_name
from mhdiff.explain.modalities import modality_shapley
from mhdiff.inference import Inference, Way
from mhdiff.training.run import open_run

NAMES = ["image", "note", "labs", "codes"]
COMPLETE = Way(time=0.05, temperature=1.4)
INCOMPLETE = {
    "denoise": Way(time=0.4, temperature=1.6),
    "shared": Way(time=0.1, draws=8, steps=4, temperature=0.7),
    "mean": Way(time=0.0, mean=True, temperature=1.2),
    "fusion": Way(time=0.02, draws=8, steps=4, via="fusion", temperature=0.7),
}
SENTENCE = {
    "complete": "diagnosed from the denoised latent at t = 0.05, temperature 1.4",
    "denoise": "diagnosed from the denoised latent at t = 0.4, temperature 1.6",
    "shared": "mean probability of 8 imputations of the complete patient's latent, denoised at t = 0.1, "
    "temperature 0.7",
    "mean": "diagnosed from the conditional mean of the complete patient's latent, denoised at t = 0, temperature 1.2",
    "fusion": "mean probability of 8 imputations of the missing modalities, fused with what is there and "
    "denoised at t = 0.02, temperature 0.7",
}


@pytest.mark.parametrize(
    "way",
    [way if way == "fusion" else pytest.param(way, marks=pytest.mark.slow) for way in INCOMPLETE],
)
def test_what_is_explained_is_what_is_predicted(way, small_run, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(small_run, run)
    (run / "predictions.parquet").unlink(missing_ok=True)
    inference = Inference(COMPLETE, INCOMPLETE[way], seed=5)
    patterns = sorted(pattern_name(p, NAMES) for p in all_patterns(NAMES))
    asked = open_run(run)[0].inference
    settled_for = {"patterns": patterns, "configuration": asked.as_dict(), "seed": 1}
    (run / "inference.json").write_text(json.dumps(settled_for | {"chosen": inference.as_dict()}))
    assert main(["evaluate", str(run), "--replicates", "2"]) == 0
    predictions = pl.read_parquet(run / "predictions.parquet")

    dataset = open_run(run)[1].dataset(["held_out", "tuning"])
    present = {int(s): p.tolist() for s, p in zip(dataset.sample_ids, dataset.present, strict=True)}
    lacking = next(s for s, p in present.items() if not all(p) and sum(p) > 1)
    samples = {"complete": next(s for s, p in present.items() if all(p)), way: lacking}
    for group, sample in samples.items():
        capsys.readouterr()
        assert main(["explain", str(run), "--sample", str(sample), "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        rows = {r["pattern"]: r for r in predictions.filter(sample_id=sample).iter_rows(named=True)}
        for i, p in enumerate(told["probabilities"].values()):
            assert p == pytest.approx(rows["+".join(NAMES)][f"p_{i}"], abs=1e-6)
        assert told["completeness_gap"] < 0.01
        by = {"shared": "imputation", "fusion": "imputation", "mean": "conditional mean"}
        assert told["way"]["by"] == by.get(group, "denoising")
        assert SENTENCE[group] in "\n".join(lines(told))
        as_if_hidden(told, rows, present[sample])


def as_if_hidden(told, rows, present):
    """Shapley values are sums of differences of the probabilities under every pattern.

    That of nothing is in no file, but in how two of them differ it cancels.
    """
    column = f"p_{list(told['probabilities']).index(told['predicted'])}"

    def probability(offered):
        pattern = "+".join(name for name in NAMES if name in offered)
        return rows[pattern][column] if pattern else 0.0

    wanted = modality_shapley(NAMES, present, probability)
    found = {m["name"]: m["shapley"] for m in told["modalities"]}
    for a, b in pairwise(name for name, there in zip(NAMES, present, strict=True) if there):
        assert found[a] - found[b] == pytest.approx(wanted[a] - wanted[b], abs=1e-6)
