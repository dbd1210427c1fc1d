"""Faults of files, zips, layers and releases; and that whatever the loader refuses, validation reports."""

import io
import tempfile
import zipfile
from pathlib import Path

import clean_release
import pytest
import tiny_release
from clean_release import DEPENDENCIES, DEPENDENCY, MEMBER, member, relationship
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spoil import spoiled
from test_rf2_layers import extension_files
from test_validate_planted import found
from tiny_release import CONCEPT, DATE, DESCRIPTION, IDS, LANGUAGE, MODULE, RELATIONSHIP, content, write

from ontology import InputError, load_rf2
from ontology.validation import KINDS, validate
from tests.searches import LENGTH, examples


@pytest.fixture
def planted(tmp_path):
    return clean_release.files(), tmp_path / f"tiny_{DATE}"


def zipped(path, files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as out:
        for name, rows in files.items():
            out.writestr(name, rows if isinstance(rows, bytes) else content(rows))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())
    return path


def test_headers(planted):
    files, folder = planted
    files[CONCEPT] = (
        content(files[CONCEPT]).replace(b"moduleId", b"active").replace(b"definitionStatusId", b"status")
    )
    assert found(write(folder, files)) == {
        ("header", CONCEPT, 1, "moduleId", ""),
        ("header", CONCEPT, 1, "definitionStatusId", ""),
        ("header", CONCEPT, 1, "active", ""),
    }
    assert any("concept rows are here" in reason for reason in validate(folder).unchecked)


@pytest.mark.parametrize("spoilt", [b"", b"\r\n\r\n", b"\xff\xfe"])
def test_files_without_a_header(planted, spoilt):
    files, folder = planted
    files[LANGUAGE] = spoilt
    (problem,) = validate(write(folder, files), "rf2").problems()
    assert problem.kind == "header"
    assert problem.file.endswith(LANGUAGE)


def test_odd_names_of_columns(planted):
    files, folder = planted
    name = f"Snapshot/Refset/Content/der2_ccRefset_OddSnapshot_X_{DATE}.txt"
    files[name] = [
        [*MEMBER, "_file", "_line"],
        [*member(clean_release.SIMPLE, IDS["lung"]), "1", IDS["lung"]],
    ]
    assert found(write(folder, files)) == {("check-digit", name, 2, "column _file", "1")}
    files[name][0][6:] = ["", ""]
    assert found(write(folder, files)) == {("header", name, 1, None, "")}
    with pytest.raises(InputError, match="has no name"):
        load_rf2(folder)


def test_bytes_and_widths(planted):
    files, folder = planted
    lines = content(files[DESCRIPTION]).split(b"\r\n")
    lines[5] = lines[5].replace(b"en\t", b"e\xe9\t")
    lines[7] = lines[7].replace(b"\ten\t", b"\ten\ten\t")
    lines[9] = lines[9].rpartition(b"\t")[0]
    files[DESCRIPTION] = b"\r\n".join(lines)
    assert found(write(folder, files)) == {
        ("encoding", DESCRIPTION, 6, "languageCode", "0xe9"),
        ("column-count", DESCRIPTION, 8, None, ""),
        ("column-count", DESCRIPTION, 10, "caseSignificanceId", ""),
    }
    (message,) = (p.message for p in validate(folder).problems() if p.line == 8)
    assert message.endswith("10 instead of 9")


