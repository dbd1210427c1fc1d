"""An extension as an RF2 Delta: valid row by row, and over its base the extended ontology again."""

import re
import uuid

import polars as pl
import pytest
from test_rf2_writer import tables_of

from mhdiff.cli import main
from ontology import Ontology, load_rf2, sctid
from ontology.assemble import assemble
from ontology.builtin import sctid_of, write_rf2
from ontology.codes import Keys
from ontology.disassemble import disassemble
from ontology.identifiers import DIALECTS, IS_A, PREFERRED, US_ENGLISH
from ontology.parts import Parts
from ontology.report import LoadReport
from ontology.rf2_files import COLUMNS
from ontology.writers.rf2 import DEPENDENCIES, MODULES, write

NAMESPACE, DATE = 9999003, 20260601
# RF2 Release File Specification, 3.3.2: file type and format, content type, summary, country and namespace, date.
NAME = re.compile(
    r"(sct2_(?P<component>Concept|Description|TextDefinition|Relationship|StatedRelationship|"
    r"RelationshipConcreteValues|Identifier)_Delta|(sct2|der2)_(?P<letters>[cis]*)Refset_[A-Za-z0-9]+Delta)"
    r"(-[a-z]{2,3}(-[A-Za-z]{2})?)?_([A-Z]{2})?(?P<namespace>[0-9]{7})_(?P<date>[0-9]{8})\.txt"
)
FINDING_SITE = 363698007


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return write_rf2(tmp_path_factory.mktemp("b") / "builtin")


@pytest.fixture(scope="module")
def base(release):
    return load_rf2(release)


@pytest.fixture(scope="module")
def extended(base):
    """The base with concepts, a definition, a Swedish term, a concrete value, a subset, and a synonym of the base."""
    keys = Keys()
    one, two, slim = keys("MYLAB:001"), keys("MYLAB:002"), keys("my slim")
    dose = keys("MYLAB:dose")
    pneumonia, lung = sctid_of("pneumonia"), sctid_of("lung")
    terms = [
        (one, "Frothy pneumonia (disorder)", "fsn", True, "en"), (one, "Frothy pneumonia", "synonym", True, "en"),
        (one, 'A "frothy" one', "definition", False, "en"), (two, "Worse (disorder)", "fsn", True, "en"),
        (two, "Worse", "synonym", True, "en"), (two, "Värre", "synonym", False, "sv"),
        (pneumonia, "Inflamed lung", "synonym", False, "en"),
    ]  # fmt: skip
    layer = Parts(
        concepts=pl.DataFrame({"sctid": [one, two], "defined": [True, False]}),
        terms=pl.DataFrame(terms, schema=["sctid", "term", "kind", "preferred", "language"], orient="row"),
        relations=pl.DataFrame({
            "source": [one, two, one], "type": [IS_A, IS_A, FINDING_SITE], "target": [pneumonia, one, lung],
            "group": [0, 0, 1],
        }),
        values=pl.DataFrame({"source": [two], "type": [dose], "value": ["#0.5"], "group": [1]}),
        maps=pl.DataFrame({"sctid": [one], "system": ["ICD-10"], "target": ["J18.8"], "group": [1],
                           "origin": ["refset:447562003"], "category": [447637006]}),
        members={"subset": pl.DataFrame({"id": [""], "effective_time": [0], "module": [0], "refset": [slim],
                                         "component": [one]}, schema_overrides={"effective_time": pl.Int32})},
        codes=keys.frame(),
    )  # fmt: skip
    return assemble("frothy", Parts.together([disassemble(base), layer]), LoadReport())


