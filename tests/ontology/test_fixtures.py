"""Every file of the real data: it loads with the counts of its lines, or is refused for what it was made for.

The files are enumerated: one that nothing here expects fails a test. Counts are those of plain lines, JSON or CSV, and
share no code with the readers.
"""

import csv
import json
import re
from collections import Counter

import polars as pl
import pytest

from ontology import InputError, load, load_rf2
from ontology.assemble import assemble
from ontology.disassemble import disassemble
from ontology.formats import read
from ontology.parts import Parts
from ontology.readers.sssom import load_mappings
from ontology.report import LoadReport

# Releases, by their last folders: what loads, and on what a Delta or an empty extension has to lie.
LOADS = (
    "disease-ontology", "hermes/test/resources/example-snapshot",
    "snowstorm/src/main/resources/dummy-snomed-content/RF2Release",
    "snowstorm/src/test/resources/dummy-snomed-content/SnomedCT_MiniRF2",
    "snowstorm/src/test/resources/dummy-snomed-content/SnomedCT_MiniRF2_Base_snapshot",
    "snowstorm/src/test/resources/dummy-snomed-content/SnomedCT_MiniRF2_Extension_snapshot",
    "snowstorm/src/test/resources/import-tests/blankOrLaterEffectiveTimeBase",
    "snowstorm-lite/src/test/resources/dummy-snomed-content/SnomedCT_MiniRF2",
)  # fmt: skip
_DUMMY = "snowstorm/src/test/resources/dummy-snomed-content/SnomedCT_MiniRF2"
_TESTS = "snowstorm/src/test/resources/import-tests"
_BASE = f"{_DUMMY}_Base_snapshot"
ONLY_A_DELTA, NO_CONCEPT = "there is only a Delta", "there is not one active concept"
REFUSED = {  # the release, why it does not load alone, and what it lies over
    "snowstorm/src/main/resources/dummy-snomed-content/conversion-to-complete-owl": (
        ONLY_A_DELTA, "snowstorm/src/main/resources/dummy-snomed-content/RF2Release"),
    f"{_DUMMY}_New_Authoring_cyle_delta": (ONLY_A_DELTA, _BASE),
    f"{_DUMMY}_Release_Fix_delta": (ONLY_A_DELTA, _BASE),
    f"{_DUMMY}_bad_delta": (ONLY_A_DELTA, _BASE),
    f"{_DUMMY}_donation_delta": (ONLY_A_DELTA, _BASE),
    f"{_DUMMY}_dummy_mrcm_snap": (NO_CONCEPT, _BASE),
    f"{_TESTS}/blankEffectiveTimeTest": (ONLY_A_DELTA, f"{_TESTS}/blankOrLaterEffectiveTimeBase"),
    f"{_TESTS}/blankOrLaterEffectiveTimeTest": (ONLY_A_DELTA, f"{_TESTS}/blankOrLaterEffectiveTimeBase"),
    f"{_TESTS}/multipleTrailingBlankFields": (ONLY_A_DELTA, _BASE),
    f"{_TESTS}/refset-snapshot-import": (NO_CONCEPT, f"{_TESTS}/blankOrLaterEffectiveTimeBase"),
    "snowstorm-lite/src/test/resources/dummy-snomed-content/SnomedCT_SE_MiniRF2": (
        NO_CONCEPT, "snowstorm-lite/src/test/resources/dummy-snomed-content/SnomedCT_MiniRF2"),
}  # fmt: skip
# Folders of the same release beside the Snapshot, which are read on their own here.
BESIDE = {
    f"{release}/Full": release
    for release in (
        "snowstorm/src/main/resources/dummy-snomed-content/RF2Release",
        "snowstorm/src/test/resources/dummy-snomed-content/SnomedCT_MiniRF2",
    )
}
DELTAS_BESIDE = {f"{release}/Delta": release for release in BESIDE.values()}
# What is no terminology: read by nobody, or a table to hold others against.
NO_SOURCE = {
    "rf2/disease-ontology/concepts.tsv", "rf2/hermes/LICENSE", "rf2/snowstorm/LICENSE.md",
    "rf2/snowstorm-lite/LICENSE.md", "rf2/hermes/test/resources/example-snapshot/README.md",
    "rf2/hermes/test/resources/example-release_package_information.json",
    "rf2/hermes/test/resources/example-snomed-file-list.txt", "rf2/hermes/test/resources/logback-test.xml",
    "rf2/snowstorm/src/main/resources/dummy-snomed-content/warning.txt",
    "ontologies/LICENSE", "ontologies/HumanDO.tsv", "ontologies/allXREFinDO.tsv", "omop/LICENSE",
    "mappings/covid_finding_crosswalk.csv",
}  # fmt: skip
SLIMS = ("DO_RAD_slim", "DO_infectious_disease_slim")
MAPPINGS = ("doid", "icd10cm", "sctid")
VOCABULARY = ("CONCEPT.csv", "CONCEPT_RELATIONSHIP.csv", "RELATIONSHIP.csv")
PATIENTS = (
    "CONDITION_OCCURRENCE", "DEATH", "DRUG_EXPOSURE", "MEASUREMENT", "NOTE", "OBSERVATION", "OBSERVATION_PERIOD",
    "PERSON", "PROCEDURE_OCCURRENCE", "VISIT_OCCURRENCE", "VOCABULARY",
)  # fmt: skip


