"""`mhdiff cohort image-cache`: what `data.image_cache` has kept, and taking it away."""

from __future__ import annotations

import argparse
from pathlib import Path

from mhdiff import console
from mhdiff.commands import Verb
from ontology.errors import InputError


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cache", metavar="DIR", help="the folder that data.image_cache names")
    parser.add_argument("--clear", action="store_true", help="take away all that is kept")
    parser.add_argument(
        "--unused", type=float, metavar="DAYS", help="with --clear: only what no training opened for so long"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _run(args: argparse.Namespace) -> None:
    from mhdiff.image_cache.contents import as_dict, clear, contents, text

    if args.unused is not None and (not args.clear or args.unused < 0):
        raise InputError("--unused says what --clear takes away", remedy="Give --clear and days of 0 or more")
    folder = Path(args.cache)
    shelves = clear(folder, args.unused or 0) if args.clear else contents(folder)
    if args.clear:
        console.say(f"taken away from {folder}:")
    if args.json:
        console.out_json({"readers": as_dict(shelves)})
    else:
        console.out(text(shelves))


VERB = Verb("what is kept of images (data.image_cache), and taking it away", _configure, _run)