@pytest.fixture(scope="module")
def delta(extended, base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("d") / "delta"
    return write(extended, folder, base=base, effective_time=DATE, namespace=NAMESPACE)


def rows_of(path):
    """The rows of a file, split by hand."""
    header, *rows = path.read_bytes().decode().removesuffix("\r\n").split("\r\n")
    return [dict(zip(header.split("\t"), row.split("\t"), strict=True)) for row in rows]


def files(delta):
    return {path: rows_of(path) for path in sorted(delta.rglob("*.txt"))}


def kind_of(path, kind):
    return [row for file, rows in files(path).items() if f"_{kind}" in file.name for row in rows]


def test_names_are_those_of_the_specification(delta):
    assert [path.name for path in delta.iterdir() if path.is_dir()] == ["Delta"]
    for path, rows in files(delta).items():
        found = NAME.fullmatch(path.name)
        assert found, path.name
        assert (found["namespace"], found["date"]) == (str(NAMESPACE), str(DATE))
        folder = path.relative_to(delta / "Delta").parts[0]
        assert folder == ("Terminology" if path.name.startswith("sct2_") else "Refset")
        if found["letters"] is not None and rows:
            own = list(rows[0])[6:]
            assert len(found["letters"]) == len(own), path.name
            for letter, column in zip(found["letters"], own, strict=True):
                values = [row[column] for row in rows if row[column]]
                if letter == "c":
                    assert all(sctid.is_valid(value) for value in values), (path.name, column)
                if letter == "i":
                    assert all(value.isdecimal() for value in values), (path.name, column)
    languages = {path.name.split("Delta")[1][:3] for path in files(delta) if "_Description_" in path.name}
    assert languages == {"-en", "-sv"}


def test_every_identifier_is_valid(delta, base):
    ours = set()
    for path, rows in files(delta).items():
        assert list(rows[0])[: len(COLUMNS["concept"]) - 1] == list(COLUMNS["concept"][:4])
        for row in rows:
            assert row["effectiveTime"] == str(DATE)
            assert row["active"] == "1"  # nothing of the base goes away
            if "refsetId" in row:
                assert str(uuid.UUID(row["id"])) == row["id"]
                assert sctid.is_valid(row["refsetId"])
                assert sctid.is_valid(row["referencedComponentId"])
                continue
            assert sctid.is_valid(row["id"])
            assert sctid.namespace_of(int(row["id"])) == NAMESPACE
            partition = {"Concept": "10", "Description": "11", "TextDefinition": "11"}.get(
                path.name.split("_")[1], "12"
            )
            assert sctid.partition_of(int(row["id"])) == partition
            assert row["id"] not in ours
            ours.add(row["id"])
            for column in ("conceptId", "sourceId", "destinationId", "typeId", "moduleId"):
                assert sctid.is_valid(row.get(column, row["id"]))
    before = {str(s) for s in base.sctids.tolist()} | {str(i) for i in base.terms["id"]}
    assert not ours & (before | {str(i) for i in base.relations.id})


def test_the_module_is_the_extensions_own_and_says_what_it_needs(delta, base):
    modules = {row["moduleId"] for rows in files(delta).values() for row in rows}
    (module,) = modules
    assert module in {row["id"] for row in kind_of(delta, "Concept_")}
    assert sctid.namespace_of(int(module)) == NAMESPACE
    needed = kind_of(delta, "ssRefset_ModuleDependency")
    theirs = {int(m) for m in base.report.modules}
    assert {int(row["referencedComponentId"]) for row in needed} == theirs
    for row in needed:
        assert row["refsetId"] == str(DEPENDENCIES)
        assert row["sourceEffectiveTime"] == str(DATE)
        assert row["targetEffectiveTime"] == base.report.effective_time


def test_every_description_is_in_the_language_reference_set(delta):
    descriptions = {row["id"] for row in kind_of(delta, "Description_") + kind_of(delta, "TextDefinition_")}
    accepted = kind_of(delta, "cRefset_Language")
    assert {row["referencedComponentId"] for row in accepted} == descriptions
    (swedish,) = (row["id"] for row in kind_of(delta, "Description_") if row["languageCode"] == "sv")
    sets = {row["referencedComponentId"]: row["refsetId"] for row in accepted}
    assert sets.pop(swedish) == str(DIALECTS["sv-SE"])
    assert set(sets.values()) == {str(US_ENGLISH)}
    preferred = {row["referencedComponentId"] for row in accepted if row["acceptabilityId"] == str(PREFERRED)}
    terms = {row["id"]: row["term"] for row in kind_of(delta, "Description_")}
    assert {terms[i] for i in preferred if i in terms} >= {"Frothy pneumonia", "Worse", "frothy module"}


def renamed(ontology, folder):
    """The tables with the SCTIDs that the Delta gave, and its date and module for what has none."""
    table = pl.read_csv(
        folder / "identifiers.tsv", separator="\t", quote_char=None, schema_overrides={"kind": pl.String}
    )
    given = {
        key: table.filter(kind="10", content=code)["sctid"].item()
        for key, code in ontology.codes.select("key", "code").iter_rows()
    }
    tables = tables_of(ontology)
    for name, frame in tables.items():
        columns = [c for c in ("sctid", "source", "target", "type", "refset") if c in frame.columns]
        tables[name] = frame.with_columns(pl.col(columns).replace(given)) if columns else frame
    return tables


def assert_same_content(layered, extended, folder, module):
    """All that both say is equal; the module's concept and what a Delta adds (date, module, ids) is accounted for."""
    expected, found = renamed(extended, folder), tables_of(layered)
    for name, columns in {
        "concepts": ["sctid", "defined", "module", "effective_time"], "terms": ["sctid", "term", "kind", "preferred"],
        "relations": ["source", "type", "target", "group"], "values": ["source", "type", "value", "group"],
        "maps": ["sctid", "system", "group", "priority", "rule", "advice", "target", "predicate", "origin", "category"],
        "history": ["source", "refset", "target"], "inactive": ["sctid"], "axioms": ["sctid", "axiom"],
    }.items():  # fmt: skip
        want = expected[name].select(columns)
        if name == "concepts":
            new = pl.col("effective_time") == 0
            want = want.with_columns(
                module=pl.when(new).then(module).otherwise("module"),
                effective_time=pl.when(new).then(pl.lit(DATE, pl.Int32)).otherwise("effective_time"),
            )
        owner = columns[0]
        here = found[name].select(columns).filter(pl.col(owner) != module)
        if name == "concepts":
            assert here.height == found[name].height - (module in layered.sctids)
        assert sorted(here.rows()) == sorted(want.rows()), name


def test_over_its_base_it_is_the_extended_ontology(delta, extended, release):
    layered = load_rf2([release, delta])  # its dependencies are checked
    table = pl.read_csv(delta / "identifiers.tsv", separator="\t", schema_overrides={"kind": pl.String})
    module = table.filter(kind="10", content="the module of the extension")["sctid"].item()
    assert len(layered) == len(extended) + 1
    assert_same_content(layered, extended, delta, module)
    assert layered.fsn(module) == "frothy module (core metadata concept)"
    assert layered.members["reference set"].height == 1
    assert layered.report.dropped == {}
    one = table.filter(kind="10", content="MYLAB:001")["sctid"].item()
    assert layered.term(one) == "Frothy pneumonia"
    assert one in layered.concepts_of("J18.8", "ICD-10")
    assert layered.parents(one).tolist() == [sctid_of("pneumonia")]


def test_with_a_module_of_ones_own_the_content_is_equal_to_the_last_concept(
    extended, base, release, tmp_path
):
    module = sctid.make_sctid(1, 1000001, "10")
    folder = write(
        extended, tmp_path / "d", base=base, effective_time=DATE, namespace=NAMESPACE, module=module
    )
    layered = load_rf2([release, folder])
    assert len(layered) == len(extended)
    assert_same_content(layered, extended, folder, module)
    assert {row["moduleId"] for rows in files(folder).values() for row in rows} == {str(module)}


def test_a_second_delta_after_the_first_changes_nothing(delta, extended, base, release, tmp_path):
    """What was released once is the base of the next release, under the same SCTIDs."""
    layered = load_rf2([release, delta])
    again = write(
        layered, tmp_path / "d", base=layered, effective_time=20270101, namespace=NAMESPACE,
        module=int(kind_of(delta, "Concept_")[0]["moduleId"]), identifiers=delta / "identifiers.tsv",
    )  # fmt: skip
    assert [path.name.split("_")[1] for path, rows in files(again).items() if rows] == ["ssRefset"]
    third = load_rf2([release, delta, again])
    for name, table in tables_of(third).items():
        assert table.equals(tables_of(layered)[name]), name


def test_new_ids_are_none_that_the_base_uses_in_the_same_namespace(extended, base, release, tmp_path):
    ours = sctid.namespace_of(int(base.sctids[0]))
    assert ours
    folder = write(extended, tmp_path / "d", base=base, effective_time=DATE, namespace=ours)
    layered = load_rf2([release, folder])
    assert len(layered) == len(extended) + 1
    assert layered.report.overridden == {}
    assert set(base.sctids.tolist()) <= set(layered.sctids.tolist())


def test_the_module_stands_below_modules_where_the_base_has_them(extended, base, release, tmp_path):
    parts = disassemble(base)
    concept = Parts(concepts=pl.DataFrame({"sctid": [MODULES]}))
    richer = assemble("richer", Parts.together([parts, concept]), LoadReport())
    more = assemble("more", Parts.together([disassemble(extended), concept]), LoadReport())
    folder = write(more, tmp_path / "d", base=richer, effective_time=DATE, namespace=NAMESPACE)
    (module,) = {row["moduleId"] for row in kind_of(folder, "Concept_")}
    above = [row for row in kind_of(folder, "Relationship_") if row["sourceId"] == module]
    assert [(row["typeId"], row["destinationId"]) for row in above] == [(str(IS_A), str(MODULES))]


def test_the_command_writes_it(extended, base, release, tmp_path, capsys):
    extended.save(tmp_path / "e")
    base.save(tmp_path / "b")
    out = tmp_path / "d"
    arguments = ["--base", str(tmp_path / "b"), "--namespace", str(NAMESPACE), "--effective-time", str(DATE)]
    order = ["ontology", "export", str(tmp_path / "e"), "--format", "rf2", "--out", str(out)]
    assert main([*order, *arguments]) == 0
    printed = capsys.readouterr()
    assert "left out: nothing" in printed.err
    layered = load_rf2([release, out])
    assert len(layered) == len(extended) + 1
    assert Ontology.open(layered.save(tmp_path / "l")).fingerprint == layered.fingerprint
    assert (
        main(
            [*order[:-1], str(tmp_path / "again"), *arguments, "--identifiers", str(out / "identifiers.tsv")]
        )
        == 0
    )
    assert (tmp_path / "again/identifiers.tsv").read_bytes() == (out / "identifiers.tsv").read_bytes()
    assert main([*order[:-1], str(tmp_path / "m"), *arguments, "--module", str(sctid_of("pneumonia"))]) == 0
    assert {row["moduleId"] for row in kind_of(tmp_path / "m", "Concept_")} == {str(sctid_of("pneumonia"))}