def test_every_file_is_expected(shared):
    """A new fixture fails here until somebody says what is to become of it."""
    data = shared / "data"
    found = {
        path.relative_to(data).as_posix()
        for folder in ("rf2", "ontologies", "mappings", "omop")
        for path in (data / folder).rglob("*")
        if path.is_file()
    }
    expected = NO_SOURCE | {f"omop/synthea27nj/{name}" for name in VOCABULARY}
    expected |= {f"omop/synthea27nj/{name}.csv" for name in PATIENTS}
    expected |= {f"mappings/mondo_exactmatch_{name}.sssom.tsv" for name in MAPPINGS}
    expected |= {f"ontologies/{slim}.{ending}" for slim in SLIMS for ending in ("obo", "owl", "json")}
    releases = tuple(f"rf2/{name}/" for name in (*LOADS, *REFUSED))
    left = {name for name in found - expected if not (name.startswith(releases) and name.endswith(".txt"))}
    assert left == set()
    assert expected <= found


def rows_of(path):
    """The header and the rows of an RF2 file, comments and blank lines left out."""
    lines = path.read_bytes().decode("utf-8-sig").split("\n")
    fields = [line.rstrip("\r").split("\t") for line in lines if line.strip() and not line.startswith("#")]
    return fields[0], fields[1:]


def files_of(folder, kind):
    """The RF2 files of one release kind; a folder's name counts where a file's does not say it."""
    found = []
    for path in sorted(folder.rglob("*.txt")):
        if re.match(r"(sct2|der2)_", path.name):
            said = re.findall(r"(Full|Snapshot|Delta)(?=[-_.])", path.name)
            said = said or [part for part in path.parts if part in ("Full", "Snapshot", "Delta")]
            if said[-1] == kind:
                found.append(path)
    return found


def assert_rows_read(report, *packages):
    """Each file of the packages was read, with as many rows as it has lines."""
    expected = Counter(
        (path.relative_to(folder).as_posix(), len(rows_of(path)[1]))
        for folder, kind in packages
        for path in files_of(folder, kind)
    )
    assert Counter((entry["file"], entry["rows"]) for entry in report.files_read) == expected


def concepts_of(*packages):
    """The active concepts, by the latest effectiveTime over all packages; a blank one is the latest."""
    latest = {}
    for folder, kind in packages:
        for path in files_of(folder, kind):
            if path.name.startswith("sct2_Concept_"):
                for row in rows_of(path)[1]:
                    if row[0] not in latest or (row[1] or "9") >= latest[row[0]][0]:
                        latest[row[0]] = (row[1] or "9", row[2])
    return sorted(int(sctid) for sctid, (_, active) in latest.items() if active == "1")


@pytest.mark.parametrize("name", LOADS)
def test_a_release_loads_with_the_rows_of_its_files(shared, name):
    folder = shared / "data/rf2" / name
    ontology = load_rf2(folder)
    assert_rows_read(ontology.report, (folder, "Snapshot"))
    assert ontology.sctids.tolist() == concepts_of((folder, "Snapshot"))