def test_what_is_no_release(planted, tmp_path):
    files, folder = planted
    (tmp_path / "empty").mkdir()
    assert found(tmp_path / "empty") == {("no-release", str(tmp_path / "empty"), None, None, "")}
    del files[RELATIONSHIP]
    (problem,) = validate(write(folder, files), "rf2").problems()
    assert (problem.kind, problem.file) == ("missing-file", str(folder))
    bare = clean_release.files(metadata=False)
    none = {name: rows[:1] for name, rows in bare.items()}
    assert {p.kind for p in validate(write(tmp_path / "none", none)).problems()} == {"no-concept"}
    delta = {name.replace("Snapshot", "Delta"): rows for name, rows in bare.items()}
    assert {p.kind for p in validate(write(tmp_path / "delta", delta)).problems()} == {"only-delta"}
    with pytest.raises(InputError, match="no such file"):
        validate(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no format"):
        validate(tmp_path, "rf3")
    (tmp_path / "odd.bin").write_bytes(b"\x00\x01")
    assert [p.kind for p in validate(tmp_path / "odd.bin").problems()] == ["unreadable"]


def test_a_zip_is_checked_like_a_folder(planted, tmp_path):
    files, folder = planted
    files[CONCEPT][1][2] = 2
    files[RELATIONSHIP].append(relationship(IDS["fever"], IDS["fever"]))
    expected = found(write(folder, files))
    assert len(expected) == 2
    archive = zipped(tmp_path / f"release_{DATE}.zip", files)
    problems = validate(archive).problems()
    assert {
        (p.kind, p.file.removeprefix(f"{archive}!/"), p.line, p.column, p.value) for p in problems
    } == expected


def test_damaged_and_hostile_zips(planted, tmp_path):
    files, _ = planted
    data = zipped(tmp_path / "good.zip", files).read_bytes()
    (tmp_path / "cut.zip").write_bytes(data[: len(data) // 2])
    (tmp_path / "evil.zip").write_bytes(zipped(tmp_path / "x.zip", {"../evil.txt": b""}).read_bytes())
    place = data.index(DESCRIPTION.encode()) + len(DESCRIPTION) + 60
    (tmp_path / "flipped.zip").write_bytes(data[:place] + b"\xff\x00\xff" + data[place + 3 :])
    for name in ("cut", "evil", "flipped"):
        problems = list(validate(tmp_path / f"{name}.zip", "rf2").problems())
        assert [p.kind for p in problems] == ["unreadable"], name
    assert problems[0].file.endswith(DESCRIPTION)


def test_the_date_of_the_release(planted, tmp_path):
    files, folder = planted
    files[CONCEPT.replace(DATE, "20250101")] = files.pop(CONCEPT)
    late = list(files[DESCRIPTION][1])
    late[1] = "20260601"
    files[DESCRIPTION][1] = late
    expected = {
        ("release-date", CONCEPT.replace(DATE, "20250101"), None, None, "20250101"),
        ("later-than-release", DESCRIPTION, 2, "effectiveTime", "20260601"),
    }
    assert found(write(folder, files)) == expected
    assert validate(folder).release_dates == [DATE]
    # without a date in the folder's name the latest of the files decides
    assert found(write(tmp_path / "tiny", files)) == expected
    undated = {name.replace(f"_{DATE}", "").replace("_20250101", ""): rows for name, rows in files.items()}
    assert found(write(tmp_path / "plain", undated)) == set()
    assert any("release's date" in reason for reason in validate(tmp_path / "plain").unchecked)


def extension(files, needs=DATE):
    """An extension of the edition whose rows are all in order; it retires asthma."""
    tables = extension_files(clean_release.files(metadata=False), needs=needs)
    for name, rows in tables.items():
        if "ModuleDependency" in name:
            rows[1:] = [[member(row)[0], *row[1:]] for row in rows[1:]]
    return tables


def test_layers(planted, tmp_path):
    edition = clean_release.files(metadata=False)
    base = write(tmp_path / "edition_20260101", edition)
    layer = extension(edition)
    name = CONCEPT.replace("TINY", "EXT")
    same_time = [*edition[CONCEPT][3][:4], 900000000000073002]
    layer[name].append(same_time)
    above = write(tmp_path / "extension_20260601", layer)
    problems = {
        (p.kind, Path(p.file).name, p.line, p.column, p.value) for p in validate([base, above]).problems()
    }
    edge = next(i for i, row in enumerate(edition[RELATIONSHIP]) if row[4] == IDS["asthma"])
    new = layer[name][1][0]
    assert problems == {
        ("layers-differ", Path(name).name, 4, "id", str(same_time[0])),
        ("retired-by-layer", Path(RELATIONSHIP).name, edge + 1, "sourceId", str(IDS["asthma"])),
        ("no-preferred-term", Path(name).name, 2, "id", str(new)),
        # files of the extension are named after the edition's date
        *(("release-date", Path(file).name, None, None, DATE) for file in layer),
    }
    wrong = write(tmp_path / "wrong_20260601", extension(edition, needs="20250101"))
    edition[DEPENDENCIES] = [
        [*MEMBER, "sourceEffectiveTime", "targetEffectiveTime"],
        [*member(DEPENDENCY)[:4], DEPENDENCY, 900000000000012004, DATE, DATE],
    ]
    write(base, edition)
    assert {p.kind for p in validate([base, wrong]).problems() if p.severity == "error"} == {
        "dependency-version"
    }
    with pytest.raises(InputError, match="do not belong together"):
        load_rf2([base, wrong])


def test_a_folder_may_hold_several_packages(tmp_path):
    edition = clean_release.files(metadata=False)
    folder = tmp_path / "both"
    write(folder / "A_20260101", edition)
    assert found(folder) == set()
    later = [edition[CONCEPT][1][0], "20260601", *edition[CONCEPT][1][2:]]
    write(folder / "B_20260601", {CONCEPT.replace(DATE, "20260601"): [edition[CONCEPT][0], later]})
    assert found(folder) == set()
    assert validate(folder).release_dates == [DATE, "20260601"]
    write(
        folder / "A_20260101", {CONCEPT.replace("TINY", "AGAIN"): [edition[CONCEPT][0], edition[CONCEPT][1]]}
    )
    assert {(kind, line) for kind, _, line, _, _ in found(folder)} == {("duplicate-row", 2)}


def test_snapshot_full_and_delta_of_a_package_are_held_against_one_another(planted):
    files, folder = planted
    full = {name.replace("Snapshot", "Full"): [list(row) for row in rows] for name, rows in files.items()}
    delta = {
        name.replace("Snapshot", "Delta"): [list(row) for row in rows[:2]] for name, rows in files.items()
    }
    name = CONCEPT.replace("Snapshot", "Full")
    earlier = [full[name][1][0], "20250101", 0, *full[name][1][3:]]
    full[name].append(earlier)
    assert found(write(folder, files | full | delta)) == set()
    full[name][2][2] = 0
    gone = full[name].pop(3)
    more = DESCRIPTION.replace("Snapshot", "Full")
    full[more].append(clean_release.description(IDS["fever"]))
    changed = DESCRIPTION.replace("Snapshot", "Delta")
    delta[changed][1][7] = "Something else"
    assert found(write(folder, files | full | delta)) == {
        ("releases-differ", CONCEPT, 3, "id", str(full[name][2][0])),
        ("releases-differ", CONCEPT, 4, "id", str(gone[0])),
        ("releases-differ", more, len(full[more]), "id", str(full[more][-1][0])),
        ("releases-differ", changed, 2, "id", str(delta[changed][1][0])),
    }


def test_every_release_is_checked_line_by_line(planted):
    files, folder = planted
    full = {name.replace("Snapshot", "Full"): rows for name, rows in files.items()}
    name = CONCEPT.replace("Snapshot", "Full")
    full[name] = [*full[name], [int(full[name][1][0]) + 1, DATE, 1, MODULE, 12]]
    assert {row[:4] for row in found(write(folder, files | full), {"check-digit", "definition-status"})} == {
        ("check-digit", name, len(full[name]), "id"),
        ("definition-status", name, len(full[name]), "definitionStatusId"),
    }


TABLES = clean_release.files()
VALUES = st.one_of(
    st.sampled_from(
        ["", "0", "1", "2", "x", "-1", DATE, "20270101", "9" * 19, "#", '"', " ", "a\tb", "a\nb", "#x\n"]
    ),
    st.sampled_from([row[0] for rows in TABLES.values() for row in rows[1:8]]),
    st.sampled_from([tiny_release.IS_A, tiny_release.FSN, clean_release.OWL_REFSET, IDS["root"]]),
    st.text(max_size=3),
)


TINY = {name: content(rows) for name, rows in tiny_release.tables().items()}


@st.composite
def edited(draw):
    """Every kind of file, after values of some cells were put into others, and rows were said again or left out."""
    files = {name: [list(row) for row in rows] for name, rows in TABLES.items()}
    for _ in range(draw(st.integers(1, 5))):
        rows = files[draw(st.sampled_from(sorted(files)))]
        place = draw(st.integers(0, len(rows) - 1))
        what = draw(st.integers(0, 5))
        if what == 0:
            rows.append(list(rows[place]))
        elif what == 1 and place:
            del rows[place]
        elif rows[place]:
            rows[place][draw(st.integers(0, len(rows[place]) - 1))] = draw(VALUES)
    return {
        name: "\r\n".join("\t".join(map(str, row)) for row in rows).encode() for name, rows in files.items()
    }


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(spoiled(TINY), edited()))
def test_whatever_the_loader_refuses_is_an_error_at_the_same_place(files):
    refused_is_reported(files)


@pytest.mark.slow
@settings(max_examples=LENGTH // 5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(spoiled(TINY), edited()))
def test_whatever_the_loader_refuses_is_an_error_at_the_same_place_at_length(files):
    refused_is_reported(files)


def refused_is_reported(files):
    with tempfile.TemporaryDirectory() as name:
        folder = write(Path(name) / "tiny", files)
        findings = validate(folder, "rf2")
        problems = list(findings.problems())
        assert all(p.kind in KINDS and p.message and p.file.startswith(name) for p in problems)
        assert len(problems) == len(findings) == sum(findings.counts().values())
        refusal = None
        try:
            load_rf2(folder)
        except InputError as error:
            refusal = error
        errors = {(p.file, p.line) for p in problems if p.severity == "error"}
        if refusal and refusal.row is None:
            assert errors, refusal
        elif refusal:
            assert (str(refusal.path), refusal.row) in errors, refusal


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=400), st.booleans())
def test_any_bytes_as_a_zip_or_a_file_of_a_release(data, whole):
    with tempfile.TemporaryDirectory() as name:
        if whole:
            (Path(name) / "a.zip").write_bytes(data)
            assert validate(Path(name) / "a.zip", "rf2").errors
        else:
            files = clean_release.files(metadata=False) | {CONCEPT: data}
            assert validate(write(name, files), "rf2").errors
