"""What the checks look at: the samples with their splits, and the inputs as training would be given them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import polars as pl

from graph_builders.collect import names_a_file
from mhdiff.audit.thresholds import Thresholds
from mhdiff.cohort import Cohort, Task
from mhdiff.cohort.measurements import with_rewritten
from mhdiff.cohort.splits import assign
from ontology.errors import InputError

if TYPE_CHECKING:
    from ontology import Ontology

SPLITS = ("train", "tuning", "held_out")


@dataclass(frozen=True)
class Material:
    """A cohort, a task, and all that is derived of them once.

    Args:
        cohort: The cohort.
        task: The task.
        thresholds: The thresholds.
        ontology: Says which codes and terms the blinded concepts have; None where none was given.
        split: How the samples are split.
        split_seed: Seed of that.
    """

    cohort: Cohort
    task: Task
    thresholds: Thresholds
    ontology: Ontology | None = None
    split: str = "stored"
    split_seed: int = 0

    @cached_property
    def stored_twice(self) -> pl.DataFrame:
        """subject_id and split of subjects that the cohort's folder puts into several splits."""
        several = pl.col("split").n_unique().over("subject_id") > 1
        return self.cohort.splits.filter(several).sort("subject_id", "split")

    @cached_property
    def single(self) -> Cohort:
        """The cohort with the first split of each subject, so that everything else can be looked at all the same."""
        if not self.cohort.splits["subject_id"].is_duplicated().any():
            return self.cohort
        first = Cohort(self.cohort.path, self.cohort.metadata)
        vars(first)["splits"] = self.cohort.splits.unique("subject_id", keep="first", maintain_order=True)
        return first

    @cached_property
    def samples(self) -> pl.DataFrame:
        """sample_id, subject_id, prediction_time, label, site, split; ascending."""
        samples = self.task.samples(self.single)
        groups = None if self.split == "stored" else self.cohort.groups
        return assign(samples, self.split, self.split_seed, groups=groups).sort("sample_id")

    @cached_property
    def split_of(self) -> dict[int, set[str]]:
        """Subject -> the splits of its samples; under `stored`, of every subject, all that the folder says."""
        found: dict[int, set[str]] = {}
        table = self.cohort.splits if self.split == "stored" else self.samples
        for subject, split in table.select("subject_id", "split").unique().iter_rows():
            found.setdefault(subject, set()).add(split)
        return found

    def apart(self, one: int, other: int) -> bool:
        """Say whether two subjects are in different splits.

        Args:
            one: A subject.
            other: Another.
        """
        a, b = self.split_of.get(one), self.split_of.get(other)
        return a is not None and b is not None and len(a | b) > 1

    @cached_property
    def window(self) -> pl.DataFrame:
        """The events of the task's window, words blinded, as `Task.window` gives them."""
        return self.task.window(self.single).events.filter(
            pl.col("sample_id").is_in(self.samples["sample_id"].implode())
        )

    @cached_property
    def codes(self) -> pl.DataFrame:
        """The cohort's codes, and those that the window has in their place: code, description, parent_codes ..."""
        return with_rewritten(self.cohort.codes, self.task.measures)

    @cached_property
    def hidden(self) -> tuple[int, ...]:
        """The concepts that the task blinds; those that an expression of its outcome gives, only with an ontology."""
        return self.task.blinded.concepts if self.ontology is None else self.task.blinded_in(self.ontology)

    @property
    def needs_ontology(self) -> bool:
        """Whether the task blinds concepts, so that what means one is only known with an ontology."""
        outcome = self.task.outcome
        return bool(self.task.blinded.concepts) or (outcome is not None and outcome.asks_ontology)

    @cached_property
    def blinded(self) -> dict[str, Any]:
        """What the collector of evidence says of blinding; empty without an ontology."""
        if self.ontology is None:
            return {}
        from graph_builders.collect import collect_evidence

        once = self.window.unique("code").with_columns(pl.lit(None, pl.String).alias("text_value"))
        found = collect_evidence(once, self.ontology, blinded=self.hidden).report["blinded"]
        return dict(found)

    @cached_property
    def inputs(self) -> pl.DataFrame:
        """The window without the codes that training leaves out because they define the label."""
        return self.window.filter(~pl.col("code").is_in(self.blinded.get("codes", [])))

    @cached_property
    def notes(self) -> pl.DataFrame:
        """The inputs that are text: sample_id, subject_id, code, text_value, ascending by sample and time."""
        text = pl.col("text_value").is_not_null() & ~names_a_file()
        return self.inputs.filter(text).sort("sample_id", "time", nulls_last=False, maintain_order=True)

    @cached_property
    def files(self) -> pl.DataFrame:
        """The inputs that name a file: subject_id, text_value, each once, ascending."""
        named = self.inputs.filter(names_a_file() & pl.col("text_value").is_not_null())
        return named.select("subject_id", "text_value").unique().sort("subject_id", "text_value")

    @cached_property
    def groups(self) -> pl.DataFrame:
        """subject_id and group: who must share a fold of the shortcuts' cross-validation."""
        return self.single.groups

    def table(self, file: str, columns: Sequence[str]) -> pl.DataFrame | None:
        """Read some columns of a Parquet file of the cohort's folder; None where there is no such file or column.

        Args:
            file: Its place in the folder.
            columns: Names of the columns.

        Raises:
            InputError: If the file cannot be read.
        """
        path = self.cohort.path / file
        if not path.is_file():
            return None
        try:
            if not set(columns) <= set(pl.read_parquet_schema(path)):
                return None
            return pl.read_parquet(path, columns=list(columns))
        except (pl.exceptions.PolarsError, OSError) as error:
            raise InputError(
                "the file is not readable Parquet", path=path, remedy="Import the cohort again"
            ) from error

    def checked(self) -> Material:
        """Give itself after a look at whether the samples can be made at all.

        Raises:
            InputError: If they cannot, or nobody trains or nobody is held out.
        """
        have = set(self.samples["split"])
        for wanted in ("train", "held_out"):
            if wanted not in have:
                raise InputError(
                    f"split '{self.split}' puts no sample of task '{self.task.name}' into {wanted}",
                    path=self.cohort.path,
                    remedy="Choose another --split: fold:0/5, site:NAME or after:DAY",
                )
        return self
