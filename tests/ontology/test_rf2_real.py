import os
import time
from pathlib import Path

import pytest

from ontology import InputError, Ontology, load_rf2


@pytest.fixture(scope="module")
def disease(shared):
    return load_rf2(shared / "data/rf2/disease-ontology")


def lines_of(folder, name):
    (path,) = folder.rglob(name)
    return path.read_bytes().split(b"\r\n")[1:-1]


def test_the_disease_ontology_agrees_with_its_lines(shared, disease):
    folder = shared / "data/rf2/disease-ontology"
    assert len(disease) == len(lines_of(folder, "sct2_Concept_*"))
    assert len(disease.relations) == len(lines_of(folder, "sct2_Relationship_*"))
    assert disease.terms.height == len(lines_of(folder, "sct2_Description_*"))
    maps = lines_of(folder, "*ExtendedMap*")
    assert disease.maps.height == len(maps)
    assert disease.maps["system"].unique().to_list() == ["ICD-10-CM"]
    sctid, code = (int(maps[0].split(b"\t")[5]), maps[0].split(b"\t")[10].decode())
    assert sctid in disease.concepts_of(code, "ICD10CM")
    assert disease.report.problems() == []
    assert [f["file"] for f in disease.report.files_not_read] == ["concepts.tsv"]


def test_names_agree_with_the_table_beside_the_release(shared, disease):
    for line in (shared / "data/rf2/disease-ontology/concepts.tsv").read_text().splitlines()[1:400]:
        fields = line.split("\t")
        sctid = next(int(f) for f in fields if f.isdigit() and int(f) in disease)
        assert disease.term(sctid) in fields


def test_it_opens_at_once(disease, tmp_path):
    disease.save(tmp_path / "do")
    start = time.perf_counter()
    again = Ontology.open(tmp_path / "do")
    assert again.fsn(64572001) == "Disease (disorder)"
    assert time.perf_counter() - start < 0.5  # about 0.01 s; generous for a busy machine


# Deltas by themselves, and releases without one active concept; everything else loads.
REFUSED = {
    "Delta", "blankEffectiveTimeTest", "blankOrLaterEffectiveTimeTest", "conversion-to-complete-owl",
    "multipleTrailingBlankFields", "SnomedCT_MiniRF2_New_Authoring_cyle_delta",
    "SnomedCT_MiniRF2_Release_Fix_delta", "SnomedCT_MiniRF2_bad_delta", "SnomedCT_MiniRF2_donation_delta",
    "SnomedCT_MiniRF2_dummy_mrcm_snap", "SnomedCT_SE_MiniRF2",
}  # fmt: skip


def releases():
    given = os.environ.get("MHDIFF_SHARED")
    root = (Path(given) if given else Path(__file__).resolve().parents[3] / "shared") / "data/rf2"
    folders = {path.parent.parent for path in root.rglob("sct2_Concept_*.txt")} if root.is_dir() else set()
    return sorted(str(path.relative_to(root)) for path in folders)


@pytest.mark.parametrize("name", releases() or ["none"])
def test_every_fixture_loads_or_is_refused_with_its_reason(shared, name, tmp_path):
    if any(part in REFUSED for part in Path(name).parts):
        with pytest.raises(InputError, match=r"only a Delta|not one active concept") as caught:
            load_rf2(shared / "data/rf2" / name)
        assert caught.value.remedy
        return
    ontology = load_rf2(shared / "data/rf2" / name)
    assert len(ontology) > 0
    assert sum(row["used"] for row in ontology.report.rows.values()) > 0
    for kind in ("relationship", "description"):
        rows = ontology.report.rows.get(kind, {"active": 0, "used": 0})
        assert rows["active"] - rows["used"] == sum(ontology.report.dropped.get(kind, {}).values())
    assert Ontology.open(ontology.save(tmp_path / "o")).fingerprint == ontology.fingerprint
