"""RF2 -> Ontology -> RF2 -> Ontology loses nothing, and a Delta over its base gives the whole."""

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import tiny_release
from polars.testing import assert_frame_equal
from tiny_release import IDS

from ontology import InputError, load_rf2
from ontology.assemble import assemble
from ontology.builtin import write_rf2
from ontology.codes import Keys
from ontology.disassemble import disassemble
from ontology.identifiers import IS_A
from ontology.parts import SCHEMAS, Parts
from ontology.report import LoadReport
from ontology.sctid import valid
from ontology.writers.rf2 import write

NAMESPACE = 9999009


def tables_of(ontology):
    parts = disassemble(ontology)
    return {name: getattr(parts, name) for name in SCHEMAS}


def same(one, other):
    assert one.members.keys() == other.members.keys()
    for kind, frame in one.members.items():
        columns = frame.columns
        assert_frame_equal(frame.sort(columns), other.members[kind].select(columns).sort(columns))
    for name, table in tables_of(one).items():
        there = tables_of(other)[name]
        order = [c for c in table.columns if c != "confidence"]
        assert_frame_equal(table.select(order).sort(order), there.select(order).sort(order))


def test_the_built_in_terminology_comes_back_whole(tmp_path):
    ontology = load_rf2(write_rf2(tmp_path / "builtin"))
    again = load_rf2(write(ontology, tmp_path / "again", namespace=NAMESPACE))
    same(ontology, again)
    assert again.fingerprint == ontology.fingerprint


def releases():
    given = os.environ.get("MHDIFF_SHARED")
    root = (Path(given) if given else Path(__file__).resolve().parents[3] / "shared") / "data/rf2"
    found = {p.parent.parent for p in root.rglob("sct2_Concept_*Snapshot*.txt")} if root.is_dir() else set()
    empty = (
        "SnomedCT_MiniRF2_dummy_mrcm_snap",
        "SnomedCT_SE",
        "refset-snapshot-import",
        "blankOrLater",
        "import-tests",
    )
    return sorted(str(p.relative_to(root)) for p in found if not any(part in str(p) for part in empty))


@pytest.mark.parametrize("name", releases() or ["none"])
def test_every_fixture_comes_back_whole(shared, tmp_path, name):
    ontology = load_rf2(shared / "data/rf2" / name, check_dependencies=False)
    again = load_rf2(
        write(ontology, tmp_path / "again", effective_time=20260101, namespace=NAMESPACE),
        check_dependencies=False,
    )
    known = tables_of(ontology)
    if (known["concepts"]["effective_time"] != 0).all() and (known["inactive"]["effective_time"] != 0).all():
        same(ontology, again)
    assert again.sctids.tolist() == ontology.sctids.tolist()
    assert again.report.problems() == [] or ontology.report.problems()


