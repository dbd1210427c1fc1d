"""The fast way of reading a table and the exact one say the same, and notice the same faults."""

import zipfile

import pytest
import tiny_release
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ontology import InputError, rf2_source
from ontology.report import LoadReport
from ontology.rf2_files import find_files
from ontology.rf2_source import entries
from ontology.rf2_table import ACTIVE, ID, NUMBER, TEXT, TIME, _blocks, _exact, fast_rows
from tests.searches import examples

WANTED = {
    "concept": {"id": ID, "effectiveTime": TIME, "active": ACTIVE, "moduleId": ID, "definitionStatusId": ID},
    "description": {
        "id": ID,
        "effectiveTime": TIME,
        "active": ACTIVE,
        "term": TEXT,
        "caseSignificanceId": ID,
    },
    "relationship": {"id": ID, "active": ACTIVE, "relationshipGroup": NUMBER, "modifierId": ID},
    "language": {"id": TEXT, "effectiveTime": TIME, "active": ACTIVE, "acceptabilityId": ID},
    "extended map": {"id": TEXT, "active": ACTIVE, "mapRule": TEXT, "mapTarget": TEXT, "mapCategoryId": TEXT},
}
TABLES = tiny_release.tables()


def files_of(tmp_path, files):
    return {f.kind: f for f in find_files(tiny_release.write(tmp_path, files), LoadReport())}


@pytest.mark.parametrize("piece", [1, 61, 1000, rf2_source.PIECE])
def test_both_ways_give_the_same_frames_from_a_folder_and_a_zip_in_pieces_of_any_size(
    tmp_path, monkeypatch, piece
):
    monkeypatch.setattr(rf2_source, "PIECE", piece)
    folder = files_of(tmp_path / "tiny", TABLES)
    with zipfile.ZipFile(tmp_path / "tiny.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in folder.values():
            archive.write(file.path, file.name)
    zipped = {f.kind: f for f in find_files(tmp_path / "tiny.zip", LoadReport())}
    assert set(zipped) == set(folder)
    for kind, file in folder.items():
        wanted = WANTED.get(kind, {"id": TEXT, "active": ACTIVE, "mapTarget": TEXT})
        exact = _exact(file, wanted, file.path.read_bytes(), LoadReport())
        for one in (file, zipped[kind]):
            assert one.entry.read() == file.path.read_bytes()
            fast = fast_rows(one, wanted)
            assert fast is not None
            assert fast.equals(exact)


@given(st.binary().map(lambda data: data.replace(b"\0", b"\n")), st.lists(st.integers(0, 30)))
def test_blocks_are_whole_lines_each_under_the_header(body, sizes):
    data, cut = b"head\n" + body, [0, *sorted(sizes)]
    pieces = [data[a:b] for a, b in zip(cut, [*cut[1:], len(data)], strict=True)]
    blocks = list(_blocks(pieces))
    assert b"head\n" + b"".join(block.removeprefix(b"head\n") for block in blocks) == data
    assert all(block.startswith(b"head\n") for block in blocks)
    assert all(block.endswith(b"\n") for block in blocks[:-1])


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "x"])
def test_line_ends_and_empty_last_fields_are_read_alike(tmp_path, ending, last):
    name = "Snapshot/Refset/der2_sRefset_TextSnapshot_X_20260101.txt"
    header = ["id", "effectiveTime", "active", "moduleId", "refsetId", "referencedComponentId", "note"]
    rows = [
        ["a", "", 1, 5, 6, 7, last],
        ["b", "20260101", 0, 5, 6, 7, '"open'],
        ["c", "20260101", 0, 5, 6, 7, last],
    ]
    data = "".join("\t".join(map(str, row)) + ending for row in [header, *rows]).encode()
    for content in (data, data.removesuffix(ending.encode())):
        (file,) = files_of(tmp_path / "one", {name: content}).values()
        wanted = {"id": TEXT, "effectiveTime": TIME, "note": TEXT}
        fast = fast_rows(file, wanted)
        assert fast is not None
        assert fast.rows() == [("a", None, last), ("b", 20260101, '"open'), ("c", 20260101, last)]
        assert fast.equals(_exact(file, wanted, content, LoadReport()))


def test_a_short_line_is_noticed_though_a_long_one_makes_up_for_its_tabs(tmp_path):
    name = "Snapshot/Refset/der2_sRefset_TextSnapshot_X_20260101.txt"
    header = ["id", "effectiveTime", "active", "moduleId", "refsetId", "referencedComponentId", "note"]
    rows = [["a", "", 1, 5, 6, 7], ["b", "", 1, 5, 6, 7, "x", "lost"], ["c", "", 1, 5, 6, 7, "x"]]
    data = "".join("\t".join(map(str, row)) + "\n" for row in [header, *rows]).encode()
    (file,) = files_of(tmp_path / "one", {name: data}).values()
    assert fast_rows(file, {"id": TEXT, "effectiveTime": TIME, "note": TEXT}) is None


FIELDS = st.one_of(
    st.sampled_from(
        ["1", "0", "", "20260101", "9" * 18, "9" * 19, "-1", "+1", " 1", "1.0", "0x1", "#", "ü", '"', "1e3"]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\t\n\r"), max_size=4),
)


@settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(FIELDS, FIELDS, FIELDS, FIELDS, FIELDS), min_size=1, max_size=4))
def test_what_the_fast_way_accepts_the_exact_way_accepts_with_the_same_result(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("t")
    data = "\r\n".join("\t".join(row) for row in [tuple(TABLES[tiny_release.CONCEPT][0]), *rows]).encode()
    (file,) = files_of(folder, {tiny_release.CONCEPT: data}).values()
    wanted = WANTED["concept"]
    fast = fast_rows(file, wanted)
    if fast is not None:
        assert fast.equals(_exact(file, wanted, data, LoadReport()))
        return
    try:
        _exact(file, wanted, data, LoadReport())
    except InputError as error:
        place = error.row
    else:
        return  # comments and blank lines
    assert place


def test_entries_of_a_folder_are_its_files(tmp_path):
    folder = tiny_release.write(tmp_path / "tiny")
    assert [entry.name for entry in entries(folder)] == sorted(TABLES)
