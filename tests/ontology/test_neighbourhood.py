"""What stands next to a concept: against a plain count, and through `mhdiff ontology show`."""

import json
from itertools import pairwise

import pytest
import tiny_release
from dags import build, cases
from hypothesis import given, settings
from tiny_release import CONCEPT, DATE, IDS, MODULE

from mhdiff.cli import main
from ontology import ConceptNotFound, load_rf2
from ontology.identifiers import IS_A, REPLACED_BY, SAME_AS
from ontology.neighbourhood import name_of, neighbourhood
from ontology.outline import outline
from tests.searches import examples

REASON = 900000000000482003
MEMBER = ["id", "effectiveTime", "active", "moduleId", "refsetId", "referencedComponentId"]


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """Asthma is the same as cough, which was replaced by fever; edema of skin leads nowhere."""
    files = tiny_release.tables()
    for row in files[CONCEPT]:
        if row[0] in (IDS["asthma"], IDS["cough"], IDS["edema_b"]):
            row[1:3] = "20251231", 0
    files[f"Snapshot/Refset/Content/der2_cRefset_AssociationSnapshot_T_{DATE}.txt"] = [
        [*MEMBER, "targetComponentId"],
        ["a1", DATE, 1, MODULE, SAME_AS, IDS["asthma"], IDS["cough"]],
        ["a2", DATE, 1, MODULE, REPLACED_BY, IDS["cough"], IDS["fever"]],
    ]
    files[f"Snapshot/Refset/Content/der2_cRefset_AttributeValueSnapshot_T_{DATE}.txt"] = [
        [*MEMBER, "valueId"], ["v1", DATE, 1, MODULE, 900000000000489007, IDS["asthma"], REASON],
    ]  # fmt: skip
    return tiny_release.write(tmp_path_factory.mktemp("history") / "t", files)


@pytest.fixture(scope="module")
def retired(history):
    return load_rf2(history)


@pytest.fixture
def folder(retired, tmp_path):
    return str(retired.save(tmp_path / "o"))


@given(cases())
@settings(max_examples=examples(150), deadline=None)
def test_counts_agree_with_the_edges(case):
    size, edges, values, members = case
    onto = build(size, edges, values, members)
    up = {n: {t for s, k, t, _ in edges if k == IS_A and s == n} for n in range(1, size + 1)}

    def above(node):
        return set().union(*({p} | above(p) for p in up[node]))

    for node in up:
        of = neighbourhood(onto, node)
        below = {m for m in up if node in above(m)}
        kids = {m for m in up if node in up[m]}
        assert (of.ancestors, of.descendants) == (len(above(node)), len(below))
        assert [p.name.sctid for p in of.parents.shown] == sorted(up[node])
        assert {c.name.sctid: c.descendants for c in of.children.shown} == {
            k: sum(k in above(m) for m in up) for k in kids
        }
        counts = [c.descendants for c in of.children.shown]
        assert counts == sorted(counts, reverse=True)
        for parent in of.parents.shown:  # each step of a lineage is an is-a, from a root on
            line = [*(n.sctid for n in parent.lineage), parent.name.sctid]
            assert not up[line[0]]
            assert all(a in up[b] for a, b in pairwise(line))
        own = sorted((g, t) for s, k, t, g in edges if s == node and k != IS_A)
        assert sorted((a.group, a.target.sctid) for a in of.attributes.shown if a.target) == own
        written = sorted((g, v) for s, _, g, v in values if s == node)
        assert sorted((a.group, a.value) for a in of.attributes.shown if not a.target) == written
        groups = [a.group or 99 for a in of.attributes.shown]
        assert groups == sorted(groups)
        inbound = sorted(s for s, k, t, _ in edges if t == node and k != IS_A)
        assert sorted(link.name.sctid for link in of.inbound.shown) == inbound
        assert sum(of.inbound_counts.values()) == of.inbound.total == len(inbound)
        cut = neighbourhood(onto, node, 1)
        for name in ("parents", "children", "attributes", "inbound", "maps"):
            whole, little = getattr(of, name), getattr(cut, name)
            assert little.total == whole.total == len(whole.shown)
            assert little.shown == whole.shown[:1]


def test_of_many_relations_some_of_each_type_are_shown():
    site, agent = 363698007, 246075003
    onto = build(30, {(n, site, 1, 0) for n in range(2, 20)} | {(n, agent, 1, 0) for n in range(20, 23)})
    few = neighbourhood(onto, 1, 6).inbound
    assert [link.relation for link in few.shown] == ["causative agent"] * 3 + ["finding site"] * 3
    assert (few.total, few.more) == (21, 15)


def test_an_inactive_concept(retired):
    of = neighbourhood(retired, IDS["asthma"])
    assert (of.concept.active, of.concept.fsn, of.concept.term) == (False, "Asthma (disorder)", "Asthma")
    assert (of.effective_time, of.module.sctid, of.reason.term) == (20251231, MODULE, "Duplicate component")
    assert [(h.relation, h.name.sctid, h.name.active) for h in of.history.shown] == [
        ("same as", IDS["cough"], False)
    ]
    assert [(e.name.sctid, [n.sctid for n in e.path]) for e in of.ends.shown] == [
        (IDS["fever"], [IDS["asthma"], IDS["cough"], IDS["fever"]])
    ]
    assert of.outcome == "replaced"
    assert [(f.relation, f.name.sctid) for f in neighbourhood(retired, IDS["fever"]).former.shown] == [
        ("replaced by", IDS["cough"])
    ]
    assert neighbourhood(retired, IDS["edema_b"]).outcome == "unresolved"
    assert name_of(retired, 999).active is None
    with pytest.raises(ConceptNotFound, match="999"):
        neighbourhood(retired, 999)


