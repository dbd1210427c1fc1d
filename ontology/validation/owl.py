"""The OWL axioms of a release: whether each parses, names the component that it is said of, and only known ones."""

from __future__ import annotations

import polars as pl

from ontology.axioms import ORDINARY
from ontology.errors import InputError
from ontology.functional_syntax import parse
from ontology.rf2_refsets import OWL_AXIOMS
from ontology.validation.columns import CONCEPT
from ontology.validation.findings import Findings
from ontology.validation.references import ATTRIBUTE, Known, check

_SLICE = 1 << 16
_NAME = r"[( ]:[0-9]{6,18}"
_PROPERTY = r"(?:ObjectSomeValuesFrom|DataHasValue)\(:[0-9]+ "
_OF_PROPERTIES = r"^\s*[A-Za-z]*Property"


def check_axioms(rows: pl.DataFrame, known: Known, findings: Findings) -> None:
    """Check the active OWL axioms; ontology headers and prefixes are none.

    Args:
        rows: The latest members of OWL expression reference sets.
        known: The concepts.
        findings: Where problems are noted.
    """
    axioms = rows.filter((pl.col("active") == 1) & (pl.col("refsetId") == OWL_AXIOMS))
    for part in axioms.iter_slices(_SLICE):
        _parse(part, findings)
        of = pl.format(":{}", "referencedComponentId")
        apart = part.filter(~pl.col("owlExpression").str.contains(of, literal=True))
        findings.add("owl-component", apart, "referencedComponentId")
        if known.judged(CONCEPT):
            _names(part, known, findings)


def _parse(axioms: pl.DataFrame, findings: Findings) -> None:
    odd = axioms.filter(~pl.col("owlExpression").str.contains(ORDINARY))
    details: list[str | None] = []
    for axiom in odd["owlExpression"].to_list():
        try:
            parse(axiom)
            details.append(None)
        except InputError as error:
            details.append(error.problem.partition("does not parse: ")[2])
    wrong = odd.with_columns(pl.Series("_detail", details, dtype=pl.String())).filter(
        pl.col("_detail").is_not_null()
    )
    findings.add("owl-axiom", wrong, "owlExpression", detail="_detail")


def _names(axioms: pl.DataFrame, known: Known, findings: Findings) -> None:
    """Look up the SCTIDs that axioms name; without attributes, properties are not looked up."""
    text = pl.col("owlExpression")
    if ATTRIBUTE not in known.sorts:
        axioms = axioms.filter(~text.str.contains(_OF_PROPERTIES)).with_columns(
            text.str.replace_all(_PROPERTY, "(")
        )
    lists = text.str.extract_all(_NAME)
    named = axioms.select(lists).explode("owlExpression", keep_nulls=False, empty_as_null=False).unique()
    unknown = named.select(_number(text)).to_series().unique()
    unknown = unknown.filter(~unknown.is_in(known.concepts.implode()))
    if unknown.is_empty():
        return
    found = (
        axioms.with_columns(_named=lists)
        .explode("_named", keep_nulls=False, empty_as_null=False)
        .with_columns(_number(pl.col("_named")))
        .filter(
            pl.col("_named").is_in(unknown.implode()) & (pl.col("_named") != pl.col("referencedComponentId"))
        )
        .unique(["id", "_named"], maintain_order=True)
    )
    check(found, "owlExpression", known, findings, value="_named")


def _number(name: pl.Expr) -> pl.Expr:
    return name.str.extract("([0-9]+)").cast(pl.Int64)
