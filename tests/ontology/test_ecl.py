"""ECL against a brute-force answer over sets, written apart from the evaluator."""

import pytest
from dags import AGENT, DOSE, IS_A, REFSET, SITE, build, cases
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ontology import ConceptNotFound, InputError
from ontology.ecl import parse, select
from tests.searches import LENGTH, examples


def closure(size, edges):
    """{concept: itself and everything above it}."""
    above = {c: {c} for c in range(1, size + 1)}
    for c in range(1, size + 1):  # parents have smaller numbers
        for source, kind, target, _ in edges:
            if source == c and kind == IS_A:
                above[c] |= above[target]
    return above


class Brute:
    def __init__(self, case):
        self.size, self.edges, self.values, self.members = case
        self.everyone = set(range(1, self.size + 1))
        self.above = closure(self.size, self.edges)
        self.below = {c: {d for d in self.everyone if c in self.above[d]} for c in self.everyone}
        self.parents = {c: {t for s, k, t, _ in self.edges if s == c and k == IS_A} for c in self.everyone}

    def hierarchy(self, sign, of):
        if sign in ("", "<<", "<", "<!", "<<!"):
            direct = {c for c in self.everyone if self.parents[c] & of}
            below, strictly = (set().union(*(self.below[c] - out for c in of for out in [{c} if o else set()]))
                               for o in (0, 1))  # fmt: skip
            return {"": of, "<<": below, "<": strictly, "<!": direct, "<<!": direct | of}[sign]
        direct = set().union(*(self.parents[c] for c in of))
        above = set().union(*(self.above[c] for c in of))
        strictly = set().union(*(self.above[c] - {c} for c in of))
        return {">>": above, ">": strictly, ">!": direct, ">>!": direct | of}[sign]

    def groups(self, concept):
        """The rows of each group; a row of group 0 is a group by itself."""
        found = {}
        for s, k, t, g in self.edges:
            if s == concept and k != IS_A:
                found.setdefault(g or (k, t), []).append((k, t))
        return found.values()


SIGNS = ("", "<<", "<", "<!", "<<!", ">>", ">", ">!", ">>!")


@settings(max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases(), st.data())
def test_hierarchy_and_sets_agree_with_brute_force(case, data):
    brute, ontology = Brute(case), build(*case)
    node = st.integers(1, brute.size)

    def part():
        kind = data.draw(st.sampled_from(["concept", "any", "members"]))
        if kind == "any":
            return "*", brute.everyone
        if kind == "members" and brute.members:
            return f"^ {REFSET}", set(brute.members)
        sign, concept = data.draw(st.sampled_from(SIGNS)), data.draw(node)
        return f"{sign} {concept} |a term|", brute.hierarchy(sign, {concept})

    (one, a), (other, b) = part(), part()
    for joint, expected in (("AND", a & b), (",", a & b), ("or", a | b), ("MINUS", a - b)):
        assert set(select(ontology, f"{one} {joint} ({other})").tolist()) == expected
    sign = data.draw(st.sampled_from(SIGNS))
    assert set(select(ontology, f"{sign} ({one} OR {other})").tolist()) == brute.hierarchy(sign, a | b)


