r"""What a practitioner would pick instead: an estimator of scikit-learn on a table, under the rules of every other arm.

    train     x_1 .. x_R of each training patient, modalities hidden anew in each by `model.masking`, each of weight 1/R
    choose    the best of `looks` settings by log-loss on the tuning split, as it is
    settle    T for complete patients, and T for the others over the patterns that are offered, by log-loss on tuning
    predict   p = softmax(log p' / T) for every pattern of modalities

- x_r: a row of `mhdiff.baselines.table`; a network meets a patient under another mask in every epoch, a table has R
  copies of the patient at once;
- looks: a network's checkpoint is chosen among its epochs, so an estimator is given as many settings as a network has
  epochs. Nothing else is tuned.

The run keeps its predictions, and what was chosen in run.json; no model, since scikit-learn has no format but pickle.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mhdiff import console
from mhdiff.baselines.table import Rows, Table
from mhdiff.evaluate.patterns import pattern_name
from mhdiff.fusion.masking import Masking
from mhdiff.training.data import MultimodalData
from mhdiff.training.frame import names_of, prediction_frame, prediction_rows
from mhdiff.training.settle import FEWEST, best_temperature, log_loss, patients_of
from ontology.errors import InputError

_LEAST = 1e-6  # a class that a tree has never seen in a leaf is not impossible

Probabilities = Float[Tensor, "n classes"]


class Estimator(ABC):
    """An estimator on a table.

    Args:
        looks: How many settings are tried on the tuning split.
        copies: R, how often each training patient is there, each time masked anew.
        words: Most words and pairs of words of the notes.
        grid: Cells of an image along each axis.
    """

    def __init__(self, looks: int = 10, copies: int = 5, words: int = 5000, grid: int = 8) -> None:
        for name, value in (("looks", looks), ("copies", copies), ("words", words), ("grid", grid)):
            if value < 1:
                raise InputError(f"estimator.init_args.{name} is {value}", remedy="Give 1 or more")
        self.looks, self.copies, self.words, self.grid = looks, copies, words, grid

    @abstractmethod
    def design(self, table: Table, rows: Rows, present: Bool[Tensor, "n modality"]) -> Any:
        """Give the table as the estimator reads it.

        Args:
            table: The table.
            rows: Some samples of it.
            present: What is shown of them.
        """

    @abstractmethod
    def fits(
        self, x: Any, label: Int[np.ndarray, " n"], weight: Float[np.ndarray, " n"], seed: int
    ) -> Iterator[tuple[dict[str, float], Any]]:
        """Fit, and give each of `looks` settings with a function from a table to probabilities of `classes_`.

        Args:
            x: The training table.
            label: Its classes.
            weight: How much each row counts.
            seed: Of the estimator's random numbers.
        """

    @abstractmethod
    def size(self, chosen: dict[str, float]) -> int:
        """Give the number of numbers that were fitted.

        Args:
            chosen: The setting that was chosen.
        """


class Fitted:
    """A fitted estimator, and how it diagnoses.

    Args:
        estimator: The estimator.
        data: Its data, set up.
        masking: How modalities are hidden in training.
        patterns: The patterns that will be offered.
        seed: Of masks and estimator.

    Raises:
        InputError: If the training split has one class only, or there is nobody to choose a setting on.
    """

    def __init__(
        self,
        estimator: Estimator,
        data: MultimodalData,
        masking: Masking,
        patterns: Sequence[Sequence[str]],
        seed: int,
    ) -> None:
        self.estimator, self.data, self.patterns = estimator, data, patterns
        self.table = Table(data, estimator.words, estimator.grid)
        train, self.tuning = self.table.train, self.table.read("tuning")
        self.seen = np.unique(train.label)
        if len(self.seen) < 2:
            raise InputError(
                f"all training samples are of class {data.task.classes[self.seen[0]]}",
                remedy="Split otherwise: an estimator needs two classes",
            )
        if not len(self.tuning.label):
            raise InputError(f"split '{data.split}' leaves no sample to choose a setting on")
        x, label, weight = self._masked(train, masking, seed)
        self._say, self.tried = self._chosen(x, label, weight, seed)
        self.chosen = min(self.tried, key=lambda row: row["log_loss"])
        self.columns = int(x.shape[1])
        self.temperature = self._settle()

    def _masked(self, train: Rows, masking: Masking, seed: int) -> tuple[Any, Any, Any]:
        """R copies of the training patients, hidden anew; the curriculum of a masking is at its end."""
        masking = copy.deepcopy(masking).train()
        masking.set_epoch(10**9)
        generator = torch.Generator().manual_seed(seed)
        copies = self.estimator.copies
        shown = [masking(train.present, self.data.modalities, generator) for _ in range(copies)]
        tables = [self.estimator.design(self.table, train, present) for present in shown]
        stack = np.concatenate if isinstance(tables[0], np.ndarray) else _stacked
        label = np.tile(train.label, copies)
        return stack(tables), label, np.full(len(label), 1 / copies)

    def _chosen(self, x: Any, label: Any, weight: Any, seed: int) -> tuple[Any, list[dict[str, float]]]:
        x_tuning = self.estimator.design(self.table, self.tuning, self.tuning.present)
        truth = torch.as_tensor(self.tuning.label)
        tried: list[dict[str, float]] = []
        best, answer = np.inf, None
        for setting, say in self.estimator.fits(x, label, weight, seed):
            loss = log_loss(self._aligned(say(x_tuning)).log()[None], truth, 1.0)
            tried.append(setting | {"log_loss": loss})
            if loss < best:
                best, answer = loss, say
        return answer, tried

    def _aligned(self, found: Float[np.ndarray, "n seen"]) -> Probabilities:
        """Probabilities of all classes; those that training has none of get next to nothing."""
        every = torch.full((len(found), len(self.data.task.classes)), _LEAST, dtype=torch.float64)
        every[:, torch.as_tensor(self.seen)] = torch.as_tensor(np.asarray(found, dtype=np.float64))
        every = every.clamp(min=_LEAST)
        return every / every.sum(1, keepdim=True)

    def probabilities(self, rows: Rows, pattern: Sequence[str]) -> tuple[Probabilities, Bool[Tensor, " n"]]:
        """Give probabilities before calibration under a pattern, and who then has every modality.

        Args:
            rows: Some samples.
            pattern: The modalities that are offered.
        """
        present = rows.present & torch.tensor([m in pattern for m in self.data.modalities])
        said = self._aligned(self._say(self.estimator.design(self.table, rows, present)))
        return said, present.all(dim=1)

    def _settle(self) -> dict[str, float]:
        """T of complete patients and of the others; 1 where there are too few to choose."""
        logits: dict[bool, list[Tensor]] = {True: [], False: []}
        labels: dict[bool, list[Tensor]] = {True: [], False: []}
        whose: dict[bool, list[Tensor]] = {True: [], False: []}
        truth = torch.as_tensor(self.tuning.label)
        patients = patients_of(self.data, torch.as_tensor(self.tuning.sample_id))
        for pattern in self.patterns:
            said, complete = self.probabilities(self.tuning, pattern)
            for whole in (True, False):
                logits[whole].append(said[complete == whole].log())
                labels[whole].append(truth[complete == whole])
                whose[whole].append(patients[complete == whole])
        found: dict[str, float] = {}
        for whole, name in ((True, "complete"), (False, "incomplete")):
            label = torch.cat(labels[whole])
            enough = len(torch.cat(whose[whole]).unique()) >= FEWEST
            found[name] = best_temperature(torch.cat(logits[whole])[None], label)[0] if enough else 1.0
        return found

    def predict(self, splits: Sequence[str] = ("tuning", "held_out")) -> pl.DataFrame:
        """Predict samples under every pattern.

        Args:
            splits: Which samples.

        Returns:
            The predictions frame of `mhdiff.evaluate.predictions`.
        """
        parts = []
        there = set(self.data.samples["split"].unique())
        for rows in (self.table.read(split) for split in splits if split in there):
            for pattern in self.patterns:
                said, complete = self.probabilities(rows, pattern)
                temperature = torch.where(
                    complete, self.temperature["complete"], self.temperature["incomplete"]
                ).double()
                p = (said.log() / temperature[:, None]).softmax(1).numpy()
                name = pattern_name(pattern, self.data.offered)
                spread, has = np.zeros(len(p)), names_of(rows.present, self.data)
                parts.append(prediction_rows(rows.sample_id, rows.label, name, p, spread, has))
        return prediction_frame(parts, self.data.samples)

    def facts(self) -> dict[str, Any]:
        """Give what run.json says of it."""
        console.say(f"{type(self.estimator).__name__}: {self.columns} columns, chosen {self.chosen}")
        return {
            "parameters": self.estimator.size(self.chosen),
            "estimator": {
                "class": type(self.estimator).__name__,
                "columns": self.columns,
                "chosen": self.chosen,
                "tried": self.tried,
                "temperature": self.temperature,
            },
        }


def _stacked(tables: Sequence[Any]) -> Any:
    from scipy import sparse

    return sparse.vstack(tables, format="csr")
