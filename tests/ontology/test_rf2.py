import numpy as np
import pytest
import tiny_release
from tiny_release import CONCEPT, DESCRIPTION, IDS, IS_A, LANGUAGE, MAP, PARENTS, RELATIONSHIP, content

from ontology import InputError, load_rf2


def test_counts_of_a_whole_release(release):
    files, load = release
    ontology = load(strict=False)
    assert len(ontology) == len(files[CONCEPT]) - 1
    assert len(ontology.relations) == len(files[RELATIONSHIP]) - 1
    assert ontology.terms.height == len(files[DESCRIPTION]) - 1
    assert ontology.maps["system"].value_counts().sort("system").rows() == [("ICD-10", 6), ("LOINC", 1)]
    assert ontology.report.rows["map"] == {"read": 7, "active": 7, "used": 7}
    assert ontology.report.dropped == {}
    assert ontology.report.tolerated == {"relationship type without an active concept of its own": 3}
    assert ontology.report.effective_time == tiny_release.DATE
    assert len(ontology.report.lines()) > 10


def test_order_of_rows_and_files_does_not_change_the_fingerprint(release, tiny):
    files, load = release
    for name in files:
        files[name] = [files[name][0], *files[name][:0:-1]]
    assert load().fingerprint == tiny.fingerprint
    files[MAP].pop()
    assert load().fingerprint != tiny.fingerprint


def test_inactive_rows_and_dangling_ends_are_dropped_by_reason(release):
    files, load = release
    row = next(r for r in files[CONCEPT] if r[0] == IDS["asthma"])
    row[2] = 0
    files[RELATIONSHIP][1][5] = 12345678901234  # finding is-a an unknown concept
    files[RELATIONSHIP][2][9] = 900000000000450001
    files[RELATIONSHIP].append([77, *files[RELATIONSHIP][5][1:]])
    files[DESCRIPTION][4][7] = "  "
    ontology = load()
    assert IDS["asthma"] not in ontology
    dropped = ontology.report.dropped
    assert dropped["relationship"] == {
        "its modifier is not 'some'": 1,
        "the source is inactive": 1,
        "the destination is unknown": 1,
        "the same source, type, target and group occur again": 1,
    }
    assert dropped["description"] == {"the term is empty": 1}
    assert ontology.inactive["sctid"].to_list() == [IDS["asthma"]]
    assert ontology.inactive_terms["term"].to_list() == ["Asthma (disorder)", "Asthma"]
    with pytest.raises(InputError, match="is inactive in"):
        ontology.index(IDS["asthma"])
    assert ontology.report.expected == ["language: the description is not active"]
    used = ontology.report.rows["relationship"]
    assert used["active"] - used["used"] == sum(dropped["relationship"].values())
    with pytest.raises(InputError, match=r"strict.*the source is inactive"):
        load(strict=True)


def test_the_latest_state_of_a_component_counts(release):
    files, load = release
    later = [IDS["asthma"], "20270101", 0, *files[CONCEPT][1][3:]]
    unreleased = [IDS["fever"], "", 0, *files[CONCEPT][1][3:]]
    earlier = [IDS["cough"], "20250101", 0, *files[CONCEPT][1][3:]]
    files[CONCEPT.replace("TINY", "EXT")] = [files[CONCEPT][0], later, unreleased, earlier]
    ontology = load()
    assert [IDS[key] in ontology for key in ("asthma", "fever", "cough")] == [False, False, True]
    assert ontology.report.tolerated["concept row replaced by a later row of the same id"] == 3


def test_a_full_gives_its_current_state_and_a_snapshot_goes_before_it(release, tmp_path):
    files, load = release
    full = {name.replace("Snapshot", "Full"): [*rows] for name, rows in files.items()}
    name = CONCEPT.replace("Snapshot", "Full")
    full[name] = [*full[name], [IDS["asthma"], "20270101", 0, *full[name][1][3:]]]
    ontology = load_rf2(tiny_release.write(tmp_path / "full", full))
    assert IDS["asthma"] not in ontology
    assert len(ontology) == len(files[CONCEPT]) - 2
    files |= full
    ontology = load()
    assert IDS["asthma"] in ontology
    assert {f["reason"] for f in ontology.report.files_not_read} == {
        "it belongs to the Full, the Snapshot is read"
    }
    delta = {name.replace("Snapshot", "Delta"): rows for name, rows in tiny_release.tables().items()}
    with pytest.raises(InputError, match="only a Delta"):
        load_rf2(tiny_release.write(tmp_path / "delta", delta))


def test_remarks_and_a_byte_order_mark_are_tolerated_and_counted(release, tiny):
    files, load = release
    lines = content(files[CONCEPT]).split(b"\r\n")
    files[CONCEPT] = b"\xef\xbb\xbf# one\r\n\r\n" + b"\r\n".join([*lines[:3], b"# two", b"", *lines[3:]])
    ontology = load()
    assert ontology.fingerprint == tiny.fingerprint
    tolerated = ontology.report.tolerated
    assert [
        tolerated[k] for k in ("comment line", "blank line", "byte order mark at the beginning of a file")
    ] == [2, 2, 1]
    files[CONCEPT] = files[CONCEPT].replace(b"\t1\t", b"\tyes\t", 1)
    with pytest.raises(InputError, match=r"sct2_Concept.*line 4, column 'active'.*'yes'"):
        load()