@pytest.mark.parametrize("name", BESIDE)
def test_a_full_loads_with_the_rows_of_its_files(shared, name):
    folder = shared / "data/rf2" / name
    ontology = load_rf2(folder, check_dependencies=False)
    assert_rows_read(ontology.report, (folder, "Full"))
    assert ontology.sctids.tolist() == concepts_of((folder, "Full"))


@pytest.mark.parametrize("name", [*REFUSED, *DELTAS_BESIDE])
def test_what_is_no_terminology_alone_is_refused_and_lies_over_its_base(shared, name):
    reason, base = REFUSED.get(name) or (ONLY_A_DELTA, DELTAS_BESIDE[name])
    folder, below = shared / "data/rf2" / name, shared / "data/rf2" / base
    kind = "Delta" if reason == ONLY_A_DELTA else "Snapshot"
    with pytest.raises(InputError, match=reason) as caught:
        load_rf2(folder)
    assert caught.value.path == folder
    assert caught.value.remedy
    if name == f"{_DUMMY}_bad_delta":  # made for a row whose columns are cut off
        (path,) = folder.rglob("sct2_Description_*")
        row = next(n for n, line in enumerate(path.read_text().split("\n"), 1) if 0 < line.count("\t") < 8)
        with pytest.raises(InputError, match=rf"line {row}, column 'term'") as caught:
            load_rf2([below, folder])
        assert caught.value.path == path
        return
    ontology = load_rf2([below, folder], check_dependencies=False)
    assert_rows_read(ontology.report, (below, "Snapshot"), (folder, kind))
    assert ontology.sctids.tolist() == concepts_of((below, "Snapshot"), (folder, kind))


def test_later_rows_win_and_earlier_ones_do_not(shared):
    """What blankOrLaterEffectiveTimeTest is made for: one older, one equally old, one later row, and blank ones."""
    folder = shared / "data/rf2" / _TESTS
    both = load_rf2([folder / "blankOrLaterEffectiveTimeBase", folder / "blankOrLaterEffectiveTimeTest"])
    (path,) = (folder / "blankOrLaterEffectiveTimeTest").rglob("sct2_Concept_*")
    later = {int(row[0]) for row in rows_of(path)[1] if row[1] != "20170131"}
    assert set(both.sctids[both.defined].tolist()) == later  # all rows of the second make a concept defined
    older = {int(row[0]) for row in rows_of(path)[1]} - later
    assert older
    assert not set(both.sctids[both.defined].tolist()) & older


def test_trailing_blank_fields_are_completed_and_counted(shared):
    folder = shared / "data/rf2" / _TESTS / "multipleTrailingBlankFields"
    ontology = load_rf2([shared / "data/rf2" / _BASE, folder])
    (path,) = folder.rglob("*MRCMDomain*")
    (row,) = rows_of(path)[1]
    kept = ontology.members["MRCM domain"].row(0, named=True)
    assert [kept["domainConstraint"], kept["parentDomain"], kept["guideURL"]] == [row[6], row[7], row[12]]


def test_a_package_of_several_extensions_is_checked_for_what_it_needs(shared):
    folder = shared / "data/rf2"
    ontology = load_rf2([folder / _BASE, folder / f"{_DUMMY}_Extension_snapshot"])
    assert ontology.sctids.tolist() == concepts_of(
        (folder / _BASE, "Snapshot"), (folder / f"{_DUMMY}_Extension_snapshot", "Snapshot")
    )


def terms_of(text):
    """The stanzas of terms in an OBO file: {id: lines}."""
    stanzas = [part.strip().split("\n") for part in text.split("\n\n") if part.strip().startswith("[Term]")]
    return {
        next(line[4:] for line in lines if line.startswith("id: ")): lines for lines in stanzas
    }  # fmt: skip


