"""`mhdiff explain` speaks of the diagnosis that `mhdiff evaluate` judges, by whichever way the run diagnoses."""

import json
import shutil

import polars as pl
import pytest

from mhdiff.cli import main
from mhdiff.commands.explain import lines
from mhdiff.explain.modalities import modality_shapley
from mhdiff.inference import Inference, Way
from mhdiff.training.run import open_run

WAYS = {
    "denoise": Way(time=0.4, temperature=1.6),
    "shared": Way(draws=8, steps=4, temperature=0.7),
    "fusion": Way(time=0.02, draws=8, steps=4, via="fusion", temperature=0.7),
}


@pytest.fixture(params=WAYS)
def run(request, small_run, tmp_path):
    """The trained run, which diagnoses by a way of ours."""
    folder = tmp_path / "run"
    shutil.copytree(small_run, folder)
    (folder / "predictions.parquet").unlink(missing_ok=True)
    inference = Inference(Way(time=0.05, temperature=1.4), WAYS[request.param], seed=5)
    (folder / "inference.json").write_text(json.dumps({"chosen": inference.as_dict()}))
    assert main(["evaluate", str(folder), "--replicates", "2"]) == 0
    return folder, request.param


def test_what_is_explained_is_what_is_predicted(run, capsys):
    run, way = run
    names = ["image", "note", "labs", "codes"]
    table = pl.read_parquet(run / "predictions.parquet")
    dataset = open_run(run)[1].dataset(["held_out", "tuning"])
    present = {int(s): p.tolist() for s, p in zip(dataset.sample_ids, dataset.present, strict=True)}
    whole = next(s for s, p in present.items() if all(p))
    lacking = next(s for s, p in present.items() if not all(p) and sum(p) > 1)
    for sample in (whole, lacking):
        capsys.readouterr()
        assert main(["explain", str(run), "--sample", str(sample), "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        rows = {row["pattern"]: row for row in table.filter(sample_id=sample).iter_rows(named=True)}
        predicted = rows["+".join(names)]
        target = list(told["probabilities"]).index(told["predicted"])
        for i, p in enumerate(told["probabilities"].values()):
            assert p == pytest.approx(predicted[f"p_{i}"], abs=1e-6)
        assert told["completeness_gap"] < 0.01
        assert (told["way"]["by"] == "imputation") == (way != "denoise" and sample == lacking)
        assert told["way"]["temperature"] == (1.4 if sample == whole else WAYS[way].temperature)

        # With modalities hidden: Shapley values are differences of probabilities under every pattern, of which that of
        # nothing is in no file; any two of them differ by a number that does not depend on it.
        def probability(offered):
            pattern = "+".join(name for name in names if name in offered)
            return rows[pattern][f"p_{target}"] if pattern else 0.0

        wanted = modality_shapley(names, present[sample], probability)
        found = {m["name"]: m["shapley"] for m in told["modalities"]}
        have = [name for name, there in zip(names, present[sample], strict=True) if there]
        for a, b in zip(have, have[1:], strict=False):
            assert found[a] - found[b] == pytest.approx(wanted[a] - wanted[b], abs=1e-6)

        text = "\n".join(lines(told))
        assert f"({max(told['probabilities'].values()):.2f})" in text
        sentence = {
            "denoise": "diagnosed from the denoised latent at t = 0.4, temperature 1.6",
            "shared": "mean probability of 8 imputations of the complete patient's latent, temperature 0.7",
            "fusion": "mean probability of 8 imputations of the missing modalities, each fused with what is there and "
            "denoised at t = 0.02, temperature 0.7",
        }
        whole_told = "diagnosed from the denoised latent at t = 0.05, temperature 1.4"
        assert (whole_told if sample == whole else sentence[way]) in text
