"""Packages over one another, moments of a Full, dialects, refsets of all kinds, and zips that attack."""

import io
import zipfile

import pytest
import tiny_release
from tiny_release import CONCEPT, DATE, DESCRIPTION, IDS, IS_A, LANGUAGE, MODULE, RELATIONSHIP, SITE, US

from ontology import InputError, Ontology, load_rf2
from ontology.identifiers import CONCEPT_INACTIVATION, GB_ENGLISH, REPLACED_BY, WAS_A
from ontology.sctid import make_sctid

EXTENSION = make_sctid(900, tiny_release.NAMESPACE, "10")
NEW = make_sctid(901, tiny_release.NAMESPACE, "10")
MEMBER = ["id", "effectiveTime", "active", "moduleId", "refsetId", "referencedComponentId"]


def extension_files(files, *, needs=DATE):
    """One concept of an extension, a term of its own, and a concept of the edition that it retires."""
    concept, description, relationship = (files[name][0] for name in (CONCEPT, DESCRIPTION, RELATIONSHIP))
    row = files[DESCRIPTION][1]
    term = make_sctid(902, tiny_release.NAMESPACE, "11")
    edge = files[RELATIONSHIP][1]
    dependency = f"Snapshot/Refset/Metadata/der2_ssRefset_ModuleDependencySnapshot_EXT_{DATE}.txt"
    return {
        CONCEPT.replace("TINY", "EXT"): [
            concept, [NEW, "20260601", 1, EXTENSION, tiny_release.DEFINED],
            [IDS["asthma"], "20260601", 0, EXTENSION, tiny_release.DEFINED],
        ],
        DESCRIPTION.replace("TINY", "EXT"): [
            description, [term, "20260601", 1, EXTENSION, NEW, "en", *row[6:7], "Long cough (finding)", row[8]],
        ],
        RELATIONSHIP.replace("TINY", "EXT"): [
            relationship, [make_sctid(903, tiny_release.NAMESPACE, "12"), "20260601", 1, EXTENSION, NEW, IDS["cough"],
                           0, IS_A, *edge[8:]],
        ],
        dependency: [
            [*MEMBER, "sourceEffectiveTime", "targetEffectiveTime"],
            ["d1", "20260601", 1, EXTENSION, 900000000000534007, MODULE, "20260601", needs],
            ["d2", DATE, 1, MODULE, 900000000000534007, 900000000000012004, DATE, DATE],
        ],
    }  # fmt: skip


@pytest.fixture
def layers(release, tmp_path):
    files, _ = release
    return (
        tiny_release.write(tmp_path / "edition", files),
        tiny_release.write(tmp_path / "extension", extension_files(files)),
    )


def test_an_extension_overrides_its_edition(layers, tiny):
    ontology = load_rf2(layers)
    assert len(ontology) == len(tiny)  # one more, one less
    assert ontology.parents(NEW).tolist() == [IDS["cough"]]
    assert IDS["asthma"] not in ontology
    assert ontology.report.overridden == {"concept": 1}
    assert ontology.report.dropped["relationship"] == {"the source is inactive": 1}
    assert ontology.details["module"][ontology.index(NEW)] == EXTENSION
    assert [d["found"] for d in ontology.report.dependencies] == [DATE, ""]
    assert Ontology.open(ontology.save(layers[0].parent / "o")).fingerprint == ontology.fingerprint


def test_an_extension_of_another_edition_is_refused_unless_told(release, tmp_path):
    files, _ = release
    edition = tiny_release.write(tmp_path / "edition", files)
    extension = tiny_release.write(tmp_path / "extension", extension_files(files, needs="20250101"))
    with pytest.raises(
        InputError, match=rf"needs {MODULE} of 20250101, here it is of {DATE}.*ignore-dependencies"
    ):
        load_rf2([edition, extension])
    ontology = load_rf2([edition, extension], check_dependencies=False)
    assert ontology.report.tolerated["module dependency on another version than the one given"] == 1


def test_a_delta_changes_what_is_before_it_and_is_nothing_alone(release, tmp_path, tiny):
    files, _ = release
    edition = tiny_release.write(tmp_path / "edition", files)
    row = [IDS["asthma"], "20260601", 0, MODULE, tiny_release.DEFINED]
    delta = tiny_release.write(
        tmp_path / "delta", {CONCEPT.replace("Snapshot", "Delta"): [files[CONCEPT][0], row]}
    )
    assert len(load_rf2([edition, delta])) == len(tiny) - 1
    with pytest.raises(InputError, match="only a Delta"):
        load_rf2(delta)


