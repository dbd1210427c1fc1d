"""The parser of `mhdiff fit`: LightningCLI, so that every part is swapped by class_path and every key is checked.

Parsing and the checks of classes happen before any data are read; `instantiate` comes after.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI

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
}


class FitCLI(LightningCLI):
    """LightningCLI with a run folder."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the run folder.

        Args:
            parser: The parser.
        """
        parser.add_argument(
            "--out",
            type=str | None,
            default=None,
            help="folder of the run, resumed where it exists; by default runs/TASK-HASH, one for each set of settings",
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
            parser_kwargs={"prog": "mhdiff fit", "description": "Train MH-Diff from a YAML file."},
        )


def config_text(cli: FitCLI) -> str:
    """Give the whole configuration as YAML, every default written out.

    Args:
        cli: A parsed command line.
    """
    text: str = cli.parser.dump(cli.config, skip_none=False)
    return text


def saved_config(run: Path) -> list[str]:
    """Give the command line that repeats a run.

    Args:
        run: Its folder.
    """
    return ["--config", str(run / "config.yaml"), "--out", str(run)]
