"""The built-in terminology as its tables say it: concepts, relations, maps, labs and image sites.

A concept has a `key` (its name in the tables), an `item` number (stable: it becomes the SCTID, so never
reuse or change one), names, parents (is-a) and relations. To add to the terminology, add a row to a
`concepts_*.tsv`, or a file of that pattern; `python -m ontology.builtin --out DIR` checks all tables and
writes the release. Relations are written `finding_site=lung, associated_morphology=consolidation |
causative_agent=bacterium`: commas inside a role group, bars between groups. New synonyms go to the end of
their cell: the older ones keep their identifiers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from ontology import sctid
from ontology.builtin.checks import check_concepts, check_maps
from ontology.builtin.rows import Row, read_rows
from ontology.errors import ConceptNotFound

NAMESPACE = 9999001
"""Our namespace. It is not one that SNOMED International has allocated, so it clashes with no edition."""

ROOT = "root"
ATTRIBUTE = "attribute"

CONCEPT_COLUMNS = ("item", "key", "fsn", "preferred", "synonyms", "parents", "relations")
MAP_COLUMNS = ("key", "code")
LAB_COLUMNS = (
    *("observable", "loinc", "unit", "ref_low", "ref_high", "plausible_low", "plausible_high"),
    *("decimals", "lowered", "raised", "panels"),
)
SITE_COLUMNS = ("site", "x", "y", "rx", "ry")


@dataclass(frozen=True)
class Concept:
    """A concept.

    Attributes:
        item: Item number of its SCTID.
        key: Its name in the tables.
        fsn: Fully specified name, with the semantic tag in brackets at its end.
        preferred: The preferred term.
        synonyms: Further terms.
        parents: Keys of what it is a kind of.
    """

    item: int
    key: str
    fsn: str
    preferred: str
    synonyms: tuple[str, ...]
    parents: tuple[str, ...]

    @property
    def sctid(self) -> int:
        """The SCTID."""
        return sctid.make_sctid(self.item, NAMESPACE, sctid.CONCEPT)

    @property
    def terms(self) -> tuple[str, ...]:
        """The preferred term and the synonyms."""
        return (self.preferred, *self.synonyms)

    @property
    def semantic_tag(self) -> str:
        """What the FSN has in its last pair of brackets."""
        return self.fsn.rpartition("(")[2].rstrip(")")


@dataclass(frozen=True)
class Relation:
    """source -attribute-> target; equal groups of one source belong together.

    Attributes:
        source: Key of the concept that is described.
        attribute: Key of the attribute, such as `finding_site`.
        target: Key of the value.
        group: Number of the role group, from 1.
    """

    source: str
    attribute: str
    target: str
    group: int


@dataclass(frozen=True)
class Lab:
    """A laboratory measurement.

    Attributes:
        observable: Key of what is measured.
        loinc: Its LOINC code.
        unit: UCUM unit of all the numbers.
        ref_low: Lower end of the reference range.
        ref_high: Upper end of the reference range.
        plausible_low: Lowest value that is seen.
        plausible_high: Highest value that is seen.
        decimals: Decimals that a laboratory reports.
        lowered: Key of the finding below the reference range, or "" where that says nothing.
        raised: Key of the finding above the reference range, or "".
        panels: Tasks that order it: pneumonia, dementia, hiv.
    """

    observable: str
    loinc: str
    unit: str
    ref_low: float
    ref_high: float
    plausible_low: float
    plausible_high: float
    decimals: int
    lowered: str
    raised: str
    panels: tuple[str, ...]


@dataclass(frozen=True)
class ImageSite:
    """Where a body structure lies on a frontal chest radiograph: an ellipse, in shares of the image.

    Attributes:
        site: Key of the body structure; a site of two parts has two rows.
        x: Centre, from the left edge of the image (the patient's right side) to the right edge.
        y: Centre, from the top edge down.
        rx: Half width.
        ry: Half height.
    """

    site: str
    x: float
    y: float
    rx: float
    ry: float


@dataclass(frozen=True)
class Tables:
    """All tables, checked.

    Attributes:
        concepts: In the order of their item numbers.
        relations: Without is-a, which is in `Concept.parents`.
        icd10: (key, ICD-10 code).
        loinc: (key, LOINC code), the labs' included.
        labs: The laboratory measurements.
        image_sites: The places on a chest radiograph.
    """

    concepts: tuple[Concept, ...]
    relations: tuple[Relation, ...]
    icd10: tuple[tuple[str, str], ...]
    loinc: tuple[tuple[str, str], ...]
    labs: tuple[Lab, ...]
    image_sites: tuple[ImageSite, ...]

    @cached_property
    def by_key(self) -> dict[str, Concept]:
        """Concepts by key."""
        return {concept.key: concept for concept in self.concepts}

    @cached_property
    def by_sctid(self) -> dict[int, Concept]:
        """Concepts by SCTID."""
        return {concept.sctid: concept for concept in self.concepts}

    @cached_property
    def children(self) -> dict[str, tuple[str, ...]]:
        """Keys of the direct kinds of each concept, sorted."""
        below: dict[str, list[str]] = {concept.key: [] for concept in self.concepts}
        for concept in self.concepts:
            for parent in concept.parents:
                below[parent].append(concept.key)
        return {key: tuple(sorted(keys)) for key, keys in below.items()}

    @cached_property
    def attributes(self) -> dict[str, tuple[Relation, ...]]:
        """Relations by the key of their source."""
        found: dict[str, list[Relation]] = {concept.key: [] for concept in self.concepts}
        for relation in self.relations:
            found[relation.source].append(relation)
        return {key: tuple(relations) for key, relations in found.items()}

    def leaves(self, anchor: str) -> tuple[str, ...]:
        """Give the keys of the concepts without kinds of their own among the descendants, sorted.

        Args:
            anchor: Key of the concept to descend from; a concept without kinds is its own leaf.

        Raises:
            ConceptNotFound: If there is no such key.
        """
        if anchor not in self.by_key:
            raise ConceptNotFound(f"the built-in terminology has no concept {anchor!r}")
        seen, stack = {anchor}, [anchor]
        while stack:
            for child in self.children[stack.pop()]:
                if child not in seen:
                    seen.add(child)
                    stack.append(child)
        return tuple(sorted(key for key in seen if not self.children[key]))

    def value(self, key: str, attribute: str) -> str | None:
        """Give the target of a concept's first relation of this kind, or None.

        Args:
            key: The concept.
            attribute: The attribute, such as `finding_site`.
        """
        return next((r.target for r in self.attributes[key] if r.attribute == attribute), None)


def read_tables(folder: Path) -> Tables:
    """Read and check the tables of a folder.

    Args:
        folder: It holds `concepts_*.tsv`, `icd10.tsv`, `loinc.tsv`, `labs.tsv` and `image_sites.tsv`.

    Raises:
        InputError: If a row is wrong; the message names file, line and column.
    """
    rows = [row for path in sorted(folder.glob("concepts_*.tsv")) for row in read_rows(path, CONCEPT_COLUMNS)]
    relations = check_concepts(rows, root=ROOT, attribute=ATTRIBUTE)
    icd10, loinc = (read_rows(folder / name, MAP_COLUMNS) for name in ("icd10.tsv", "loinc.tsv"))
    labs = read_rows(folder / "labs.tsv", LAB_COLUMNS)
    sites = read_rows(folder / "image_sites.tsv", SITE_COLUMNS)
    check_maps({row["key"] for row in rows}, icd10=icd10, loinc=loinc, labs=labs, sites=sites)
    order = {row["key"]: int(row["item"]) for row in rows}
    return Tables(
        concepts=tuple(sorted((_concept(row) for row in rows), key=lambda concept: concept.item)),
        relations=tuple(Relation(*parts) for parts in sorted(relations, key=lambda parts: order[parts[0]])),
        icd10=tuple((row["key"], row["code"]) for row in icd10),
        loinc=tuple((row["observable"], row["loinc"]) for row in labs)
        + tuple((row["key"], row["code"]) for row in loinc),
        labs=tuple(_lab(row) for row in labs),
        image_sites=tuple(ImageSite(row["site"], *map(row.number, SITE_COLUMNS[1:])) for row in sites),
    )


@cache
def tables() -> Tables:
    """Give the tables that this package holds, read once."""
    return read_tables(Path(__file__).parent)


def sctid_of(key: str) -> int:
    """Give the SCTID of a concept of the built-in terminology.

    Args:
        key: Its key in the tables.

    Raises:
        ConceptNotFound: If there is no such key.
    """
    if key not in tables().by_key:
        raise ConceptNotFound(f"the built-in terminology has no concept {key!r}")
    return tables().by_key[key].sctid


def key_of(identifier: int) -> str:
    """Give the key of a concept of the built-in terminology.

    Args:
        identifier: Its SCTID.

    Raises:
        ConceptNotFound: If it is none of ours.
    """
    if int(identifier) not in tables().by_sctid:
        raise ConceptNotFound(f"{identifier} is no concept of the built-in terminology")
    return tables().by_sctid[int(identifier)].key


def leaves(anchor: str) -> tuple[str, ...]:
    """Give the keys of the leaves under a concept of the built-in terminology, sorted.

    Args:
        anchor: Its key; a concept without kinds is its own leaf.
    """
    return tables().leaves(anchor)


def _concept(row: Row) -> Concept:
    return Concept(
        int(row["item"]), row["key"], row["fsn"], row["preferred"], row.many("synonyms"), row.many("parents")
    )


def _lab(row: Row) -> Lab:
    low, high, least, most = (row.number(column) for column in LAB_COLUMNS[3:7])
    return Lab(
        row["observable"],
        row["loinc"],
        row["unit"],
        *(low, high, least, most),
        decimals=int(row["decimals"]),
        lowered=row["lowered"],
        raised=row["raised"],
        panels=row.many("panels"),
    )
