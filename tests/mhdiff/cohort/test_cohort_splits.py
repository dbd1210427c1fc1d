import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mhdiff.cohort.splits import assign, deal, unite, write_splits
from ontology.errors import InputError
from tests.searches import examples


def samples_of(rows):
    schema = {"subject_id": pl.Int64, "label": pl.Int64, "site": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


SAMPLES = samples_of([(s, int(s % 10 == 0), "abc"[s % 3]) for s in range(60) for _ in range(1 + s % 4)])
GROUPS = unite(range(60), [(0, "x"), (1, "x"), (1, "y"), (2, "y"), (7, "z"), (8, "z")])

HELD = [0, 1, 2, 3, 5, 7, 8, 14, 17, 19, 20, 24, 31, 34, 37, 42, 45, 47, 48, 51, 55, 59]
TUNING = [11, 21, 27, 29, 41, 43, 46]


def test_unite_is_transitive():
    assert dict(GROUPS.iter_rows())[2] == 0
    assert GROUPS["group"].n_unique() == 57


@pytest.mark.parametrize("how", ["site:b", "fold:0/5", "fold:4/5", "fold:1/2"])
def test_no_subject_and_no_group_is_in_two_splits(how):
    split = assign(SAMPLES, how, 3, groups=GROUPS)
    assert set(split["split"]) == {"train", "tuning", "held_out"}
    assert split.group_by("subject_id").agg(pl.col("split").n_unique())["split"].max() == 1
    joined = split.join(GROUPS, on="subject_id").group_by("group").agg(pl.col("split").n_unique())
    assert joined["split"].max() == 1
    assert split.select(SAMPLES.columns).equals(SAMPLES)


@settings(max_examples=examples(40), deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.integers(0, 3), st.sampled_from("ab")), min_size=12, max_size=120
    ),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)), max_size=10),
    st.integers(0, 3),
)
def test_folds_part_the_samples_whatever_the_groups(rows, pairs, seed):
    samples = samples_of(rows)
    groups = unite(range(41), pairs)
    used = groups.filter(pl.col("subject_id").is_in(samples["subject_id"].to_list()))["group"].n_unique()
    if used < 5:
        return
    held = []
    for fold in range(3):
        split = assign(samples, f"fold:{fold}/3", seed, groups=groups).join(groups, on="subject_id")
        assert split.group_by("group").agg(pl.col("split").n_unique())["split"].max() == 1
        held += split.filter(pl.col("split") == "held_out")["group"].unique().to_list()
    assert len(held) == len(set(held)) == used


def dealt_one_by_one(samples, folds, seed):
    """What `deal` says, as the module's text has it: groups one after another."""

    def rarest(column):
        held = {}
        for group, value in samples.select("group", column).drop_nulls().iter_rows():
            held.setdefault(group, set()).add(value)
        size = {}
        for values in held.values():
            for value in values:
                size[value] = size.get(value, 0) + 1
        return {g: min((size[value], value) for value in values) for g, values in held.items()}

    label, site = rarest("label"), rarest("site")
    generator = np.random.default_rng(seed)
    order = []
    for one in sorted(set(label.values())):
        stratum = np.array(sorted(group for group in label if label[group] == one))
        order += sorted(generator.permutation(stratum).tolist(), key=lambda group: site.get(group, (0, "")))
    return [(group, place % folds) for place, group in enumerate(order)]


@settings(max_examples=examples(60), deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 30),
            st.one_of(st.none(), st.integers(0, 4)),
            st.one_of(st.none(), st.sampled_from(["", "a", "b", "B", "é", "z"])),
        ),
        max_size=80,
    ),
    st.integers(2, 6),
    st.integers(0, 3),
)
def test_groups_are_dealt_as_cards_are(rows, folds, seed):
    samples = pl.DataFrame(
        rows, schema={"group": pl.Int64, "label": pl.Int64, "site": pl.String}, orient="row"
    )
    assert deal(samples, folds, seed).rows() == dealt_one_by_one(samples, folds, seed)


