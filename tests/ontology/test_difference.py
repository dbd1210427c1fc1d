"""What changed between two ontologies, held against sets compared in plain Python."""

import json

import polars as pl
import pytest
import tiny_release
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_release import AGENT, CONCEPT, IDS, IS_A, RELATIONSHIP, SITE

from mhdiff.cli import main
from ontology import LoadReport, Ontology, Parts, diff, extend, load_rf2
from ontology.assemble import assemble
from ontology.disassemble import disassemble
from ontology.identifiers import REPLACED_BY
from tests.searches import examples


def edges(ontology):
    relations = ontology.relations
    return set(
        zip(
            ontology.sctids[relations.source].tolist(),
            ontology.relation_types[relations.type].tolist(),
            ontology.sctids[relations.target].tolist(),
            strict=True,
        )
    )


def terms(ontology):
    rows = ontology.terms
    nodes = ontology.sctids[rows["concept"].to_numpy()].tolist()
    return set(zip(nodes, rows["term"].to_list(), rows["kind"].to_list(), strict=True))


def rows(difference, what, *columns):
    return set(difference.tables[what].select(*columns).rows())


def test_nothing_differs_from_itself(tiny):
    difference = diff(tiny, tiny)
    assert not difference
    assert difference.counts() == {}
    carried = difference.carry_over()
    assert carried["sctid"].to_list() == carried["target"].to_list() == tiny.sctids.tolist()
    assert set(carried["kind"]) == {"itself"}


def without(ontology, numbers, *, of):
    """The ontology without some rows of a table."""
    parts = disassemble(ontology)
    table = getattr(parts, of)
    kept = [i for i in range(table.height) if i not in numbers]
    setattr(parts, of, table[kept])
    if of == "concepts":
        parts.relations = parts.relations.join(parts.concepts, left_on="target", right_on="sctid", how="semi")
    return assemble(ontology.name, parts, LoadReport())


@settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    data=st.data(),
    old_cut=st.sampled_from(["concepts", "terms", "relations", "maps"]),
    new_cut=st.sampled_from(["concepts", "terms", "relations", "maps"]),
)
def test_it_agrees_with_sets(tiny, data, old_cut, new_cut):
    some = st.sets(st.integers(0, 20), max_size=6)
    old = without(tiny, data.draw(some), of=old_cut)
    new = without(tiny, data.draw(some), of=new_cut)
    found, back = diff(old, new), diff(new, old)
    assert rows(found, "new concepts", "sctid") == {(s,) for s in {*new.sctids} - {*old.sctids}}
    assert rows(found, "concepts vanished", "sctid") == {(s,) for s in {*old.sctids} - {*new.sctids}}
    assert rows(found, "new relations", "source", "type", "target") == edges(new) - edges(old)
    assert rows(found, "relations gone", "source", "type", "target") == edges(old) - edges(new)
    assert rows(found, "new terms", "sctid", "term", "kind") == terms(new) - terms(old)
    assert rows(found, "terms gone", "sctid", "term", "kind") == terms(old) - terms(new)
    assert found.counts().get("new maps", 0) == back.counts().get("maps gone", 0)
    assert bool(found) == (old.fingerprint != new.fingerprint)
    for forth, again in (("new relations", "relations gone"), ("new terms", "terms gone")):
        assert found.tables[forth].height == back.tables[again].height


def test_a_group_is_its_content_not_its_number(release, tiny):
    files, load = release
    for row in files[RELATIONSHIP][1:]:
        if row[6]:
            row[6] += 4
    renumbered = load()
    assert not diff(tiny, renumbered)
    for row in files[RELATIONSHIP][1:]:
        if row[4] == IDS["bacterial"] and row[6]:
            row[6] = 1  # site and agent were apart, and stand together now
    together = load()
    assert diff(tiny, together).counts() == {"relations regrouped": 2}
    assert rows(diff(tiny, together), "relations regrouped", "type") == {(SITE,), (AGENT,)}
    assert (IS_A,) not in rows(diff(tiny, together), "relations regrouped", "type")


@pytest.fixture
def releases(release, tmp_path):
    """The tiny release, and a later one in which asthma was replaced and COVID-19 renamed and moved."""
    files, load = release
    old = load()
    later = "20260701"
    next(row for row in files[CONCEPT][1:] if row[0] == IDS["asthma"])[1:3] = [later, 0]
    next(row for row in files[CONCEPT][1:] if row[0] == IDS["cap"])[4] = 900000000000073002
    descriptions = files[tiny_release.DESCRIPTION]
    next(row for row in descriptions if row[7] == "Cough (finding)")[7] = "Coughing (finding)"
    next(row for row in descriptions if row[7] == "Cough")[7] = "Coughing"
    next(row for row in descriptions if row[7] == "TB")[8] = tiny_release.CI
    files["Snapshot/Refset/Content/der2_cRefset_AssociationSnapshot_T_20260701.txt"] = [
        [
            "id",
            "effectiveTime",
            "active",
            "moduleId",
            "refsetId",
            "referencedComponentId",
            "targetComponentId",
        ],
        ["a1", later, 1, tiny_release.MODULE, REPLACED_BY, IDS["asthma"], IDS["disease"]],
    ]
    return old, load_rf2(tiny_release.write(tmp_path / "later", files))


