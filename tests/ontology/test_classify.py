"""What reasoners infer: they agree with one another, and with_inferred puts it into the parts and loses nothing."""

import importlib.util
import random
import shutil

import polars as pl
import pytest

from ontology import InputError, load_rf2, reasoners
from ontology.assemble import assemble
from ontology.builtin import write_rf2
from ontology.classify import classify, with_inferred
from ontology.codes import Keys, key
from ontology.disassemble import disassemble
from ontology.functional_text import renamed
from ontology.identifiers import IS_A, ROLE_GROUP
from ontology.locality import module
from ontology.logical import write_axioms
from ontology.parts import Parts
from ontology.report import LoadReport
from tests.needs import missing

G = ROLE_GROUP
NEEDS = {"hermit": "java", "pellet": "java", "elk": "pyelk"}


def there(reasoner):
    if NEEDS[reasoner] == "java":
        return shutil.which("java") is not None
    return importlib.util.find_spec("pyelk") is not None


def need(reasoner):
    if not there(reasoner):
        reason = f"{reasoner} needs {NEEDS[reasoner]}, which is not installed"
        if NEEDS[reasoner] == "java":
            missing(reason)
        pytest.skip(reason)  # no extra installs it: docs/reasoning.md says why


# Pellet takes seconds for the smallest ontology
@pytest.fixture(params=["hermit", "elk", pytest.param("pellet", marks=pytest.mark.slow)])
def reasoner(request):
    need(request.param)
    return request.param


def parts(axioms=(), concepts=range(1, 10), relations=(), values=(), defined=(), inactive=()):
    rows = [(source, kind, target, group, i) for i, (source, kind, target, group) in enumerate(relations, 1)]
    return Parts(
        concepts=pl.DataFrame({"sctid": list(concepts), "defined": [c in defined for c in concepts]}),
        inactive=pl.DataFrame({"sctid": list(inactive)}, schema={"sctid": pl.Int64}),
        axioms=pl.DataFrame([a if isinstance(a, tuple) else (1, a) for a in axioms],
                            schema={"sctid": pl.Int64, "axiom": pl.String}, orient="row"),
        relations=pl.DataFrame(rows, schema=["source", "type", "target", "group", "id"], orient="row") if rows else None
        or pl.DataFrame(schema={"source": pl.Int64, "type": pl.Int64, "target": pl.Int64, "group": pl.Int32,
                                "id": pl.Int64}),
        values=pl.DataFrame(list(values), schema={"source": pl.Int64, "type": pl.Int64, "group": pl.Int32,
                                                  "value": pl.String}, orient="row"),
    )  # fmt: skip


def some(role, filler):
    return f"ObjectSomeValuesFrom(:{role} {filler if isinstance(filler, str) else f':{filler}'})"


def both(*inside):
    return f"ObjectIntersectionOf({' '.join(i if isinstance(i, str) else f':{i}' for i in inside)})"


def group(*attributes):
    return some(G, attributes[0] if len(attributes) == 1 else both(*attributes))


