"""What every corruption keeps; a new one is held to it by standing in `CORRUPTIONS`."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import polars as pl
import pytest
import torch

import mhdiff.corruption
from mhdiff.corruption import (
    CORRUPTIONS,
    Corruption,
    EventCorruption,
    Record,
    Source,
    corruption,
    corruptions,
)
from mhdiff.training.corrupted import differs
from ontology.errors import InputError

EVERY = ["train", "tuning", "held_out"]


@pytest.fixture(scope="module")
def data(small_run):
    from mhdiff.training.run import open_run

    return open_run(small_run)[1]


@pytest.fixture(scope="module")
def clean(data):
    dataset = data.dataset(EVERY)
    return dataset.collate(range(len(dataset)))


def spoilt(data, name, severity=3, seed=0, ids=None):
    dataset = data.dataset(EVERY, ids, CORRUPTIONS[name](severity, seed))
    return dataset.collate(range(len(dataset)))


def members(base=Corruption):
    for module in pkgutil.iter_modules(mhdiff.corruption.__path__):
        importlib.import_module(f"mhdiff.corruption.{module.name}")
    found, queue = set(), [base]
    while queue:
        for kind in queue.pop().__subclasses__():
            queue.append(kind)
            if not inspect.isabstract(kind) and kind.__module__.startswith("mhdiff."):
                found.add(kind)
    return found


def same(one, other):
    return not differs(one, other).any() and torch.equal(one.present, other.present)


def test_every_corruption_has_a_name():
    assert members() == set(CORRUPTIONS.values())


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_severity_zero_changes_nothing(data, clean, name):
    assert same(spoilt(data, name, 0), clean)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_only_its_modality_changes_in_values_alone(data, clean, name):
    found = spoilt(data, name, 5)
    acts = data.corruptible(CORRUPTIONS[name]())
    assert torch.equal(found.present, clean.present)
    assert torch.equal(found.sample_id, clean.sample_id)
    assert torch.equal(found.label, clean.label)
    changed = differs(clean, found)
    assert changed.any()
    for column, modality in enumerate(data.modalities):
        absent = ~clean.present[:, column]
        for key, tensor in clean.inputs[modality].items():
            other = found.inputs[modality][key]
            assert other.dtype == tensor.dtype
            assert other.isfinite().all()
            if modality in acts:
                assert other.shape[2:] == tensor.shape[2:]
                assert modality == "note" or other.shape == tensor.shape
                assert not other[absent].any()  # what is absent stays absent
            else:
                assert torch.equal(other, tensor)
        for field in ("concept", "weight", "polarity"):
            one, other = getattr(clean.evidence, field)[:, column], getattr(found.evidence, field)[:, column]
            rows = absent if modality in acts else slice(None)
            assert torch.equal(one[rows], other[rows])


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_seed_and_sample_decide_and_nothing_else(data, clean, name):
    found = spoilt(data, name)
    assert same(found, spoilt(data, name))
    if name not in ("blur", "truncated_note"):  # which draw nothing
        assert not same(found, spoilt(data, name, seed=1))
    some = clean.sample_id[::7].tolist()
    alone = spoilt(data, name, ids=some)
    rows = [clean.sample_id.tolist().index(s) for s in some]
    for field in ("concept", "weight", "polarity"):
        assert torch.equal(getattr(alone.evidence, field), getattr(found.evidence, field)[rows])
    for modality, tensors in alone.inputs.items():
        for key, tensor in tensors.items():
            width = tensor.shape[1]
            assert torch.equal(tensor, found.inputs[modality][key][rows][:, :width])


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_what_a_severity_changes_a_higher_one_changes_too(data, clean, name):
    before = torch.zeros(len(clean), dtype=torch.bool)
    for severity in (1, 3, 5):
        changed = differs(clean, spoilt(data, name, severity))
        if name != "shuffled_words":  # whose words may fall back into their places
            assert not (before & ~changed).any()
        assert changed.sum() >= before.sum()
        before = changed


@pytest.mark.parametrize("name", [n for n, kind in CORRUPTIONS.items() if issubclass(kind, EventCorruption)])
def test_nothing_comes_from_another_split_or_the_sample_itself(data, name):
    spoiler = CORRUPTIONS[name](5)
    modality = data.corruptible(spoiler)[0]
    events = data.window.filter(pl.col("modality") == modality)
    table = data.graph.evidence.table.filter(pl.col("modality") == modality)
    split = dict(data.samples.select("sample_id", "split").iter_rows())
    mark = pl.col("sample_id").replace_strict(split, return_dtype=pl.String)
    marked = events.with_columns(
        text_value=pl.when(pl.col("text_value").is_null())
        .then(None)
        .otherwise(mark + "!" + pl.col("sample_id").cast(pl.String) + "!"),
        code=mark + "!" + pl.col("sample_id").cast(pl.String) + "!" + pl.col("code"),
    )
    whose_source = (
        mark + "!" + pl.col("sample_id").cast(pl.String) + "!" + pl.col("source")
    )  # as the codes are
    source = Source(marked, table.with_columns(source=whose_source), data.samples)
    found = spoiler.record(Record(marked, source.evidence), source)
    moved = 0
    for sample, code in found.events.select("sample_id", "code").iter_rows():
        where, whose, _ = code.split("!", 2)
        assert where == split[sample]
        moved += int(whose) != sample
    brought = 0
    for sample, told in found.evidence.select("sample_id", "source").iter_rows():
        where, whose, _ = told.split("!", 2)
        assert where == split[sample]
        brought += int(whose) != sample
    assert (moved > 0) == (name in ("wrong_note", "wrong_codes"))
    assert (brought > 0) == (name in ("wrong_note", "wrong_codes"))  # what a code says comes with it


def test_wrong_names_and_severities_are_refused():
    with pytest.raises(InputError, match="no corruption 'noize'"):
        corruption("noize")
    for text in ("noise:", "noise:6", "noise:x"):
        with pytest.raises(InputError, match="severity"):
            corruption(text)
    with pytest.raises(InputError, match="severity of 9"):
        CORRUPTIONS["blur"](9)
    assert [str(c) for c in corruptions(["noise:2", "all:2"])] == [f"{n}:2" for n in CORRUPTIONS]