def test_two_releases(releases):
    old, new = releases
    found = diff(old, new)
    assert found.counts() == {
        "deactivated concepts": 1, "definition status changed": 1, "new terms": 2, "terms gone": 2,
        "fully specified names changed": 1, "preferred terms changed": 1, "case significance changed": 1,
        "relations gone": 1, "new historical associations": 1,
    }  # fmt: skip
    assert found.tables["preferred terms changed"].rows() == [(IDS["cough"], "Cough", "Coughing")]
    carried = {row["sctid"]: row for row in found.carry_over().iter_rows(named=True)}
    assert carried[IDS["asthma"]] == {
        "sctid": IDS["asthma"], "target": IDS["disease"], "kind": "replaced by", "confidence": 1.0,
    }  # fmt: skip
    assert carried[IDS["cough"]]["target"] == IDS["cough"]
    assert "|Asthma|" in found.examples("deactivated concepts")[0]
    assert "now 'Coughing'" in found.examples("preferred terms changed")[0]


def test_what_vanished_is_named_by_the_old_one(tiny):
    smaller = without(tiny, {list(tiny.sctids).index(IDS["asthma"])}, of="concepts")
    assert "|Asthma|" in diff(tiny, smaller).examples("concepts vanished")[0]
    carried = diff(tiny, smaller).carry_over().filter(pl.col("sctid") == IDS["asthma"])
    assert carried["target"].to_list() == [None]


def test_concepts_without_an_sctid_are_carried_over(tiny, tmp_path):
    own = tmp_path / "nodes.csv"
    own.write_text("id,name,parents\nMYLAB:1,One,\nMYLAB:2,Two,MYLAB:1\n")
    old = extend(tiny, own)
    own.write_text("id,name,active\nMYLAB:2,,no\n")
    (tmp_path / "history.csv").write_text("id,target\nMYLAB:2,MYLAB:1\n")
    new = extend(old, tmp_path)
    one, two = (int(old.sctids[old.index(f"MYLAB:{n}")]) for n in (1, 2))
    carried = diff(old, new).carry_over().filter(pl.col("sctid") >= 10**18)
    assert dict(carried.select("sctid", "target").rows()) == {one: one, two: one}


def test_values_members_and_axioms(tiny):
    more = extend(
        tiny,
        Parts(
            values=pl.DataFrame({"source": [IDS["fever"]], "type": [SITE], "group": [1], "value": ["#38.5"]}),
            axioms=pl.DataFrame({"sctid": [IDS["fever"]], "axiom": ["SubClassOf(:1 :2)"]}),
            members={
                "reference set": pl.DataFrame({
                    "id": ["m"], "effective_time": [1], "module": [1], "refset": [5], "component": [IDS["lung"]],
                }, schema_overrides={"effective_time": pl.Int32})
            },
        ),
    )  # fmt: skip
    expected = {"new concrete values": 1, "new axioms": 1, "new reference set members": 1}
    assert diff(tiny, more).counts() == expected
    assert diff(more, tiny).counts() == {
        "concrete values gone": 1, "axioms gone": 1, "reference set members gone": 1
    }  # fmt: skip


def test_the_command_line(releases, tmp_path, capsys):
    old, new = (ontology.save(tmp_path / name) for ontology, name in zip(releases, "ab", strict=True))
    assert main(["ontology", "diff", str(old), str(new)]) == 0
    shown = capsys.readouterr().out
    assert "1 deactivated concepts" in shown
    assert "'Cough', now 'Coughing'" in shown
    assert main(["ontology", "diff", str(old), str(new), "--json", "--out", str(tmp_path / "d")]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["counts"]["terms gone"] == 2
    assert document["rows"]["deactivated concepts"][0]["sctid"] == IDS["asthma"]
    assert pl.read_parquet(tmp_path / "d/carry_over.parquet").height == len(Ontology.open(old))
    assert pl.read_parquet(tmp_path / "d/terms_gone.parquet").height == 2
    assert main(["ontology", "diff", str(old), str(old)]) == 0
    assert "no difference" in capsys.readouterr().out
    assert main(["ontology", "diff", str(old), str(tmp_path / "none")]) == 2
    (tmp_path / "d/difference.json").unlink()
    assert main(["ontology", "diff", str(old), str(new), "--out", str(tmp_path / "d")]) == 2
    assert "not replaced" in capsys.readouterr().err
