"""`mhdiff ontology validate` end to end: what it prints, where, and how it exits."""

import json
import re
from pathlib import Path

import clean_release
import pytest
import tiny_release
from clean_release import relationship
from tiny_release import CONCEPT, DATE, DESCRIPTION, IDS, LANGUAGE, RELATIONSHIP

from mhdiff.cli import main


def run(capsys, *arguments):
    code = main(["ontology", "validate", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def spoiled(tmp_path):
    files = clean_release.files()
    for number in range(8):
        files[RELATIONSHIP].append(relationship(IDS["fever"], 900000000000441003, group=number))
    files[CONCEPT][2][1] = ""
    files[LANGUAGE][3][0] = "l3"
    return tiny_release.write(tmp_path / f"tiny_{DATE}", files), files


def test_a_clean_release_exits_with_0(tmp_path, capsys):
    folder = tiny_release.write(tmp_path / f"tiny_{DATE}", clean_release.files())
    code, out, err = run(capsys, folder)
    assert code == 0
    assert out.splitlines()[0].startswith("0 errors, 0 warnings, 0 notes in ")
    assert "sct2_Concept" in err
    code, out, _ = run(capsys, "builtin", "--json")
    assert code == 0
    assert json.loads(out)["counts"] == {}


def test_warnings_alone_exit_with_0(tmp_path, capsys):
    folder = tiny_release.write(tmp_path / f"tiny_{DATE}")
    code, out, _ = run(capsys, folder)
    assert code == 0
    assert "warning  member-id" in out


def test_errors_exit_with_2_after_all_is_printed(spoiled, capsys):
    folder, files = spoiled
    code, out, err = run(capsys, folder, "--limit", 3)
    assert code == 2
    assert err.splitlines()[-1] == f"mhdiff: error: 8 errors in {folder}"
    lines = out.splitlines()
    assert lines[0] == "error dangling: the component is unknown (8)"
    first = len(files[RELATIONSHIP]) - 7
    assert lines[1] == f"  {folder}/{RELATIONSHIP}, line {first}, column 'destinationId': 900000000000441003"
    assert lines[4] == "  ... and 5 more; --limit 0 prints all"
    assert lines[5].startswith("  remedy: ")
    assert "warning  no-effective-time         1" in lines
    assert any(line.startswith("8 errors, 2 warnings, 0 notes in ") for line in lines)
    _, out, _ = run(capsys, folder, "--limit", 0)
    assert sum(line.endswith(": 900000000000441003") for line in out.splitlines()) == 8


def test_json_is_one_document_with_every_problem(spoiled, capsys):
    folder, _ = spoiled
    code, out, _ = run(capsys, folder, "--json", "--limit", 1)
    document = json.loads(out)
    assert code == 2
    assert document["counts"] == {"dangling": 8, "member-id": 1, "no-effective-time": 1}
    assert (document["error"], document["warning"], document["note"]) == (8, 2, 0)
    assert len(document["problems"]) == 10
    keys = {"severity", "kind", "file", "line", "column", "value", "message", "remedy"}
    assert all(set(problem) == keys for problem in document["problems"])
    assert document["release_dates"] == [DATE]


def test_several_packages_and_other_formats(tmp_path, capsys):
    files = clean_release.files(metadata=False)
    base = tiny_release.write(tmp_path / "base", files)
    delta = {name.replace("Snapshot", "Delta"): rows[:1] for name, rows in files.items()}
    delta[DESCRIPTION.replace("Snapshot", "Delta")].append(clean_release.description(IDS["fever"]))
    assert run(capsys, base, tiny_release.write(tmp_path / "delta", delta))[0] == 0
    assert run(capsys, tmp_path / "delta")[0] == 2
    assert main(["ontology", "build", str(base), "--out", str(tmp_path / "built")]) == 0
    capsys.readouterr()
    assert run(capsys, tmp_path / "built")[0] == 0
    (tmp_path / "x.obo").write_text("format-version: 1.4\n\n[Term\n")
    code, out, _ = run(capsys, tmp_path / "x.obo")
    assert code == 2
    assert out.startswith("error refused")


@pytest.mark.parametrize(
    "arguments", [["nowhere"], ["builtin", "--limit", "-1"], ["builtin", "--format", "rf3"]]
)
def test_wrong_usage_ends_with_2_and_one_message(arguments, capsys):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert "Traceback" not in err


def test_the_docs_name_every_kind():
    from ontology.validation import KINDS

    page = (Path(__file__).resolve().parents[2] / "docs/loading.md").read_text(encoding="utf-8")
    section = page.partition("## Check a release before you use it")[2].partition("\n## ")[0]
    assert {kind for kind in KINDS if f"`{kind}`" not in section} == set()
    warnings = re.search(r"^\| warning .*$", section, re.M)[0]
    assert {k for k, kind in KINDS.items() if kind.severity == "warning"} == set(
        re.findall(r"`([a-z-]+)`", warnings)
    )