TWO_ATTRIBUTES = f"EquivalentClasses(:1 {both(5, group(some(21, 6), some(22, 7)))})"
# axioms, direct is-a, pairs of equal classes, classes that are empty
CASES = {
    "a definition gives a new parent": (
        [TWO_ATTRIBUTES, f"SubClassOf(:2 {both(5, group(some(21, 6), some(22, 7), some(23, 8)))})"],
        {(1, 5), (2, 1)}, [], [],
    ),
    "a definition takes the place of a parent": (
        [f"EquivalentClasses(:1 {both(5, some(21, 6))})", f"EquivalentClasses(:2 {both(5, some(21, 7))})",
         "SubClassOf(:7 :6)"],
        {(1, 5), (2, 1), (7, 6)}, [], [],
    ),
    "two role groups are not put together": (
        [TWO_ATTRIBUTES, f"SubClassOf(:2 {both(5, group(some(21, 6)), group(some(22, 7)))})"],
        {(1, 5), (2, 5)}, [], [],
    ),
    "a general class axiom": (
        [f"SubClassOf({both(5, some(21, 6))} :1)", f"SubClassOf(:2 {both(5, some(21, 6))})"],
        {(2, 5), (2, 1)}, [], [],
    ),
    "a property chain": (
        ["SubObjectPropertyOf(ObjectPropertyChain(:21 :22) :21)", f"EquivalentClasses(:1 {some(21, 7)})",
         f"SubClassOf(:2 {some(21, 6)})", f"SubClassOf(:6 {some(22, 7)})"],
        {(2, 1)}, [], [],
    ),
    "a transitive property": (
        ["TransitiveObjectProperty(:22)", f"EquivalentClasses(:1 {some(22, 7)})", f"SubClassOf(:2 {some(22, 6)})",
         f"SubClassOf(:6 {some(22, 7)})"],
        {(2, 1), (6, 1)}, [], [],
    ),
    "a property below another": (
        ["SubObjectPropertyOf(:22 :21)", f"EquivalentClasses(:1 {some(21, 6)})", f"SubClassOf(:2 {some(22, 6)})"],
        {(2, 1)}, [], [],
    ),
    "equal classes have the parents of all, and are the parents of all": (
        ["EquivalentClasses(:1 :2)", "SubClassOf(:2 :3)", "SubClassOf(:4 :1)", f"EquivalentClasses(:5 {some(21, 6)})",
         f"EquivalentClasses(:7 {some(21, 6)})"],
        {(1, 3), (2, 3), (4, 1), (4, 2)}, [(1, 2), (5, 7)], [],
    ),
    "classes that nothing belongs to": (
        ["SubClassOf(:1 :2)", "SubClassOf(:1 :3)", "DisjointClasses(:2 :3)", "SubClassOf(:4 :1)",
         f"SubClassOf(:5 {some(21, 1)})", "SubClassOf(:6 owl:Nothing)", "SubClassOf(:7 :2)"],
        {(7, 2)}, [], [1, 4, 5, 6],
    ),
    "concrete values, and a property of values below another": (
        ['SubClassOf(:1 DataHasValue(:31 "5"^^xsd:integer))', "SubDataPropertyOf(:31 :32)",
         'EquivalentClasses(:2 DataHasValue(:32 "5"^^xsd:integer))',
         'EquivalentClasses(:3 DataHasValue(:32 "6"^^xsd:integer))',
         f'EquivalentClasses(:4 {group(some(21, 6), """DataHasValue(:31 "a b"^^xsd:string)""")})',
         f'SubClassOf(:5 {group(some(21, 6), """DataHasValue(:31 "a b"^^xsd:string)""", some(22, 7))})',
         f'SubClassOf(:8 {both(group(some(21, 6)), group("""DataHasValue(:31 "a b"^^xsd:string)"""))})'],
        {(1, 2), (5, 4)}, [], [],
    ),
}  # fmt: skip


def test_what_is_inferred(reasoner):
    """All cases side by side, each with names of its own, so that a reasoner is started once."""
    axioms, classes = [], []
    for place, (some_axioms, *_) in enumerate(CASES.values(), 1):
        axioms += [renamed(axiom, lambda name, p=place: _moved(name, p)) for axiom in some_axioms]
        classes += [1000 * place + n for n in range(1, 10)]
    found = classify(parts(axioms, concepts=classes), reasoner=reasoner)
    assert (found.reasoner, found.classes) == (reasoner, 9 * len(CASES))
    for place, (case, (_, is_a, equal, empty)) in enumerate(CASES.items(), 1):
        own = pl.col("source") // 1000 == place
        assert set(found.is_a.filter(own).rows()) == {
            (1000 * place + s, 1000 * place + t) for s, t in is_a
        }, case
        assert found.equivalent.filter(own).rows() == [
            (1000 * place + a, 1000 * place + b) for a, b in equal
        ], case
        assert [n for n in found.unsatisfiable if n // 1000 == place] == [1000 * place + n for n in empty], (
            case
        )


def _moved(name, place):
    return str(1000 * place + int(name)) if name.isdecimal() and name != str(G) else name


