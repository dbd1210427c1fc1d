"""Measurements in one unit an analyte, without values that cannot be: what is done before anything reads them."""

from mhdiff.cohort.measurements.analytes import Analyte, Analytes
from mhdiff.cohort.measurements.harmonise import harmonise, with_rewritten
from mhdiff.cohort.measurements.written import in_ucum

__all__ = ["Analyte", "Analytes", "harmonise", "in_ucum", "with_rewritten"]
