import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ontology.assemble import assemble
from ontology.identifiers import (
    ALTERNATIVE,
    IS_A,
    MOVED_TO,
    POSSIBLY_EQUIVALENT_TO,
    REPLACED_BY,
    SAME_AS,
    WAS_A,
)
from ontology.normalise import NORMALISED, STATUSES, normalise, normalise_all
from ontology.parts import Parts
from ontology.report import LoadReport
from ontology.sctid import make_sctid
from tests.searches import examples

ACTIVE = [make_sctid(i, 9999003, "10") for i in range(1, 7)]
OLD = [make_sctid(i, 9999003, "10") for i in range(50, 62)]
NAMESPACE = ACTIVE[5]


def ontology_of(history, maps=()):
    concepts = {"sctid": ACTIVE}
    terms = [(s, f"Thing {i} (finding)", "fsn") for i, s in enumerate(ACTIVE[:5])]
    terms.append((NAMESPACE, "Extension Namespace 1 (namespace concept)", "fsn"))
    relations = {"source": ACTIVE[1:], "type": [IS_A] * 5, "target": [ACTIVE[0]] * 5}
    return assemble(
        "history",
        Parts(
            concepts=pl.DataFrame(concepts),
            inactive=pl.DataFrame({"sctid": OLD}),
            terms=pl.DataFrame(terms, ["sctid", "term", "kind"], orient="row"),
            relations=pl.DataFrame(relations),
            history=pl.DataFrame(history, ["source", "refset", "target"], orient="row")
            if history
            else Parts().history,
            maps=pl.DataFrame(maps, ["sctid", "system", "target"], orient="row") if maps else Parts().maps,
        ),
        LoadReport(),
    )


HISTORY = [
    (OLD[0], SAME_AS, ACTIVE[1]),
    (OLD[1], REPLACED_BY, OLD[0]),  # a chain to an active end
    (OLD[2], POSSIBLY_EQUIVALENT_TO, ACTIVE[1]),
    (OLD[2], POSSIBLY_EQUIVALENT_TO, ACTIVE[2]),
    (OLD[2], POSSIBLY_EQUIVALENT_TO, OLD[0]),  # the same active end by another way
    (OLD[3], WAS_A, ACTIVE[3]),
    (OLD[4], SAME_AS, OLD[5]),  # a circle
    (OLD[5], SAME_AS, OLD[4]),
    (OLD[6], MOVED_TO, NAMESPACE),
    (OLD[7], ALTERNATIVE, ACTIVE[4]),
    (OLD[7], REPLACED_BY, ACTIVE[2]),  # without doubt: the alternative is not followed
    (OLD[8], WAS_A, OLD[2]),
]
EXPECTED = {
    ACTIVE[3]: ("active", [(ACTIVE[3], "itself", 1.0)]),
    OLD[0]: ("replaced", [(ACTIVE[1], "same as", 1.0)]),
    OLD[1]: ("replaced", [(ACTIVE[1], "replaced by", 1.0)]),
    OLD[2]: (
        "ambiguous",
        [(ACTIVE[1], "possibly equivalent to", 0.25), (ACTIVE[2], "possibly equivalent to", 0.25)],
    ),
    OLD[3]: ("generalised", [(ACTIVE[3], "was a", 1.0)]),
    OLD[4]: ("unresolved", []),
    OLD[6]: ("unresolved", []),
    OLD[7]: ("replaced", [(ACTIVE[2], "replaced by", 1.0)]),
    OLD[8]: (
        "ambiguous",
        [(ACTIVE[1], "possibly equivalent to", 0.25), (ACTIVE[2], "possibly equivalent to", 0.25)],
    ),
    OLD[9]: ("unresolved", []),
    make_sctid(999, 9999003, "10"): ("unknown", []),
    ACTIVE[0] + 1: ("malformed", []),
    "pneumonia": ("malformed", []),
    "": ("malformed", []),
    "9" * 40: ("malformed", []),
}


