"""UK Biobank: whoever withdrew is not in the cohort, and nothing is left out without being counted."""

import pytest
import ukb_source

from mhdiff.cli import main
from mhdiff.cohort import Cohort
from mhdiff.cohort.uk_biobank import import_uk_biobank
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