def test_a_synthetic_edition_with_an_extension_and_stray_quotes_comes_back_whole(shared, tmp_path):
    tool = shared / "tools/make_rf2.py"
    subprocess.run(
        [sys.executable, str(tool), "--out", str(tmp_path / "s"), "--scale", "0.01", "--extension", "40",
         "--stray-quotes", "5"], check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    international, extension = sorted((tmp_path / "s").iterdir(), key=lambda p: "International" not in p.name)
    base, whole = load_rf2(international), load_rf2([international, extension])
    assert whole.terms.filter(pl.col("term").str.starts_with('"')).height >= 5
    again = load_rf2(write(whole, tmp_path / "again"))
    same(whole, again)
    assert again.fingerprint == whole.fingerprint
    delta = write(whole, tmp_path / "delta", base=base, effective_time=20260101)
    layered = load_rf2([international, delta], check_dependencies=False)
    assert layered.sctids.tolist() == whole.sctids.tolist()
    relations, expected = tables_of(layered)["relations"], tables_of(whole)["relations"]
    assert relations.equals(expected)
    said = ["sctid", "term", "kind", "preferred"]
    assert layered.fsn(int(whole.sctids[7])) == whole.fsn(int(whole.sctids[7]))
    assert (
        tables_of(layered)["terms"]
        .select(said)
        .sort(said)
        .equals(tables_of(whole)["terms"].select(said).sort(said))
    )


def own_concepts(tiny):
    """The tiny release with two concepts of a laboratory that has no SCTIDs of its own."""
    keys = Keys()
    one, two = keys("MYLAB:001", "long cough"), keys("MYLAB:002")
    layer = Parts(
        concepts=pl.DataFrame({"sctid": [one, two]}),
        terms=pl.DataFrame({"sctid": [one, one, two], "term": ["Long cough (finding)", "Long cough", "Odd (finding)"],
                            "kind": ["fsn", "synonym", "fsn"], "preferred": [True, True, True]}),
        relations=pl.DataFrame({"source": [one, two], "type": [IS_A] * 2, "target": [IDS["cough"], one]}),
        maps=pl.DataFrame({"sctid": [one], "system": ["ICD-10"], "target": ["R05"], "origin": ["mine.tsv"]}),
        codes=keys.frame(),
    )  # fmt: skip
    return assemble("mine", Parts.together([disassemble(tiny), layer]), LoadReport()), one


def test_concepts_without_sctids_get_those_of_the_namespace_and_keep_them(tiny, tmp_path):
    ontology, one = own_concepts(tiny)
    with pytest.raises(InputError, match=r"'MYLAB:001' has no SCTID.*namespace"):
        write(ontology, tmp_path / "none", base=tiny, effective_time=20260601)
    assert not (tmp_path / "none").exists()
    delta = write(ontology, tmp_path / "delta", base=tiny, effective_time=20260601, namespace=NAMESPACE)
    table = pl.read_csv(delta / "identifiers.tsv", separator="\t")
    assert valid(table["sctid"].to_numpy()).all()
    first = table.filter(kind=10, content="MYLAB:001")["sctid"].item()
    assert (delta / "maps.tsv").read_text().count("R05") == 1
    layered = load_rf2([tiny_release.write(tmp_path / "tiny"), delta])
    assert layered.fsn(first) == "Long cough (finding)"
    assert layered.term(first) == "Long cough"
    assert layered.parents(first).tolist() == [IDS["cough"]]
    assert len(layered) == len(ontology) + 1  # the module's own concept
    rows = next(delta.rglob("sct2_Concept_*")).read_bytes().split(b"\r\n")
    assert len(rows) == 5  # the header, two concepts and their module, the end
    later = write(
        ontology, tmp_path / "later", base=tiny, effective_time=20270101, namespace=NAMESPACE,
        identifiers=delta / "identifiers.tsv",
    )  # fmt: skip
    assert (later / "identifiers.tsv").read_bytes() == (delta / "identifiers.tsv").read_bytes()
    assert one not in layered


def test_what_is_gone_is_written_inactive(tiny, tmp_path):
    parts = disassemble(tiny)
    parts.relations = parts.relations.filter(pl.col("source") != IDS["opacity"])
    parts.concepts = parts.concepts.filter(pl.col("sctid") != IDS["opacity"])
    parts.inactive = pl.concat(
        [parts.inactive, Parts(inactive=pl.DataFrame({"sctid": [IDS["opacity"]]})).inactive]
    )
    smaller = assemble("smaller", parts, LoadReport())
    delta = write(smaller, tmp_path / "delta", base=tiny, effective_time=20260601)
    layered = load_rf2([tiny_release.write(tmp_path / "tiny"), delta], strict=False)
    assert IDS["opacity"] not in layered
    assert layered.sctids.tolist() == smaller.sctids.tolist()
    assert layered.report.dropped == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [({"effective_time": "2026"}, "no effectiveTime"), ({"namespace": 12}, "no namespace")],
)
def test_bad_options_are_refused(tiny, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        write(tiny, tmp_path / "x", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_term_with_a_tab_is_refused_by_name(tiny, tmp_path):
    parts = disassemble(tiny)
    parts.terms = parts.terms.with_columns(term=pl.col("term").str.replace("Fever", "Fe\tver"))
    broken = assemble("broken", parts, LoadReport())
    with pytest.raises(InputError, match=rf"Fe.*ver.* of {IDS['fever']} holds a tab"):
        write(broken, tmp_path / "x", effective_time=20260101)
    assert list(tmp_path.iterdir()) == []