OTHERS = {
    "a class that everything belongs to": (
        ["SubClassOf(owl:Thing :3)", "SubClassOf(:1 :2)"],
        {(1, 2), *((n, 3) for n in (2, 4, 5, 6, 7, 8, 9))},
    ),
    "names that sound like errors, and of other schemes than http": (
        ["SubClassOf(<urn:x:Inconsistent> :1)", "SubClassOf(<tag:java.lang.OutOfMemoryError> <urn:x:Inconsistent>)"],
        {(key("urn:x:Inconsistent"), 1), (key("tag:java.lang.OutOfMemoryError"), key("urn:x:Inconsistent"))},
    ),
}  # fmt: skip


def test_what_is_said_twice_is_said_once(reasoner):
    axioms = ["SubClassOf(:1 ObjectIntersectionOf(:2 :2))", "EquivalentClasses(:3 :3)", "EquivalentClasses(:4 :5 :4)",
              f"SubClassOf(:6 ObjectIntersectionOf({some(21, 7)} {some(21, 7)}))"]  # fmt: skip
    found = classify(parts(axioms), reasoner=reasoner)
    assert (found.is_a.rows(), found.equivalent.rows()) == ([(1, 2)], [(4, 5)])


@pytest.mark.parametrize("case", OTHERS)
def test_what_else_is_inferred(reasoner, case):
    axioms, is_a = OTHERS[case]
    found = classify(parts(axioms), reasoner=reasoner)
    assert (set(found.is_a.rows()), found.equivalent.height, found.unsatisfiable) == (is_a, 0, [])


@pytest.mark.parametrize("reasoner", ["hermit", "elk"])
@pytest.mark.parametrize(
    "axioms",
    [
        ["ReflexiveObjectProperty(:21)", f"EquivalentClasses(:2 {some(21, 1)})"],
        [
            'SubClassOf(:1 DataHasValue(:31 "5"^^xsd:integer))',
            'EquivalentClasses(:2 DataHasValue(:31 "5.0"^^xsd:decimal))',
        ],
    ],
)
@pytest.mark.slow
def test_what_pellet_does_not_infer(axioms, reasoner):
    """Stated in the docs; once Pellet infers it the last line fails, and the docs have to change."""
    need(reasoner)
    assert classify(parts(axioms), reasoner=reasoner).is_a.rows() == [(1, 2)]
    if there("pellet"):
        assert classify(parts(axioms), reasoner="pellet").is_a.is_empty()


def tbox(seed, first, size=7):
    """Give random axioms in EL on classes of their own."""
    rng = random.Random(seed)
    classes, roles = [first + i for i in range(size)], [21, 22, 23]

    def expression(depth):
        kind = rng.random()
        if not depth or kind < 0.45:
            return f":{rng.choice(classes)}"
        if kind < 0.75:
            return some(rng.choice(roles), expression(depth - 1))
        return group(
            some(rng.choice(roles), expression(depth - 1)), some(rng.choice(roles), expression(depth - 1))
        )

    axioms = []
    for _ in range(rng.randint(4, 9)):
        inside = [expression(2) for _ in range(rng.randint(1, 3))]
        right = both(*inside) if len(inside) > 1 else inside[0]
        name, kind = rng.choice(classes), rng.random()
        if kind < 0.45:
            axioms.append(f"EquivalentClasses(:{name} {right})")
        elif kind < 0.85:
            axioms.append(f"SubClassOf(:{name} {right})")
        else:
            axioms.append(f"SubClassOf({right} :{name})")
    return axioms, classes


ROLES = ["SubObjectPropertyOf(:22 :21)", "SubObjectPropertyOf(ObjectPropertyChain(:21 :23) :21)",
         "TransitiveObjectProperty(:23)"]  # fmt: skip


@pytest.fixture(scope="module")
def many():
    """Two hundred random ontologies side by side, so that a reasoner is started once for all of them."""
    boxes = [tbox(seed, 1000 + 10 * seed) for seed in range(200)]
    return parts([*ROLES, *(axiom for axioms, _ in boxes for axiom in axioms)],
                 concepts=[c for _, classes in boxes for c in classes]), boxes  # fmt: skip


@pytest.fixture(scope="module")
def by_hermit(many):
    need("hermit")
    return classify(many[0], reasoner="hermit")


