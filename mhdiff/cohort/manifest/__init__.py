"""A manifest: one table of rows, each a visit, with paths of images, notes, labs, codes and labels -> MEDS.

The door for everyone whose data no other adapter knows: `columns` says how they are declared.
"""

from mhdiff.cohort.manifest.importing import import_manifest

__all__ = ["import_manifest"]