def test_a_full_gives_every_moment(release, tmp_path):
    files, _ = release
    full = {name.replace("Snapshot", "Full"): [*rows] for name, rows in files.items()}
    concepts = CONCEPT.replace("Snapshot", "Full")
    full[concepts] += [
        [IDS["asthma"], "20270101", 0, MODULE, tiny_release.DEFINED],
        [IDS["asthma"], "20280101", 1, MODULE, tiny_release.DEFINED],
        [IDS["fever"], "", 0, MODULE, tiny_release.DEFINED],
    ]
    folder = tiny_release.write(tmp_path / "full", full)
    held = {moment: load_rf2(folder, as_of=moment) for moment in (20260101, "20270601", 20280101)}
    assert [IDS["asthma"] in ontology for ontology in held.values()] == [True, False, True]
    assert all(IDS["fever"] in ontology for ontology in held.values())  # its last row is not released yet
    assert IDS["fever"] not in load_rf2(folder)
    with pytest.raises(InputError, match="not one active concept"):
        load_rf2(folder, as_of=20200101)
    with pytest.raises(InputError, match="no effectiveTime"):
        load_rf2(folder, as_of="2026-01")
    with pytest.raises(InputError, match="no Full"):
        load_rf2(tiny_release.write(tmp_path / "snapshot", files), as_of=20260101)


def test_the_preferred_term_is_that_of_the_dialect(release):
    files, load = release
    rows = {row[7]: row[0] for row in files[DESCRIPTION][1:]}
    british = [["g1", DATE, 1, MODULE, GB_ENGLISH, rows["Lung infection"], tiny_release.PREFERRED],
               ["g2", DATE, 1, MODULE, GB_ENGLISH, rows["Pneumonia"], tiny_release.ACCEPTABLE]]  # fmt: skip
    files[LANGUAGE] += british
    assert load().term(IDS["pneumonia"]) == "Pneumonia"
    ontology = load(dialects=["en-GB"])
    assert ontology.term(IDS["pneumonia"]) == "Lung infection"
    assert ontology.term(IDS["cough"]) == "Cough"  # en-GB prefers nothing here: the next refset decides
    assert ontology.report.language_refset == str(GB_ENGLISH)
    assert load(dialects=[GB_ENGLISH]).fingerprint == ontology.fingerprint
    assert ontology.dialects.filter(refset=GB_ENGLISH).height == 2
    with pytest.raises(InputError, match=f"no language reference set for the dialect 'sv-SE'.*{US}"):
        load(dialects=["sv-SE"])


def test_reference_sets_of_every_kind_are_kept(release, tmp_path):
    files, load = release
    asthma = next(row for row in files[CONCEPT] if row[0] == IDS["asthma"])
    asthma[2] = 0
    folder = "Snapshot/Refset/Content"
    files[f"{folder}/der2_cRefset_AssociationSnapshot_T_{DATE}.txt"] = [
        [*MEMBER, "targetComponentId"],
        ["a1", DATE, 1, MODULE, REPLACED_BY, IDS["asthma"], IDS["disease"]],
        ["a2", DATE, 0, MODULE, WAS_A, IDS["asthma"], IDS["finding"]],
    ]
    files[f"{folder}/der2_cRefset_AttributeValueSnapshot_T_{DATE}.txt"] = [
        [*MEMBER, "valueId"], ["v1", DATE, 1, MODULE, CONCEPT_INACTIVATION, IDS["asthma"], 900000000000482003],
    ]  # fmt: skip
    files[f"{folder}/der2_Refset_SimpleSnapshot_T_{DATE}.txt"] = [
        MEMBER,
        ["s1", DATE, 1, MODULE, 723264001, IDS["lung"]],
    ]
    files[f"{folder}/der2_ciRefset_OddSnapshot_T_{DATE}.txt"] = [
        [*MEMBER, "colour", "weight"], ["o1", DATE, 1, MODULE, 555000, IDS["lung"], "red \"and\" blue", ""],
    ]  # fmt: skip
    files[f"Snapshot/Terminology/sct2_RelationshipConcreteValues_Snapshot_T_{DATE}.txt"] = [
        ["id", "effectiveTime", "active", "moduleId", "sourceId", "value", *files[RELATIONSHIP][0][6:]],
        ["77", DATE, 1, MODULE, IDS["fever"], "#38.50", 2, SITE, *files[RELATIONSHIP][1][8:]],
    ]
    files[f"Snapshot/Terminology/sct2_sRefset_OWLExpressionSnapshot_T_{DATE}.txt"] = [
        [*MEMBER, "owlExpression"],
        ["x1", DATE, 1, MODULE, 733073007, IDS["fever"], f"SubClassOf(:{IDS['fever']} :{IDS['finding']})"],
        ["x2", DATE, 1, MODULE, 762103008, IDS["root"], "Prefix(:=<http://snomed.info/id/>)"],
    ]
    files[f"Snapshot/Terminology/sct2_Identifier_Snapshot_T_{DATE}.txt"] = [
        [
            "alternateIdentifier",
            "effectiveTime",
            "active",
            "moduleId",
            "identifierSchemeId",
            "referencedComponentId",
        ],
        ["634-6", DATE, 1, MODULE, 705114005, IDS["wbc"]],
    ]
    ontology = load()
    assert ontology.history.rows() == [(IDS["asthma"], REPLACED_BY, IDS["disease"])]
    assert ontology.inactive["reason"].to_list() == [900000000000482003]
    assert ontology.members["reference set"]["component"].to_list() == [IDS["lung"]]
    odd = ontology.members["reference set with colour, weight"]
    assert odd.select("refset", "colour", "weight").rows() == [(555000, 'red "and" blue', "")]
    assert ontology.values.select("type", "group", "value").rows() == [(SITE, 2, "#38.50")]
    assert ontology.axioms["axiom"].to_list() == [f"SubClassOf(:{IDS['fever']} :{IDS['finding']})"]
    assert ontology.map("634-6", "LOINC")
    opened = Ontology.open(ontology.save(tmp_path / "saved"))
    assert opened.members.keys() == ontology.members.keys()
    assert opened.fingerprint == ontology.fingerprint