@pytest.mark.parametrize("slim", SLIMS)
def test_an_obo_slim_has_the_counts_of_its_lines(shared, slim):
    path = shared / f"data/ontologies/{slim}.obo"
    terms = terms_of(path.read_text(encoding="utf-8"))
    lines = [line for term in terms.values() for line in term]

    def count(tag):
        return sum(line.startswith(f"{tag}: ") for line in lines)

    ontology = load(path)
    report = ontology.report
    assert {ontology.identifier(s) for s in ontology.sctids.tolist()} == terms.keys()
    assert len(ontology.relations) == count("is_a")
    assert ontology.inactive.height == len({line for line in lines if line.startswith("alt_id: ")})
    exact = sum(bool(re.match(r'synonym: ".*" EXACT', line)) for line in lines)
    kinds = dict(ontology.terms["kind"].cast(pl.String).value_counts().iter_rows())
    assert kinds["fsn"] == count("name")
    assert kinds["synonym"] == count("name") + exact
    assert kinds.get("other", 0) == count("synonym") - exact
    assert kinds["definition"] == count("def")
    skos = sum(line.startswith("property_value: skos:") for line in lines)
    assert ontology.maps.height == count("xref") + skos
    assert ontology.members["subset"].height == count("subset")
    clauses = report.dropped["clause"]
    for tag in ("namespace", "comment", "creation_date", "disjoint_from"):
        assert clauses.get(f"{tag} is not used", 0) == count(tag)
    xrefs = sum(
        len([x for x in re.search(r'" \[(.*?)\]', line)[1].split(", ") if x])
        for line in lines
        if line.startswith("def: ")
    )
    assert report.dropped["definition"]["its xrefs are not used"] == xrefs
    assert report.dropped["remark"] == {
        "text after the '!' of a line is not used": sum(" ! " in line for line in lines)
    }


@pytest.mark.parametrize("slim", SLIMS)
def test_a_graph_and_an_owl_slim_have_the_counts_of_their_text(shared, slim):
    folder = shared / "data/ontologies"
    (graph,) = json.loads((folder / f"{slim}.json").read_text(encoding="utf-8"))["graphs"]
    nodes = [node for node in graph["nodes"] if node["type"] == "CLASS"]
    ontology = load(folder / f"{slim}.json")
    assert len(ontology) == len(nodes)
    assert len(ontology.relations) == len(graph["edges"])
    metas = [node["meta"] for node in nodes]
    assert sum(len(meta.get("xrefs", [])) for meta in metas) <= ontology.maps.height
    dropped = ontology.report.dropped
    assert dropped["definition"]["'xrefs' is not used"] == sum(
        len(meta.get("definition", {}).get("xrefs", [])) for meta in metas
    )
    types = sum("synonymType" in synonym for meta in metas for synonym in meta.get("synonyms", []))
    assert dropped["synonym"]["its type is not kept"] == types
    text = (folder / f"{slim}.owl").read_text(encoding="utf-8")
    ontology = load(folder / f"{slim}.owl")
    assert len(ontology) == text.count("<owl:Class rdf:about=")
    assert len(ontology.relations) == text.count("<rdfs:subClassOf rdf:resource=")


def test_the_omop_shard_reads_its_vocabulary_and_names_the_rest(shared):
    folder = shared / "data/omop/synthea27nj"
    ontology = load(folder)
    for entry in ontology.report.files_read:
        with (folder / entry["file"]).open(encoding="utf-8", newline="") as file:
            assert entry["rows"] == sum(1 for _ in csv.reader(file)) - 1, entry
    assert {entry["file"] for entry in ontology.report.files_read} == set(VOCABULARY)
    assert {entry["file"] for entry in ontology.report.files_not_read} == {f"{n}.csv" for n in PATIENTS}
    with (folder / "CONCEPT.csv").open(encoding="utf-8", newline="") as file:
        invalid = sum(row["invalid_reason"] not in ("", "V") for row in csv.DictReader(file))
    assert ontology.inactive.height == invalid
    assert ontology.report.dropped["concept_id"] == {
        "its concept is inactive, and maps are those of active ones": invalid
    }


@pytest.mark.parametrize("name", sorted(name for name in NO_SOURCE if not name.startswith("rf2/")))
def test_a_table_that_is_no_terminology_is_refused_by_name(shared, name):
    with pytest.raises(InputError, match=r"no reader recognises its format.*--format") as caught:
        load(shared / "data" / name)
    assert caught.value.path == shared / "data" / name


