"""MIMIC-CXR-JPG, MIMIC-CXR and MIMIC-IV as one cohort: `import_mimic_cxr` reads them, see docs/mimic-cxr.md."""

from mhdiff.cohort.mimic_cxr.importing import import_mimic_cxr

__all__ = ["import_mimic_cxr"]
