"""UK Biobank: whoever withdrew is not in the cohort, and nothing is left out without being counted."""

import polars as pl
import pytest
import ukb_source

from mhdiff.cli import main
from mhdiff.cohort import Cohort
from mhdiff.cohort.refused import MaxBad
from mhdiff.cohort.uk_biobank import import_uk_biobank, importing
from ontology.errors import InputError

GONE, STAYS = 1_234_567, 2_000_001
LIST = "w12345_20240101.csv"
WITHDREW = "participant: withdrawn (in a list w..._....csv)"


@pytest.fixture
def source(tmp_path):
    made = ukb_source.Source(tmp_path / "ukb")
    for eid in (GONE, STAYS, 2_000_003):
        made.person(eid)
    return made


LISTS = {
    "plain": "1234567\n2000003\n",
    "commas": "1234567,\n2000003,\n",
    "semicolons": "1234567;\r\n2000003;\r\n",
    "tabs": "1234567\t\n\n2000003\t\n",
    "quotes": '"1234567"\n"2000003"\n',
    "one line": "1234567,2000003",
    "blanks": " 1234567 2000003\n",
    "a header": "eid\n1234567\n2000003",
    "a header in quotes": '"Participant ID"\n"1234567"\n"2000003"\n',
    "a mark of the encoding": "\ufeff1234567\n2000003\n",
    "a mark and quotes": '\ufeff"1234567"\n"2000003"\n',
    "gaps of pandas": "eid\n1234567.0\n2000003.0\n",
}


@pytest.mark.parametrize("case", LISTS)
def test_whoever_withdrew_is_not_in_the_cohort(tmp_path, source, case):
    folder = source.write()
    (folder / LIST).write_bytes(LISTS[case].encode())
    report = import_uk_biobank(folder, tmp_path / "cohort")
    cohort = Cohort.open(tmp_path / "cohort")
    assert set(cohort.splits["subject_id"]) == set(cohort.events["subject_id"]) == {STAYS}
    assert report.dropped.counts[WITHDREW] == 2
    assert report.read["eids in lists of who withdrew"] == 2


@pytest.mark.parametrize("name", ["W12345_20240101.CSV", "withdraw12345_9_20240101.txt", "withdrawn.csv"])
def test_a_list_has_other_names_too(tmp_path, source, name):
    folder = source.write()
    (folder / name).write_text("1234567\n")
    assert import_uk_biobank(folder, tmp_path / "cohort").dropped.counts[WITHDREW] == 1


ODD = {
    "a letter": (b"2000003\n123456O\n", 2),
    "a letter in the first line": (b"123456O\n", 1),
    "a second header": (b"eid\nnumber\n1234567\n", 2),
    "words at the end": (b"1234567\nMARKEDTEXT\n", 2),
    "a day": (b"eid,day\n1234567,2024-01-01\n", 2),
    "a negative number": (b"-1234567\n", 1),
    "two bytes a letter": ("1234567\n".encode("utf-16-be"), 1),
    "other digits": ("\u0661\u0662\n".encode(), 1),
    "a part of a number": (b"1234567.5\n", 1),
}


@pytest.mark.parametrize("case", ODD)
def test_a_line_that_is_no_eid_stops_the_import_and_is_not_repeated(tmp_path, source, case, capsys):
    content, line = ODD[case]
    folder = source.write()
    (folder / LIST).write_bytes(content)
    with pytest.raises(InputError, match="the line of a list of who withdrew is no eid") as caught:
        import_uk_biobank(folder, tmp_path / "cohort")
    assert (caught.value.path, caught.value.row) == (folder / LIST, line)
    assert main(["cohort", "import", "uk-biobank", str(folder), "--out", str(tmp_path / "cohort")]) == 2
    said = capsys.readouterr()
    told = (said.out + said.err).replace(str(tmp_path), "")
    assert LIST in told
    assert not any(word in told for word in ("MARKED", "1234567", "2000003", "123456O", "2024-01-01"))
    assert {p.name for p in tmp_path.iterdir()} == {"ukb"}


def test_a_list_of_nobody_is_no_fault(tmp_path, source):
    folder = source.write()
    (folder / LIST).write_bytes(b"eid\n")
    report = import_uk_biobank(folder, tmp_path / "cohort")
    assert report.read["eids in lists of who withdrew"] == 0
    assert WITHDREW not in report.dropped.counts
    assert Cohort.open(tmp_path / "cohort").splits.height == 3


