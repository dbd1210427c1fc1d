"""Rows find the shard of their person, however persons are numbered, as a join would have it."""

from __future__ import annotations

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from mhdiff.cohort.omop_dealt import _placed
from tests.searches import examples

_FAR = st.one_of(st.integers(-50, 50), st.integers(-(2**62), 2**62), st.sampled_from([-(2**63), 2**63 - 1]))


def frames(asked, persons):
    rows = pl.LazyFrame(
        {"subject_id": asked, "row": range(len(asked))}, schema={"subject_id": pl.Int64, "row": pl.Int64}
    )
    people = pl.DataFrame(persons, schema={"subject_id": pl.Int64, "shard": pl.Int64}, orient="row")
    return rows, people


@settings(max_examples=examples(100), deadline=None)
@given(
    st.lists(st.one_of(st.none(), _FAR), max_size=30),
    st.lists(st.tuples(_FAR, st.integers(0, 5)), max_size=20, unique_by=lambda one: one[0]),
)
def test_the_shard_is_that_of_a_join(asked, persons):
    rows, people = frames(asked, persons)
    joined = rows.join(people.lazy(), on="subject_id", how="left", maintain_order="left").collect()
    for engine in ("in-memory", "streaming"):
        assert _placed(rows, people).collect(engine=engine).equals(joined)


def test_persons_that_are_numbered_through_are_not_joined():
    rows, people = frames([3, None, 9, 0, 4, -1, 3], [(4, 1), (3, 0), (5, 2), (6, 0)])
    placed = _placed(rows, people)
    assert "JOIN" not in placed.explain()
    assert placed.collect()["shard"].to_list() == [0, None, None, None, 1, None, 0]
    far = _placed(*frames([3, 10**12], [(3, 0), (10**12, 1)]))
    assert "JOIN" in far.explain()
    assert far.collect()["shard"].to_list() == [0, 1]
