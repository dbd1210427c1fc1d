"""`mhdiff evaluate`: every figure of a run, of pooled runs, or of stored predictions, on held-out patients."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mhdiff import console
from mhdiff.commands import Verb
from mhdiff.commands.evaluate_options import configure, refuse_mixtures, refuse_numbers
from ontology.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from mhdiff.evaluate.stored import About, Stored

METRICS = "metrics.json"


def _run(arguments: argparse.Namespace) -> None:
    runs, pools = arguments.run, len(arguments.run) > 1 or arguments.arm is not None
    refuse_mixtures(arguments, pools)
    if pools:
        from mhdiff.commands.evaluate_pooled import evaluate_pooled

        document = evaluate_pooled(
            runs,
            arguments.out,
            arguments.replicates,
            arguments.seed,
            arguments.corrupt,
            arm=arguments.arm,
            arm_seed=arguments.arm_seed,
            against=arguments.against,
            rate=arguments.missing,
        )
    else:
        stored = arguments.stored or [None]
        document = evaluate(
            runs[0] if runs else None,
            arguments.replicates,
            arguments.seed,
            arguments.corrupt,
            arguments.latents,
            stored=stored[0],
            spoilt=stored[1] if len(stored) > 1 else None,
            against=arguments.against,
            out=arguments.out,
            rate=arguments.missing,
        )
    if arguments.json:
        console.out_json(document)
    else:
        from mhdiff.commands.evaluate_text import table

        console.out(table(document))


def evaluate(
    run: Path | None,
    replicates: int = 1000,
    seed: int = 0,
    corrupt: Sequence[str] = (),
    latents: bool = False,
    *,
    stored: Path | None = None,
    spoilt: Path | None = None,
    against: Sequence[Path] = (),
    out: Path | None = None,
    rate: float = 0.5,
) -> dict[str, Any]:
    """Evaluate a run, or stored predictions, and write metrics.json.

    Args:
        run: The run's folder.
        replicates: Bootstrap resamples of patients.
        seed: Seed of the resamples.
        corrupt: How records are spoilt, see `mhdiff.corruption`; those that were predicted before are told again.
        latents: Whether the prior's draws are judged; where they were before, that is told again.
        stored: Predictions in place of a run; then the model and the cohort are not asked for.
        spoilt: Predictions of spoilt records that go with them.
        against: Runs or predictions for the same patients.
        out: Folder for metrics.json, in place of the run's; stored predictions have no other.
        rate: Share of what is there that the regimes of missingness hide.

    Raises:
        InputError: If neither or both of run and predictions are given, or one of them cannot be used.
    """
    _check(run, stored, replicates, seed, [*corrupt, *(["--latents"] if latents else [])])
    from mhdiff.corruption import corruptions
    from mhdiff.evaluate.summary import summarise_stored
    from ontology.files import atomic_write

    corruptions(corrupt)  # a wrong name or severity is refused before anything is predicted
    place = run or stored
    assert place is not None
    found, about, ceiling = _open(place, stored is not None)
    document = summarise_stored(found, about, ceiling=ceiling, replicates=replicates, seed=seed, rate=rate)
    if told := _corrupted(run, corrupt, spoilt, found.frame, about, replicates, seed):
        document["corruptions"] = told
    if run is not None and (judged := _latents(run, latents, replicates, seed)):
        document["latents"] = judged
    if rivals := compared(found, about, place, against, replicates, seed):
        document["against"] = rivals
    if (folder := out or run) is not None:
        atomic_write(folder / METRICS, json.dumps(document, indent=1))
    return document


def compared(
    found: Stored, about: About, place: Path, against: Sequence[Path], replicates: int, seed: int
) -> dict[str, Any]:
    """Compare predictions with those of others for the same patients.

    Args:
        found: The predictions.
        about: What they are of.
        place: What they are called.
        against: Runs, pooled runs or predictions.
        replicates: Bootstrap resamples of patients.
        seed: Seed of the resamples.

    Raises:
        InputError: If one cannot be read or is of other patients.
    """
    from mhdiff.evaluate.against import compare

    rivals = [(str(path), *_open(path, not path.is_dir())[:2]) for path in against]
    return {
        name: compare(found, rival, (about, of), (str(place), name), replicates=replicates, seed=seed)
        for name, rival, of in rivals
    }


def _check(
    run: Path | None, stored: Path | None, replicates: int, seed: int, needs_model: Sequence[str]
) -> None:
    from mhdiff.commands.evaluate_pooled import is_pooled

    if (run is None) == (stored is None):
        raise InputError(
            "evaluate takes a run's folder, or --from with predictions, and not both",
            remedy="mhdiff evaluate RUN, or mhdiff evaluate --from predictions.parquet",
        )
    if stored is not None and needs_model:
        raise InputError(
            f"stored predictions say nothing of {', '.join(needs_model)}, which needs the model",
            path=stored,
            remedy="Give the run's folder in place of --from; what was spoilt before: --from PREDICTIONS CORRUPTIONS",
        )
    if run is not None and (run / "ablation.json").is_file():
        raise InputError(
            "the folder is that of an ablation",
            path=run,
            remedy=f"Name an arm, whose folds are pooled: mhdiff evaluate {run} --arm NAME --out DIR",
        )
    if run is not None and needs_model and is_pooled(run):
        raise InputError(
            f"the folder pools runs and holds no model, which {', '.join(needs_model)} needs",
            path=run,
            remedy="Give the runs themselves: mhdiff evaluate RUN RUN ... --out DIR --corrupt ...",
        )
    refuse_numbers(replicates, seed)


def _open(place: Path, alone: bool) -> tuple[Stored, About, pl.DataFrame | None]:
    """Give predictions, what they are of, and exact posteriors where the file itself holds none."""
    from mhdiff.evaluate.stored import read_predictions

    if alone:
        found = read_predictions(place, alone=True)
        assert found.about is not None
        return found, found.about, None
    from mhdiff.training.run import predict_run

    found = read_predictions(predict_run(place))
    if found.about is not None:
        return found, found.about, None
    console.say(
        f"{found.path}: written by an earlier version, without sex, age, what each sample has and what it is of; "
        f"delete it and it is predicted anew with them"
    )
    return _of_run(place, found)


def _of_run(run: Path, found: Stored) -> tuple[Stored, About, pl.DataFrame | None]:
    """Ask the run what predictions of an earlier version do not say."""
    import polars as pl
    import yaml

    from mhdiff.evaluate.ceiling import truth_of
    from mhdiff.evaluate.stored import About

    facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    truth = truth_of(run)
    about = About(
        facts["task"],
        tuple(facts["classes"]),
        tuple(facts.get("offered", facts["modalities"])),
        str(config["data"]["split"]),
    )
    return found, about, pl.read_parquet(truth) if truth is not None else None


def _latents(run: Path, wanted: bool, replicates: int, seed: int) -> dict[str, Any]:
    from mhdiff.training.judge import FILE, judge_run

    if wanted:
        return judge_run(run, replicates=replicates, seed=seed)
    path = run / FILE
    if not path.is_file():
        return {}
    document = dict(json.loads(path.read_text(encoding="utf-8")))
    settings = [document.get("replicates"), document.get("seed")]
    if settings != [replicates, seed]:
        console.say(
            f"{path} is of {settings[0]} replicates and seed {settings[1]}, and is told as it is: add --latents to "
            "judge the draws again"
        )
    return document


def _corrupted(
    run: Path | None,
    corrupt: Sequence[str],
    spoilt: Path | None,
    predictions: pl.DataFrame,
    about: About,
    replicates: int,
    seed: int,
) -> dict[str, Any]:
    from mhdiff.evaluate.corrupted import read_corruptions, summarise_corruptions

    if run is not None:
        from mhdiff.corruption import corruptions
        from mhdiff.training.corrupted import FILE, predict_run_corrupted

        spoilt = run / FILE
        if corrupt or spoilt.is_file():
            every = any(text.partition(":")[0] == "all" for text in corrupt)
            predict_run_corrupted(run, corruptions(corrupt), every)
        if not spoilt.is_file():
            return {}
    if spoilt is None:
        return {}
    return summarise_corruptions(
        read_corruptions(spoilt), predictions, about.classes, path=spoilt, replicates=replicates, seed=seed
    )


VERB = Verb("every metric with intervals and n on patients that training never saw", configure, _run)
