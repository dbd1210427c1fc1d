"""A task: what is predicted, from which events, and what the model must not see.

    name: pneumonia
    labels: pneumonia               # labels/pneumonia.parquet of the cohort
    classes: [no, bacterial, viral] # the order is the class index
    modalities:                     # in this order; an event belongs to the first modality that takes it
      image: {prefixes: [IMAGE//CXR]}
      note:  {prefixes: [NOTE//CLINICAL]}
    window_days: null               # look-back before prediction_time; null: everything before
    blinded:
      concepts: [33811999999104]    # dropped from the evidence, with their descendants
      words: [COVID-19, pneumococc*] # replaced in notes; * stands for any ending
      codes: [ICD10/G30]            # events whose code begins so are not read, whatever any ontology knows of them
    deidentify: {names: names.txt}  # dates, names and other identifiers are replaced in notes: mhdiff.cohort.deidentify

Optional: `description`; `merge`, a mapping of label values that are not classes to classes; `exclude`, label values
that make no sample; `include`, who is asked about (`mhdiff.cohort.inclusion`); which image of a modality is taken
(`mhdiff.cohort.image_choice`); `outcome`, from which `mhdiff cohort label` makes the labels
(`mhdiff.cohort.outcome`), and whose concepts are blinded without being listed; and `analytes`, a table of units and
limits of measurements of one's own in the form of `configs/analytes.yaml`, beside the task file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import yaml

from mhdiff.cohort.deidentify import Rules
from mhdiff.cohort.image_choice import KEYS as CHOICE
from mhdiff.cohort.image_choice import Choice
from mhdiff.cohort.inclusion import Include, counts, judge
from mhdiff.cohort.measurements.analytes import Analyte, Analytes, read_analytes, shipped
from mhdiff.cohort.outcome_question import Outcome
from mhdiff.cohort.task_check import Check
from mhdiff.config import find
from ontology.errors import InputError

if TYPE_CHECKING:
    from mhdiff.cohort.cohort import Cohort
    from mhdiff.cohort.window import Window
    from ontology import Ontology

_REQUIRED = ("name", "labels", "classes", "modalities")
_OPTIONAL = (
    "description", "window_days", "blinded", "merge", "exclude", "include", "outcome", "deidentify", "analytes"
)  # fmt: skip


@dataclass(frozen=True)
class Blinded:
    """What names the label.

    Attributes:
        concepts: SCTIDs that are dropped from the evidence together with their descendants.
        words: Words and phrases that are replaced in notes; a trailing `*` stands for any ending.
        codes: Prefixes of codes whose events are not read.
    """

    concepts: tuple[int, ...] = ()
    words: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """What is predicted, over which window, from which modalities.

    Attributes:
        name: Name of the task.
        labels: Name of the cohort's label file.
        classes: The classes; their order is the label's index.
        modalities: Modality -> prefixes of the codes that belong to it, in order.
        window_days: Look-back in days before prediction_time; None for everything before.
        blinded: What names the label and is therefore hidden.
        merge: Label values that are not classes -> the class that they count as.
        exclude: Label values that make no sample.
        description: What the task is and how the labels came about.
        outcome: How labels are made from later events; None where the cohort brings them.
        deidentify: What is taken out of notes before anything reads them; None for nothing.
        analytes: Units and limits of measurements, of the user's own; they stand before the shipped ones.
        path: The file that it was read from, for messages.
        choices: Modality -> which of its images is taken; all that are not named keep all of theirs.
        include: Who is asked about; None for everybody who has a label.
    """

    name: str
    labels: str
    classes: tuple[str, ...]
    modalities: Mapping[str, tuple[str, ...]]
    window_days: float | None = None
    blinded: Blinded = field(default_factory=Blinded)
    merge: Mapping[str, str] = field(default_factory=dict)
    exclude: tuple[str, ...] = ()
    description: str = ""
    outcome: Outcome | None = None
    deidentify: Rules | None = None
    analytes: tuple[Analyte, ...] = ()
    path: Path | None = field(default=None, compare=False)
    choices: Mapping[str, Choice] = field(default_factory=dict, metadata={"later": True})
    include: Include | None = field(default=None, metadata={"later": True})

    @property
    def measures(self) -> Analytes:
        """Units and limits of measurements: the shipped table with the task's own rows."""
        return shipped().with_own(self.analytes)

    @classmethod
    def load(cls, name_or_path: str | Path) -> Task:
        """Read a task file.

        Args:
            name_or_path: Name of a shipped task (`pneumonia`) or path of a YAML file.

        Raises:
            InputError: If there is no such task, or a key is unknown, missing or of the wrong kind.
        """
        path = task_file(name_or_path)
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            mark = getattr(error, "problem_mark", None)
            raise InputError(
                "the task is not YAML", path=path, row=mark.line + 1 if mark else None
            ) from error
        return cls.from_dict(content, path)

    @classmethod
    def from_dict(cls, content: Any, path: Path | None = None) -> Task:
        """Make a task of plain data.

        Args:
            content: The mapping as in the YAML file.
            path: The file, for messages.

        Raises:
            InputError: If a key is unknown, missing or of the wrong kind.
        """
        check = Check(path)
        check.keys(content, "the task", _REQUIRED, _OPTIONAL)
        classes = check.strings(content["classes"], "classes")
        if len(classes) < 2 or len(set(classes)) < len(classes):
            check.fail("'classes' must list two or more different classes")
        if not isinstance(content["modalities"], dict) or not content["modalities"]:
            check.fail("'modalities' must map names to {prefixes: [...]}")
        modalities, choices = {}, {}
        for name, entry in content["modalities"].items():
            check.keys(entry, f"modality '{name}'", ("prefixes",), CHOICE)
            modalities[str(name)] = check.strings(entry["prefixes"], f"modalities.{name}.prefixes")
            with check.said("See docs/cohorts.md"):
                if choice := Choice.from_dict(entry, str(name), modalities[str(name)]):
                    choices[str(name)] = choice
        blinded = content.get("blinded") or {}
        check.keys(blinded, "'blinded'", (), ("concepts", "words", "codes"))
        concepts = blinded.get("concepts") or []
        if not isinstance(concepts, list) or not all(type(c) is int for c in concepts):
            check.fail("'blinded.concepts' must list SCTIDs as whole numbers")
        days = content.get("window_days")
        if days is not None and (isinstance(days, bool) or not isinstance(days, (int, float)) or days <= 0):
            check.fail("'window_days' must be a number above 0, or null")
        merge = content.get("merge") or {}
        if not isinstance(merge, dict) or not set(map(str, merge.values())) <= set(classes):
            check.fail("'merge' must map label values to classes")
        exclude = check.strings(content.get("exclude") or [], "exclude")
        if twice := sorted(set(exclude) & {*classes, *map(str, merge)}):
            check.fail(f"'exclude' names '{twice[0]}', which is a class or in 'merge'")
        outcome = None
        if content.get("outcome") is not None:
            with check.said("See docs/omop.md"):
                outcome = Outcome.from_dict(content["outcome"], lambda name: _beside(name, path))
            own = tuple(outcome.classes) if outcome else ()
            if not own and len(classes) != 2:
                check.fail("a task with an 'outcome' has two classes: without it and with it")
            if own and own != classes:
                check.fail(
                    "'outcome.classes' must name the classes of the task, in their order", "See docs/omop.md"
                )
        include = None
        if content.get("include") is not None:
            with check.said("See docs/cohorts.md"):
                include = Include.from_dict(content["include"], list(modalities))
        hidden = dict.fromkeys([*concepts, *(outcome.concepts if outcome else ())])
        return cls(
            name=str(content["name"]),
            labels=str(content["labels"]),
            classes=classes,
            modalities=modalities,
            window_days=days,
            blinded=Blinded(
                tuple(hidden),
                check.strings(blinded.get("words") or [], "blinded.words"),
                (
                    *check.strings(blinded.get("codes") or [], "blinded.codes"),
                    *(outcome.hidden if outcome else ()),
                ),
            ),
            merge={str(k): str(v) for k, v in merge.items()},
            exclude=exclude,
            description=str(content.get("description") or ""),
            outcome=outcome,
            deidentify=None
            if content.get("deidentify") is None
            else Rules.from_dict(content["deidentify"], path),
            analytes=()
            if content.get("analytes") is None
            else read_analytes(_beside(content["analytes"], path)),
            path=path,
            choices=choices,
            include=include,
        )

    def blinded_in(self, ontology: Ontology) -> tuple[int, ...]:
        """Give the concepts that are blinded: those listed, and those that the outcome means in an ontology.

        Args:
            ontology: The ontology.

        Raises:
            InputError: If an expression of the outcome cannot be evaluated in it, or gives nothing.
        """
        from mhdiff.cohort.outcome_concepts import blinded_in

        return blinded_in(self, ontology)

    def samples(self, cohort: Cohort) -> pl.DataFrame:
        """Give one row per prediction: sample_id, subject_id, prediction_time, label, site, split.

        `sample_id` counts from 0 in the order of subject and prediction_time, `label` indexes `classes`, and
        `split` is the stored one (null for a subject that has none).

        Args:
            cohort: The cohort.

        Raises:
            InputError: If the cohort has no such labels, a label is no class of the task, or a subject has
                two labels at one time or two splits.
        """
        path = cohort.path / "labels" / f"{self.labels}.parquet"
        labels = self._labels(cohort)
        known = {
            **{c: i for i, c in enumerate(self.classes)},
            **{v: self.classes.index(c) for v, c in self.merge.items()},
        }
        strange = labels.filter(~pl.col("value").fill_null("(empty)").is_in(list(known)))
        if not strange.is_empty():
            values = sorted(strange["value"].fill_null("(empty)").unique())
            raise InputError(
                f"{len(strange)} labels are no class of task '{self.name}': {', '.join(values[:5])}",
                path=path,
                remedy=f"Classes: {', '.join(self.classes)}. Add them to `classes` or to `merge` of the task",
            )
        if labels.is_empty():
            raise InputError(f"the cohort has no label for task '{self.name}'", path=path)
        if labels.select("subject_id", "prediction_time").is_duplicated().any():
            raise InputError("a subject has two labels at one prediction_time", path=path)
        if cohort.splits["subject_id"].is_duplicated().any():
            raise InputError("a subject stands twice in the stored splits", path=cohort.path)
        if self.include is not None:
            judged = judge(self.include, self, cohort, labels)
            labels = labels.filter(judged["not_included"].is_null())
            if labels.is_empty():
                raise InputError(
                    f"nobody of the cohort is included in task '{self.name}'",
                    path=self.path,
                    remedy="Change its 'include'; `mhdiff cohort info` says who is in the cohort",
                )
        return (
            labels.sort("subject_id", "prediction_time")
            .with_row_index("sample_id")
            .join(cohort.sites, on="subject_id", how="left", maintain_order="left")
            .join(cohort.splits, on="subject_id", how="left", maintain_order="left")
            .select(
                pl.col("sample_id").cast(pl.Int64),
                "subject_id",
                "prediction_time",
                pl.col("value").replace_strict(known, return_dtype=pl.Int64).alias("label"),
                pl.col("site").fill_null("unknown"),
                "split",
            )
        )

    def not_included(self, cohort: Cohort) -> dict[str, int]:
        """Count the labelled predictions that `include` leaves out, by reason.

        Args:
            cohort: The cohort.

        Raises:
            InputError: If the cohort has no such labels.
        """
        if self.include is None:
            return {}
        labels = self._labels(cohort)
        return counts(judge(self.include, self, cohort, labels))

    def _labels(self, cohort: Cohort) -> pl.DataFrame:
        """The labels with their `value`, without those that are excluded by it."""
        labels = cohort.labels(self.labels).with_columns(
            pl.coalesce(
                "categorical_value",
                pl.col("integer_value").cast(pl.String),
                pl.col("boolean_value").cast(pl.String),
            ).alias("value")
        )
        return labels.filter(~pl.col("value").is_in(self.exclude).fill_null(False))

    def window(self, cohort: Cohort) -> Window:
        """Give the events that the model may see, one row per sample and event; see `mhdiff.cohort.window`.

        Args:
            cohort: The cohort.
        """
        from mhdiff.cohort.window import look_back

        return look_back(self, cohort)


def task_file(name_or_path: str | Path) -> Path:
    """Give the file of a task.

    Args:
        name_or_path: Name of a shipped task (`pneumonia`) or path of a YAML file.

    Raises:
        InputError: If there is no such task.
    """
    given = Path(name_or_path)
    plain = not given.is_file() and len(given.parts) == 1
    return find(Path("tasks") / given.with_suffix(".yaml") if plain else given)


def _beside(name: Any, task: Path | None) -> Path:
    """Give the file that a task names: beside the task's own, or from the working directory."""
    near = task.parent / str(name) if task is not None else Path(str(name))
    return near if near.is_file() else Path(str(name))