def test_folds_are_what_they_were():
    # Of the dealing before it was written in columns; runs of ablations rest on it.
    split = assign(SAMPLES, "fold:1/3", 3, groups=GROUPS).unique("subject_id").sort("subject_id")
    held = split.filter(pl.col("split") == "held_out")["subject_id"].to_list()
    tuning = split.filter(pl.col("split") == "tuning")["subject_id"].to_list()
    assert held == HELD
    assert tuning == TUNING


def test_folds_are_stratified_and_seeded():
    rare = [
        assign(SAMPLES, f"fold:{i}/3", 0).filter(pl.col("split") == "held_out", pl.col("label") == 1)
        for i in range(3)
    ]
    assert [part["subject_id"].n_unique() for part in rare] == [2, 2, 2]
    assert assign(SAMPLES, "fold:0/3", 0).equals(assign(SAMPLES.reverse(), "fold:0/3", 0).reverse())
    assert not assign(SAMPLES, "fold:0/3", 0).equals(assign(SAMPLES, "fold:0/3", 1))


def test_site_is_held_out_whole():
    split = assign(SAMPLES, "site:b", 0, groups=GROUPS)
    assert set(split.filter(pl.col("site") == "b")["split"]) == {"held_out"}


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("site:nowhere", "no sample is from the site 'nowhere'.*a, b, c"),
        ("fold:5/5", "no fold 5 of 5"),
        ("fold:0/1", "no fold 0 of 1"),
        ("fold:0/99", "cannot make 99 folds"),
        ("random", "not understood"),
        ("stored", "stored split"),
    ],
)
def test_splits_that_cannot_be_made(how, message):
    with pytest.raises(InputError, match=message):
        assign(SAMPLES, how)


def dated():
    days = [pl.datetime(2020, 1, 1) + pl.duration(days=pl.col("subject_id") * 3 + pl.int_range(pl.len()))]
    return SAMPLES.with_columns(days[0].alias("prediction_time"))


def test_the_future_never_trains_and_who_is_on_both_sides_is_held_out():
    split = assign(dated(), "after:2020-04-03", 0, groups=GROUPS)
    late = pl.col("prediction_time") >= pl.datetime(2020, 4, 3)
    held = set(split.filter(pl.col("split") == "held_out")["subject_id"])
    assert held == set(dated().filter(late)["subject_id"])  # no group of several crosses the date
    assert split.filter(pl.col("split") != "held_out", late).is_empty()
    both = split.group_by("subject_id").agg(late.any() & ~late.all()).filter("prediction_time")["subject_id"]
    assert len(both) > 0
    assert set(both) <= held
    assert set(split["split"]) == {"train", "tuning", "held_out"}


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("after:spring", "names no date"),
        ("after:2035-01-01", "no sample is from 2035-01-01 or later"),
        ("after:1999-01-01", "too few patients"),
    ],
)
def test_dates_that_cannot_split(how, message):
    with pytest.raises(InputError, match=message):
        assign(dated(), how)


def test_the_only_site_cannot_be_held_out():
    with pytest.raises(InputError, match="too few patients"):
        assign(SAMPLES.with_columns(pl.lit("a").alias("site")), "site:a")


@pytest.mark.parametrize("outer", ["site:b", "fold:1/3", "stored"])
def test_a_nested_split_leaves_the_outer_patients_out_and_parts_the_rest(outer):
    samples = SAMPLES
    if outer == "stored":
        samples = assign(SAMPLES, "fold:2/4", 7, groups=GROUPS)
    whole = assign(samples, outer, 3, groups=GROUPS)
    away = set(whole.filter(pl.col("split") == "held_out")["subject_id"])
    held = []
    for fold in range(3):
        inner = assign(samples, f"nested:{fold}/3:{outer}", 3, groups=GROUPS)
        assert not away & set(inner["subject_id"])
        assert set(inner["split"]) == {"train", "tuning", "held_out"}
        held += inner.filter(pl.col("split") == "held_out")["subject_id"].unique().to_list()
    assert sorted(held) == sorted(set(samples["subject_id"]) - away)


