"""UK Biobank's main dataset and brain MRI as a cohort: `import_uk_biobank` reads them, see docs/uk-biobank.md."""

from mhdiff.cohort.uk_biobank.importing import import_uk_biobank

__all__ = ["import_uk_biobank"]
