"""One line an epoch on stderr, which also reads well in a log."""

from __future__ import annotations

import logging
import time
import warnings

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback

from mhdiff import console

#: Of fewer complete training samples a prior learns next to nothing about what is fused when nothing is missing.
FEW_COMPLETE = 100


def quiet() -> None:
    """Keep the libraries' chatter off the screen; warnings that concern a user are ours to give."""
    for name in ("pytorch_lightning", "lightning_fabric", "lightning", "transformers"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning.*")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")


class EpochLines(Callback):
    """Say after each epoch how far training is."""

    def __init__(self) -> None:
        self.start = 0.0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Be quiet in a process that was started to train, too.

        Args:
            trainer: Not read.
            pl_module: Not read.
            stage: Not read.
        """
        quiet()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Warn where the prior has little to learn imputing from.

        Args:
            trainer: Knows the training samples.
            pl_module: Has the prior.
        """
        present = trainer.train_dataloader.dataset.present  # type: ignore[union-attr]
        complete = int(present.all(dim=1).sum())
        prior = pl_module.net.prior
        if trainer.is_global_zero and prior.draws_shared and complete < FEW_COMPLETE:
            console.say(
                f"few complete patients: {complete} of {len(present)} training samples have every modality, and from "
                "these alone the prior learns what is fused when nothing is missing; imputing may not pay"
            )

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the time.

        Args:
            trainer: Not read.
            pl_module: Not read.
        """
        self.start = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the line.

        Args:
            trainer: The trainer.
            pl_module: Not read.
        """
        if not trainer.is_global_zero:
            return
        m = {name: float(value) for name, value in trainer.callback_metrics.items()}
        console.say(
            f"epoch {trainer.current_epoch + 1:3d}/{trainer.max_epochs}"
            f"  train {m.get('train/classification', float('nan')):.3f}"
            f"  prior {m.get('train/prior', float('nan')):.3f}"
            f"  tuning loss {m.get('tuning/loss', float('nan')):.3f}"
            f"  accuracy {m.get('tuning/accuracy', float('nan')):.3f}"
            + (
                f"  lambda {m['lambda']:.2f} |bias| {m['bias/magnitude']:.2f} moved {m['bias/moved']:.0%}"
                if "bias/moved" in m
                else ""
            )
            + f"  {time.monotonic() - self.start:.1f} s"
        )
