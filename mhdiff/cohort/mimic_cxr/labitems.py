"""What MIMIC-IV's laboratory items are: a LOINC code where one is known, and a unit as UCUM writes it.

The LOINC code of an item is, in this order: of the user's own table (columns itemid and loinc_code), of the column
loinc_code of d_labitems (MIMIC-IV 0.4 and 1.0 had one), of `LOINC` by label and fluid. An item that none of them knows
keeps MIMIC's own number: `MIMIC_LABITEM/50811`. Codes are used under the LOINC licence (https://loinc.org).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import polars as pl

from mhdiff.cohort.account import Account
from mhdiff.cohort.typed import refused, typed
from ontology.errors import InputError

#: (label, fluid) of d_labitems -> LOINC, for the items that are measured most.
LOINC: Final = {
    ("Creatinine", "Blood"): "2160-0",
    ("Urea Nitrogen", "Blood"): "3094-0",
    ("Sodium", "Blood"): "2951-2",
    ("Potassium", "Blood"): "2823-3",
    ("Chloride", "Blood"): "2075-0",
    ("Bicarbonate", "Blood"): "1963-8",
    ("Anion Gap", "Blood"): "33037-3",
    ("Glucose", "Blood"): "2345-7",
    ("Calcium, Total", "Blood"): "17861-6",
    ("Magnesium", "Blood"): "19123-9",
    ("Phosphate", "Blood"): "2777-1",
    ("Albumin", "Blood"): "1751-7",
    ("Hematocrit", "Blood"): "4544-3",
    ("Hemoglobin", "Blood"): "718-7",
    ("Red Blood Cells", "Blood"): "789-8",
    ("White Blood Cells", "Blood"): "6690-2",
    ("Platelet Count", "Blood"): "777-3",
    ("MCV", "Blood"): "787-2",
    ("MCH", "Blood"): "785-6",
    ("MCHC", "Blood"): "786-4",
    ("RDW", "Blood"): "788-0",
    ("Neutrophils", "Blood"): "770-8",
    ("Lymphocytes", "Blood"): "736-9",
    ("Monocytes", "Blood"): "5905-5",
    ("Eosinophils", "Blood"): "713-8",
    ("Basophils", "Blood"): "706-2",
    ("INR(PT)", "Blood"): "6301-6",
    ("PT", "Blood"): "5902-2",
    ("PTT", "Blood"): "3173-2",
    ("Alanine Aminotransferase (ALT)", "Blood"): "1742-6",
    ("Asparate Aminotransferase (AST)", "Blood"): "1920-8",  # so spelled there
    ("Alkaline Phosphatase", "Blood"): "6768-6",
    ("Bilirubin, Total", "Blood"): "1975-2",
    ("Lactate Dehydrogenase (LD)", "Blood"): "2532-0",
    ("Creatine Kinase (CK)", "Blood"): "2157-6",
    ("Troponin T", "Blood"): "6598-7",
    ("C-Reactive Protein", "Blood"): "1988-5",
    ("Lactate", "Blood"): "32693-4",
    ("pH", "Blood"): "11558-4",
    ("pCO2", "Blood"): "11557-6",
    ("pO2", "Blood"): "11556-8",
}
#: How MIMIC writes units that UCUM writes otherwise; no value is converted.
UNITS: Final = {
    "K/uL": "10*3/uL", "k/uL": "10*3/uL", "m/uL": "10*6/uL", "M/uL": "10*6/uL", "#/uL": "/uL", "#/CU MM": "/uL",
    "IU/L": "[IU]/L", "IU/mL": "[IU]/mL", "mIU/L": "m[IU]/L", "mIU/mL": "m[IU]/mL", "uIU/mL": "u[IU]/mL",
    "uIU/ML": "u[IU]/mL", "sec": "s", "mm Hg": "mm[Hg]", "mEq/L": "meq/L", "mEQ/L": "meq/L", "mOsm/kg": "mosm/kg",
    "ug/dL": "ug/dL", "mcg/mL": "ug/mL", "mcg/dL": "ug/dL", "Deg. C": "Cel", "mm/hr": "mm/h", "mg/24hr": "mg/(24.h)",
    "units": "{pH}",
}  # fmt: skip
_COLUMNS: Final = {
    "itemid": pl.Int64(),
    "label": pl.String(),
    "fluid": pl.String(),
    "loinc_code": pl.String(),
}
_LOINC = r"^\d{1,7}-\d$"


class Items(NamedTuple):
    """The laboratory items.

    Attributes:
        table: itemid, base (the code without a unit), description.
        by_code: How many of them have a LOINC code.
    """

    table: pl.DataFrame
    by_code: int


def read_items(file: Path | None, own: Path | None, table: str, account: Account) -> Items:
    """Read d_labitems.

    Args:
        file: The table; None where there is none, and then items are their numbers.
        own: The user's own table of LOINC codes.
        table: What it is called in accounts.
        account: Filled.

    Raises:
        InputError: If a table lacks a column, or the user's holds no LOINC code.
    """
    theirs = {} if own is None else _own(own)
    known = pl.DataFrame(schema=_COLUMNS)
    if file is not None:
        rows = typed(file, _COLUMNS, ("itemid", "label"), ("itemid",)).collect()
        account.rows[table] += rows.height
        refused(rows.lazy(), table, account, _COLUMNS)
        sound = rows.filter(pl.col("bad").is_null())
        known = sound.unique("itemid", keep="first", maintain_order=True)
        if again := sound.height - known.height:
            line = sound.filter(~pl.col("itemid").is_first_distinct())["row"][0]
            account.refuse("itemid is there twice", table, line, "itemid", again)
    made = []
    for item, label, fluid, stated in known.select(*_COLUMNS).iter_rows():
        code = theirs.get(item) or stated or LOINC.get((label, fluid))
        base = f"LOINC/{code}" if code else f"MIMIC_LABITEM/{item}"
        made.append((item, base, f"{label or 'Laboratory item'} in {(fluid or 'a specimen').lower()}"))
    made += [
        (item, f"LOINC/{code}", "Laboratory item")
        for item, code in theirs.items()
        if item not in known["itemid"]
    ]
    schema = {"itemid": pl.Int64, "base": pl.String, "description": pl.String}
    items = pl.DataFrame(made, schema=schema, orient="row")
    return Items(items, int(items["base"].str.starts_with("LOINC/").sum()))


def _own(file: Path) -> dict[int, str]:
    if not file.is_file():
        raise InputError("there is no such table of LOINC codes", path=file)
    rows = typed(
        file, {"itemid": pl.Int64(), "loinc_code": pl.String()}, ("itemid", "loinc_code"), ("itemid",)
    ).collect()
    wrong = rows.filter(
        pl.col("bad").is_not_null() | ~pl.col("loinc_code").str.contains(_LOINC).fill_null(True)
    )
    if wrong.height:
        raise InputError(
            "the row names no item, or no LOINC code such as 2160-0", path=file, row=int(wrong["row"][0]),
            remedy="Correct the row, or leave its loinc_code empty",
        )  # fmt: skip
    return dict(rows.drop_nulls("loinc_code").select("itemid", "loinc_code").iter_rows())