@pytest.mark.parametrize("code", EXPECTED, ids=str)
def test_a_code_is_followed_to_its_active_ends(code):
    found = normalise(ontology_of(HISTORY), code)
    assert (found.status, [(t.sctid, t.kind, t.confidence) for t in found.targets]) == EXPECTED[code]
    assert all(t.path[-1] == t.sctid for t in found.targets)
    assert all(t.path[0] == int(code) for t in found.targets)


def test_links_that_lead_nowhere_do_not_hide_those_that_do():
    dead = [(OLD[0], SAME_AS, OLD[1]), (OLD[0], POSSIBLY_EQUIVALENT_TO, ACTIVE[1])]
    assert normalise(ontology_of(dead), OLD[0]).targets[0].sctid == ACTIVE[1]
    circle = [(OLD[0], SAME_AS, OLD[1]), (OLD[1], SAME_AS, OLD[0]), (OLD[1], WAS_A, ACTIVE[2])]
    found = normalise(ontology_of(circle), OLD[0])
    assert [(t.sctid, t.kind) for t in found.targets] == [(ACTIVE[2], "was a")]


def test_a_dense_circle_ends_at_once():
    links = [(a, POSSIBLY_EQUIVALENT_TO, b) for a in OLD for b in OLD if a != b]
    assert normalise(ontology_of(links), OLD[0]).status == "unresolved"


def test_all_at_once_says_the_same_and_loses_nothing():
    ontology = ontology_of(HISTORY)
    codes = [*EXPECTED, *list(EXPECTED)[:3]]
    table = normalise_all(ontology, codes)
    assert dict(table.schema) == NORMALISED
    assert table["code"].unique(maintain_order=True).to_list() == [str(code) for code in EXPECTED]
    for code, (status, targets) in EXPECTED.items():
        rows = table.filter(code=str(code))
        assert rows["status"].unique().to_list() == [status]
        assert [row[2:] for row in rows.rows() if row[2] is not None] == targets


def test_codes_of_other_systems_go_through_the_maps():
    maps = [(ACTIVE[1], "ICD-10", "J18.9"), (ACTIVE[2], "ICD-10", "J18.0"), (ACTIVE[3], "ICD-10", "J18.0")]
    ontology = ontology_of([], maps)
    assert normalise(ontology, "J189", "ICD10").status == "mapped"
    assert ontology.normalise("j18.0", "icd-10").status == "ambiguous"
    assert normalise(ontology, "X99", "ICD-10").targets == ()
    table = normalise_all(ontology, ["J18.9", "X99", "j18.0", "J18.9"], "ICD10")
    assert table.select("code", "status", "concept").rows() == [
        ("J18.9", "mapped", ACTIVE[1]), ("X99", "unknown", None), ("j18.0", "ambiguous", ACTIVE[2]),
        ("j18.0", "ambiguous", ACTIVE[3]),
    ]  # fmt: skip
    assert normalise_all(ontology, [], "ICD10").is_empty()


LINKS = st.lists(
    st.tuples(
        st.sampled_from(OLD),
        st.sampled_from([SAME_AS, REPLACED_BY, WAS_A, ALTERNATIVE, POSSIBLY_EQUIVALENT_TO, MOVED_TO]),
        st.sampled_from([*ACTIVE, *OLD]),
    ),
    max_size=25,
)  # fmt: skip


@settings(max_examples=examples(80), deadline=None)
@given(LINKS)
def test_any_history_ends_in_active_concepts_with_a_confidence(links):
    ontology = ontology_of(links)
    for code in OLD:
        found = normalise(ontology, code)
        assert found.status in STATUSES
        assert bool(found.targets) is (found.status != "unresolved")
        assert len({t.sctid for t in found.targets}) == len(found.targets)
        assert all(0 < t.confidence <= 1 and t.sctid in ontology for t in found.targets)
        assert all(len(set(t.path)) == len(t.path) for t in found.targets)
    table = normalise_all(ontology, OLD)
    assert set(table["code"]) == set(map(str, OLD))
    assert np.isfinite(table["confidence"].to_numpy()).all()
