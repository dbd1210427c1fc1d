"""`mhdiff embed`: what the encoders give, written once, so that everything after them trains fast.

    mhdiff embed RUN --out DIR                  the trained encoders of a run
    mhdiff embed -c CONFIG [...] --out DIR      the frozen pretrained encoders of a configuration; options as of fit

Train from it with `data.embeddings: DIR`. With --on ray, shards are encoded by the machines of a cluster that see the
same files; what is written is the same.
"""

from __future__ import annotations

import argparse

from mhdiff import console
from mhdiff.commands import where
from ontology.errors import InputError


def run_raw(arguments: list[str]) -> None:
    """Embed.

    Args:
        arguments: What stands after `mhdiff embed`.
    """
    parser = argparse.ArgumentParser(
        prog="mhdiff embed",
        usage="%(prog)s (RUN | -c CONFIG [options of fit]) --out DIR [--modalities NAME ...] [--on ray]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-c", "--config", help="a configuration instead of a run")
    parser.add_argument("--out", required=True, help="folder of the embeddings; gone on with where it exists")
    parser.add_argument("--modalities", nargs="+", help="which; by default all that can be")
    where.configure_shards(parser, gpus=True)
    # The run is no argument of the parser: it would take the value of an option of fit that stands apart from it.
    given, options = parser.parse_known_args(arguments)
    run = options.pop(0) if given.config is None and options and not options[0].startswith("-") else None
    if run is None and given.config is None:
        raise InputError("give either a run or -c CONFIG", remedy="mhdiff embed RUN --out DIR")
    if run is not None and options:
        raise InputError(
            f"a run is embedded as it is, without {options[0]}", remedy="Options of fit go with -c CONFIG"
        )
    if given.config is not None and options and not options[0].startswith("-"):
        raise InputError(
            f"give either a run ({options[0]}) or -c CONFIG", remedy="mhdiff embed RUN --out DIR"
        )
    on = where.mapper(given)
    from mhdiff.commands.fit import resolved
    from mhdiff.training.embed import embed_config, embed_run

    if run is not None:
        folder = embed_run(run, given.out, given.modalities, on)
    else:
        arguments = resolved(["--config", given.config, *options])
        folder = embed_config(arguments, given.out, given.modalities, on)
    console.out(str(folder))
