"""Zips that attack, lie or are broken: refused by name, and nothing is unpacked or allocated for them."""

import io
import stat
import struct
import tracemalloc
import zipfile

import pytest
import tiny_release

from ontology import InputError, load_rf2, rf2_source

NAME = "Snapshot/Terminology/sct2_Concept_Snapshot_X_20260101.txt"
WHOLE = {name: tiny_release.content(rows) for name, rows in tiny_release.tables().items()}


def archive(entries, method=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as out:
        for name, content in entries:
            out.writestr(name, content)
    return bytearray(buffer.getvalue())


def refused(tmp_path, data, message):
    """The zip is refused with its name, little memory is taken, and nothing else appears on the disk."""
    path = tmp_path / "release.zip"
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=message) as caught:
            load_rf2(path)
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["release.zip"]


def directory(data, offset, form, value):
    """Change a field of the first entry in the central directory."""
    start = data.index(b"PK\x01\x02")
    struct.pack_into(form, data, start + offset, value)
    return data


@pytest.mark.parametrize(
    "name",
    ["../evil/sct2_Concept_Snapshot_X.txt", "a/../../sct2_Concept_Snapshot_X.txt", "/etc/sct2_Concept_X.txt",
     "C:\\sct2_Concept_Snapshot_X.txt", "..\\..\\sct2_Concept_Snapshot_X.txt", "a/..", "../readme.md"],
)  # fmt: skip
def test_names_that_lead_out(tmp_path, name):
    refused(tmp_path, archive([(name, "id")]), "leads out of the zip")


def test_one_entry_that_inflates_beyond_reason(tmp_path):
    data = archive([(NAME, b"0" * 80_000_000)])
    assert len(data) < 200_000
    refused(tmp_path, data, "would inflate")


def test_several_small_entries_that_inflate_beyond_reason_together(tmp_path):
    """None of them is large enough to be looked at by itself."""
    data = archive([(NAME.replace("X", f"X{i}"), b"0" * 4_000_000) for i in range(20)])
    refused(tmp_path, data, "would inflate")


def test_a_bomb_within_a_zip_within_a_zip_is_not_opened(tmp_path):
    inner = archive([(NAME, b"0" * 80_000_000)])
    path = tmp_path / "release.zip"
    path.write_bytes(archive([("inner.zip", inner), *WHOLE.items()]))
    ontology = load_rf2(path)
    assert {
        "file": "inner.zip",
        "reason": "its name is not that of an RF2 file",
    } in ontology.report.files_not_read


def test_very_many_entries(tmp_path, monkeypatch):
    monkeypatch.setattr(rf2_source, "MAX_ENTRIES", 100)
    refused(tmp_path, archive([(f"{i}.txt", b"") for i in range(101)]), "101 entries")


def test_entries_that_share_their_bytes(tmp_path):
    """Overlapping entries inflate the same bytes again and again."""
    data = archive([(NAME, tiny_release.content([["x" * 50]] * 2000)), ("b.txt", b"y")])
    first, second = data.index(b"PK\x01\x02"), data.rindex(b"PK\x01\x02")
    data[second + 20 : second + 28] = data[first + 20 : first + 28]  # the sizes of the first
    struct.pack_into("<I", data, second + 20, len(data))
    refused(tmp_path, data, "lie over one another")


def test_sizes_that_lie(tmp_path):
    whole = archive(WHOLE.items())
    refused(tmp_path, directory(bytearray(whole), 20, "<I", 2**31), "they lie")  # compressed
    refused(tmp_path, directory(bytearray(whole), 24, "<I", 2**31), "would inflate")  # inflated
    refused(tmp_path, directory(bytearray(whole), 24, "<I", 20), "larger than it says|damaged")
    refused(
        tmp_path, directory(bytearray(whole), 42, "<I", 7), "magic number|does not begin where"
    )  # the offset


def test_a_zip64_field_that_lies(tmp_path):
    """An extra field says that the entry inflates to 16 EiB."""
    data = archive([(NAME, b"id\teffectiveTime\n")])
    start = data.index(b"PK\x01\x02")
    extra = struct.pack("<HHQ", 1, 8, 2**64 - 1)
    name, old = struct.unpack_from("<HH", data, start + 28)
    struct.pack_into("<I", data, start + 24, 0xFFFFFFFF)
    struct.pack_into("<H", data, start + 30, len(extra))
    place = start + 46 + name
    data[place : place + old] = extra
    end = data.index(b"PK\x05\x06")
    struct.pack_into("<I", data, end + 12, struct.unpack_from("<I", data, end + 12)[0] + len(extra) - old)
    refused(tmp_path, data, "would inflate")


def test_an_encrypted_entry(tmp_path):
    data = directory(archive(WHOLE.items()), 8, "<H", 1)
    refused(tmp_path, data, "damaged or encrypted")


def test_a_method_that_nobody_knows(tmp_path):
    data = directory(archive(WHOLE.items()), 10, "<H", 99)
    refused(tmp_path, data, "damaged or encrypted")


@pytest.mark.parametrize("name", [NAME, "notes"])
def test_a_symbolic_link(tmp_path, name):
    link = zipfile.ZipInfo(name)
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    refused(tmp_path, archive([(link, "/etc/passwd")]), "symbolic link")


def test_a_wrong_checksum(tmp_path):
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
        data = directory(archive(WHOLE.items(), method), 16, "<I", 12345)
        refused(tmp_path, data, "checksum|CRC")


def test_two_entries_of_one_name(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"):
        data = archive([(NAME, "id"), (NAME, "id")])
    refused(tmp_path, data, "two entries of this name")


def test_a_zip_that_is_cut_short(tmp_path):
    whole = archive(WHOLE.items())
    for length in (0, 10, len(whole) // 2, len(whole) - 5):
        refused(tmp_path, whole[:length], "no zip that can be read")


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_every_usual_method_is_read(tmp_path, method):
    path = tmp_path / "release.zip"
    path.write_bytes(archive(WHOLE.items(), method))
    assert len(load_rf2(path)) == len(tiny_release.CONCEPTS)
