"""What each corruption does to a record, on small ones written by hand."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
import torch

from graph_builders.evidence import SCHEMA, conform
from mhdiff.corruption import CORRUPTIONS, Record, Source
from mhdiff.corruption.labs import factor
from mhdiff.encoders import LabTable

NOON = datetime(2024, 1, 1, 12)


def events(rows, modality):
    """Rows of (sample, subject, code, number, text)."""
    return pl.DataFrame(
        [(s, p, NOON, modality, c, n, t, None, None, 70.0, 110.0) for s, p, c, n, t in rows],
        {
            **{
                "sample_id": pl.Int64,
                "subject_id": pl.Int64,
                "time": pl.Datetime("us"),
                "modality": pl.String,
            },
            **{"code": pl.String, "numeric_value": pl.Float64, "text_value": pl.String},
            **{
                "parent_codes": pl.List(pl.String),
                "unit": pl.String,
                "ref_low": pl.Float64,
                "ref_high": pl.Float64,
            },
        },
        orient="row",
    )


def evidence(rows, modality):
    """Rows of (sample, concept, source, start, end)."""
    columns = {
        "sample_id": pl.Int64,
        "concept": pl.Int64,
        "source": pl.String,
        "start": pl.Int32,
        "end": pl.Int32,
    }
    frame = pl.DataFrame(rows, columns, orient="row").with_columns(
        modality=pl.lit(modality), time=pl.lit(NOON).cast(pl.Datetime("us")), depth=pl.lit(3, dtype=pl.Int32)
    )
    return conform(frame)


def samples(*rows):
    return pl.DataFrame(rows, ["sample_id", "subject_id", "split"], orient="row")


def spoil(name, severity, given, found, who, seed=0):
    source = Source(given, found, who)
    return CORRUPTIONS[name](severity, seed).record(Record(given, found), source)


NOTES = [
    (0, 10, "NOTE//A", None, "dry cough"),
    (1, 10, "NOTE//A", None, "fever"),
    (2, 11, "NOTE//A", None, "rash"),
]
FOUND = [(0, 100, "NOTE//A", 4, 9), (1, 101, "NOTE//A", 0, 5), (2, 102, "NOTE//A", 0, 4)]


def test_a_wrong_note_is_another_patients_and_brings_its_concepts():
    who = samples((0, 10, "train"), (1, 10, "train"), (2, 11, "train"))
    found = spoil("wrong_note", 5, events(NOTES, "note"), evidence(FOUND, "note"), who)
    texts = dict(found.events.select("sample_id", "text_value").iter_rows())
    concepts = dict(found.evidence.select("sample_id", "concept").iter_rows())
    assert texts[0] == texts[1] == "rash"  # the only note of another patient
    assert concepts[0] == concepts[1] == 102
    assert (texts[2], concepts[2]) in {("dry cough", 100), ("fever", 101)}
    assert found.events["subject_id"].to_list() == [10, 10, 11]
    assert found.evidence.schema == SCHEMA


def test_a_patient_who_is_alone_in_a_split_keeps_the_note():
    who = samples((0, 10, "train"), (1, 10, "train"), (2, 11, "held_out"))
    given, found = events(NOTES, "note"), evidence(FOUND, "note")
    kept = spoil("wrong_note", 5, given, found, who)
    assert kept.events.equals(given)
    assert kept.evidence.sort(list(SCHEMA)).equals(found)


def test_a_truncated_note_loses_its_end_and_what_was_found_there():
    text = "one two three four five six seven eight nine ten"
    given = events([(0, 10, "NOTE//A", None, text)], "note")
    found = evidence(
        [(0, 100, "NOTE//A", 4, 7), (0, 101, "NOTE//A", 8, 18), (0, 102, "NOTE//A", 45, 48)], "note"
    )
    cut = spoil("truncated_note", 4, given, found, samples((0, 10, "train")))  # 80% of the words
    assert cut.events["text_value"][0] == "one two"
    assert cut.evidence["concept"].to_list() == [100]
    assert (
        spoil("truncated_note", 5, given, found, samples((0, 10, "train"))).events["text_value"][0] == "one"
    )


def test_shuffling_keeps_words_and_lengths_and_breaks_phrases():
    words = [f"w{i}" for i in range(40)]
    text = "  ".join(words) + "\n"
    given = events([(0, 10, "NOTE//A", None, text)], "note")
    spans = [(0, 100 + i, "NOTE//A", text.index(f"{a} "), text.index(f"{a} ") + len(f"{a}  {b}"))
             for i, (a, b) in enumerate(pairwise(words[:-1]))]  # fmt: skip
    found = evidence([*spans, (0, 1, "NOTE//A", 0, 2)], "note")
    for severity, share in enumerate((0.2, 0.4, 0.6, 0.8, 1.0), start=1):
        mixed = spoil("shuffled_words", severity, given, found, samples((0, 10, "train")))
        now = mixed.events["text_value"][0].split()
        assert sorted(now) == sorted(words)
        moved = [a != b for a, b in zip(now, words, strict=True)]
        assert 0 < sum(moved) <= round(share * 40)
        whole = {100 + i for i in range(len(spans)) if not moved[i] and not moved[i + 1]}
        assert set(mixed.evidence["concept"]) == whole | {1}  # one word is found wherever it stands


def test_a_wrong_unit_is_wrong_in_the_raw_value_and_standardised_after():
    glucose = "LOINC/2345-7//mg/dL"
    given = events(
        [(i, i, glucose, 80.0 + 2 * i, None) for i in range(10)] + [(10, 10, glucose, 60.0, None)], "labs"
    )
    found = evidence([(10, 300, glucose, None, None)], "labs")  # below the range: low glucose
    who = samples(*((i, i, "train") for i in range(11)))
    wrong = spoil("unit_error", 5, given, found, who)
    before, after = given["numeric_value"].to_numpy(), wrong.events["numeric_value"].to_numpy()
    hit = before != after
    assert 4 < hit.sum() < 11
    np.testing.assert_allclose(after[hit], 0.0555 * before[hit])
    table = LabTable().fit(given)
    z = table.transform(wrong.events, list(range(11)))["value"][:, 0].numpy()
    np.testing.assert_allclose(
        z, np.clip((after - table.state()["mean"][0]) / table.state()["std"][0], -8, 8), rtol=1e-5
    )
    low = set(wrong.evidence.filter(pl.col("concept") == 300)["sample_id"])
    assert low == {i for i in range(11) if after[i] < 70}


def test_known_conversions_go_both_ways_and_others_slip_by_ten():
    assert factor("LOINC/2345-7//mg/dL", 0.1) == pytest.approx(0.0555)
    assert factor("LOINC/2345-7//mmol/L", 0.1) == pytest.approx(1 / 0.0555)
    assert {factor("LOINC/1920-8//U/L", u) for u in (0.1, 0.9)} == {10.0, 0.1}


def test_one_lab_is_always_left_and_evidence_goes_with_the_others():
    codes = [f"LOINC/{i}//U/L" for i in range(30)]
    given = events([(0, 10, c, 90.0, None) for c in codes] + [(1, 11, codes[0], 90.0, None)], "labs")
    found = evidence([(0, 100 + i, c, None, None) for i, c in enumerate(codes)], "labs")
    who = samples((0, 10, "train"), (1, 11, "train"))
    for severity in (1, 3, 5):
        left = spoil("missing_labs", severity, given, found, who)
        assert left.events.filter(pl.col("sample_id") == 1).height == 1
        mine = left.events.filter(pl.col("sample_id") == 0)["code"].to_list()
        assert 1 <= len(mine) < 30
        assert set(left.evidence["source"]) == set(mine)


def test_wrong_codes_bring_their_concepts_and_their_own_are_gone():
    given = events(
        [(0, 10, "ICD10/A", None, None), (1, 11, "ICD10/B", None, None), (2, 12, "ICD10/C", None, None)],
        "codes",
    )
    found = evidence([(i, 100 + i, f"ICD10/{c}", None, None) for i, c in enumerate("ABC")], "codes")
    who = samples((0, 10, "train"), (1, 11, "train"), (2, 12, "held_out"))
    wrong = spoil("wrong_codes", 5, given, found, who)
    assert wrong.events.select("sample_id", "code").rows() == [(0, "ICD10/B"), (1, "ICD10/A"), (2, "ICD10/C")]
    assert dict(wrong.evidence.select("sample_id", "concept").iter_rows()) == {0: 101, 1: 100, 2: 102}


@pytest.mark.parametrize("size", [(24, 32), (40, 36, 32)])
def test_pixels_stay_in_range_and_change_as_much_as_the_severity_says(size):
    image = torch.rand(1, *size, generator=torch.Generator().manual_seed(0)) * 0.6 + 0.2
    for name in ("noise", "blur", "occlusion"):
        moved = []
        for severity in (1, 3, 5):
            spoiler = CORRUPTIONS[name](severity)
            found = spoiler.pixels(image, spoiler.generator(1))
            assert found.shape == image.shape
            assert 0 <= float(found.min()) <= float(found.max()) <= 1
            moved.append(float((found - image).abs().mean()))
        assert 0 < moved[0] < moved[1] < moved[2]
    covered = CORRUPTIONS["occlusion"](4)
    share = float((covered.pixels(image, covered.generator(1)) == 1).float().mean())
    assert share == pytest.approx(0.35, abs=0.08)
    flat = torch.full_like(image, 0.5)
    torch.testing.assert_close(CORRUPTIONS["blur"](5).pixels(flat, np.random.default_rng(0)), flat)


def test_a_finding_goes_with_the_value_that_it_was_read_from():
    code = "LOINC/2345-7//mmol/L"  # the other way: 18 times as much
    given = events([(i, i, code, 60.0, None) for i in range(10)], "labs")
    found = evidence([(i, 300, code, None, None) for i in range(10)], "labs")
    wrong = spoil("unit_error", 5, given, found, samples(*((i, i, "train") for i in range(10))))
    low = {s for s, v in wrong.events.select("sample_id", "numeric_value").iter_rows() if v < 70}
    assert 0 < len(low) < 10
    assert set(wrong.evidence["sample_id"]) == low
