"""`mhdiff evaluate`: every figure of a run, or of stored predictions, on held-out patients."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mhdiff import console
from mhdiff.commands import Verb
from ontology.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from mhdiff.evaluate.stored import About, Stored

METRICS = "metrics.json"


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, nargs="?", help="folder of a run made by mhdiff fit")
    parser.add_argument(
        "--from",
        dest="stored",
        type=Path,
        metavar="PREDICTIONS",
        help="in place of a run: a predictions.parquet, from which alone everything is computed",
    )
    parser.add_argument(
        "--out", type=Path, help="folder for metrics.json (default: the run's; with --from none is written)"
    )
    parser.add_argument(
        "--against",
        nargs="+",
        default=[],
        type=Path,
        metavar="RUN",
        help="other runs, or predictions, for the same patients: paired differences from each",
    )
    parser.add_argument("--replicates", type=int, default=1000, help="bootstrap resamples of patients")
    parser.add_argument("--seed", type=int, default=0, help="seed of the resamples and of what is missing")
    parser.add_argument(
        "--missing",
        type=float,
        default=0.5,
        metavar="SHARE",
        help="share of what is there that is hidden at random, by what is known, and by what is not (default .5)",
    )
    parser.add_argument(
        "--corrupt",
        "--corruptions",
        nargs="+",
        default=[],
        metavar="NAME[:SEVERITY]",
        help="spoil held-out records as well: noise, blur, occlusion, wrong_note, shuffled_words, truncated_note, "
        "unit_error, missing_labs, wrong_codes or all; severity 1 to 5, by default 3",
    )
    parser.add_argument(
        "--latents",
        action="store_true",
        help="judge the prior's draws as well: distances to real latents, 50 evaluations against 1,000, privacy",
    )
    parser.add_argument("--json", action="store_true", help="print metrics.json")


def _run(arguments: argparse.Namespace) -> None:
    document = evaluate(
        arguments.run,
        arguments.replicates,
        arguments.seed,
        arguments.corrupt,
        arguments.latents,
        stored=arguments.stored,
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
        against: Runs or predictions for the same patients.
        out: Folder for metrics.json, in place of the run's; stored predictions have no other.
        rate: Share of what is there that the regimes of missingness hide.

    Raises:
        InputError: If neither or both of run and predictions are given, or one of them cannot be used.
    """
    _check(run, stored, replicates, seed, [*corrupt, *(["latents"] if latents else [])])
    from mhdiff.corruption import corruptions
    from mhdiff.evaluate.against import compare
    from mhdiff.evaluate.summary import summarise_stored
    from ontology.files import atomic_write

    corruptions(corrupt)  # a wrong name or severity is refused before anything is predicted
    place = run or stored
    assert place is not None
    found, about, ceiling = _open(place, stored is not None)
    rivals = [(str(path), *_open(path, not path.is_dir())[:2]) for path in against]
    document = summarise_stored(found, about, ceiling=ceiling, replicates=replicates, seed=seed, rate=rate)
    if run is not None:
        if spoilt := _corrupted(run, corrupt, found.frame, about, replicates, seed):
            document["corruptions"] = spoilt
        if judged := _latents(run, latents, replicates, seed):
            document["latents"] = judged
    if rivals:
        document["against"] = {
            name: compare(found, rival, (about, of), (str(place), name), replicates=replicates, seed=seed)
            for name, rival, of in rivals
        }
    if (folder := out or run) is not None:
        atomic_write(folder / METRICS, json.dumps(document, indent=1))
    return document


def _check(
    run: Path | None, stored: Path | None, replicates: int, seed: int, needs_model: Sequence[str]
) -> None:
    if (run is None) == (stored is None):
        raise InputError(
            "evaluate takes a run's folder, or --from with predictions, and not both",
            remedy="mhdiff evaluate RUN, or mhdiff evaluate --from predictions.parquet",
        )
    if stored is not None and needs_model:
        raise InputError(
            f"stored predictions say nothing of {', '.join(needs_model)}, which needs the model",
            path=stored,
            remedy="Give the run's folder in place of --from",
        )
    if replicates < 0 or seed < 0:
        raise InputError(
            f"cannot evaluate with --replicates {replicates} and --seed {seed}",
            remedy="Give 0 or more of both",
        )


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
    run: Path, corrupt: Sequence[str], predictions: pl.DataFrame, about: About, replicates: int, seed: int
) -> dict[str, Any]:
    import polars as pl

    from mhdiff.corruption import corruptions
    from mhdiff.evaluate.corrupted import summarise_corruptions
    from mhdiff.training.corrupted import FILE, acting_on, predict_run_corrupted

    if corrupt:
        every = any(text.partition(":")[0] == "all" for text in corrupt)
        predict_run_corrupted(run, corruptions(corrupt), every)
    if not (run / FILE).is_file():
        return {}
    frame = pl.read_parquet(run / FILE)
    names = frame["corruption"].unique(maintain_order=True).to_list()[1:]
    return summarise_corruptions(
        frame,
        predictions.filter(pl.col("split") == "tuning"),
        about.classes,
        acting_on(run, about.modalities, names),
        replicates=replicates,
        seed=seed,
    )


VERB = Verb("every metric with intervals and n on patients that training never saw", _configure, _run)
