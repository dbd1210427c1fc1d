"""Any dataset of the Medical Event Data Standard 0.4, with a table of images beside it -> a cohort's folder."""

from mhdiff.cohort.from_meds.importing import import_meds

__all__ = ["import_meds"]
