"""Every RF2 fixture against a count of its lines that shares no code with the reader."""

import os
import shutil
import zipfile
from pathlib import Path

import pytest

from ontology import InputError, load_rf2

KINDS = {  # a column that only this kind of file has -> the name that the report uses
    "definitionStatusId": "concept", "term": "description", "acceptabilityId": "language",
    "owlExpression": "OWL expression", "targetComponentId": "association", "valueId": "attribute value",
    "value": "concrete values", "sourceEffectiveTime": "module dependency", "mapTarget": "map",
    "alternateIdentifier": "identifier",
}  # fmt: skip


def rows_of(path):
    """The header and the rows of a file, comments and blank lines left out."""
    lines = path.read_bytes().decode("utf-8-sig").split("\n")
    fields = [line.rstrip("\r").split("\t") for line in lines if line.strip() and not line.startswith("#")]
    return fields[0], fields[1:]


def counted(folder):
    """Active rows a kind, by the latest effectiveTime of each id."""
    latest = {}
    for path in sorted(folder.rglob("*.txt")):
        if not path.name.startswith(("sct2_", "der2_")) or "StatedRelationship" in path.name:
            continue
        said = [r for r in ("Full", "Snapshot", "Delta") if r in path.name] or [
            r for r in path.parts if r in ("Full", "Snapshot", "Delta")
        ]
        if said and said[-1] != "Snapshot":  # what stands beside a Snapshot is not read
            continue
        header, rows = rows_of(path)
        kind = next((name for column, name in KINDS.items() if column in header), None)
        if "destinationId" in header:
            kind = "relationship"
        for row in rows if kind else ():
            key = (kind, row[0])
            if key not in latest or (row[1] or "9") >= latest[key][0]:
                latest[key] = (row[1] or "9", row[2])
    totals = {}
    for (kind, _), (_, active) in latest.items():
        totals[kind] = totals.get(kind, 0) + int(active)
    return totals


def snapshots():
    given = os.environ.get("MHDIFF_SHARED")
    root = (Path(given) if given else Path(__file__).resolve().parents[3] / "shared") / "data/rf2"
    found = (
        {path.parent.parent for path in root.rglob("sct2_Concept_*Snapshot*.txt")} if root.is_dir() else set()
    )
    return sorted(str(path.relative_to(root)) for path in found)


@pytest.mark.parametrize("name", snapshots() or ["none"])
def test_the_active_rows_of_every_kind_are_those_of_a_plain_count(shared, name):
    folder = shared / "data/rf2" / name
    expected = counted(folder)
    if not expected.get("concept"):
        with pytest.raises(InputError, match="not one active concept"):
            load_rf2(folder, check_dependencies=False)
        return
    ontology = load_rf2(folder, check_dependencies=False)
    rows = ontology.report.rows
    borrowed = ontology.report.tolerated.get("stated relationship used as there is no inferred one", 0)
    for kind, total in expected.items():
        assert rows[kind]["active"] - (borrowed if kind == "relationship" else 0) == total, kind
    assert len(ontology) == expected["concept"]
    dropped = ontology.report.dropped.get("description", {})
    terms = ontology.terms.height + ontology.inactive_terms.height
    assert terms + sum(dropped.values()) == expected["description"]


def zipped(folder, path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder.parent))
    return path


@pytest.mark.parametrize("name", [n for n in snapshots() if "MiniRF2/" in n or "disease" in n] or ["none"])
def test_the_zip_says_the_same_as_the_folder(shared, tmp_path, name):
    folder = shared / "data/rf2" / name
    copy = shutil.copytree(folder, tmp_path / "release" / folder.name)
    try:
        expected = load_rf2(tmp_path / "release")
    except InputError:
        return
    straight = load_rf2(zipped(copy, tmp_path / "release.zip"))
    assert straight.fingerprint == expected.fingerprint
    assert straight.report.rows == expected.report.rows
