import pytest

from ontology import InputError, load
from ontology.readers.icd10cm import BILLABLE

TABULAR = """<?xml version="1.0" encoding="utf-8"?>
<ICD10CM.tabular><version>2026</version><introduction><x/></introduction>
<chapter><name>10</name><desc>Diseases of the respiratory system (J00-J99)</desc>
 <section id="J09-J18"><desc>Influenza and pneumonia (J09-J18)</desc>
  <diag><name>J18</name><desc>Pneumonia, unspecified organism</desc>
   <excludes1><note>aspiration pneumonia (J69.-)</note></excludes1>
   <diag><name>J18.0</name><desc>Bronchopneumonia, unspecified organism</desc></diag>
   <diag><name>J18.9</name><desc>Pneumonia, unspecified organism &amp; more</desc>
     <inclusionTerm><note>Pneumonitis NOS</note><note>Lung infection</note></inclusionTerm></diag>
  </diag></section>
 <section id="J20"><desc>Lonely</desc><diag><name>J20</name><desc>Acute bronchitis</desc></diag></section>
</chapter></ICD10CM.tabular>
"""


def order_line(number, code, billable, short, long):
    return f"{number:05d} {code:<7} {billable} {short:<60} {long}"


ORDER = "\n".join([
    order_line(1, "J18", 0, "Pneumonia, unspecified organism", "Pneumonia, unspecified organism"),
    order_line(2, "J180", 1, "Bronchopneumonia, unsp organism", "Bronchopneumonia, unspecified organism"),
    order_line(3, "J189", 1, "Pneumonia, unspecified organism", "Pneumonia, unspecified organism (long)"),
    order_line(4, "S52521A", 1, "Torus fx, init", "Torus fracture of lower end of right radius, initial"),
])  # fmt: skip


def parents(onto, code):
    return [onto.identifier(int(p)) for p in onto.parents(int(onto.sctids[onto.index(code)]))]


def test_the_tabular_list(tmp_path):
    path = tmp_path / "icd10cm_tabular_2026.xml"
    path.write_text(TABULAR)
    onto = load(path, "icd10cm")
    assert len(onto) == 1 + TABULAR.count("<chapter>") + TABULAR.count("<section ") + TABULAR.count("<diag>")
    assert parents(onto, "ICD10CM:J18.9") == ["ICD10CM:J18"]
    assert parents(onto, "ICD10CM:J18") == ["ICD10CM:J09-J18"]
    assert parents(onto, "ICD10CM:J20") == ["ICD10CM:J20 (section)"]
    node = int(onto.sctids[onto.index("ICD10CM:J18.9")])
    assert onto.synonyms(node) == [
        "Pneumonia, unspecified organism & more",
        "Pneumonitis NOS",
        "Lung infection",
    ]
    billable = {onto.identifier(c) for c in onto.members[BILLABLE]["component"].to_list()}
    assert billable == {"ICD10CM:J18.0", "ICD10CM:J18.9", "ICD10CM:J20"}
    assert onto.report.tolerated["<excludes1>: not used"] == 1
    assert onto.normalise("J189", "ICD10CM").targets[0].sctid == node


def test_the_order_file_and_a_table_of_codes(tmp_path):
    order = tmp_path / "icd10cm-order-2026.txt"
    order.write_text(ORDER)
    onto = load(order, "icd10cm")
    assert len(onto) == 5
    assert parents(onto, "ICD10CM:J18.9") == ["ICD10CM:J18"]
    assert parents(onto, "ICD10CM:S52.521A") == ["ICD10CM:root"]
    assert (
        onto.synonyms(int(onto.sctids[onto.index("ICD10CM:J18.0")]))[-1] == "Bronchopneumonia, unsp organism"
    )
    assert onto.members[BILLABLE].height == 3
    table = tmp_path / "codes.csv"
    table.write_text('code,title\nJ18,Pneumonia\nJ18.9,"Pneumonia, unspecified"\n')
    onto = load(table, "icd10cm")
    assert parents(onto, "ICD10CM:J18.9") == ["ICD10CM:J18"]
    assert onto.term(int(onto.sctids[onto.index("ICD10CM:J18.9")])) == "Pneumonia, unspecified"


BAD = {
    "entity.xml": (
        '<!DOCTYPE x [<!ENTITY a "b">]>' + TABULAR.split("\n", 1)[1],
        "line 1: the document declares",
    ),
    "outside.xml": (
        '<!DOCTYPE x SYSTEM "http://example.org/x.dtd"><ICD10CM.tabular/>',
        "declares a document type",
    ),
    "cut.xml": (TABULAR[:300], "line .*no XML"),
    "other.xml": ("<x/>", "is <x>, not the tabular list"),
    "code.xml": (TABULAR.replace("J18.0", "pneu"), "'pneu' is no code"),
    "twice.xml": (TABULAR.replace("J18.0", "J18.9"), "'ICD10CM:J18.9' is there twice"),
    "untitled.xml": (TABULAR.replace("Lonely", ""), "has no title"),
    "order.txt": (ORDER + "\n00005 12      1 x", "line 5: '12' is no code"),
    "codes.csv": ("J18,a\nJ18,b\n", "line 2: 'ICD10CM:J18' is there twice"),
    "empty.csv": ("", "not one code"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused(tmp_path, name):
    text, message = BAD[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        load(tmp_path / name, "icd10cm")
