"""What fields of UK Biobank mean here: codes, units as UCUM writes them, and which hold dates.

Numbers, names and units after the Showcase (https://biobank.ndph.ox.ac.uk/showcase/, categories 100080 "Blood count",
17518 "Blood biochemistry", 42 "Algorithmically-defined outcomes", 2002 "Summary diagnoses"). A field without a LOINC
code that is sure keeps its own number: UKB/30770. LOINC codes are used under its licence (https://loinc.org).
"""

from __future__ import annotations

from typing import Final, NamedTuple

SEX, YEAR, MONTH, VISITED, CENTRE = 31, 34, 52, 53, 54
ICD10, ICD10_DATES = 41270, 41280
DIED, CAUSE, CAUSES = 40000, 40001, 40002
T1: Final = 20252
#: Dates of algorithmically defined outcomes -> what they are.
OUTCOMES: Final = {
    42018: "Dementia of any cause",
    42020: "Alzheimer's disease",
    42022: "Vascular dementia",
    42024: "Frontotemporal dementia",
}


class Number(NamedTuple):
    """A field with a number.

    Attributes:
        code: LOINC code, "" where none is sure.
        unit: In UCUM.
        description: What is measured.
    """

    code: str
    unit: str
    description: str


NUMBERS: Final = {
    30000: Number("6690-2", "10*9/L", "White blood cells"),
    30010: Number("789-8", "10*12/L", "Red blood cells"),
    30020: Number("718-7", "g/dL", "Haemoglobin"),
    30030: Number("4544-3", "%", "Haematocrit"),
    30040: Number("787-2", "fL", "Mean corpuscular volume"),
    30050: Number("785-6", "pg", "Mean corpuscular haemoglobin"),
    30060: Number("786-4", "g/dL", "Mean corpuscular haemoglobin concentration"),
    30070: Number("788-0", "%", "Red blood cell distribution width"),
    30080: Number("777-3", "10*9/L", "Platelets"),
    30120: Number("731-0", "10*9/L", "Lymphocytes"),
    30130: Number("742-7", "10*9/L", "Monocytes"),
    30140: Number("751-8", "10*9/L", "Neutrophils"),
    30150: Number("711-2", "10*9/L", "Eosinophils"),
    30160: Number("704-7", "10*9/L", "Basophils"),
    30600: Number("1751-7", "g/L", "Albumin"),
    30610: Number("6768-6", "U/L", "Alkaline phosphatase"),
    30620: Number("1742-6", "U/L", "Alanine aminotransferase"),
    30630: Number("1869-7", "g/L", "Apolipoprotein A"),
    30640: Number("1884-6", "g/L", "Apolipoprotein B"),
    30650: Number("1920-8", "U/L", "Aspartate aminotransferase"),
    30660: Number("14629-0", "umol/L", "Direct bilirubin"),
    30670: Number("22664-7", "mmol/L", "Urea"),
    30680: Number("2000-8", "mmol/L", "Calcium"),
    30690: Number("14647-2", "mmol/L", "Cholesterol"),
    30700: Number("14682-9", "umol/L", "Creatinine"),
    30710: Number("1988-5", "mg/L", "C reactive protein"),
    30720: Number("33863-2", "mg/L", "Cystatin C"),
    30730: Number("2324-2", "U/L", "Gamma glutamyltransferase"),
    30740: Number("14749-6", "mmol/L", "Glucose"),
    30750: Number("59261-8", "mmol/mol", "Glycated haemoglobin"),
    30760: Number("14646-4", "mmol/L", "HDL cholesterol"),
    30770: Number("", "nmol/L", "Insulin-like growth factor 1"),
    30780: Number("22748-8", "mmol/L", "LDL cholesterol, direct"),
    30790: Number("43583-4", "nmol/L", "Lipoprotein A"),
    30800: Number("", "pmol/L", "Oestradiol"),
    30810: Number("14879-1", "mmol/L", "Phosphate"),
    30820: Number("11572-5", "[IU]/mL", "Rheumatoid factor"),
    30830: Number("13967-5", "nmol/L", "Sex hormone binding globulin"),
    30840: Number("14631-6", "umol/L", "Total bilirubin"),
    30850: Number("14913-8", "nmol/L", "Testosterone"),
    30860: Number("2885-2", "g/L", "Total protein"),
    30870: Number("14927-8", "mmol/L", "Triglycerides"),
    30880: Number("14933-6", "umol/L", "Urate"),
    30890: Number("", "nmol/L", "Vitamin D"),
    4079: Number("8462-4", "mm[Hg]", "Diastolic blood pressure, automated reading"),
    4080: Number("8480-6", "mm[Hg]", "Systolic blood pressure, automated reading"),
    21001: Number("39156-5", "kg/m2", "Body mass index"),
    22189: Number("", "{score}", "Townsend deprivation index at recruitment"),
}
#: Fields of a choice -> what it is, and their values; what is not listed (-1 do not know, -3 prefer not) says nothing.
CHOICES: Final = {
    20116: ("Smoking", {0: "NEVER", 1: "PREVIOUS", 2: "CURRENT"}),
    20117: ("Alcohol", {0: "NEVER", 1: "PREVIOUS", 2: "CURRENT"}),
    6138: ("Qualification", {1: "DEGREE", 2: "A_LEVELS", 3: "O_LEVELS", 4: "CSES", 5: "NVQ", 6: "OTHER",
                             -7: "NONE"}),
}  # fmt: skip
#: Assessment centres (data-coding 10).
CENTRES: Final = {
    10003: "Stockport", 11001: "Manchester", 11002: "Oxford", 11003: "Cardiff", 11004: "Glasgow", 11005: "Edinburgh",
    11006: "Stoke", 11007: "Reading", 11008: "Bury", 11009: "Newcastle", 11010: "Leeds", 11011: "Bristol",
    11012: "Barts", 11013: "Nottingham", 11014: "Sheffield", 11016: "Liverpool", 11017: "Middlesborough",
    11018: "Hounslow", 11020: "Croydon", 11021: "Birmingham", 11022: "Swansea", 11023: "Wrexham",
    11024: "Cheadle (revisit)", 11025: "Cheadle (imaging)", 11026: "Reading (imaging)", 11027: "Newcastle (imaging)",
    11028: "Bristol (imaging)",
}  # fmt: skip
#: All fields that are read.
READ: Final = (
    SEX, YEAR, MONTH, VISITED, CENTRE, ICD10, ICD10_DATES, DIED, CAUSE, CAUSES, T1, *OUTCOMES, *NUMBERS, *CHOICES,
)  # fmt: skip


def code_of(field: int) -> str:
    """Give the code of a field with a number, without its unit.

    Args:
        field: The field.
    """
    return f"LOINC/{NUMBERS[field].code}" if NUMBERS[field].code else f"UKB/{field}"
