"""eICU Collaborative Research Database (the demo's layout, also that of the whole database) -> MEDS."""

from mhdiff.cohort.eicu.importing import import_eicu

__all__ = ["import_eicu"]
