"""The command line. `mhdiff --help` imports nothing heavy: every verb's module is loaded when it is called."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from mhdiff import __version__
from mhdiff.commands import Verb
from mhdiff.console import say
from ontology.errors import InputError

GROUPS = {
    "ontology": "terminology files to an Ontology: build, info, show, search, ancestors, path ...",
    "cohort": "patients as a MEDS dataset: import, synthesize, info, audit, deidentify, validate",
    "graph": "Ontology + cohort + task to a heterogeneous graph: build, info, view",
}
VERBS = {
    "demo": "the whole way once on the built-in terminology and cohort",
    "fit": "train from a YAML file; any part is swapped by class_path (mhdiff fit -c configs/demo.yaml)",
    "embed": "write what the encoders give once, to train everything after them fast",
    "export": "a folder to share: config.yaml, model.safetensors, preprocessing, concept graph, model card",
    "sample": "draw synthetic latents from a run's prior, by class, with a privacy check",
    "predict": "write a run's predictions for every pattern of present modalities",
    "evaluate": "metrics with intervals and n on patients that training never saw",
    "ablate": "arms x folds x seeds: what ontology guidance is worth",
    "tune": "search settings on inner folds, by grid, random or TPE",
    "explain": "which modality, pixels, words, labs and ontology paths spoke for one patient",
    "explain-bias": "which pairs of concepts and ontology paths carried the bias between modalities",
    "report": "a self-contained HTML report of a run",
    "doctor": "versions, device and paths, and what is missing",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: What stands after `mhdiff`; None takes it from the process.

    Returns:
        0 when done, 2 when the input or the usage is wrong, 1 for a defect of ours (with its traceback), 130 when
        interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if os.getcwd() not in sys.path:  # classes from the user's own files, as `python file.py` would find them
        sys.path.insert(0, os.getcwd())
    try:
        try:
            _dispatch(given)
        except ModuleNotFoundError as error:
            raise _without_extra(error, given) from error
    except InputError as error:
        say(f"mhdiff: error: {error}")
        return 2
    except KeyboardInterrupt:
        say("mhdiff: interrupted; what was finished is kept, and the same command goes on from there")
        return 130
    except BrokenPipeError:  # the reader of our output has closed it, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2 if stop.code else 0
    return 0


# What the extra `model` brings, by the names of import.
_MODEL = frozenset({
    "torch", "torch_geometric", "transformers", "huggingface_hub", "tokenizers", "monai", "pytorch_lightning",
    "jsonargparse", "captum", "optuna", "sklearn", "jaxtyping", "safetensors", "PIL", "jinja2",
})  # fmt: skip


def _without_extra(error: ModuleNotFoundError, given: Sequence[str]) -> Exception:
    """Name the extra that a verb needs; any other module that is missing is a defect and stays one."""
    package = (error.name or "").partition(".")[0]
    if package not in _MODEL or package != error.name:
        return error
    return InputError(
        f"mhdiff {given[0]} needs {package}, which is not installed", remedy="pip install 'mh-diff[model]'"
    )


def _dispatch(given: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="mhdiff",
        description="Ontology-guided multimodal diagnosis. Not a medical device; nothing it prints is advice.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"  {name:12} {text}" for name, text in (VERBS | GROUPS).items())
        + "\n\nmhdiff VERB --help tells more.",
    )
    parser.add_argument("--version", action="version", version=f"mhdiff {__version__}")
    parser.add_argument("verb", choices=[*VERBS, *GROUPS], metavar="VERB", help="one of the following")
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    if not given:
        parser.print_help()
        return
    chosen = parser.parse_args(given[:1])
    module = importlib.import_module(f"mhdiff.commands.{chosen.verb.replace('-', '_')}")
    if chosen.verb in GROUPS:
        verbs: dict[str, Verb] = module.VERBS
        _run_group(chosen.verb, verbs, given[1:])
    elif hasattr(module, "run_raw"):
        module.run_raw(given[1:])
    else:
        verb: Verb = module.VERB
        single = argparse.ArgumentParser(prog=f"mhdiff {chosen.verb}", description=verb.help)
        verb.configure(single)
        verb.run(single.parse_args(given[1:]))


def _run_group(name: str, verbs: dict[str, Verb], given: list[str]) -> None:
    parser = argparse.ArgumentParser(prog=f"mhdiff {name}", description=GROUPS[name])
    below = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb_name, verb in verbs.items():
        verb.configure(below.add_parser(verb_name, help=verb.help, description=verb.help))
    arguments = parser.parse_args(given)
    verbs[arguments.verb].run(arguments)


def entry() -> None:
    """Run the console script."""
    sys.exit(main())


if __name__ == "__main__":
    entry()
