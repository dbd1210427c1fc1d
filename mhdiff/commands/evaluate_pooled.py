"""`mhdiff evaluate` of several runs, or of an arm of an ablation: folds pooled, each patient by whom never saw them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mhdiff import console
from mhdiff.commands.evaluate_options import refuse_numbers
from mhdiff.report.documents import needed
from ontology.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from mhdiff.corruption import Corruption
    from mhdiff.evaluate.pooled import Member

RUN = "run.json"
CORRUPTIONS = "corruptions.parquet"


def evaluate_pooled(
    places: Sequence[Path],
    out: Path | None,
    replicates: int = 1000,
    seed: int = 0,
    corrupt: Sequence[str] = (),
    *,
    arm: str | None = None,
    arm_seed: int | None = None,
    against: Sequence[Path] = (),
    rate: float = 0.5,
) -> dict[str, Any]:
    """Evaluate runs that hold different patients out as one, and write the folder of that.

    OUT gets predictions.parquet, from which alone everything is computed, metrics.json, run.json, config.yaml with the
    settings that the runs share, and corruptions.parquet where records were spoilt.

    Args:
        places: The runs' folders, or that of one ablation.
        out: The folder to write; one of an earlier evaluation of pooled runs is replaced.
        replicates: Bootstrap resamples of patients.
        seed: Seed of the resamples and of the regimes of missingness.
        corrupt: How each run's held-out records are spoilt, see `mhdiff.corruption`.
        arm: The arm, of an ablation.
        arm_seed: The seed of its trainings; None for its first.
        against: Runs, predictions or pooled folders for the same patients.
        rate: Share of what is there that the regimes of missingness hide.

    Raises:
        InputError: If something cannot be pooled, or `out` is missing or somebody else's folder.
    """
    import yaml

    from mhdiff.commands.evaluate import METRICS, compared
    from mhdiff.corruption import corruptions
    from mhdiff.evaluate.corrupted import summarise_corruptions
    from mhdiff.evaluate.pooled import facts_of, lacking, pooled, shared
    from mhdiff.evaluate.stored import PREDICTIONS, write_predictions
    from mhdiff.evaluate.summary import summarise_stored
    from ontology.files import atomic_directory

    if out is None:
        raise InputError(
            "several runs have no folder of their own to write into",
            remedy="Name one: mhdiff evaluate RUN RUN ... --out DIR",
        )
    refuse_numbers(replicates, seed)
    spoilers = corruptions(corrupt)
    _refuse_foreign(out)
    members, made_from = (
        (_runs(places), [str(place) for place in places])
        if arm is None
        else _arm(places, arm, arm_seed, corrupt)
    )
    found = pooled(members, out / PREDICTIONS)
    assert found.about is not None
    for fold in lacking(members):
        console.say(f"{fold} is not among the runs: its patients are in no figure")
    every = any(text.partition(":")[0] == "all" for text in corrupt)
    spoilt = _spoilt(members, spoilers, every)
    document = summarise_stored(found, found.about, replicates=replicates, seed=seed, rate=rate)
    if spoilt is not None:
        document["corruptions"] = summarise_corruptions(
            spoilt, found.frame, found.about.classes, replicates=replicates, seed=seed
        )
    if rivals := compared(found, found.about, out, against, replicates, seed):
        document["against"] = rivals
    with atomic_directory(out, marker=RUN) as folder:
        write_predictions(found.frame, folder / PREDICTIONS, found.about)
        if spoilt is not None:
            write_predictions(spoilt, folder / CORRUPTIONS, found.about)
        settings = shared([member.config for member in members])
        (folder / "config.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
        (folder / RUN).write_text(json.dumps(facts_of(members, made_from), indent=1), encoding="utf-8")
        (folder / METRICS).write_text(json.dumps(document, indent=1), encoding="utf-8")
    return document


def is_pooled(folder: Path) -> bool:
    """Say whether a folder holds pooled runs, and so no model.

    Args:
        folder: Any folder.
    """
    try:
        document = json.loads((folder / RUN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and "pooled" in document


def _refuse_foreign(out: Path) -> None:
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not is_pooled(out)):
        raise InputError(
            "something else than pooled runs stands where their folder should go, and is not replaced",
            path=out,
            remedy="Choose another --out",
        )


def _runs(places: Sequence[Path]) -> list[Member]:
    from mhdiff.training.run import predict_run

    seen: dict[Path, Path] = {}
    for place in places:
        if (same := place.resolve()) in seen:
            raise InputError(
                f"the run is given twice, as '{seen[same]}' and as '{place}'", remedy="Give each fold once"
            )
        seen[same] = place
        if is_pooled(place):
            raise InputError("the folder pools runs itself", path=place, remedy="Give those runs one by one")
        if (place / "ablation.json").is_file():
            raise InputError(
                "the folder is that of an ablation", path=place, remedy=f"mhdiff evaluate {place} --arm NAME"
            )
    for place in places:
        predict_run(place)
    return [_member(str(place), place) for place in places]


def _arm(
    places: Sequence[Path], arm: str, seed: int | None, corrupt: Sequence[str]
) -> tuple[list[Member], list[str]]:
    from mhdiff.ablate.arm import stored_arm

    if len(places) != 1:
        raise InputError(
            f"an arm is one of one ablation, and {len(places)} folders were given",
            remedy="mhdiff evaluate ABLATION --arm NAME --out DIR",
        )
    if corrupt:
        raise InputError(
            f"records are not spoilt for cells of an ablation ({', '.join(corrupt)}), which stay as they were trained",
            path=places[0],
            remedy="Train the arm's folds with mhdiff fit, then: mhdiff evaluate RUN RUN ... --out DIR --corrupt ...",
        )
    found = stored_arm(places[0], arm, seed)
    members = [_member(f"{arm}, {told}", cell) for cell, told in zip(found.cells, found.places, strict=True)]
    return members, [str(places[0]), "--arm", arm, "--arm-seed", str(found.seed)]


def _member(name: str, folder: Path) -> Member:
    import yaml

    from mhdiff.evaluate.pooled import Member
    from mhdiff.evaluate.stored import read_predictions

    stored = read_predictions(folder, alone=True)
    facts = needed(folder / RUN, "Give the folder of a run made by mhdiff fit")
    config = folder / "config.yaml"
    try:
        settings = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        settings = None  # only the report's account of settings needs them
    return Member(name, stored, facts, settings if isinstance(settings, dict) else {})


def _spoilt(members: Sequence[Member], spoilers: Sequence[Corruption], every: bool) -> pl.DataFrame | None:
    """Give the predictions of spoilt records of all runs; None where they have no corruption in common."""
    import polars as pl

    from mhdiff.evaluate.corrupted import CLEAN
    from mhdiff.evaluate.predictions import MODEL
    from mhdiff.training.corrupted import predict_run_corrupted

    folders = [member.stored.path.parent for member in members]
    if not spoilers and not all((folder / CORRUPTIONS).is_file() for folder in folders):
        return None
    files = [predict_run_corrupted(folder, spoilers, every) for folder in folders]
    if not all(file.is_file() for file in files):
        return None  # `all`, and none of them acts on a modality of the runs
    frames = [pl.read_parquet(file) for file in files]
    names = [set(frame["corruption"].unique()) for frame in frames]
    common = set.intersection(*names)
    if partly := sorted(set.union(*names) - common):
        console.say(f"not of all runs, and left out: {', '.join(partly)}")
    if common <= {CLEAN}:
        return None
    numbered = [
        frame.filter(pl.col("corruption").is_in(sorted(common))).with_columns(
            pl.lit(i, pl.Int64).alias(MODEL)
        )
        for i, frame in enumerate(frames)
    ]
    return pl.concat(numbered, how="diagonal_relaxed")