def test_dialects_and_details(tiny):
    of = neighbourhood(tiny, IDS["cap"])
    assert {t.term: t.dialects for t in of.terms}["CAP"] == {"en-US": False}
    assert {t.term: t.dialects for t in of.terms}["Community-acquired pneumonia"] == {"en-US": True}
    assert (of.effective_time, of.module.sctid, of.layer) == (int(DATE), MODULE, tiny.layers[0]["name"])


def show(capsys, *arguments):
    assert main(["ontology", "show", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_show_as_text(folder, capsys):
    assert show(capsys, folder, "bacterial pneumonia").splitlines() == [
        f"{IDS['bacterial']}  Bacterial pneumonia (disorder)",
        "  active, primitive; depth 4, 5 concepts above, 0 concepts below",
        f"  module {MODULE}; effectiveTime {DATE}; layer t",
        "",
        f"  Tiny terminology › Finding › Disease › Pneumonia  {IDS['pneumonia']}",
        f"  Tiny terminology › Finding › Disease › Infection  {IDS['infection']}",
        f"  └─ Bacterial pneumonia  {IDS['bacterial']}",
        "",
        "  terms",
        "    fsn         Bacterial pneumonia (disorder)  (preferred in en-US)",
        "    synonym     Bacterial pneumonia  (preferred in en-US)",
        "    synonym     Pneumonia, bacterial  (acceptable in en-US)",
        "",
        "  attributes",
        "    role group 1",
        f"    └─ finding site: {IDS['lung']}  Lung structure",
        "    role group 2",
        f"    └─ causative agent: {IDS['bacterium']}  Bacterium",
        "",
        "  maps",
        "    ICD-10  J15.9  TRUE  ALWAYS J15.9",
        "    ICD-10  J99  TRUE  ALWAYS J99",
    ]
    cut = show(capsys, folder, "Finding", "--limit", 2)
    assert "… 3 more of 5 children" in cut
    assert "more" not in show(capsys, folder, "Finding", "--limit", 0)
    assert f"{IDS['cough']}  Cough  (replaced by)" in show(capsys, folder, "fever")


def test_show_an_inactive_concept(folder, capsys):
    for name in (IDS["asthma"], "asthma", f"http://snomed.info/id/{IDS['asthma']}"):
        said = show(capsys, folder, name)
        assert "inactive: Duplicate component" in said
        assert f"same as: {IDS['cough']}  Cough  (inactive)" in said
        assert f"└─ {IDS['fever']}  Fever  (replaced by, confidence 1.00, by way of {IDS['cough']})" in said
    assert "unresolved: leads to no active concept" in show(capsys, folder, IDS["edema_b"])
    assert main(["ontology", "show", folder, "999999"]) == 2
    assert "mhdiff ontology search" in capsys.readouterr().err
    assert main(["ontology", "ancestors", folder, str(IDS["asthma"])]) == 2
    assert "inactive" in capsys.readouterr().err


def test_an_active_concept_is_meant_before_an_inactive_one_of_the_same_name(folder, capsys):
    # "Edema" is a term of edema of lung, which is active, and of edema of skin, which is not
    assert str(IDS["edema_a"]) in show(capsys, folder, "edema").splitlines()[0]


def test_show_as_json(folder, capsys):
    whole = json.loads(show(capsys, folder, "Finding", "--json"))
    assert len(whole["children"]) == whole["totals"]["children"] == 5
    assert whole["children"][0] == {"sctid": IDS["disease"], "term": "Disease", "descendants": 8}
    cut = json.loads(show(capsys, folder, "Finding", "--json", "--limit", 2))
    assert (len(cut["children"]), cut["totals"]["children"]) == (2, 5)
    old = json.loads(show(capsys, folder, "asthma", "--json"))
    assert (old["active"], old["outcome"], old["depth"]) == (False, "replaced", None)
    assert old["reason"] == {"sctid": REASON, "term": "Duplicate component"}
    assert [step["sctid"] for step in old["leads_to"][0]["path"]] == [
        IDS["asthma"],
        IDS["cough"],
        IDS["fever"],
    ]
    assert old["history"] == [
        {"association": "same as", "sctid": IDS["cough"], "term": "Cough", "active": False}
    ]


def test_json_is_json_in_any_language(folder, capsys):
    def refused(text):
        raise AssertionError(text)

    shown = json.loads(show(capsys, folder, "Pneumonia", "--json"), parse_constant=refused)
    assert [row["confidence"] for row in shown["maps"]] == [None]


def test_long_lineages_are_shortened():
    onto = build(9, {(n + 1, IS_A, n, 0) for n in range(1, 9)})
    assert "concept 1 › concept 2 › … 3 more … › concept 6 › concept 7 › concept 8  8" in outline(
        neighbourhood(onto, 9)
    )


def test_selecting_an_inactive_member_prints_it(history, tmp_path, capsys):
    refset = 723264001
    path = history.parent / "with-refset"
    files = {p.relative_to(history).as_posix(): p.read_bytes() for p in history.rglob("*.txt")}
    rows = [
        MEMBER,
        ["s1", DATE, 1, MODULE, refset, IDS["asthma"]],
        ["s2", DATE, 1, MODULE, refset, IDS["fever"]],
    ]
    files[f"Snapshot/Refset/Content/der2_Refset_SimpleSnapshot_T_{DATE}.txt"] = tiny_release.content(rows)
    tiny_release.write(path, files)
    assert main(["ontology", "build", str(path), "--out", str(tmp_path / "o")]) == 0
    capsys.readouterr()
    assert main(["ontology", "select", str(tmp_path / "o"), f"^ {refset}"]) == 0
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(
        [f"{IDS['asthma']}  Asthma (disorder)  (inactive)", f"{IDS['fever']}  Fever (finding)"]
    )
