"""`mhdiff sample`: draws from a run's prior as a synthetic latent data set, with a privacy check."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mhdiff import console
from mhdiff.commands import Verb
from mhdiff.commands.figures import with_interval


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="folder of a run made by mhdiff fit")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; an older one is replaced")
    parser.add_argument("--n", type=int, default=1000, help="draws; of each class with --label all")
    parser.add_argument(
        "--label", metavar="CLASS|all", help="the class that is drawn; by default none is told"
    )
    parser.add_argument(
        "--guidance-scale",
        type=float,
        default=1.0,
        help="how much the class says: 0 nothing, 1 its law, more: exaggerated",
    )
    parser.add_argument("--steps", type=int, default=25, help="effort, two evaluations of the network a step")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draws")
    parser.add_argument(
        "--no-likelihood", action="store_true", help="leave the log-likelihoods out, the longest part"
    )
    parser.add_argument("--json", action="store_true", help="print the manifest")


def _run(arguments: argparse.Namespace) -> None:
    from mhdiff.training.synthesise import Drawing, sample_run

    drawing = Drawing(
        arguments.n,
        arguments.label,
        arguments.guidance_scale,
        arguments.steps,
        arguments.seed,
        not arguments.no_likelihood,
    )
    document = sample_run(arguments.run, arguments.out, drawing)
    if arguments.json:
        console.out_json(document)
        return
    console.out(
        f"{document['n']:,} draws, {document['evaluations']} evaluations, {document['ms_per_case']:.3g} ms a case"
    )
    for space, found in document["privacy"].items():
        console.out(privacy_line(space, found))
    console.out(str(arguments.out))


def privacy_line(space: str, found: dict[str, Any]) -> str:
    """Write the proximity of draws to training patients as a line.

    Args:
        space: In which space.
        found: What `proximity` gave.
    """
    member = with_interval(found["membership"]["nearest_draw"])
    rest = f"copies: {found['copies']}; AUROC of membership by distance to the nearest draw: {member}, .5 by chance"
    if found["share_closer_than_q05"] is None:
        return f"privacy, {space:7} nearness not compared: {found['reason']}; {rest}"
    others = found["compared_with"].replace("_", "-")
    share = with_interval(found["share_closer_than_q05"])
    return (
        f"privacy, {space:7} closer to a training patient than 95% of {others} ones: {share}, "
        f".05 if nothing is copied; ratio of median distances: {with_interval(found['ratio'])}, 1 if nothing is "
        f"copied; {rest}"
    )


VERB = Verb("draw synthetic latents from a finished run's prior", _configure, _run)