#: What a participant says -> what is refused, dropped, changed, and how many events are missing of those of `plain`.
LOST = {
    "sex": ({"f31_0_0": "MARKEDTEXT"}, "refused", "the value is no sex", 1, {"GENDER//F"}),
    "year": ({"f34_0_0": "19500"}, "refused", "the value is no year of birth", 1, {"MEDS_BIRTH"}),
    "no birth": ({"f34_0_0": ""}, "changed", "participant: without a birth, so no event is held against it", 1,
                 {"MEDS_BIRTH"}),
    "month": ({"f52_0_0": "13"}, "refused", "the value is no month", 1, set()),
    "no month": ({"f52_0_0": ""}, "changed", "birth: its month is not known, put at the beginning of the year", 1,
                 set()),
    "visit": ({"f53_2_0": "2015-06-77"}, "refused", "the value is no date", 1, {"UKB_VISIT//2"}),
    "unknown visit": ({"f53_2_0": "1900-01-01"}, "dropped", "visit: its date stands for an unknown one", 1,
                      {"UKB_VISIT//2"}),
    "centre": ({"f54_2_0": "99999"}, "changed", "site: the centre is not known, site 'unknown'", 1,
               {"SITE//Cheadle (imaging)"}),
    "no centre": ({"f54_0_0": "", "f54_2_0": ""}, "changed", "site: no centre is stated, site 'unknown'", 1,
                  {"SITE//Cheadle (imaging)"}),
    "cause": ({"f40001_0_0": "C349"}, "dropped", "cause of death: the death has no date", 1, set()),
    "cause of an unknown day": ({"f40001_0_0": "C349", "f40000_0_0": "1900-01-01"}, "dropped",
                                "cause of death: the death has no date", 1, set()),
    "no cause": ({"f40001_0_0": "MARKEDTEXT", "f40000_0_0": "2021-01-05"}, "refused", "the value is no ICD-10 code", 1,
                 set()),
    "death": ({"f40000_0_0": "in spring"}, "refused", "the value is no date", 1, set()),
    "outcome": ({"f42020_0_0": "2020"}, "refused", "the value is no date", 1, set()),
    "unknown outcome": ({"f42020_0_0": "1900-01-01"}, "dropped", "outcome: its date stands for an unknown one", 1,
                        set()),
}  # fmt: skip


def codes_of(folder, subject):
    events = Cohort.open(folder).events
    return set(events.filter(pl.col("subject_id") == subject)["code"])


@pytest.mark.parametrize("case", LOST)
def test_what_is_left_out_of_a_participant_is_counted(tmp_path, case):
    said, kind, reason, n, missing = LOST[case]
    made = ukb_source.Source(tmp_path / "ukb")
    made.person(STAYS)
    made.person(GONE, (("I10", "2010-01-02"),), **said)
    report = import_uk_biobank(made.write(), tmp_path / "cohort", max_bad=MaxBad(9))
    assert getattr(report, kind).counts[reason] == n
    if kind == "refused":
        assert [(place.file, place.line) for place in report.refused.places[reason]] == [("ukb12345.csv", 3)]
    assert "MARKEDTEXT" not in report.text()
    plain = codes_of(tmp_path / "cohort", STAYS)
    assert plain - codes_of(tmp_path / "cohort", GONE) == missing


def test_whoever_is_whole_loses_nothing(tmp_path):
    made = ukb_source.Source(tmp_path / "ukb")
    made.person(STAYS, f40000_0_0="2021-01-05", f40001_0_0="C349")
    report = import_uk_biobank(made.write(), tmp_path / "cohort", max_bad=MaxBad(0))
    assert [c for c in (report.refused.counts, report.dropped.counts, report.changed.counts) if c] == []
    assert {"MEDS_DEATH", "ICD10/C34.9"} <= codes_of(tmp_path / "cohort", STAYS)


def test_two_baskets_that_disagree_are_counted(tmp_path, source, monkeypatch):
    monkeypatch.setattr(importing, "SUBJECTS_A_SHARD", 2)
    folder = source.write()
    frame = pl.read_csv(folder / "ukb12345.csv", infer_schema=False)
    other = frame.select("eid", pl.Series("34-0.0", ["1951", "1950", "1952"]), "31-0.0")
    other.write_csv(folder / "ukb2.csv")
    report = import_uk_biobank(folder, tmp_path / "cohort")
    reason = "value: another main dataset states another one, the first one's is taken"
    assert report.dropped.counts[reason] == 2
    births = Cohort.open(tmp_path / "cohort").events.filter(pl.col("code") == "MEDS_BIRTH")
    assert births["time"].dt.year().to_list() == [1950] * 3


def test_files_and_columns_that_are_not_read_are_named_or_counted(tmp_path, source):
    folder = source.write()
    (folder / "bulk/more").mkdir(parents=True)
    for eid in (GONE, STAYS):
        (folder / f"bulk/{eid}_20227_2_0.zip").write_bytes(b"")
        (folder / f"bulk/more/{eid}_20252_2_0.nii.gz").write_bytes(b"")
        (folder / f"bulk/{eid}.bulk").write_bytes(b"")
    (folder / "bulk/more/hesin.csv").write_text("eid,ins_index\n1234567,0\n")
    (folder / "encodings.csv").write_text("a,b\n1,2\n")
    (folder / LIST).write_text("")
    report = import_uk_biobank(folder, tmp_path / "cohort")
    assert report.named["bulk files of fields that are not read"] == {"20227.zip": 2, "20252.nii": 2}
    told = report.to_dict()["not_read"]
    assert told == ["encodings.csv", "hesin.csv", "(2 more, whose names are not shown)"]
    assert str(GONE) not in report.text()
    assert report.read["columns of fields that are not read"] == 1  # 20002