def test_elk_agrees_on_random_ontologies(many, by_hermit):
    need("elk")
    found = classify(many[0], reasoner="elk")
    assert len(by_hermit.is_a) > 500
    assert len(by_hermit.equivalent) > 20
    assert found.is_a.rows() == by_hermit.is_a.rows()
    assert found.equivalent.rows() == by_hermit.equivalent.rows()
    assert found.unsatisfiable == by_hermit.unsatisfiable


@pytest.mark.slow
def test_pellet_agrees_on_random_ontologies():
    """Fewer of them: of two hundred together Pellet makes a quarter of an hour and more than 2 GB."""
    need("pellet")
    boxes = [tbox(seed, 1000 + 10 * seed) for seed in range(12)]
    content = parts([*ROLES, *(axiom for axioms, _ in boxes for axiom in axioms)],
                    concepts=[c for _, classes in boxes for c in classes])  # fmt: skip
    ours, theirs = classify(content, reasoner="hermit"), classify(content, reasoner="pellet")
    assert len(ours.is_a) > 20
    assert theirs.is_a.rows() == ours.is_a.rows()
    assert theirs.equivalent.rows() == ours.equivalent.rows()


def test_a_module_says_the_same_as_the_whole(many, by_hermit):
    """Three classes of each of the random ontologies; what is above them is the same."""
    content, boxes = many
    about = {c for seed, (_, classes) in enumerate(boxes) for c in random.Random(seed).sample(classes, 3)}
    found = classify(content, reasoner="hermit", about=about)
    assert found.classes < 0.95 * by_hermit.classes, "otherwise this tests nothing"
    assert found.is_a.rows() == by_hermit.is_a.filter(pl.col("source").is_in(about)).rows()
    for a, b in by_hermit.equivalent.rows():
        assert ((a, b) in found.equivalent.rows()) == (a in about or b in about)


def test_the_module_of_one_class_has_what_is_needed_and_no_more():
    axioms = [
        "SubClassOf(:1 :2)", f"EquivalentClasses(:3 {both(2, some(21, 4))})", f"SubClassOf(:2 {some(22, 4)})",
        "SubObjectPropertyOf(:22 :21)", "SubClassOf(:3 :5)", "SubClassOf(:6 :1)", f"SubClassOf({some(24, 4)} :7)",
        "TransitiveObjectProperty(:24)", "ReflexiveObjectProperty(:25)", "SubClassOf(owl:Nothing :8)",
        "SubObjectPropertyOf(ObjectPropertyChain(:22 :25) :22)",
        "SubObjectPropertyOf(ObjectPropertyChain(:22 :24) :22)",
    ]  # fmt: skip
    kept, names = module(axioms, ["1"])
    assert kept == [*axioms[:5], axioms[8], axioms[10]]
    assert names == {"1", "2", "3", "4", "5", "21", "22", "25"}


def test_owlready2_infers_the_same(many, by_hermit, tmp_path):
    """The same axioms as RDF/XML, and the HermiT that owlready2 calls itself."""
    import owlready2
    import pyhornedowl

    document = pyhornedowl.open_ontology_from_string(write_axioms(many[0]), serialization="ofn")
    document.save_to_file(str(tmp_path / "o.owl"), serialization="owl")
    world = owlready2.World()
    onto = world.get_ontology((tmp_path / "o.owl").as_uri()).load()
    with onto:
        owlready2.sync_reasoner_hermit(world, debug=0)
    known = set(many[0].concepts["sctid"].to_list())
    theirs = set()
    for cls in onto.classes():
        twins = {cls, *(e for e in cls.INDIRECT_equivalent_to if isinstance(e, owlready2.ThingClass))}
        above = {int(a.name) for a in cls.ancestors() - twins if a.name.isdecimal() and int(a.name) in known}
        theirs |= {(int(cls.name), above_one) for above_one in above}
    assert theirs == closure(by_hermit)
    world.close()


