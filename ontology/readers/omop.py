"""The vocabulary tables of the OMOP common data model, as Athena or a database hands them out.

CONCEPT and CONCEPT_RELATIONSHIP are needed; CONCEPT_SYNONYM, CONCEPT_ANCESTOR and RELATIONSHIP are used where they
are. Athena's files are called .csv and are separated by tabs without quoting; others by commas with quotes: the header
tells which.

| in OMOP | in the ontology |
|---|---|
| a concept of SNOMED | its SCTID; of another vocabulary the CURIE vocabulary:code; the concept_id as a map to "OMOP" |
| invalid_reason | an inactive concept |
| Is a, Subsumes | is-a |
| Maps to, Mapped from | a map from the standard concept to the code of the source's vocabulary |
| Concept replaced by, same_as, poss_eq, alt_to, was_a | history |
| every other relationship | a relation; one of a pair of inverse ones, which RELATIONSHIP or the rows tell |

A concept that rows speak of and CONCEPT lacks, as in shards, is bridged: if A is a X and X is a B, then A is a B.

CONCEPT_ANCESTOR is only used where no row says Is a or Subsumes, since it is derived from them. Rows whose ends are not
in CONCEPT are counted: a download holds the vocabularies that were asked for.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from ontology.codes import Keys
from ontology.errors import InputError
from ontology.identifiers import (
    ALTERNATIVE,
    IS_A,
    POSSIBLY_EQUIVALENT_TO,
    REPLACED_BY,
    SAME_AS,
    WAS_A,
    normalise_system,
)
from ontology.parts import Parts
from ontology.report import LoadReport

_COLUMNS = {
    "CONCEPT": ("concept_id", "concept_name", "vocabulary_id", "concept_code", "invalid_reason"),
    "CONCEPT_RELATIONSHIP": ("concept_id_1", "concept_id_2", "relationship_id", "invalid_reason"),
    "CONCEPT_SYNONYM": ("concept_id", "concept_synonym_name"),
    "CONCEPT_ANCESTOR": ("ancestor_concept_id", "descendant_concept_id", "min_levels_of_separation"),
    "RELATIONSHIP": ("relationship_id", "reverse_relationship_id"),
}
_HISTORY = {
    "Concept replaced by": REPLACED_BY,
    "Concept same_as to": SAME_AS,
    "Concept poss_eq to": POSSIBLY_EQUIVALENT_TO,
    "Concept alt_to to": ALTERNATIVE,
    "Concept was_a to": WAS_A,
}
# Said once more from the other end.
_BACKWARD = {
    "Subsumes": "Is a",
    "Mapped from": "Maps to",
    "Concept replaces": "Concept replaced by",
    "Concept same_as from": "Concept same_as to",
    "Concept poss_eq from": "Concept poss_eq to",
    "Concept alt_to from": "Concept alt_to to",
    "Concept was_a from": "Concept was_a to",
}
_ATTRIBUTES = {
    "Has finding site": 363698007,
    "Has asso morph": 116676008,
    "Has causative agent": 246075003,
    "Has due to": 42752001,
    "Using finding method": 418775008,
    "Has method": 260686004,
    "Has interprets": 363714003,
    "Has interpretation": 363713009,
    "Has dir proc site": 405813007,
    "Has proc site": 363704007,
    "Has laterality": 272741003,
    "Has occurrence": 246454002,
    "Has pathology": 370135005,
    "Has severity": 246112005,
    "Has clinical course": 263502005,
    "Occurs after": 255234002,
    "Has temporal context": 408731000,
    "Has finding context": 408729009,
    "Has asso finding": 246090004,
    "Has property": 370130000,
}
_PREFIXES = {"ICD10": "ICD10", "ICD10CM": "ICD10CM", "LOINC": "LOINC", "RxNorm": "RxNorm"}


def recognises(path: Path) -> bool:
    """Say whether a path is a folder with CONCEPT and CONCEPT_RELATIONSHIP.

    Args:
        path: The path.
    """
    return path.is_dir() and all(_find(path, name) for name in ("CONCEPT", "CONCEPT_RELATIONSHIP"))


def read(path: Path, report: LoadReport) -> Parts:
    """Read the tables of a folder.

    Args:
        path: The folder.
        report: The account of the load, filled.

    Raises:
        InputError: If a table is missing or cannot be read, lacks a column, or an identifier is none.
    """
    used = {file.name for name in _COLUMNS if (file := _find(path, name))}
    for other in sorted(p.name for p in path.iterdir() if p.is_file() and p.name not in used):
        report.files_not_read.append({"file": other, "reason": "it is no table of a vocabulary that is used"})
    concepts = _table(path, "CONCEPT", report)
    keys = Keys()
    known = _concepts(concepts, keys, path)
    report.count("concept", read=concepts.height, active=known.filter("active").height,
                 used=known.filter("active").height)  # fmt: skip
    rows = _relationships(path, report)
    sources = known.select(
        concept_id_1="concept_id", source="key", system="vocabulary_id", code="concept_code"
    )
    targets = known.select(concept_id_2="concept_id", target="key")
    found = rows.join(sources, on="concept_id_1").join(targets, on="concept_id_2")
    report.drop("relationship", "an end is not in CONCEPT", rows.height - found.height)
    is_a = found.filter(pl.col("relationship_id") == "Is a")
    is_a = pl.concat([is_a.select("source", "target"), _bridged(rows, known, is_a, report)])
    if is_a.is_empty():
        is_a = _from_ancestors(path, known, report)
    maps = found.filter((pl.col("relationship_id") == "Maps to") & (pl.col("source") != pl.col("target")))
    itself = found.filter(pl.col("relationship_id") == "Maps to").height - maps.height
    report.drop("relationship", "it maps a concept to itself", itself, expected=True)
    history = found.filter(pl.col("relationship_id").is_in(list(_HISTORY)))
    done = ["Is a", "Maps to", *_HISTORY]
    others = found.filter(~pl.col("relationship_id").is_in(done))
    report.count("map", read=maps.height, active=maps.height)
    report.count("association", read=history.height, active=history.height)
    relations = pl.concat([
        is_a.select("source", pl.lit(IS_A, pl.Int64).alias("type"), "target"),
        _named(others, keys).select("source", "type", "target"),
    ]).unique(maintain_order=True)  # fmt: skip
    report.drop(
        "relationship",
        "the same is said twice",
        is_a.height + others.height - relations.height,
        expected=True,
    )
    report.count("relationship", active=relations.height)
    active = known.filter("active")
    return Parts(
        concepts=active.select(sctid="key"),
        inactive=known.filter(~pl.col("active")).select(sctid="key"),
        terms=_terms(known, path, report),
        relations=relations,
        maps=_maps(known, maps, report),
        history=history.select(
            "source",
            "target",
            refset=pl.col("relationship_id").replace_strict(_HISTORY, return_dtype=pl.Int64),
        ),
        codes=keys.frame(),
    )


def _find(folder: Path, name: str) -> Path | None:
    for file in sorted(folder.iterdir()):
        if file.stem.upper() == name and file.suffix.lower() in (".csv", ".tsv", ".txt"):
            return file
    return None


def _table(folder: Path, name: str, report: LoadReport) -> pl.DataFrame:
    file = _find(folder, name)
    if file is None:
        raise InputError(f"there is no {name}.csv", path=folder, remedy="Download the vocabularies again")
    try:
        with file.open("rb") as opened:
            tabs = b"\t" in opened.readline()
        frame = pl.read_csv(
            file, separator="\t" if tabs else ",", quote_char=None if tabs else '"', infer_schema=False
        )  # fmt: skip
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(
            f"the table cannot be read ({error})", path=file, remedy="Download it again"
        ) from error
    lower = [column.lower() for column in frame.columns]
    seen: set[str] = set()
    for column in lower:
        if column in seen:
            raise InputError("two columns have the same name but for upper and lower case", path=file, row=1,
                             column=column, remedy="Keep one of them")  # fmt: skip
        seen.add(column)
    frame.columns = lower
    for column in _COLUMNS[name]:
        if column not in frame.columns:
            raise InputError(f"the table has no column '{column}'", path=file, row=1, column=column,
                             remedy=f"It needs: {', '.join(_COLUMNS[name])}")  # fmt: skip
    report.files_read.append({"file": file.name, "kind": f"OMOP {name}", "rows": frame.height})
    for column in frame.columns:
        if column not in _COLUMNS[name]:
            report.tolerate(f"column '{column}' of {name} is not used", 1, expected=True)
    frame = frame.select(pl.col(column).fill_null("") for column in _COLUMNS[name])
    for column in (c for c in _COLUMNS[name] if c.endswith(("concept_id", "_id_1", "_id_2"))):
        numbers = frame[column].cast(pl.Int64, strict=False)
        if len(wrong := numbers.is_null().arg_true()):
            row = int(wrong[0])
            raise InputError(
                f"this is no concept_id: {frame[column][row][:40]!r}", path=file, row=row + 2, column=column
            )
        frame = frame.with_columns(numbers)
    return frame


def _concepts(rows: pl.DataFrame, keys: Keys, path: Path) -> pl.DataFrame:
    identities = []
    for vocabulary, code in zip(rows["vocabulary_id"].to_list(), rows["concept_code"].to_list(), strict=True):
        plain = vocabulary == "SNOMED" and code.isascii() and code.isdecimal() and 6 <= len(code) <= 18
        identities.append(int(code) if plain else keys(f"{_PREFIXES.get(vocabulary, vocabulary)}:{code}"))
    known = rows.with_columns(
        key=pl.Series(identities, dtype=pl.Int64), active=pl.col("invalid_reason").is_in(["", "V"])
    )
    twice = known.filter(pl.col("key").is_duplicated() | pl.col("concept_id").is_duplicated())
    if twice.height:
        raise InputError(
            f"the concept {twice['vocabulary_id'][0]} {twice['concept_code'][0]} is there twice",
            path=_find(path, "CONCEPT"), remedy="Keep one row",
        )  # fmt: skip
    return known


def _relationships(path: Path, report: LoadReport) -> pl.DataFrame:
    """Give the valid rows, each relationship in one direction."""
    rows = _table(path, "CONCEPT_RELATIONSHIP", report)
    report.count("relationship", read=rows.height)
    valid = rows.filter(pl.col("invalid_reason").is_in(["", "V"]))
    report.drop("relationship", "it is invalid", rows.height - valid.height, expected=True)
    backward = {**_reverses(valid, path, report), **_BACKWARD}
    turned = pl.col("relationship_id").is_in(list(backward))
    once = valid.select(
        pl.when(turned).then("concept_id_2").otherwise("concept_id_1").alias("concept_id_1"),
        pl.when(turned).then("concept_id_1").otherwise("concept_id_2").alias("concept_id_2"),
        pl.col("relationship_id").replace(backward),
    ).unique(maintain_order=True)
    report.drop("relationship", "the same from the other end", valid.height - once.height, expected=True)
    return once


def _reverses(rows: pl.DataFrame, path: Path, report: LoadReport) -> dict[str, str]:
    """Find the inverse pairs of relationships: by RELATIONSHIP, else by rows that say the same from both ends."""
    pairs: list[tuple[str, str]] = []
    if _find(path, "RELATIONSHIP"):
        pairs = list(_table(path, "RELATIONSHIP", report).iter_rows())
    if not pairs:
        ends = rows.group_by("relationship_id").agg(
            n=pl.len(),
            there=pl.struct("concept_id_1", "concept_id_2").hash(seed=1).sort().implode().hash().first(),
            back=pl.struct(concept_id_1="concept_id_2", concept_id_2="concept_id_1").hash(seed=1).sort().implode()
            .hash().first(),
        )  # fmt: skip
        other = ends.select(reverse="relationship_id", n="n", there="back")
        pairs = list(ends.join(other, on=["n", "there"]).select("relationship_id", "reverse").iter_rows())
    found: dict[str, str] = {}
    for one, other_ in pairs:
        first, second = sorted(
            (one, other_), key=lambda name: (name not in _ATTRIBUTES, not name.startswith("Has "), name)
        )
        if first != second and first not in found and second not in (*_BACKWARD.values(), *_BACKWARD):
            found.setdefault(second, first)
    return found


def _named(rows: pl.DataFrame, keys: Keys) -> pl.DataFrame:
    names = sorted(rows["relationship_id"].unique().to_list())
    types = {name: _ATTRIBUTES.get(name) or keys(f"OMOP:{name}", name.lower()) for name in names}
    return rows.with_columns(
        type=pl.col("relationship_id").replace_strict(types, default=0, return_dtype=pl.Int64)
    )


def _bridged(rows: pl.DataFrame, known: pl.DataFrame, is_a: pl.DataFrame, report: LoadReport) -> pl.DataFrame:
    """Give the is-a of living concepts that leads through concepts of which CONCEPT knows nothing.

    What a longer way says already is left out.
    """
    empty = pl.DataFrame(schema={"source": pl.Int64, "target": pl.Int64})
    living = dict(known.filter("active").select("concept_id", "key").iter_rows())
    retired = set(known.filter(~pl.col("active"))["concept_id"].to_list())
    every = rows.filter(pl.col("relationship_id") == "Is a").select("concept_id_1", "concept_id_2")
    here = known["concept_id"].implode()
    open_ends = every.filter(~pl.col("concept_id_1").is_in(here) | ~pl.col("concept_id_2").is_in(here))
    up: dict[int, list[int]] = {}
    for child, parent in open_ends.iter_rows():
        up.setdefault(child, []).append(parent)
    found: dict[int, set[int]] = {}
    for child in (c for c in up if c in living):
        waiting, seen = list(up[child]), {child}
        while waiting:
            concept = waiting.pop()
            if concept in seen or concept in retired:
                continue
            seen.add(concept)
            if concept in living:
                found.setdefault(living[child], set()).add(living[concept])
            else:
                waiting += up.get(concept, [])
    if not found:
        return empty
    above: dict[int, set[int]] = {child: set(parents) for child, parents in found.items()}
    direct: dict[int, set[int]] = {}
    for child, parent in is_a.select("source", "target").iter_rows():
        direct.setdefault(child, set()).add(parent)
        above.setdefault(child, set()).add(parent)
    new = [
        (child, parent)
        for child in sorted(found)
        for parent in sorted(found[child] - direct.get(child, set()))
        if not _leads(above, [other for other in above[child] if other != parent], parent)
    ]
    report.tolerate("is-a across concepts that are not in CONCEPT", len(new))
    return pl.DataFrame(new, schema=empty.schema, orient="row")


def _leads(above: dict[int, set[int]], waiting: list[int], goal: int) -> bool:
    """Say whether a way up leads from one of the concepts to the goal."""
    seen: set[int] = set()
    while waiting:
        concept = waiting.pop()
        if concept == goal:
            return True
        if concept not in seen:
            seen.add(concept)
            waiting += above.get(concept, ())
    return False


def _from_ancestors(path: Path, known: pl.DataFrame, report: LoadReport) -> pl.DataFrame:
    empty = pl.DataFrame(schema={"source": pl.Int64, "target": pl.Int64})
    if not _find(path, "CONCEPT_ANCESTOR"):
        return empty
    every = _table(path, "CONCEPT_ANCESTOR", report)
    rows = every.filter(pl.col("min_levels_of_separation") == "1")
    report.drop("ancestor", "it is farther than one level", every.height - rows.height, expected=True)
    report.tolerate("is-a taken from CONCEPT_ANCESTOR, as no row says Is a", rows.height)
    found = rows.join(known.select(descendant_concept_id="concept_id", source="key"), on="descendant_concept_id").join(
        known.select(ancestor_concept_id="concept_id", target="key"), on="ancestor_concept_id"
    ).select("source", "target")  # fmt: skip
    report.drop("relationship", "an end is not in CONCEPT", rows.height - found.height)
    return found


def _terms(known: pl.DataFrame, path: Path, report: LoadReport) -> pl.DataFrame:
    named = known.filter(pl.col("concept_name").str.strip_chars() != "")
    report.drop("description", "the name is empty", known.height - named.height)
    names = named.select(sctid="key", term=pl.col("concept_name").str.strip_chars())
    frames = [
        names.with_columns(kind=pl.lit("fsn"), preferred=pl.lit(True)),
        names.with_columns(kind=pl.lit("synonym"), preferred=pl.lit(True)),
    ]
    if _find(path, "CONCEPT_SYNONYM"):
        rows = _table(path, "CONCEPT_SYNONYM", report)
        joined = rows.join(named.select("concept_id", "key", "concept_name"), on="concept_id")
        report.drop("description", "the concept is not in CONCEPT", rows.height - joined.height)
        new = joined.filter(
            (pl.col("concept_synonym_name").str.strip_chars() != "")
            & (pl.col("concept_synonym_name") != pl.col("concept_name"))
        )
        report.drop("description", "it is empty or the name again", joined.height - new.height, expected=True)
        frames.append(new.select(
            sctid="key", term=pl.col("concept_synonym_name").str.strip_chars(), kind=pl.lit("synonym"),
            preferred=pl.lit(False),
        ))  # fmt: skip
    terms = pl.concat(frames)
    report.count("description", read=terms.height, active=terms.height)
    return terms


def _maps(known: pl.DataFrame, rows: pl.DataFrame, report: LoadReport) -> pl.DataFrame:
    systems = {name: normalise_system(name) for name in known["vocabulary_id"].unique().to_list()}
    gone = known.height - known.filter("active").height
    report.drop(
        "concept_id", "its concept is inactive, and maps are those of active ones", gone, expected=True
    )
    own = known.filter("active").select(
        sctid="key", system=pl.lit("OMOP"), target=pl.col("concept_id").cast(pl.String),
        predicate=pl.lit("skos:exactMatch"), origin=pl.lit("CONCEPT"),
    )  # fmt: skip
    mapped = rows.select(
        sctid="target", target="code",
        system=pl.col("system").replace_strict(systems, default="", return_dtype=pl.String),
        predicate=pl.lit("OMOP:Maps to"), origin=pl.lit("CONCEPT_RELATIONSHIP"),
    )  # fmt: skip
    return pl.concat([own, mapped.select(own.columns)])
