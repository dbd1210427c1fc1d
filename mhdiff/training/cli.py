"""The parser of `mhdiff fit`: LightningCLI, so that every part is swapped by class_path and every key is checked.

Parsing and the checks of classes happen before any data are read; `instantiate` comes after.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from pytorch_lightning import Trainer
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI

from mhdiff import console
from mhdiff.baselines.estimator import Estimator
from mhdiff.training.data import MultimodalData
from mhdiff.training.module import Diagnosis

# What a run folder decides for itself.
TRAINER_DEFAULTS: dict[str, Any] = {
    "logger": False,
    "enable_checkpointing": False,
    "num_sanity_val_steps": 0,
    "max_epochs": 100,
    "enable_model_summary": False,
    "enable_progress_bar": False,
    "gradient_clip_val": 1.0,
    "deterministic": "warn",
    "use_distributed_sampler": False,  # the data module shares samples out, and repeats none
}


_NO_FORM = r"\s*Unable to serialize instance"
_LEAD = re.compile(r"^(- )?Type .* expects a function or a callable class: |^- ")
_TAIL = re.compile(r"\.*\s*Got value: (Namespace\(|\{).*$")
_NOISE = ("Does not validate", "Subtypes:", "Errors:", "Given value", "Parser key")


def condensed(message: str) -> str:
    """Say once what the parser says for each form that a value may take.

    Args:
        message: The parser's message, nested by keys and forms.
    """
    keys = list(dict.fromkeys(re.findall(r'Parser key "([^"]+)"', message)))
    causes: dict[str, None] = {}
    for line in message.splitlines():
        cause = _TAIL.sub("", _LEAD.sub("", line.strip()))
        if cause and not cause.startswith(_NOISE):
            causes[cause] = None
    return f"{'.'.join(keys)}: {'; '.join(causes)}" if keys and causes else message


class FitParser(LightningArgumentParser):
    """A parser whose errors name the key and the reason, once."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """End with code 2.

        Args:
            message: What is wrong.
            ex: What was raised.

        Raises:
            SystemExit: Always, but for a parser within another, whose error goes to that one.
        """
        if not self.exit_on_error:  # a parser within: the one that holds it says the whole
            super().error(message, ex)
        console.say(
            f"{self.prog}: {condensed(message)}\n  All keys and their values: {self.prog} -c ... --print_config"
        )
        raise SystemExit(2) from ex


class FitCLI(LightningCLI):
    """LightningCLI with a run folder, and with estimators that take the network's place."""

    @property
    def estimator(self) -> Estimator | None:
        """What is fitted in the network's place, or None."""
        found: Estimator | None = self.config_init.get("estimator")
        return found

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the run folder and the estimator.

        Args:
            parser: The parser.
        """
        parser.add_argument(
            "--out",
            type=str | None,
            default=None,
            help="folder of the run, resumed where it exists; by default runs/TASK-HASH, one for each set of settings",
        )
        parser.add_argument(
            "--estimator",
            type=Estimator | None,
            default=None,
            help="what is fitted in place of the network, see mhdiff.baselines; of model the masking is used alone",
        )


def parse(arguments: Sequence[str]) -> FitCLI:
    """Parse a command line into module, data module and trainer.

    Args:
        arguments: What stands after `mhdiff fit`.

    Returns:
        The CLI object; `.model`, `.datamodule`, `.trainer` and `.config` are ready.

    Raises:
        SystemExit: With code 2 and the reason, for an unknown key, class or value.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*args parameter is intended.*")
        warnings.filterwarnings("ignore", message=".*tensorboardX.*")
        warnings.filterwarnings("ignore", message=_NO_FORM)
        return FitCLI(
            Diagnosis,
            MultimodalData,
            trainer_class=Trainer,
            trainer_defaults=TRAINER_DEFAULTS,
            save_config_callback=None,
            seed_everything_default=0,
            auto_configure_optimizers=False,
            run=False,
            args=list(arguments),
            parser_class=FitParser,
            parser_kwargs={"prog": "mhdiff fit", "description": "Train MH-Diff from a YAML file."},
        )


def config_text(cli: FitCLI) -> str:
    """Give the whole configuration as YAML, every default written out.

    Args:
        cli: A parsed command line.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=_NO_FORM)
        text: str = cli.parser.dump(cli.config, skip_none=False)
    # Only a default of some class, such as an activation, has no form in YAML; left out, it is that default again.
    return "".join(
        line for line in text.splitlines(keepends=True) if ": Unable to serialize instance" not in line
    )


def saved_config(run: Path) -> list[str]:
    """Give the command line that repeats a run.

    Args:
        run: Its folder.
    """
    return ["--config", str(run / "config.yaml"), "--out", str(run)]