def closure(found):
    """Every pair of a class and one above it that does not mean the same."""
    up = {}
    for source, target in found.is_a.rows():
        up.setdefault(source, set()).add(target)
    pairs = set()
    for start in up:
        todo, seen = list(up[start]), set()
        while todo:
            node = todo.pop()
            if node not in seen:
                seen.add(node)
                todo += up.get(node, ())
        pairs |= {(start, node) for node in seen}
    return pairs


@pytest.fixture(scope="module")
def builtin(tmp_path_factory):
    return load_rf2(write_rf2(tmp_path_factory.mktemp("b") / "rf2"))


def test_the_builtin_terminology_is_classified_as_it_is(builtin, reasoner):
    found = classify(builtin, reasoner=reasoner)
    up = builtin.relations.type == 0
    pairs = zip(
        builtin.sctids[builtin.relations.source[up]],
        builtin.sctids[builtin.relations.target[up]],
        strict=True,
    )
    assert set(found.is_a.rows()) == {(int(s), int(t)) for s, t in pairs}
    assert (found.equivalent.height, found.unsatisfiable) == (0, [])


@pytest.mark.parametrize(
    "axioms",
    [["SubClassOf(owl:Thing owl:Nothing)"],
     ["SubClassOf(owl:Thing :1)", "SubClassOf(:1 :2)", "SubClassOf(:1 :3)", "DisjointClasses(:2 :3)"]],
)  # fmt: skip
def test_what_contradicts_itself_is_refused(reasoner, axioms):
    with pytest.raises(InputError, match="inconsistent"):
        classify(parts(axioms), reasoner=reasoner)


@pytest.mark.parametrize(
    "axiom",
    ["SubClassOf(:1 ObjectUnionOf(:2 :3))", "SubObjectPropertyOf(ObjectInverseOf(:21) :22)",
     "SubClassOf(:1 ObjectAllValuesFrom(:21 :2))"],
)  # fmt: skip
def test_what_elk_is_incomplete_for_is_refused(axiom):
    need("elk")
    with pytest.raises(InputError, match="incomplete for what the axioms use: OBJECT_") as caught:
        classify(parts([axiom]), reasoner="elk")
    assert "hermit" in caught.value.remedy


def test_a_reasoner_that_takes_too_long_is_stopped(builtin, reasoner):
    with pytest.raises(InputError, match=r"took longer than 0\.05 s"):
        classify(builtin, reasoner=reasoner, timeout_s=0.05)


@pytest.mark.parametrize("name", ["hermit", pytest.param("pellet", marks=pytest.mark.slow)])
def test_a_reasoner_without_memory_says_so(builtin, name):
    need(name)
    with pytest.raises(InputError, match="needs more than 5 MB"):
        classify(builtin, reasoner=name, memory_mb=5)


@pytest.mark.parametrize("reasoner", ["hermit", pytest.param("pellet", marks=pytest.mark.slow)])
def test_a_literal_that_is_none_is_named(reasoner):
    """elk is given classes for values, and cannot tell."""
    need(reasoner)
    with pytest.raises(InputError, match="abc"):
        classify(parts(['SubClassOf(:1 DataHasValue(:31 "abc"^^xsd:decimal))']), reasoner=reasoner)


def test_without_java_the_remedy_is_said(monkeypatch):
    monkeypatch.setattr(reasoners.shutil, "which", lambda _: None)
    for name in ("hermit", "pellet"):
        with pytest.raises(InputError, match=r"needs Java, and there is none.*Install a Java runtime"):
            classify(parts(), reasoner=name)
    monkeypatch.setattr(reasoners, "find_spec", lambda _: None)
    with pytest.raises(InputError, match="needs Java, and there is none"):
        classify(parts(), reasoner="auto")
    with pytest.raises(InputError, match="pip install pyelk-reasoner"):
        classify(parts(), reasoner="elk")
    monkeypatch.setattr(reasoners, "find_spec", lambda _: object())
    assert reasoners.choose("auto") == "elk"
    with pytest.raises(InputError, match="Use one of: auto, hermit, pellet, elk"):
        classify(parts(), reasoner="fact++")


def test_an_axiom_that_does_not_parse_reaches_no_reasoner():
    with pytest.raises(InputError, match="of the axioms of 1, 'SubClassOf"):
        classify(parts(["SubClassOf(:1 :2) SubClassOf(:3 :4)"]))


