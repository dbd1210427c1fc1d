"""One patient's tables: what modalities, concepts, labs and codes contributed, each with a bar to its side."""

from __future__ import annotations

from mhdiff.report.documents import Document
from mhdiff.report.figures import bars
from mhdiff.report.table import Cell, Table
from mhdiff.report.text import NONE, number, small, words

FLAGS = {
    "high": "\N{BLACK UP-POINTING TRIANGLE} high",
    "low": "\N{BLACK DOWN-POINTING TRIANGLE} low",
    "normal": "normal",
}
UNREAD = "not read by the encoder"


def modalities(document: Document, output: str) -> Table:
    """What each modality contributed.

    Args:
        document: The explanation.
        output: What was attributed.
    """
    rows: list[list[str | Cell]] = []
    listed = document.get("modalities") or []
    for m, told in zip(listed, _attributions(listed), strict=True):
        if m["present"]:
            parts = [small(m.get(key)) for key in ("by_input", "by_evidence", "shapley")]
            rows.append([m["name"], told, *parts])
        else:
            rows.append([m["name"], f"absent: exactly {small(m['attribution'])}", NONE, NONE, NONE])
    return Table(
        "patient-modalities",
        f"Joint integrated gradients in {output}, split by the encoder's input and the ontology's evidence; the "
        "Shapley "
        "value in probability.",
        ("Modality", "Attribution", "by input", "by evidence", "Shapley"),
        rows,
        ("Attribution", "by input", "by evidence", "Shapley"),
        whole=True,
    )


def concepts(document: Document) -> Table | None:
    """Which concepts were recognised, and what they contributed.

    Args:
        document: The explanation.
    """
    listed = document.get("concepts") or []
    rows: list[list[str | Cell]] = [
        [
            Cell(c["fsn"], str(c["sctid"])),
            c["modality"],
            words(c.get("polarity") or ""),
            f"\N{LEFT DOUBLE QUOTATION MARK}{c['text']}\N{RIGHT DOUBLE QUOTATION MARK}"
            if c.get("text")
            else Cell(str(c["source"]), kind="code"),
            number(c.get("weight"), 2),
            told,
        ]
        for c, told in zip(listed, _attributions(listed), strict=True)
    ]
    heads = ("Concept", "Modality", "Polarity", "From", "Weight", "Attribution")
    caption = "Concepts of the ontology that this patient's data point to, the strongest contribution first."
    return Table("patient-concepts", caption, heads, rows, heads[4:], whole=True) if rows else None


def labs(document: Document) -> Table | None:
    """The laboratory values, and what they contributed.

    Args:
        document: The explanation.
    """
    listed = document.get("labs") or []
    rows: list[list[str | Cell]] = [
        [
            Cell(row["name"], row["code"]),
            f"{_value(row['value'])} {row['unit'] or ''}".strip(),
            _reference(row.get("ref_low"), row.get("ref_high")),
            Cell(FLAGS.get(row.get("flag") or "", "no range"), kind=row.get("flag") or "none"),
            told,
        ]
        for row, told in zip(listed, _attributions(listed), strict=True)
    ]
    heads = ("Test", "Value", "Reference", "Flag", "Attribution")
    caption = "Latest values in the window, the strongest contribution first."
    right = ("Value", "Attribution")
    return Table("patient-labs", caption, heads, rows, right, whole=True) if rows else None


def codes(document: Document) -> Table | None:
    """The codes, and what they contributed.

    Args:
        document: The explanation.
    """
    listed = document.get("codes") or []
    rows: list[list[str | Cell]] = [
        [Cell(row["code"], kind="code"), row["name"], told]
        for row, told in zip(listed, _attributions(listed), strict=True)
    ]
    heads = ("Code", "Name", "Attribution")
    caption = "Codes in the window, the strongest contribution first."
    return Table("patient-codes", caption, heads, rows, heads[2:], whole=True) if rows else None


def _attributions(rows: list[Document]) -> list[Cell]:
    """Write attributions with their bars, all on one scale."""
    values = [row.get("attribution") for row in rows]
    return [Cell(UNREAD if v is None else small(v), bar=b) for v, b in zip(values, bars(values), strict=True)]


def _reference(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return "none known"
    if low is None or high is None:
        return f"up to {_value(high)}" if low is None else f"from {_value(low)}"
    return f"{_value(low)} to {_value(high)}"


def _value(value: float | None) -> str:
    """Write a measurement with as many digits as it was probably made with."""
    if value is None:
        return number(None)
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    text = number(value, digits)
    return text.rstrip("0").rstrip(".") if "." in text else text
