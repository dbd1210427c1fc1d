"""The flags of `mhdiff graph build` that say what the graph holds, and the recipe that they make."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ontology.errors import InputError

if TYPE_CHECKING:
    from graph_builders import Recipe

_KINDS = ("closure", "khop", "whole", "reachable")
_ONLY_WITHOUT_A_FILE = (
    *("hops", "layers", "relation", "merge", "split", "inverse", "groups", "values"),
    *("drop_relation", "keep_relation", "cap_depth", "min_samples", "feature"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags.

    Args:
        parser: The parser of the verb.
    """
    view = parser.add_argument_group("which part of the ontology")
    view.add_argument(
        "--view",
        default="closure",
        metavar="KIND|FILE.yaml",
        help="closure: the evidence's ancestors and what they point to (default); khop: k hops around the evidence; "
        "whole: everything; reachable: what messages connect with a patient. A file says all of this page at once",
    )
    view.add_argument("--hops", type=int, metavar="N", help="how far khop walks (default: 2)")
    view.add_argument("--layers", type=int, metavar="N", help="rounds of messages that reachable allows for")
    view.add_argument(
        "--relation", action="append", metavar="NAME", help="keep this relation type only; may be repeated"
    )
    types = parser.add_argument_group("edges between concepts")
    types.add_argument(
        "--merge",
        action="append",
        metavar="NEW=NAME,NAME|all",
        help="make one edge type of several, or of all; may be repeated",
    )
    types.add_argument(
        "--split",
        action="append",
        metavar="NAME=HOW|HOW",
        help="split a relation, or all but is-a, by the target's semantic tag or top-level hierarchy; may be repeated",
    )
    types.add_argument(
        "--no-inverse",
        dest="inverse",
        action="store_const",
        const=False,
        help="no reverse edges between concepts",
    )
    types.add_argument(
        "--groups", action="store_const", const=True, help="keep the role groups, as the edges' group"
    )
    types.add_argument(
        "--values", choices=("none", "nodes", "edges"), help="where concrete values go (default: none)"
    )
    edits = parser.add_argument_group("edits, in this order")
    edits.add_argument("--drop-relation", action="append", metavar="NAME", help="take this edge type out")
    edits.add_argument("--keep-relation", action="append", metavar="NAME", help="keep this edge type only")
    edits.add_argument("--cap-depth", type=int, metavar="N", help="lift deeper evidence to this depth")
    edits.add_argument(
        "--min-samples", type=int, metavar="N", help="lift evidence that fewer training samples have"
    )
    edits.add_argument(
        "--train-split",
        default="stored",
        metavar="HOW",
        help="whose training samples --min-samples counts: stored, site:NAME or fold:I/K (default: stored)",
    )
    edits.add_argument(
        "--split-seed", type=int, default=0, metavar="N", help="seed of the folds (default: 0)"
    )
    features = parser.add_argument_group("features")
    features.add_argument(
        "--feature",
        action="append",
        metavar="NAME[=X]",
        help="depth, ic[=METHOD], degree, laplacian[=K], random_walk[=K], term=ENCODER, relation, weight[=KIND]; "
        "may be repeated",
    )
    speed = parser.add_argument_group("how events are read")
    speed.add_argument(
        "--workers", type=int, default=1, metavar="N", help="so many processes read events (default: 1)"
    )
    speed.add_argument(
        "--chunk",
        type=int,
        default=5000,
        metavar="SUBJECTS",
        help="so many subjects' events are in memory at once, in each process (default: 5000)",
    )


def recipe_of(args: argparse.Namespace) -> Recipe:
    """Make the recipe that the flags say.

    Args:
        args: The flags.

    Raises:
        InputError: If they do not go together.
    """
    from graph_builders import Recipe, View

    given = {name: getattr(args, name) for name in _ONLY_WITHOUT_A_FILE if getattr(args, name) is not None}
    if args.view not in _KINDS:
        if not args.view.endswith((".yaml", ".yml")):
            raise InputError(
                f"'{args.view}' is no view", remedy=f"Known ones: {', '.join(_KINDS)}, or a FILE.yaml"
            )
        if given:
            flag = "--no-inverse" if "inverse" in given else f"--{next(iter(given)).replace('_', '-')}"
            raise InputError(
                f"{flag} is given, and a file that says it too", remedy=f"Write it into {args.view}"
            )
        return Recipe.load(Path(args.view))
    plain: dict[str, Any] = {"kind": args.view}
    for name in ("hops", "layers", "inverse", "groups", "values"):
        if name in given:
            plain[name] = given[name]
    if "relation" in given:
        plain["relations"] = tuple(given["relation"])
    for name, read in (("merge", _lists), ("split", dict)):
        if name in given:
            plain[name] = _pairs(name, given[name], read)
    edits: list[tuple[str, Any]] = []
    for flag, edit in (
        ("drop_relation", "drop_relation"),
        ("keep_relation", "keep_relations"),
        ("cap_depth", "cap_depth"),
        ("min_samples", "prune_by_frequency"),
    ):
        if flag in given:
            edits.append((edit, given[flag]))
    features = tuple(_feature(text) for text in given.get("feature", ()))
    return Recipe(View.from_dict(plain), tuple(edits), features)


def _pairs(flag: str, texts: list[str], read: Any) -> Any:
    """Read NAME=X, repeated, or one word that holds for all."""
    if len(texts) == 1 and "=" not in texts[0]:
        return texts[0]
    pairs = [text.partition("=")[::2] for text in texts]
    if any(not name or not value for name, value in pairs) or len(dict(pairs)) < len(pairs):
        raise InputError(f"--{flag} {' '.join(texts)} cannot be read", remedy="Write NAME=X, each name once")
    return read(pairs)


def _lists(pairs: list[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    return {new: tuple(name.strip() for name in names.split(",")) for new, names in pairs}


def _feature(text: str) -> tuple[str, Any]:
    name, _, argument = text.partition("=")
    if not argument:
        return name, None
    return name, int(argument) if argument.isdecimal() else argument