def test_axioms_of_inactive_concepts_are_left_out(reasoner):
    content = parts([(9, "SubClassOf(:9 :1)"), (2, "SubClassOf(:2 :9)")], concepts=range(1, 9), inactive=[9])
    assert set(classify(content, reasoner=reasoner).is_a.rows()) == {(2, 9)}


def test_codes_that_are_no_sctids_keep_their_keys(reasoner):
    keys = Keys()
    mine, other = keys("X 1"), keys("DOID:7")
    content = parts(relations=[(mine, IS_A, other, 0), (other, IS_A, 1, 0)], concepts=[1, mine, other])
    content.codes = keys.frame()
    assert set(classify(content, reasoner=reasoner).is_a.rows()) == {(mine, other), (other, 1)}
    assert classify(content, reasoner=reasoner, about=[mine]).is_a.rows() == [(mine, other)]


NUMBER = 'DataHasValue(:31 "5.10"^^xsd:decimal)'
EXTENSION = [
    (1, f"EquivalentClasses(:1 {both(5, group(some(21, 6)))})"),
    (2, f"SubClassOf(:2 {both(5, group(some(21, 6), some(22, 7)), NUMBER)})"),
    (4, "SubClassOf(:4 owl:Thing)"),
]
BASE = [
    (3, IS_A, 5, 0),
    (3, 21, 8, 1),
    (2, IS_A, 5, 0),
    (8, IS_A, 6, 0),
    (4, IS_A, 5, 0),
    (5, IS_A, 9, 0),
    (3, IS_A, 9, 0),
]


def rows(done, *kinds):
    frame = done.relations.filter(pl.col("type").is_in(kinds)) if kinds else done.relations
    return set(frame.select("source", "type", "target", "group", "id").rows())


def test_inferred_parents_take_the_place_of_those_that_were_there(reasoner):
    """1 and 2 are new, 3 has only relations and comes below 1, 4 loses a parent that no axiom gives it."""
    content = parts(EXTENSION, relations=BASE, values=[(3, 31, 0, "#1")])
    done, found = with_inferred(content, reasoner=reasoner)
    assert found.added.rows() == [(1, 5), (2, 1), (3, 1)]
    assert found.removed.rows() == [(2, 5), (4, 5)]
    assert rows(done, IS_A) == {
        (1, IS_A, 5, 0, 0), (2, IS_A, 1, 0, 0), (3, IS_A, 1, 0, 0), (3, IS_A, 5, 0, 1), (8, IS_A, 6, 0, 4),
        (5, IS_A, 9, 0, 6), (3, IS_A, 9, 0, 7),
    }  # fmt: skip
    assert rows(done, 21, 22) == {(1, 21, 6, 1, 0), (2, 21, 6, 1, 0), (2, 22, 7, 1, 0), (3, 21, 8, 1, 2)}
    assert set(done.values.select("source", "type", "group", "value").rows()) == {
        (3, 31, 0, "#1"),
        (2, 31, 0, "#5.10"),
    }
    for name in ("concepts", "axioms", "terms", "maps", "history", "stated", "codes"):
        assert getattr(done, name).equals(getattr(content, name)), name
    assert rows(content) == rows(parts(EXTENSION, relations=BASE)), "the parts that were given are left alone"


def test_only_the_new_concepts_are_changed_if_so_wanted(reasoner):
    done, found = with_inferred(parts(EXTENSION, relations=BASE), reasoner=reasoner, about=[1, 2])
    assert found.added.rows() == [(1, 5), (2, 1)]
    assert found.removed.rows() == [(2, 5)]
    assert {(3, IS_A, 5, 0, 1), (4, IS_A, 5, 0, 5)} < rows(done)
    assert rows(done, 21, 22) == {(1, 21, 6, 1, 0), (2, 21, 6, 1, 0), (2, 22, 7, 1, 0), (3, 21, 8, 1, 2)}