@settings(max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases(), st.data())
def test_refinements_agree_with_brute_force(case, data):
    brute, ontology = Brute(case), build(*case)
    node = st.integers(1, brute.size)
    value, second = data.draw(node), data.draw(node)
    below = brute.hierarchy("<<", {value})
    said = {c: [(k, t) for s, k, t, _ in brute.edges if s == c and k != IS_A] for c in brute.everyone}

    def found(text):
        return set(select(ontology, text).tolist())

    assert found(f"* : {SITE} = << {value}") == {
        c for c in said if any(k == SITE and t in below for k, t in said[c])
    }
    assert found(f"* : {SITE} != {value}") == {
        c for c in said if any(k == SITE and t != value for k, t in said[c])
    }
    assert found(f"* : * = {value}") == {c for c in said if any(t == value for _, t in said[c])}
    both = {c for c in said if (SITE, value) in said[c] and (AGENT, second) in said[c]}
    assert found(f"* : {SITE} = {value}, {AGENT} = {second}") == both
    either = {c for c in said if (SITE, value) in said[c] or (AGENT, second) in said[c]}
    assert found(f"* : {SITE} = {value} OR {AGENT} = {second}") == either
    together = {c for c in said if any((SITE, value) in g and (AGENT, second) in g for g in brute.groups(c))}
    assert found(f"* : {{ {SITE} = {value}, {AGENT} = {second} }}") == together
    count = {c: sum(k == SITE for s, k, _, _ in brute.edges if s == c) for c in said}
    assert found(f"* : [0..0] {SITE} = *") == {c for c in said if count[c] == 0}
    assert found(f"* : [2..*] {SITE} = *") == {c for c in said if count[c] >= 2}
    assert found(f"* : R {SITE} = {value}") == {t for s, k, t, _ in brute.edges if k == SITE and s == value}
    assert found(f"{value} . {SITE}") == {t for s, k, t, _ in brute.edges if k == SITE and s == value}
    doses = {c: [float(v[1:]) for s, _, _, v in brute.values if s == c] for c in said}
    assert found(f"* : {DOSE} >= #2.5") == {c for c in said if any(d >= 2.5 for d in doses[c])}
    assert found(f"* : {DOSE} = #1.0") == {c for c in said if 1 in doses[c]}


TEN = build(10, {(i, IS_A, 1, 0) for i in range(2, 11)} | {(3, SITE, 4, 1)}, (), (5,))
REFUSED = [
    ("", 1), ("<<", 3), ("<< (2", 6), ("2 AND 3 OR 4", 9), ("2 MINUS 3 MINUS 4", 11), ("2 ]", 3), ("2 : ", 5),
    ("* : 363698007", 14), ("* : 363698007 = ", 17), ("2 |open", 3), ("/* open", 1), ("<< 2 {{ term = \"x\" }}", 6),
    ("* : { 363698007 = { 4 } }", 19), ("2 § 3", 3), ("* : [3..1] 363698007 = *", 5), ("(" * 60 + "2" + ")" * 60, 51),
]  # fmt: skip


@pytest.mark.parametrize(("text", "place"), REFUSED)
def test_what_does_not_parse_is_refused_with_its_place(text, place):
    with pytest.raises(InputError, match=rf"\bcharacter {place}\b"):
        select(TEN, text)


def test_unknown_concepts_are_refused_with_their_place():
    with pytest.raises(InputError, match=r"character 9\b") as caught:
        select(TEN, "<< 2 OR 77")
    assert isinstance(caught.value, ConceptNotFound | InputError)


def test_a_parsed_expression_can_be_asked_again():
    tree = parse("< 1 : 363698007 = 4 /* why */")
    assert select(TEN, tree).tolist() == [3]


PIECES = st.sampled_from([
    "<<", "<", "!", ">", "^", "*", "(", ")", "{", "}", "[", "]", "1", "2", "363698007", "=", "!=", ":", ",", ".", "AND",
    "OR", "MINUS", "R", "#2", '"x"', "|t|", "{{", "..", "/*", "*/", "§", "\x00", " ",
])  # fmt: skip
TEXTS = st.one_of(st.lists(PIECES, max_size=14).map(" ".join), st.text(max_size=30))


def answered(text):
    try:
        found = select(TEN, text)
    except InputError:
        return
    assert set(found.tolist()) <= set(range(1, 11))


@settings(max_examples=75, deadline=None)
@given(TEXTS)
def test_any_text_gives_concepts_or_an_input_error(text):
    answered(text)


@pytest.mark.slow
@settings(max_examples=LENGTH, deadline=None)
@given(TEXTS)
def test_texts_give_concepts_or_an_input_error_at_length(text):
    answered(text)
