"""The tiny terminology and cohort of `toy_terminology`, as fixtures."""

import polars as pl
import pytest
from toy_terminology import CODES, NAMES, RELATIONS, event, make_ontology


@pytest.fixture(scope="session")
def toy():
    return make_ontology(NAMES, RELATIONS, CODES)


@pytest.fixture
def events():
    wbc = {"parents": ["LOINC/6690-2"], "unit": "10*9/L", "low": 4.1, "high": 11.0}
    return [
        event(0, "image", "IMAGE//CXR//PA", text="images/0.png"),
        event(0, "note", "NOTE//CLINICAL", text="Cough. No bacterial pneumonia."),
        event(0, "codes", "ICD10/J99"),
        event(0, "labs", "LOINC/6690-2//10*9/L", value=18.0, **wbc),
        event(1, "image", "IMAGE//CXR//AP", text="images/1.png", parents=["SNOMED/4"]),
        event(1, "labs", "LOINC/6690-2//10*9/L", value=4.1, **wbc),  # on the edge of its range
        event(1, "labs", "LOINC/1988-5//mg/L", value=90.0, parents=["LOINC/1988-5"], low=0.0, high=5.0),
        event(1, "codes", "ICD10/Z99.9"),
        event(1, "codes", "ICD10/J18.9"),
        event(2, "labs", "LOINC/6690-2//10*9/L", value=12.0, parents=["LOINC/6690-2"], unit="10*9/L"),
        event(2, "labs", "LOINC/6690-2//10*9/L", **wbc),
        event(2, "note", "NOTE//CLINICAL", text="Nothing to say."),
        event(2, "note", "NOTE//CLINICAL", text="  "),
    ]


@pytest.fixture
def samples():
    return pl.DataFrame({"sample_id": [0, 1, 2, 3], "subject_id": [10, 11, 12, 13], "label": [0, 1, 0, 1]})