def test_relations_of_a_base_without_axioms_are_trusted_if_so_wanted(reasoner):
    """An axiom that speaks of a concept of the base adds to what its relations say, and does not replace it."""
    content = parts([(3, "SubClassOf(:3 :7)"), (1, f"EquivalentClasses(:1 {both(5, group(some(21, 6)))})")],
                    relations=BASE)  # fmt: skip
    done, found = with_inferred(content, reasoner=reasoner, trust_relations=True)
    assert found.added.rows() == [(1, 5), (3, 1), (3, 7)]
    assert found.removed.rows() == [(3, 5), (3, 9)], "they follow from the new parent"
    done, found = with_inferred(content, reasoner=reasoner)
    assert found.added.rows() == [(1, 5), (3, 7)]
    assert {t for s, _, t, _, _ in rows(done, IS_A) if s == 3} == {7}


def test_an_attribute_that_is_there_is_not_written_anew(reasoner):
    """Those of a release are inferred ones, with inherited attributes: what an axiom states is less."""
    done, _ = with_inferred(parts(EXTENSION, relations=[*BASE, (1, 22, 8, 3)]), reasoner=reasoner)
    assert {row for row in rows(done, 21, 22) if row[0] == 1} == {(1, 22, 8, 3, 8)}


def test_equal_and_empty_classes_are_reported_and_not_lost(reasoner):
    axioms = ["EquivalentClasses(:1 :2)", "SubClassOf(:1 :5)", "SubClassOf(:3 :5)", "SubClassOf(:3 :6)",
              "DisjointClasses(:5 :6)", "SubClassOf(:4 :3)", "SubClassOf(:7 :3)"]  # fmt: skip
    content = parts(axioms, relations=[(7, IS_A, 3, 0), (7, 21, 6, 1)])
    done, found = with_inferred(content, reasoner=reasoner)
    assert found.equivalent.rows() == [(1, 2)]
    assert found.unsatisfiable == [3, 4, 7]
    pairs = {(s, t) for s, _, t, _, _ in rows(done, IS_A)}
    assert pairs == {(1, 5), (2, 5), (3, 5), (3, 6), (7, 3)}
    assert assemble("x", done, LoadReport()).sctids.tolist() == list(range(1, 10))


def test_what_is_put_in_entails_what_was_inferred(many, by_hermit):
    """The closure of the new relations is the reasoner's; and no circle comes of equal classes."""
    done, found = with_inferred(many[0], reasoner="hermit")
    assert found.is_a.rows() == by_hermit.is_a.rows()
    onto = assemble("x", done, LoadReport())
    pairs = {(int(c), int(a)) for c in onto.sctids for a in onto.ancestors(int(c))}
    assert pairs == closure(by_hermit)


def test_an_edition_with_an_extension_written_as_axioms(builtin):
    """The way of the command line: the extension's axioms after the base's own parts."""
    need("hermit")
    base = disassemble(builtin)
    pneumonia = next(int(s) for s in builtin.sctids if builtin.term(int(s)) == "Bacterial pneumonia")
    new = 9_999_999_999_999_999
    relations = base.relations.filter((pl.col("source") == pneumonia) & (pl.col("type") != IS_A))
    attributes = [
        group(some(kind, int(target))) for kind, target in relations.select("type", "target").rows()
    ]
    parents = builtin.parents(pneumonia)
    axiom = f"EquivalentClasses(:{new} {both(*(int(p) for p in parents), *attributes)})"
    layer = Parts(concepts=pl.DataFrame({"sctid": [new], "defined": [True]}),
                  axioms=pl.DataFrame({"sctid": [new], "axiom": [axiom]}))  # fmt: skip
    whole = Parts.together([base, layer])
    done, found = with_inferred(whole, reasoner="hermit")
    assert (pneumonia, new) in found.added.rows(), "the base's concept belongs below the new definition"
    onto = assemble("x", done, LoadReport())
    assert new in [int(a) for a in onto.ancestors(pneumonia)]
    only, slim = with_inferred(whole, reasoner="hermit", about=[new])
    assert slim.classes < found.classes / 10
    assert (
        slim.added.filter(pl.col("source") == new).rows()
        == found.added.filter(pl.col("source") == new).rows()
    )
    assert only.relations.height == base.relations.height + len(parents) + len(attributes)
