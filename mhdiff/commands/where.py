"""The options that say where work is done: cells and shards here or under Ray, cells as a Slurm array too."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING

import yaml

from ontology.errors import InputError

if TYPE_CHECKING:
    from mhdiff.ablate.clusters import Runner
    from mhdiff.ablate.config import Ablation
    from mhdiff.mapped import Mapper


def configure(parser: argparse.ArgumentParser, what: str = "cells", dry: bool = True) -> None:
    """Add the options.

    Args:
        parser: The verb's parser.
        what: What is trained.
        dry: Whether it can be said beforehand what will be trained.
    """
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        help=f"how many {what} are trained at once, here or of an array (default 1)",
    )
    parser.add_argument(
        "--threads",
        type=int,
        help=f"how many threads each of the {what} computes with, and processors it takes of a cluster (default: the "
        "workers' share here, 1 of a cluster; a folder keeps to those that it has)",
    )
    parser.add_argument(
        "--on",
        choices=["here", "ray", "slurm"],
        default="here",
        help=f"where {what} are trained (default here)",
    )
    _address(parser)
    parser.add_argument(
        "--gpus", type=float, default=0, help=f"GPUs that one of the {what} takes under Ray (default 0)"
    )
    parser.add_argument(
        "--slurm",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a parameter of submitit, such as slurm_partition=gpu, timeout_min=120, gpus_per_node=1; may be repeated",
    )
    if dry:
        parser.add_argument(
            "--dry-run", action="store_true", help="say which trainings would be started, and start none"
        )


def _address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--address", help="of the Ray cluster, or auto for this machine's; by default one is started here"
    )


def configure_shards(parser: argparse.ArgumentParser, *, gpus: bool = False, workers: bool = False) -> None:
    """Add the options of a verb whose steps are done shard by shard.

    Args:
        parser: The verb's parser.
        gpus: Whether a shard may take GPUs.
        workers: Whether processes of this machine may do them.
    """
    parser.add_argument(
        "--on", choices=["here", "ray"], default="here", help="where the shards are made (default here)"
    )
    _address(parser)
    if workers:
        parser.add_argument(
            "--workers",
            type=int,
            metavar="N",
            help="so many processes make shards (omop); by default none besides",
        )
    if gpus:
        parser.add_argument(
            "--gpus", type=float, default=0, help="GPUs that a shard takes under Ray (default 0)"
        )


def mapper(arguments: argparse.Namespace) -> Mapper | None:
    """Give what runs the shards; None for here.

    Args:
        arguments: The parsed options.

    Raises:
        InputError: If the options do not fit together, or Ray is not installed.
    """
    from mhdiff.mapped import apart, on_ray

    gpus, workers = getattr(arguments, "gpus", 0), getattr(arguments, "workers", None)
    if arguments.on == "ray":
        if workers is not None:
            raise InputError("--workers are of this machine", remedy="Leave it out, or --on ray")
        return on_ray(arguments.address, gpus=gpus)
    for option, given in (("--address", arguments.address), ("--gpus", gpus)):
        if given:
            raise InputError(f"{option} goes with --on ray", remedy="Add --on ray, or leave it out")
    return None if workers is None else apart(workers)


def runner(arguments: argparse.Namespace) -> Runner:
    """Give what runs the cells.

    Args:
        arguments: The parsed options.

    Raises:
        InputError: If the options do not fit together, or an extra is missing.
    """
    from mhdiff import console
    from mhdiff.ablate.clusters import here, on_ray, on_slurm
    from mhdiff.ablate.threads import going_on, noted, share

    parameters = slurm_parameters(arguments)
    before, threads = noted(arguments.out), _threads(arguments, parameters)
    if threads is None:
        threads = going_on(before, arguments.workers)
    if before not in (None, threads):
        console.say(
            f"Trainings so far computed with {before} threads each, and these will with {threads}: they differ in the "
            f"last bits; --threads {before} makes them alike"
        )
    elif before not in (None, share(arguments.workers)):
        console.say(
            f"Each training computes with {before} threads, as those before it; --threads changes that"
        )
    if arguments.on == "ray":
        return on_ray(arguments.address, cpus=threads or 1, gpus=arguments.gpus)
    if arguments.on == "slurm":
        return on_slurm(arguments.out / "slurm", arguments.workers, parameters | {"cpus_per_task": threads})
    return here(arguments.workers, threads)


def _threads(arguments: argparse.Namespace, parameters: dict[str, object]) -> int | None:
    """Read how many threads are asked for; None leaves it to the machine, 1 is what a cluster gives unasked."""
    asked, of_slurm = arguments.threads, parameters.get("cpus_per_task")
    if asked is not None and of_slurm is not None:
        raise InputError("--threads and cpus_per_task say the same", remedy="Give one of them")
    number = of_slurm if asked is None else asked
    if number is None:
        return None if arguments.on == "here" else 1
    if not isinstance(number, int) or number < 1:
        raise InputError(f"{number} threads compute nothing", remedy="Give --threads 1 or more")
    return number


def slurm_parameters(arguments: argparse.Namespace) -> dict[str, object]:
    """Read KEY=VALUE of --slurm, values as YAML.

    Args:
        arguments: The parsed options.

    Raises:
        InputError: If one is no KEY=VALUE, or an option is of another place than --on names.
    """
    for option, given, place in (
        ("--slurm", arguments.slurm, "slurm"),
        ("--address", arguments.address, "ray"),
        ("--gpus", arguments.gpus, "ray"),
    ):
        if given and arguments.on != place:
            raise InputError(f"{option} goes with --on {place}", remedy=f"Add --on {place}, or leave it out")
    found: dict[str, object] = {}
    for entry in arguments.slurm:
        key, sign, value = entry.partition("=")
        if not sign or not key:
            raise InputError(f"--slurm {entry} is no KEY=VALUE", remedy="Such as --slurm timeout_min=120")
        found[key] = yaml.safe_load(value)
    return found


def planned(ablation: Ablation, arguments: argparse.Namespace) -> str:
    """Say which arms there are and what would be trained where, a line each; what is done already is not among it.

    Args:
        ablation: The ablation.
        arguments: The parsed options.
    """
    from mhdiff.ablate.cells import plan

    slurm_parameters(arguments)
    made = plan(ablation)
    folder = arguments.out
    cells = {cell.key: cell for cell in made.cells}
    todo = [cell for key, cell in cells.items() if not (folder / "cells" / key / "cell.json").is_file()]
    encoders = [
        made.encoders[key]
        for key in dict.fromkeys(cell.encoders for cell in todo)
        if key is not None and not (folder / "encoders" / key / "embeddings").is_dir()
    ]
    place = {
        "here": f"{arguments.workers} processes here",
        "ray": f"Ray at {arguments.address or 'this machine'}",
    }
    told = (
        place.get(arguments.on) or f"a Slurm array, {arguments.workers} at once, {' '.join(arguments.slurm)}"
    )
    lines = [
        f"{len(encoders) + len(todo)} trainings on {told}; {len(cells) - len(todo)} of {len(cells)} cells are done"
    ]
    per_arm = Counter(cell.arm for cell in made.cells)
    lines.append(f"{len(per_arm)} arms, {len(ablation.comparisons())} comparisons; trainings of each arm:")
    lines += [f"  {arm}: {many}" for arm, many in per_arm.items()]
    lines += [f"  {c.key}  {c.arm}, {c.place}: {' '.join(c.overrides)}" for c in (*encoders, *todo)]
    return "\n".join(lines)
