"""`python -m ontology.builtin --out DIR`: check the tables and write the RF2 release."""

from __future__ import annotations

import argparse
import sys

from ontology.builtin import tables, write_rf2
from ontology.errors import InputError


def main(arguments: list[str] | None = None) -> int:
    """Write the release and say where.

    Args:
        arguments: The command line without the program's name.

    Returns:
        Exit code: 0 done, 2 the input is wrong.
    """
    parser = argparse.ArgumentParser(prog="python -m ontology.builtin", description=main.__doc__)
    parser.add_argument("--out", required=True, help="folder to write the RF2 snapshot to")
    options = parser.parse_args(arguments)
    try:
        folder = write_rf2(options.out)
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{len(tables().concepts)} concepts in {folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
