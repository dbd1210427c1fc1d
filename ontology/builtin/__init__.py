"""The built-in terminology: an RF2 release of our own, written from readable tables in this folder.

It holds about a thousand concepts for three tasks (pneumonia on chest radiographs; Alzheimer disease, mild
cognitive impairment or neither on brain MRI; stages of HIV infection) and no SNOMED CT content. It is made
for demonstrations and tests, and it is no clinical terminology. `tables.py` says how to add to it.
"""

from __future__ import annotations

from ontology.builtin.generate import write_rf2
from ontology.builtin.tables import (
    NAMESPACE,
    Concept,
    ImageSite,
    Lab,
    Relation,
    Tables,
    key_of,
    leaves,
    read_tables,
    sctid_of,
    tables,
)

__all__ = [
    "NAMESPACE",
    "Concept",
    "ImageSite",
    "Lab",
    "Relation",
    "Tables",
    "key_of",
    "leaves",
    "read_tables",
    "sctid_of",
    "tables",
    "write_rf2",
]
