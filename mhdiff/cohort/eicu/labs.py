"""The laboratory names of eICU that have a LOINC code: code, UCUM unit, other units with their factor, what can be.

The names are eICU's own dictionary (https://eicu-crd.mit.edu/eicutables/lab/); the codes are those of
LOINC's public names for the same analyte, specimen and kind of quantity. A name that is not here keeps its events
under `EICU_LAB/<name>` and is named in the report. What is not certain, such as whose blood a base deficit was of, is
left out.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import polars as pl

_MEQ: Final = {"meq/L": 1.0}  # of ions with one charge


class Lab(NamedTuple):
    """What a laboratory name means.

    Attributes:
        loinc: LOINC code.
        unit: UCUM unit of the values that are written.
        others: Other units -> factor to `unit`.
        possible: Lowest and highest value that can be; only where the source is known to hold others.
    """

    loinc: str
    unit: str
    others: dict[str, float] = {}  # noqa: RUF012
    possible: tuple[float | None, float | None] = (None, None)


LABS: Final[dict[str, Lab]] = {
    # Chemistry
    "BUN": Lab("3094-0", "mg/dL"),
    "creatinine": Lab("2160-0", "mg/dL"),
    "sodium": Lab("2951-2", "mmol/L", _MEQ),
    "potassium": Lab("2823-3", "mmol/L", _MEQ),
    "chloride": Lab("2075-0", "mmol/L", _MEQ),
    "bicarbonate": Lab("1963-8", "mmol/L", _MEQ),
    "Total CO2": Lab("2028-9", "mmol/L", _MEQ),
    "anion gap": Lab("33037-3", "mmol/L", _MEQ),
    "glucose": Lab("2345-7", "mg/dL"),
    "bedside glucose": Lab("41653-7", "mg/dL"),
    "calcium": Lab("17861-6", "mg/dL"),
    "ionized calcium": Lab("1994-3", "mmol/L", {"mg/dL": 0.2495}),
    "magnesium": Lab("19123-9", "mg/dL", {"meq/L": 1.2153}),
    "phosphate": Lab("2777-1", "mg/dL"),
    "albumin": Lab("1751-7", "g/dL"),
    "prealbumin": Lab("14338-8", "mg/dL"),
    "total protein": Lab("2885-2", "g/dL"),
    "total bilirubin": Lab("1975-2", "mg/dL"),
    "direct bilirubin": Lab("1968-7", "mg/dL"),
    "AST (SGOT)": Lab("1920-8", "U/L"),
    "ALT (SGPT)": Lab("1742-6", "U/L"),
    "alkaline phos.": Lab("6768-6", "U/L"),
    "LDH": Lab("2532-0", "U/L"),
    "lipase": Lab("3040-3", "U/L"),
    "amylase": Lab("1798-8", "U/L"),
    "uric acid": Lab("3084-1", "mg/dL"),
    "ammonia": Lab("16362-6", "umol/L", {"ug/dL": 0.5872}),
    "lactate": Lab("2524-7", "mmol/L"),
    "serum osmolality": Lab("2692-2", "mosm/kg"),
    "triglycerides": Lab("2571-8", "mg/dL"),
    "total cholesterol": Lab("2093-3", "mg/dL"),
    "HDL": Lab("2085-9", "mg/dL"),
    "LDL": Lab("13457-7", "mg/dL"),
    "CRP": Lab("1988-5", "mg/L", {"mg/dL": 10.0}),
    "CRP-hs": Lab("30522-7", "mg/L"),
    "haptoglobin": Lab("4542-7", "mg/dL"),
    "Fe": Lab("2498-4", "ug/dL"),
    "TIBC": Lab("2500-7", "ug/dL"),
    "transferrin": Lab("3034-6", "mg/dL"),
    "Ferritin": Lab("2276-4", "ng/mL"),
    "folate": Lab("2284-8", "ng/mL"),
    "Vitamin B12": Lab("2132-9", "pg/mL"),
    "TSH": Lab("3016-3", "m[IU]/L"),
    "free T4": Lab("3024-7", "ng/dL"),
    "T4": Lab("3026-2", "ug/dL"),
    "T3": Lab("3053-6", "ng/dL"),
    "cortisol": Lab("2143-6", "ug/dL"),
    "prolactin": Lab("2842-3", "ng/mL"),
    # The heart
    "troponin - I": Lab("10839-9", "ng/mL"),
    "troponin - T": Lab("6598-7", "ng/mL"),
    "CPK": Lab("2157-6", "U/L"),
    "CPK-MB": Lab("13969-1", "ng/mL"),
    "myoglobin": Lab("2639-3", "ng/mL"),
    "BNP": Lab("30934-4", "pg/mL"),
    # Blood count
    "Hgb": Lab("718-7", "g/dL"),
    "Hct": Lab("4544-3", "%"),
    "RBC": Lab("789-8", "10*6/uL"),
    "WBC x 1000": Lab("6690-2", "10*3/uL"),
    "platelets x 1000": Lab("777-3", "10*3/uL"),
    "MCV": Lab("787-2", "fL"),
    "MCH": Lab("785-6", "pg"),
    "MCHC": Lab("786-4", "g/dL", {"%": 1.0}),  # grams in 100 mL
    "RDW": Lab("788-0", "%"),
    "MPV": Lab("32623-1", "fL"),
    "-polys": Lab("770-8", "%"),
    "-bands": Lab("764-1", "%"),
    "-lymphs": Lab("736-9", "%"),
    "-monos": Lab("5905-5", "%"),
    "-eos": Lab("713-8", "%"),
    "-basos": Lab("706-2", "%"),
    "reticulocyte count": Lab("17849-1", "%"),
    "ESR": Lab("4537-7", "mm/h"),
    # Clotting
    "PT": Lab("5902-2", "s"),
    "PT - INR": Lab("6301-6", "{ratio}"),
    "PTT": Lab("14979-9", "s"),
    "fibrinogen": Lab("3255-7", "mg/dL"),
    # Blood gas
    "pH": Lab("2744-1", "[pH]", possible=(6.0, 8.5)),
    "paO2": Lab("2703-7", "mm[Hg]"),
    "paCO2": Lab("2019-8", "mm[Hg]"),
    "HCO3": Lab("1960-4", "mmol/L", _MEQ),
    "Base Excess": Lab("1925-7", "mmol/L", _MEQ),
    "O2 Sat (%)": Lab("2708-6", "%"),
    "Carboxyhemoglobin": Lab("20563-3", "%"),
    "Methemoglobin": Lab("2614-6", "%"),
    "FiO2": Lab("3150-6", "%", possible=(1.0, 100.0)),
    "Temperature": Lab("8310-5", "Cel", possible=(20.0, 45.0)),
    "Respiratory Rate": Lab("9279-1", "/min"),
    # Drugs
    "ethanol": Lab("5643-2", "mg/dL"),
    "Acetaminophen": Lab("3298-7", "ug/mL"),
    "salicylate": Lab("4024-6", "mg/dL"),
    "Digoxin": Lab("10535-3", "ng/mL"),
    "Phenytoin": Lab("3968-5", "ug/mL"),
    "Vancomycin - trough": Lab("4092-3", "ug/mL"),
    "Vancomycin - random": Lab("20578-1", "ug/mL"),
    # Urine and fluid of the brain
    "urinary sodium": Lab("2955-3", "mmol/L", _MEQ),
    "urinary creatinine": Lab("2161-8", "mg/dL"),
    "urinary osmolality": Lab("2695-5", "mosm/kg"),
    "urinary specific gravity": Lab("2965-2", "{ratio}"),
    "glucose - CSF": Lab("2342-4", "mg/dL"),
    "protein - CSF": Lab("2880-3", "mg/dL"),
}


def lab_table() -> pl.DataFrame:
    """Give labname, loinc, lab_unit, low, high."""
    rows = [(name, lab.loinc, lab.unit, *lab.possible) for name, lab in LABS.items()]
    schema = {
        "labname": pl.String,
        "loinc": pl.String,
        "lab_unit": pl.String,
        "low": pl.Float64,
        "high": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def factors() -> pl.DataFrame:
    """Give labname, stated (a UCUM unit) and factor (to the lab's own unit)."""
    rows = [
        (name, unit, f) for name, lab in LABS.items() for unit, f in {lab.unit: 1.0, **lab.others}.items()
    ]
    return pl.DataFrame(
        rows, schema={"labname": pl.String, "stated": pl.String, "factor": pl.Float64}, orient="row"
    )