def test_identifier_files_of_several_packages_are_laid_over_one_another(release, tmp_path):
    files, _ = release
    header = ["alternateIdentifier", "effectiveTime", "active", "moduleId", "identifierSchemeId"]
    name = f"Snapshot/Terminology/sct2_Identifier_Snapshot_T_{DATE}.txt"
    rows = [
        [*header, "referencedComponentId"],
        ["634-6", DATE, 1, MODULE, 705114005, IDS["wbc"]],
        ["635-3", DATE, 1, MODULE, 705114005, IDS["fever"]],
    ]
    first = tiny_release.write(tmp_path / "first", files | {name: rows})
    later = [[*header, "referencedComponentId"], ["635-3", "20260601", 0, *rows[2][3:]]]
    second = {name.replace("_T_", "_EXT_"): later, CONCEPT.replace("TINY", "EXT"): files[CONCEPT][:1]}
    ontology = load_rf2([first, tiny_release.write(tmp_path / "second", second)])
    assert [hit.sctid for hit in ontology.map("634-6", "LOINC")] == [IDS["wbc"]]
    assert not ontology.map("635-3", "LOINC")
    assert ontology.report.overridden["identifier"] == 1


def test_stated_relationships_stand_in_where_there_are_no_inferred_ones(release, tiny):
    files, load = release
    rows = files[RELATIONSHIP]
    files[RELATIONSHIP.replace("Relationship_", "StatedRelationship_")] = rows
    both = load()
    assert both.stated.height == len(rows) - 1
    assert len(both.relations) == len(tiny.relations)
    files[RELATIONSHIP] = rows[:1]
    alone = load()
    assert len(alone.relations) == len(tiny.relations)
    assert alone.report.tolerated["stated relationship used as there is no inferred one"] == len(rows) - 1


def archive(names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in names:
            out.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "message"),
    [("../evil/sct2_Concept_Snapshot_X.txt", "leads out of the zip"),
     ("/etc/sct2_Concept_Snapshot_X.txt", "leads out of the zip"),
     ("C:\\\\sct2_Concept_Snapshot_X.txt", "leads out of the zip")],
)  # fmt: skip
def test_a_zip_whose_names_lead_out_of_it_is_refused(tmp_path, name, message):
    path = tmp_path / "release.zip"
    path.write_bytes(archive([(name, "id")]))
    with pytest.raises(InputError, match=message):
        load_rf2(path)
    assert [p.name for p in tmp_path.iterdir()] == ["release.zip"]


def test_a_compression_bomb_is_refused_before_it_inflates(tmp_path):
    path = tmp_path / "release.zip"
    path.write_bytes(archive([("Snapshot/sct2_Concept_Snapshot_X.txt", b"0" * 80_000_000)]))
    assert path.stat().st_size < 200_000
    with pytest.raises(InputError, match="would inflate"):
        load_rf2(path)


def test_a_zip_cut_short_or_changed_is_refused(release, tmp_path):
    files, _ = release
    whole = archive([(name, tiny_release.content(rows)) for name, rows in files.items()])
    path = tmp_path / "release.zip"
    path.write_bytes(whole)
    assert len(load_rf2(path)) == len(files[CONCEPT]) - 1
    assert load_rf2(path).name == "release"
    for damaged in (whole[: len(whole) // 2], whole[:200] + b"\x00\x01\x02" * 20 + whole[260:]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="zip"):
            load_rf2(path)