def test_what_the_outer_patients_have_decides_nothing_within():
    spoilt = SAMPLES.with_columns(label=pl.when(pl.col("site") == "b").then(7).otherwise("label"))
    inner, other = (assign(s, "nested:0/3:site:b", 3).drop("label") for s in (SAMPLES, spoilt))
    assert inner.equals(other)


@pytest.mark.parametrize(
    "how", ["nested:0/3", "nested:3/3:stored", "nested:0/3:nested:0/3:stored", "nested:x"]
)
def test_a_nested_split_that_is_none_is_refused(how):
    with pytest.raises(InputError):
        assign(SAMPLES.with_columns(split=pl.lit("train")), how, 0)


def test_every_fold_has_its_share_of_every_site_within_a_label():
    rows = [(s, int(s % 5 == 0), "a" if s % 7 else "b") for s in range(210)]
    samples = samples_of(rows)
    for label in (0, 1):
        for site in "ab":
            here = pl.col("label").eq(label) & pl.col("site").eq(site)
            held = [
                assign(samples, f"fold:{fold}/5", 3).filter(pl.col("split") == "held_out", here).height
                for fold in range(5)
            ]
            assert max(held) - min(held) <= 1, (label, site, held)


def test_sites_change_nothing_where_there_is_one():
    bare = SAMPLES.with_columns(site=pl.lit("a"))
    for fold in range(3):
        with_site = assign(bare, f"fold:{fold}/3", 1, groups=GROUPS)["split"]
        without = assign(bare.drop("site"), f"fold:{fold}/3", 1, groups=GROUPS)["split"]
        assert with_site.equals(without)


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_split_on_disk_is_used_again(tmp_path, ending):
    made = assign(SAMPLES, "fold:1/4", 5, groups=GROUPS)
    file = tmp_path / f"splits.{ending}"
    if ending == "csv":
        made.select("subject_id", "split").unique().write_csv(file)
    else:
        write_splits(made, file)
    for seed in (0, 9):
        assert assign(SAMPLES, f"file:{file}", seed, groups=GROUPS).equals(made)
    outer = set(made.filter(pl.col("split") == "held_out")["subject_id"])
    inner = assign(SAMPLES, f"nested:0/3:file:{file}", 0, groups=GROUPS)
    assert not outer & set(inner["subject_id"])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(0, "train"), (0, "tuning")], "line 3: the subject is in another split above"),
        ([(0, "test")], "line 2, column 'split': the split is none of train, tuning, held_out"),
        ([(0, "train")], "59 of 60 subjects of the task are in no split"),
        (
            [(s, "train" if s else "held_out") for s in range(60)],
            "line 3: .* belongs together with that of line 2",
        ),
        (None, "no such table of splits"),
        ("words", "cannot be read"),
    ],
)
def test_a_table_of_splits_that_is_wrong_is_named(tmp_path, rows, message):
    file = tmp_path / "splits.csv"
    if isinstance(rows, list):
        pl.DataFrame(rows, {"subject_id": pl.Int64, "split": pl.String}, orient="row").write_csv(file)
    elif rows:
        file.write_text(rows)
    with pytest.raises(InputError, match=message) as caught:
        assign(SAMPLES, f"file:{file}", groups=GROUPS)
    assert "splits.csv" in str(caught.value)


def test_a_pair_that_names_nobody_is_a_defect_of_the_caller():
    with pytest.raises(ValueError, match="nobody"):
        unite([1, 2], [(1, "x"), (3, "x")])


def test_who_holds_no_key_is_a_group_alone():
    united = unite([9, 3, 1, 4], [(9, "x"), (4, "x"), (4, "y"), (1, "y")])
    assert united.rows() == [(1, 1), (3, 3), (4, 1), (9, 1)]
    assert unite([2, 1], []).rows() == [(1, 1), (2, 2)]
