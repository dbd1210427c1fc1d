"""Names, dates and other identifiers of patients taken out of notes, before anything else reads them."""

from mhdiff.cohort.deidentify.deidentifier import Deidentification, Deidentifier
from mhdiff.cohort.deidentify.rules import Rules
from mhdiff.cohort.deidentify.spans import KINDS, Span

__all__ = ["KINDS", "Deidentification", "Deidentifier", "Rules", "Span"]
