"""Codes as multi-hot weights, with the vocabulary of the training fold; rare ones rolled up where that is asked for.

A code that fewer than n training patients have is replaced by the nearest of its ancestors in the ontology that stands
for at least n of them (`mhdiff.encoders.roll_up`). So is a code at prediction that training never saw.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl
import torch
from torch import Tensor

from mhdiff.encoders.preprocess import EventReader, State
from mhdiff.encoders.roll_up import Ancestors, choose, nearest
from mhdiff.encoders.specs import CodeSpec
from ontology.errors import InputError

if TYPE_CHECKING:
    from ontology import Ontology


class CodeTable(EventReader):
    """One column a code that training saw often enough; what is left shares column 0, which so is trained too.

    Events are frames with `sample_id` and `code`, and perhaps `subject_id` and `parent_codes`, of this modality only.
    Rolling up brings the ontology into the encoder, in every arm of an ablation alike, whatever its graph is: leave it
    out where the question is what the ontology is worth.

    Args:
        min_samples: In how many samples of the training fold a code must occur to get a column of its own.
        roll_up: How many training patients must have a code; a rarer one is replaced by the nearest of its ancestors
            that stands for as many. 0 leaves codes as they are. Needs `data.ontology`.
    """

    def __init__(self, min_samples: int = 2, roll_up: int = 0) -> None:
        if roll_up < 0:
            raise InputError(f"roll_up is {roll_up}", remedy="Give a number of patients, 0 for none")
        self.min_samples, self.roll_up = min_samples, roll_up
        self.codes: list[str] | None = None
        self.places: dict[int, str] = {}
        self.above: Ancestors | None = None
        self._open: Callable[[], Ontology] | None = None
        self.report: dict[str, Any] = {}

    @property
    def spec(self) -> CodeSpec:
        """What the encoder must know."""
        return CodeSpec(1 + len(self._fitted))

    @property
    def _fitted(self) -> list[str]:
        if self.codes is None:
            raise InputError(
                "the code table was not fitted", remedy="Call fit with the codes of the training fold"
            )
        return self.codes

    def use(self, ontology: Callable[[], Ontology] | None) -> None:
        """Take the ontology that codes are rolled up in; it is opened when one is.

        Args:
            ontology: Opens it.
        """
        self._open = ontology

    @property
    def _ancestors(self) -> Ancestors:
        if self.above is None:
            if self._open is None:
                raise InputError(
                    "data.codes.roll_up needs the ontology, and none is given",
                    remedy="Name its folder as data.ontology, or take roll_up out",
                )
            self.above = Ancestors(self._open())
        return self.above

    def fit(self, events: pl.DataFrame) -> CodeTable:
        """Learn the vocabulary.

        Args:
            events: The codes of the training fold.

        Returns:
            This object.

        Raises:
            InputError: If there is no code at all, or codes are to be rolled up without an ontology.
        """
        if events.is_empty():
            raise InputError(
                "the training fold holds no code",
                remedy="Take the modality out of the task, or check its prefixes",
            )
        who = "subject_id" if self.roll_up and "subject_id" in events.columns else "sample_id"
        people = {
            code: set(ids)
            for code, ids in events.group_by("code").agg(pl.col(who).unique()).sort("code").iter_rows()
        }
        least = self.roll_up or self.min_samples
        own = [code for code, ids in people.items() if len(ids) >= least]
        rare = {code: ids for code, ids in people.items() if len(ids) < least}
        self.places = {}
        if not self.roll_up:
            self.codes = own
            self.report = {"codes": len(own), "codes too seldom, sharing column 0": len(rare)}
            return self
        above, parents = self._ancestors, _parents(events)
        for code in own:
            if len(concepts := above.concepts(code, parents[code])) == 1:
                self.places.setdefault(concepts[0], code)
        ways = {code: above.levels(above.concepts(code, parents[code])) for code in rare}
        found = choose(ways, rare, set(self.places), self.roll_up, above)
        self.places |= {place: f"SNOMED/{place}" for place in found.values() if place not in self.places}
        self.codes = sorted({*own, *self.places.values()})
        columns = {self.places[place] for place in found.values()}
        self.report = {
            "codes": len(self.codes),
            "codes too seldom, rolled up": len(found),
            "columns that they were rolled up into": len(columns),
            "codes too seldom, of no concept": sum(not levels for levels in ways.values()),
            "codes too seldom, sharing column 0": len(rare) - len(found),
        }
        return self

    def learn(self, events: pl.DataFrame, sample_ids: Sequence[int]) -> None:
        """Fit, see `fit`.

        Args:
            events: The codes of the training fold.
            sample_ids: Not read.
        """
        self.fit(events)

    def tensors(self, events: pl.DataFrame, sample_ids: Sequence[int]) -> dict[str, Tensor]:
        """Give one row a sample, see `transform`.

        Args:
            events: The codes.
            sample_ids: The samples.
        """
        return self.transform(events, sample_ids)

    def column_of(self, code: str, parents: Sequence[str] | None = None) -> str | None:
        """Give the name of the column that a code is read into; None for column 0.

        Args:
            code: The code.
            parents: Its `parent_codes`.
        """
        if code in self._known:
            return code
        if not self.roll_up or not self.places:
            return None
        above = self._ancestors
        place = nearest(above.levels(above.concepts(code, parents)), self.places)
        return None if place is None else self.places[place]

    @property
    def _known(self) -> dict[str, int]:
        return {code: i + 1 for i, code in enumerate(self._fitted)}

    def transform(self, events: pl.DataFrame, sample_ids: Sequence[int]) -> dict[str, Tensor]:
        """Give one row a sample.

        Args:
            events: The codes of these samples, and perhaps of others.
            sample_ids: The samples, in the order of the rows.

        Returns:
            `weight`, float32 `[samples, 1 + codes]`, 0 or 1.
        """
        row_of = {sample: row for row, sample in enumerate(sample_ids)}
        columns, weight = self._known, torch.zeros(len(sample_ids), 1 + len(self._fitted))
        here = events.filter(pl.col("sample_id").is_in(pl.Series(sample_ids, dtype=pl.Int64).implode()))
        read = {code: self.column_of(code, above) for code, above in _parents(here).items()}
        counted: Counter[str] = Counter()
        for sample, code in here.select("sample_id", "code").unique().iter_rows():
            column = read[code]
            weight[row_of[sample], columns[column] if column else 0] = 1
            counted["codes"] += 1
            counted["codes unknown to training" if column is None else "known"] += 1
            counted["codes rolled up"] += column not in (None, code)
        self.report = {
            "codes": counted["codes"],
            "codes unknown to training": counted["codes unknown to training"],
            **({"codes rolled up": counted["codes rolled up"]} if self.roll_up else {}),
            "samples without a code": int((weight.sum(dim=1) == 0).sum()),
        }
        return {"weight": weight}

    def state(self) -> State:
        """Give the vocabulary, and which concepts codes are rolled up to."""
        return {
            "kind": "CodeTable",
            "min_samples": self.min_samples,
            "roll_up": self.roll_up,
            "codes": self._fitted,
            "places": {str(place): column for place, column in sorted(self.places.items())},
        }

    @classmethod
    def from_state(cls, state: State) -> CodeTable:
        """Make the table again.

        Args:
            state: What `state` gave.
        """
        table = cls(state["min_samples"], state.get("roll_up", 0))
        table.codes = list(state["codes"])
        table.places = {int(place): column for place, column in state.get("places", {}).items()}
        return table


def _parents(events: pl.DataFrame) -> dict[str, list[str] | None]:
    """Give the parents of each code that occurs; of several lists the first."""
    if "parent_codes" not in events.columns:
        return dict.fromkeys(events["code"].unique().sort().to_list())
    known = events.select("code", "parent_codes").unique("code", keep="first", maintain_order=True)
    return {code: None if parents is None else list(parents) for code, parents in known.iter_rows()}