def test_the_disease_ontology_agrees_with_the_reports_that_its_makers_wrote(shared):
    """The RF2 release against HumanDO.tsv and allXREFinDO.tsv, which come from the Disease Ontology itself."""
    data = shared / "data"
    ontology = load(data / "rf2/disease-ontology")

    def table(name):
        with (data / name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, delimiter="\t"))

    doids = {row["doid"]: int(row["sctid"]) for row in table("rf2/disease-ontology/concepts.tsv")}
    labels = {row["id"]: row["label"] for row in table("ontologies/HumanDO.tsv")}
    assert labels.keys() <= doids.keys() | {"DOID:4"}
    named = {doid: label for doid, label in labels.items() if doid in doids}
    assert len(named) > 12_000
    assert all(ontology.term(doids[doid]).casefold() == label.casefold() for doid, label in named.items())
    codes = {
        (doids[row["id"]], row["xref"].removeprefix("ICD10CM:"))
        for row in table("ontologies/allXREFinDO.tsv")
        if row["xref"].startswith("ICD10CM:") and row["id"] in doids
    }
    concepts = ontology.sctids[ontology.maps["concept"].to_numpy()].tolist()
    assert set(zip(concepts, ontology.maps["target"].to_list(), strict=True)) <= codes


def sssom_rows(path):
    with path.open(encoding="utf-8") as file:
        lines = [line.rstrip("\n").split("\t") for line in file if not line.startswith("#")]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]


@pytest.mark.parametrize("name", MAPPINGS)
def test_mappings_are_no_terminology_and_complete_as_a_layer(shared, name):
    path = shared / f"data/mappings/mondo_exactmatch_{name}.sssom.tsv"
    with pytest.raises(InputError, match=NO_CONCEPT):
        load(path)
    rows = sssom_rows(path)
    report = LoadReport()
    parts = read(path, report, "sssom")
    assert parts.maps.height == len(rows) == report.rows["map"]["read"] == report.rows["map"]["active"]
    assert report.dropped == {}
    codes = dict(parts.codes.select("key", "code").iter_rows())
    labels = dict(parts.codes.select("code", "label").iter_rows())
    assert labels == {row["subject_id"]: row["subject_label"] for row in rows}
    found = Counter(
        (codes[sctid], target, predicate, advice)
        for sctid, target, predicate, advice in parts.maps.select(
            "sctid", "target", "predicate", "advice"
        ).rows()
    )
    assert found == Counter(
        (row["subject_id"], row["object_id"].split(":")[1], row["predicate_id"], row["mapping_justification"])
        for row in rows
    )
    system = {"doid": "DOID", "icd10cm": "ICD-10-CM", "sctid": "SNOMED"}[name]
    assert set(parts.maps["system"]) == {system}
    assert parts.maps["confidence"].is_nan().all()  # the tables give none
    several = Counter(row["object_id"] for row in rows)
    assert max(several.values()) >= 1
    kept = Counter(parts.maps["target"].to_list())
    assert sorted(kept.values()) == sorted(several.values())  # one-to-many stays


