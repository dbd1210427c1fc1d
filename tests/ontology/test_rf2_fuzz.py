"""A spoiled release, in a folder or a zip, Snapshot or Full, with a Delta over it: an `Ontology` or an `InputError`."""

import io
import zipfile

import pytest
import tiny_release
from hypothesis import given, settings
from hypothesis import strategies as st
from spoil import FEW, MANY, Disk, edited, outcome, spoiled

from ontology import InputError, load_rf2
from ontology.rf2_source import entries
from tests.searches import examples

FILES = {name: tiny_release.content(rows) for name, rows in tiny_release.tables().items()}
MEMBER = ["id", "effectiveTime", "active", "moduleId", "refsetId", "referencedComponentId"]
_D, _M, _IDS = tiny_release.DATE, tiny_release.MODULE, tiny_release.IDS
_REFSETS = {
    "Refset/Content/der2_cRefset_AssociationSnapshot": [
        [*MEMBER, "targetComponentId"], ["a1", _D, 1, _M, 900000000000526001, _IDS["asthma"], _IDS["disease"]]],
    "Refset/Content/der2_cRefset_AttributeValueSnapshot": [
        [*MEMBER, "valueId"], ["v1", _D, 1, _M, 900000000000489007, _IDS["asthma"], 900000000000482003]],
    "Refset/Content/der2_Refset_SimpleSnapshot": [MEMBER, ["s1", _D, 1, _M, 723264001, _IDS["lung"]]],
    "Refset/Content/der2_ciRefset_OddSnapshot": [
        [*MEMBER, "colour", "weight"], ["o1", _D, 1, _M, 5550, _IDS["lung"], "r", 1]],
    "Refset/Metadata/der2_ssRefset_ModuleDependencySnapshot": [
        [*MEMBER, "sourceEffectiveTime", "targetEffectiveTime"],
        ["d1", _D, 1, _M, 900000000000534007, 900000000000012004, _D, _D]],
    "Terminology/sct2_RelationshipConcreteValues_Snapshot": [
        ["id", "effectiveTime", "active", "moduleId", "sourceId", "value", "relationshipGroup", "typeId",
         "characteristicTypeId", "modifierId"],
        [77, _D, 1, _M, _IDS["fever"], "#38.5", 2, 363698007, tiny_release.INFERRED, tiny_release.SOME]],
    "Terminology/sct2_sRefset_OWLExpressionSnapshot": [
        [*MEMBER, "owlExpression"], ["x1", _D, 1, _M, 733073007, _IDS["fever"], "SubClassOf(:1 :2)"]],
    "Terminology/sct2_Identifier_Snapshot": [
        ["alternateIdentifier", "effectiveTime", "active", "moduleId", "identifierSchemeId", "referencedComponentId"],
        ["634-6", _D, 1, _M, 705114005, _IDS["wbc"]]],
}  # fmt: skip
WHOLE = FILES | {f"Snapshot/{name}_T_{_D}.txt": tiny_release.content(rows) for name, rows in _REFSETS.items()}
PIECES = [
    b"20270101", b"\t0\t", b"\t1\t", str(_IDS["root"]).encode(), b"900000000000003001", b"116680003",
    b"IFA 248152002 | Female |", b"TRUE",
]  # fmt: skip


@pytest.fixture(scope="module")
def disk():
    disk = Disk()
    yield disk
    disk.close()


def zipped(files, method):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as out:
        for name, data in files.items():
            out.writestr(name, data)
    return buffer.getvalue()


@st.composite
def releases(draw):
    """What is loaded: {name below the folder: bytes}, the sources, and the options."""
    files, form = (
        draw(spoiled(WHOLE, PIECES)),
        draw(st.sampled_from(["folder", "zip", "Full", "layers", "Delta"])),
    )
    if form == "folder":
        return files, ["."], {}
    if form == "zip":
        data = zipped(files, draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])))
        if draw(st.booleans()):
            data = draw(edited(zipped(FILES, zipfile.ZIP_DEFLATED)))
        return {"r.zip": data}, ["r.zip"], {}
    if form == "Full":
        full = {name.replace("Snapshot", "Full"): data for name, data in files.items()}
        return full, ["."], {"as_of": draw(st.sampled_from([0, 20260101, 20250101]))}
    second = {f"b/{name.replace('Snapshot', 'Delta')}": data for name, data in files.items()}
    if form == "layers":
        second = {f"b/{name}": data for name, data in files.items()}
    base = {f"a/{name}": data for name, data in FILES.items()}
    return base | second, ["a", "b"], {"check_dependencies": draw(st.booleans())}


def check(disk, release, *, deep=True):
    files, sources, options = release
    folder = disk.write(files)
    outcome(folder, lambda: load_rf2([folder / source for source in sources], **options), deep=deep)


def test_the_release_is_good_before_it_is_spoilt(disk):
    folder = disk.write(WHOLE)
    ontology = outcome(folder, lambda: load_rf2(folder))
    assert {kind for kind in ontology.members} >= {"reference set", "module dependency"}
    assert ontology.values.height == ontology.axioms.height == 1


@settings(FEW, max_examples=examples(300))
@given(releases())
def test_a_spoiled_release_gives_an_ontology_or_an_input_error(disk, release):
    check(disk, release)


@pytest.mark.slow
@MANY
@given(releases())
def test_spoiled_releases_at_length(disk, release):
    check(disk, release, deep=False)


ZIP = zipped(dict(list(FILES.items())[:2]), zipfile.ZIP_DEFLATED)


@settings(FEW, max_examples=examples(300))
@given(st.lists(st.tuples(st.integers(0, len(ZIP) - 1), st.integers(0, 255)), min_size=1, max_size=3))
def test_a_spoiled_zip_gives_what_was_zipped_or_an_input_error(disk, changes):
    spoiled = bytearray(ZIP)
    for place, byte in changes:
        spoiled[place] = byte
    path = disk.write({"release.zip": bytes(spoiled)}) / "release.zip"
    try:
        found = [entry.read() for entry in entries(path)]
    except InputError:
        return
    assert set(found) <= {*FILES.values(), b""}
