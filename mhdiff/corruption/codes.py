"""Spoilt codes: some of them are another patient's of the same split, with the concepts that they stand for."""

from __future__ import annotations

from typing import ClassVar

import polars as pl

from mhdiff.corruption.base import EventCorruption, Record, Source
from mhdiff.encoders.preprocess_structured import CodeTable

_PAIR = ("sample_id", "code")


class WrongCodes(EventCorruption):
    """Puts another patient's code in a code's place; the amount is the probability of each of a sample's codes."""

    name = "wrong_codes"
    reads = CodeTable
    levels: ClassVar = (0.1, 0.25, 0.5, 0.75, 1.0)

    def record(self, record: Record, source: Source) -> Record:
        """Spoil some samples' codes, see `EventCorruption.record`."""
        about = source.samples.select("sample_id", "subject_id", "split")
        pairs = source.events.select(_PAIR).unique().join(about, on="sample_id").sort(_PAIR)
        pools = {
            str(split): rows.rows() for (split,), rows in pairs.partition_by("split", as_dict=True).items()
        }
        own = record.events.select(_PAIR).unique().join(about, on="sample_id").sort(_PAIR)
        moves = []
        for sample, code, subject, split in own.iter_rows():
            if self.draw(sample, code) < self.amount:
                donor = self._donor(sample, code, subject, pools[split])
                if donor is not None:
                    moves.append((sample, code, *donor))
        names = {"sample_id": pl.Int64, "code": pl.String, "from_sample": pl.Int64, "from_code": pl.String}
        moved = pl.DataFrame(moves, names, orient="row")
        return Record(_events(record, source, moved), _evidence(record, source, moved))

    def _donor(
        self, sample: int, code: str, subject: int, pool: list[tuple[int, str, int, str]]
    ) -> tuple[int, str] | None:
        """Draw another patient's code; from the place drawn the next in order, and round."""
        first = int(self.draw(sample, code, "donor") * len(pool))
        for place in range(len(pool)):
            whose, other, patient, _ = pool[(first + place) % len(pool)]
            if patient != subject and other != code:
                return whose, other
        return None


def _events(record: Record, source: Source, moved: pl.DataFrame) -> pl.DataFrame:
    """Write the other code into the events, with everything that comes with it but whose and when."""
    told = [c for c in record.events.columns if c not in ("sample_id", "subject_id", "time", "modality")]
    donors = source.events.unique(_PAIR, keep="first", maintain_order=True).select(
        pl.col("sample_id").alias("from_sample"),
        pl.col("code").alias("from_code"),
        *(pl.col(name).alias(f"new {name}") for name in told),
    )
    joined = record.events.join(
        moved.join(donors, on=["from_sample", "from_code"]), on=_PAIR, how="left", maintain_order="left"
    )
    hit = pl.col("from_code").is_not_null()
    return joined.with_columns(
        pl.when(hit).then(f"new {name}").otherwise(name).alias(name) for name in told
    ).select(record.events.columns)


def _evidence(record: Record, source: Source, moved: pl.DataFrame) -> pl.DataFrame:
    """Take the concepts of the codes that are gone away, and bring those of the codes in their place."""
    columns = record.evidence.columns
    right = record.evidence.join(moved, left_on=["sample_id", "source"], right_on=_PAIR, how="anti")
    brought = (
        moved.select("from_code", new="sample_id", sample_id="from_sample")
        .join(source.evidence, left_on=["sample_id", "from_code"], right_on=["sample_id", "source"])
        .with_columns(sample_id="new", source="from_code")
        .select(columns)
    )
    return pl.concat([right, brought]).unique().sort(columns)