def test_mappings_lie_over_the_disease_ontology(shared):
    """MONDO's DOIDs over the slims, whose concepts are DOIDs, and over RF2 by the table beside the release."""
    data = shared / "data"
    path = data / "mappings/mondo_exactmatch_doid.sssom.tsv"
    rows = sssom_rows(path)
    base = load(data / "ontologies/DO_infectious_disease_slim.obo")
    report = LoadReport()
    parts = load_mappings(path, base, report)
    known = {base.identifier(s) for s in (*base.sctids.tolist(), *base.inactive["sctid"])}
    joined = [row for row in rows if row["object_id"] in known]
    assert len(joined) > 300
    assert parts.maps.height == len(joined)
    assert report.dropped["map"] == {"neither side is a concept of the ontology": len(rows) - len(joined)}
    whole = assemble("both", Parts.together([disassemble(base), parts]), LoadReport())
    assert (whole.sctids == base.sctids).all()
    active = {base.identifier(s) for s in base.sctids.tolist()}
    for row in joined[:50]:
        found = {m.sctid for m in whole.map(row["subject_id"].split(":")[1], "MONDO")}
        expected = {
            base.index(r["object_id"]) for r in rows
            if r["subject_id"] == row["subject_id"] and r["object_id"] in active
        }  # fmt: skip
        assert found == {int(base.sctids[node]) for node in expected}
    # The RF2 release has ids of its own: without its concepts.tsv no row of the mappings finds a concept.
    release = load(data / "rf2/disease-ontology")
    account = LoadReport()
    assert load_mappings(path, release, account).maps.is_empty()
    assert account.dropped["map"] == {"neither side is a concept of the ontology": len(rows)}
    concepts = csv.DictReader((data / "rf2/disease-ontology/concepts.tsv").open(), delimiter="\t")
    sctids = {row["doid"]: row["sctid"] for row in concepts}
    by_subject = read(
        path, LoadReport(), "sssom"
    ).maps  # MONDO -> DOID; turned round onto the release's concepts
    turned = by_subject.with_columns(pl.format("DOID:{}", "target").alias("doid"))
    turned = turned.filter(pl.col("doid").is_in(list(sctids)))
    names = dict(read(path, LoadReport(), "sssom").codes.select("key", "code").iter_rows())
    layer = Parts(maps=pl.DataFrame({
        "sctid": [int(sctids[doid]) for doid in turned["doid"]], "system": "MONDO",
        "target": [names[key].split(":")[1] for key in turned["sctid"]], "predicate": turned["predicate"],
        "origin": turned["origin"],
    }))  # fmt: skip
    both = assemble("both", Parts.together([disassemble(release), layer]), LoadReport())
    expected = [row for row in rows if row["object_id"] in sctids]
    assert len(expected) > 11_000
    laid = both.maps.filter(system="MONDO")
    assert laid.height == len([row for row in expected if int(sctids[row["object_id"]]) in release])
    assert both.report.dropped == {} or "map" not in both.report.dropped


def test_sctids_are_found_on_either_side(tmp_path, shared):
    """MONDO's SCTID table over concepts with SCTIDs: as the object as it is written, as the subject turned round."""
    rows = sssom_rows(shared / "data/mappings/mondo_exactmatch_sctid.sssom.tsv")
    wanted = sorted({int(row["object_id"].split(":")[1]) for row in rows})[:200]
    concepts = pl.DataFrame({"sctid": wanted})
    base = assemble("base", Parts(concepts=concepts), LoadReport())
    parts = load_mappings(shared / "data/mappings/mondo_exactmatch_sctid.sssom.tsv", base)
    some = [row for row in rows if int(row["object_id"].split(":")[1]) in set(wanted)]
    assert parts.maps.height == len(some)
    assert set(parts.maps["system"]) == {"MONDO"}
    turned = tmp_path / "turned.sssom.tsv"
    head = "subject_id\tpredicate_id\tobject_id\tmapping_justification\tconfidence\n"
    turned.write_text(head + "".join(
        f"{row['object_id']}\tskos:exactMatch\t{row['subject_id']}\tsemapv:x\t0.7\n" for row in some
    ))  # fmt: skip
    again = load_mappings(turned, base)
    columns = ["sctid", "system", "target", "predicate"]
    assert sorted(again.maps.select(columns).rows()) == sorted(parts.maps.select(columns).rows())
    assert set(again.maps["confidence"]) == {0.7}
    without_a_base = read(turned, LoadReport(), "sssom")
    assert set(without_a_base.maps["sctid"]) == set(again.maps["sctid"])


def test_there_are_as_many_releases_as_concept_files(shared):
    """The lists above name every folder that holds a concept file."""
    root = shared / "data/rf2"
    found = {path.parent.relative_to(root).as_posix() for path in root.rglob("sct2_Concept_*")}
    known = (*LOADS, *REFUSED)
    assert all(any(name == known_ or name.startswith(f"{known_}/") for known_ in known) for name in found)
    assert all(any(name == known_ or name.startswith(f"{known_}/") for name in found) for known_ in known)
