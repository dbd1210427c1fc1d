"""Two checkpoints a run: `last.ckpt`, from which a killed run goes on, and `best.ckpt`, chosen on the tuning split.

Both are replaced in one step, and `best` before `last`: a kill in between leaves a `last` that is one epoch behind,
and doing that epoch again gives the same `best`.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint

from ontology.files import atomic_write


class RunCheckpoint(Checkpoint):
    """Save after each epoch.

    Args:
        folder: The run's folder.
        monitor: Metric on the tuning split; smaller is better.
    """

    def __init__(self, folder: str | Path, monitor: str = "tuning/loss") -> None:
        self.folder, self.monitor = Path(folder), monitor
        self.best: float | None = None
        self.best_epoch = -1
        self.history: list[dict[str, float]] = []
        self._rate = float("nan")

    @property
    def last_path(self) -> Path:
        """Where training goes on from."""
        return self.folder / "checkpoints" / "last.ckpt"

    @property
    def best_path(self) -> Path:
        """The checkpoint of the epoch with the lowest monitored metric."""
        return self.folder / "checkpoints" / "best.ckpt"

    def state_dict(self) -> dict[str, Any]:
        """Give what a resumed run must know."""
        return {"best": self.best, "best_epoch": self.best_epoch, "history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it back.

        Args:
            state_dict: What `state_dict` gave.
        """
        self.best, self.best_epoch = state_dict["best"], state_dict["best_epoch"]
        self.history = state_dict["history"]

    def catch_up(self) -> None:
        """Take over what processes that trained apart from this one (`ddp_spawn`) have written."""
        if self.best is None and self.last_path.exists():
            saved = torch.load(self.last_path, map_location="cpu", weights_only=True)
            self.load_state_dict(saved["callbacks"][self.state_key])

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the last epoch's metrics: what an epoch does not log would be told again as if it were its own.

        Args:
            trainer: Holds them.
            pl_module: Not read.
        """
        trainer.callback_metrics.clear()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Note the learning rate before a schedule moves on to the next step's.

        Args:
            trainer: Knows the optimiser.
            pl_module: Not read.
            batch: Not read.
            batch_idx: Not read.
        """
        self._rate = float(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the epoch's checkpoint and history, which has the learning rate of the epoch's last step.

        Args:
            trainer: The trainer.
            pl_module: Not read.
        """
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        rate = {"learning_rate": self._rate}
        self.history.append({"epoch": float(trainer.current_epoch), **metrics, **rate})
        score = metrics.get(self.monitor)
        improved = score is not None and (self.best is None or score < self.best)
        if improved:
            self.best, self.best_epoch = score, trainer.current_epoch
        fresh = self.last_path.with_suffix(".new")
        trainer.save_checkpoint(fresh)  # every rank takes part; rank 0 writes
        if trainer.is_global_zero:
            if improved:
                copy = self.best_path.with_suffix(".new")
                shutil.copyfile(fresh, copy)
                os.replace(copy, self.best_path)
            os.replace(fresh, self.last_path)
            atomic_write(self.folder / "history.json", json.dumps(self.history, indent=1))