def test_without_a_language_refset_the_first_synonym_is_preferred(release):
    files, load = release
    del files[LANGUAGE]
    files[DESCRIPTION][1:] = files[DESCRIPTION][:0:-1]
    ontology = load()
    assert ontology.term(IDS["pneumonia"]) == "Pneumonia"  # of the lowest id, whatever the order of rows
    assert ontology.report.tolerated[
        "concept without a preferred term: its first synonym or FSN is used"
    ] == len(ontology)


def test_cycles_are_named_five_at_most(release):
    files, load = release
    loops = [[f"9{i}", *files[RELATIONSHIP][1][1:4], IDS[key], IDS[key], *files[RELATIONSHIP][1][6:]]
             for i, key in enumerate(list(PARENTS)[8:])]  # fmt: skip
    back = ["800", *files[RELATIONSHIP][1][1:4], IDS["pneumonia"], IDS["covid"], *files[RELATIONSHIP][1][6:]]
    files[RELATIONSHIP] += [back, *loops]
    with pytest.raises(InputError, match="goes in circles") as caught:
        load()
    text = caught.value.problem
    assert text.count(";") == 4
    assert "|Pneumonia| is a" in text
    assert "|Viral pneumonia| is a" in text
    assert "|COVID-19| is a" in text


def spoil(files, name, row, column, value):
    place = files[name][0].index(column)
    files[name][row][place] = value


BAD = {
    "active": (CONCEPT, 3, "active", "2", "line 4, column 'active'"),
    "id": (CONCEPT, 2, "id", "x12", "line 3, column 'id'.*'x12'"),
    "negative id": (DESCRIPTION, 2, "conceptId", "-5", "line 3, column 'conceptId'"),
    "19 digits": (RELATIONSHIP, 5, "destinationId", "9" * 19, "line 6, column 'destinationId'"),
    "group": (RELATIONSHIP, 1, "relationshipGroup", "", "line 2, column 'relationshipGroup'"),
    "date": (LANGUAGE, 7, "effectiveTime", "2026-01-01", "line 8, column 'effectiveTime'"),
    "member id": (MAP, 1, "id", "", "line 2, column 'id'"),
    "column too many": (CONCEPT, 4, "moduleId", "1\t2", "line 5: the line has 6 columns instead of 5"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_value_is_refused_with_its_place(release, case):
    files, load = release
    name, row, column, value, message = BAD[case]
    spoil(files, name, row, column, value)
    with pytest.raises(InputError, match=message) as caught:
        load()
    assert str(caught.value.path).endswith(name)
    assert caught.value.remedy


def test_damaged_files_are_refused_with_their_place(release):
    files, load = release
    whole = content(files[DESCRIPTION])
    files[DESCRIPTION] = whole[: whole.rindex(b"\ten\t")]
    with pytest.raises(InputError, match=r"columns instead of 9"):
        load()
    files[DESCRIPTION] = whole.replace(b"Alzheimer", b"Alzh\xe9imer", 1)
    line = whole[: whole.index(b"Alzheimer")].count(b"\n") + 1
    with pytest.raises(InputError, match=rf"line {line}, column 'term': the bytes are not UTF-8 \(0xe9\)"):
        load()
    files[DESCRIPTION] = whole.replace(b"typeId", b"kind", 1)
    with pytest.raises(InputError, match="line 1, column 'typeId'"):
        load()
    files[DESCRIPTION] = b""
    with pytest.raises(InputError, match="empty"):
        load()


def test_folders_that_are_no_release(tmp_path, release):
    files, load = release
    with pytest.raises(InputError, match="no such folder"):
        load_rf2(tmp_path / "none")
    with pytest.raises(InputError, match="no RF2 file"):
        load_rf2(tmp_path)
    (tmp_path / "release.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match="no zip that can be read"):
        load_rf2(tmp_path / "release.zip")
    files[CONCEPT] = files[CONCEPT][:1]
    with pytest.raises(InputError, match="not one active concept"):
        load()
    del files[RELATIONSHIP]
    (tmp_path / "tiny" / RELATIONSHIP).unlink()
    with pytest.raises(InputError, match="no relationship file"):
        load()


def test_role_groups_and_parallel_edges_are_kept(release):
    files, load = release
    row = files[RELATIONSHIP][-1]
    files[RELATIONSHIP].append([88, *row[1:6], 7, *row[7:]])
    ontology = load()
    assert len(ontology.relations) == len(files[RELATIONSHIP]) - 1
    assert set(np.unique(ontology.relations.group)) == {0, 1, 2, 7}
    assert ontology.relation_types[0] == IS_A
    assert (ontology.relations.type == 0).sum() == 25


@pytest.mark.parametrize("name", ["*", "^a.*$"])
def test_a_column_is_called_by_a_name_and_not_by_a_pattern(release, name):
    files, load = release
    files["Snapshot/Refset/Content/der2_cRefset_OddSnapshot_T_20260101.txt"] = [
        ["id", "effectiveTime", "active", "moduleId", "refsetId", "referencedComponentId", name],
        ["o1", "20260101", 1, tiny_release.MODULE, 5550, tiny_release.IDS["lung"], "x"],
    ]
    with pytest.raises(InputError, match=r"line 1, column .*is a pattern"):
        load()
