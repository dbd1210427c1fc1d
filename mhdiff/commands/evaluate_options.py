"""What `mhdiff evaluate` is told, and what of it does not go together."""

from __future__ import annotations

import argparse
from pathlib import Path

from ontology.errors import InputError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options.

    Args:
        parser: Of the verb.
    """
    parser.add_argument(
        "run",
        type=Path,
        nargs="*",
        help="folder of a run made by mhdiff fit; of several, such as the folds of a cross-validation, the held-out "
        "patients are pooled; or the folder of an ablation, with --arm",
    )
    parser.add_argument("--arm", metavar="NAME", help="which arm of an ablation: its folds are pooled")
    parser.add_argument(
        "--arm-seed", type=int, metavar="SEED", help="which seed of the arm's trainings (default: its first)"
    )
    parser.add_argument(
        "--from",
        dest="stored",
        nargs="+",
        type=Path,
        metavar=("PREDICTIONS", "CORRUPTIONS"),
        help="in place of a run: a predictions.parquet, from which alone everything is computed, and if wanted the "
        "corruptions.parquet of the same run",
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="folder for metrics.json (default: the run's; with --from none is written); of several runs, and of an "
        "arm, the folder that is made",
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


def refuse_mixtures(arguments: argparse.Namespace, pools: bool) -> None:
    """Refuse options that do not go together.

    Args:
        arguments: What was given.
        pools: Whether runs are pooled.

    Raises:
        InputError: If some do not.
    """
    if arguments.arm is None and arguments.arm_seed is not None:
        raise InputError("--arm-seed is the seed of an arm's trainings", remedy="Name the arm: --arm NAME")
    if pools and arguments.latents:
        raise InputError(
            "--latents judges the draws of one model, and the latents of several are in different spaces",
            remedy="mhdiff evaluate RUN --latents, one run after the other",
        )
    if pools and arguments.stored:
        raise InputError("--from takes the place of runs", remedy="Give runs or --from, and not both")
    if len(arguments.stored or []) > 2:
        raise InputError(
            f"--from takes predictions and corruptions of one run, and {len(arguments.stored)} files were given",
            remedy="Pool runs by their folders: mhdiff evaluate RUN RUN ... --out DIR",
        )


def refuse_numbers(replicates: int, seed: int) -> None:
    """Refuse numbers that nothing can be drawn with.

    Args:
        replicates: Bootstrap resamples of patients.
        seed: Seed of the resamples.

    Raises:
        InputError: If one is negative.
    """
    if replicates < 0 or seed < 0:
        raise InputError(
            f"cannot evaluate with --replicates {replicates} and --seed {seed}",
            remedy="Give 0 or more of both",
        )
