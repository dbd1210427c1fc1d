"""Layers over a base: concepts, terms, relations and mappings of one's own, from any format, each with its identity.

    extended = extend(base, "my_concepts/", "mondo.sssom.tsv")
    extended.layers[-1]["changes"]      # what the last layer did, by kind: how many, and examples

The base is not touched; the result is an `Ontology` like any other. `Ontology.details["layer"]` says of each concept
which layer brought it, and `Ontology.layers` what each layer is: name, format, version, a fingerprint of its content,
its load report, and what it changed. How rows meet is in `ontology.overlay`. A layer that makes is-a go in circles is
refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from ontology.assemble import assemble
from ontology.disassemble import disassemble
from ontology.errors import InputError
from ontology.formats import FORMATS, detect
from ontology.identifiers import ASSOCIATIONS, GB_ENGLISH, IS_A, NAMES, US_ENGLISH
from ontology.model import Ontology
from ontology.overlay import Changes, lay_over, minus
from ontology.parts import SCHEMAS, Parts
from ontology.report import LoadReport

EXAMPLES = 20
"""How many rows of each kind of change stay with the ontology as text."""
# What a careful author does not want to have done unawares; `strict` refuses it.
SUSPECT = (
    "dangling relations", "dangling maps", "dangling concrete values", "dangling historical associations",
    "mentions of inactive concepts", "states older than the base's", "concepts without a parent",
    "unsatisfiable concepts",
)  # fmt: skip


@dataclass(frozen=True)
class Layer:
    """What is laid over a base.

    Attributes:
        name: What it is called.
        parts: What it says; `parts.withdrawn` is what it takes back.
        report: The account of its reading.
        format: The format that it was read from, "" if it was made in Python.
        path: Where it was read from, for messages.
    """

    name: str
    parts: Parts
    report: LoadReport
    format: str = ""
    path: Path | None = None

    @classmethod
    def read(
        cls, source: str | Path, base: Ontology, *, format: str | None = None, name: str | None = None
    ) -> Layer:
        """Read a layer from a source of any format.

        Args:
            source: A file or folder; of RF2 a package, which may be a Delta.
            base: What it will be laid over.
            format: A key of `formats.FORMATS`; found out by default.
            name: What to call it; the file's or folder's name by default.

        Raises:
            InputError: If the source cannot be read.
        """
        path = Path(source)
        if format and format not in FORMATS:
            raise InputError(f"there is no format '{format}'", remedy=f"Formats: {', '.join(FORMATS)}")
        known = format or detect(path)
        report = LoadReport(source=name or path.resolve().name)
        reader: Any = import_module(FORMATS[known])
        # some formats speak of the base's concepts in a way that only the base explains
        layered = hasattr(reader, "read_layer")
        parts = reader.read_layer(path, report, base) if layered else reader.read(path, report)
        return cls(report.source, parts, report, known, path)

    def fingerprint(self) -> str:
        """Hash what the layer says and takes back."""
        digest = hashlib.sha256()
        for parts in (self.parts, self.parts.withdrawn or Parts()):
            frames = {name: getattr(parts, name) for name in SCHEMAS} | parts.members
            for name, frame in sorted(frames.items()):
                digest.update(f"{name}:{frame.height}\n".encode())
                digest.update(frame.sort(frame.columns).write_csv().encode() if frame.height else b"")
        return digest.hexdigest()


def extend(
    base: Ontology,
    *layers: str | Path | Parts | Layer,
    name: str | None = None,
    strict: bool = False,
    reasoner: str = "",
) -> Ontology:
    """Lay layers over an ontology, one after another.

    Args:
        base: The ontology.
        layers: Files and folders of any format, parts made in Python, or `Layer`s.
        name: What to call the result; by default the names of the base and of its layers.
        strict: Refuse a layer in whose reading anything was dropped, or that changes what `SUSPECT` names.
        reasoner: Infer the parents of concepts that a layer describes by axioms: one of `classify.REASONERS`.

    Returns:
        The extended ontology; `layers` says what each of them changed.

    Raises:
        InputError: If a layer cannot be read, or makes is-a go in circles.
    """
    for given in layers:
        if isinstance(given, Parts):
            given = Layer("layer made in Python", given, LoadReport())
        layer = given if isinstance(given, Layer) else Layer.read(given, base)
        base, changes = lay(base, layer, reasoner=reasoner)
        if strict:
            refuse_suspect(layer, changes)
        base = replace(base, name=f"{base.name} + {layer.name}")
    return replace(base, name=name) if name else base


def lay(base: Ontology, layer: Layer, *, reasoner: str = "") -> tuple[Ontology, Changes]:
    """Lay one layer over an ontology, and give all rows that it changed.

    Args:
        base: The ontology.
        layer: The layer.
        reasoner: As in `extend`.

    Raises:
        InputError: If it makes is-a go in circles.
    """
    below = disassemble(base)
    changes = Changes()
    chosen = [int(refset) for refset in (base.report.language_refset, layer.report.language_refset) if refset]
    order = list(dict.fromkeys([*chosen, US_ENGLISH, GB_ENGLISH]))
    parts = lay_over(below, layer.parts, changes, number=len(base.layers), dialects=order)
    if reasoner and layer.parts.axioms.height:
        parts = _classified(below, parts, layer, changes, reasoner)
    if layer.format == "rf2":
        from ontology.rf2_refsets import check_dependencies

        check_dependencies(parts.members, layer.report, layer.path or Path(layer.name), refuse=False)
    # what falls away is in the changes; the base's report stays an account of the base
    extended = assemble(base.name, parts, LoadReport(), path=layer.path)
    _redundant(base, extended, changes)
    own = int((extended.details["layer"] == len(base.layers)).sum())
    entry: dict[str, Any] = {
        "name": layer.name,
        "format": layer.format,
        "version": layer.report.effective_time,
        "fingerprint": layer.fingerprint(),
        "concepts": own,
        "relations": changes.counts().get("new relations", 0),
        "changes": {
            what: {"count": rows.height, "examples": described(extended, rows.head(EXAMPLES))}
            for what, rows in changes.tables.items()
        },
        "report": layer.report.as_dict(),
    }
    base_entry = [{**dict(base.layers[0]), "fingerprint": base.fingerprint}] if len(base.layers) == 1 else []
    below_entries = base_entry or list(base.layers)
    return replace(extended, report=base.report, layers=(*below_entries, entry)), changes


def _classified(base: Parts, parts: Parts, layer: Layer, changes: Changes, reasoner: str) -> Parts:
    """Put inferred is-a in place of stated ones, and note what that changed."""
    from ontology.axioms import stated_relations
    from ontology.classify import with_inferred

    axioms = layer.parts.axioms
    said = stated_relations(layer.parts)
    # What only says more of its own concepts can put no other concept below them: then these alone are asked about.
    own = axioms["sctid"].unique().to_list()
    describes = (
        axioms["axiom"].str.starts_with("SubClassOf(").all()
        and not said.filter((pl.col("gci") > 0) | pl.col("defined") | ~pl.col("source").is_in(own)).height
    )
    done, found = with_inferred(
        parts,
        reasoner=reasoner,
        about=own if describes else None,
        # where the base has no axioms, its relations are all that is known of its concepts
        trust_relations=base.axioms.is_empty(),
    )
    changes.note("inferred is-a", found.added)
    changes.note("is-a replaced by inferred ones", found.removed)
    changes.note("equivalent concepts", found.equivalent)
    changes.note("unsatisfiable concepts", pl.DataFrame({"sctid": found.unsatisfiable}, {"sctid": pl.Int64}))
    # an inferred parent is no orphan's
    alone = changes.tables.pop("concepts without a parent", None)
    if alone is not None:
        changes.note(
            "concepts without a parent", minus(alone, found.added.rename({"source": "sctid"}), ("sctid",))
        )
    return done


def refuse_suspect(layer: Layer, changes: Changes) -> None:
    """Raise if a layer was not read whole, or does what its author may not have meant.

    Args:
        layer: The layer.
        changes: What it changed.

    Raises:
        InputError: If there is anything of it.
    """
    counts = changes.counts()
    found = layer.report.problems() + [f"{counts[what]:,} {what}" for what in SUSPECT if counts.get(what)]
    if found:
        raise InputError(
            f"strict, and layer '{layer.name}' has problems: {'; '.join(found)}",
            path=layer.path,
            remedy="Mend the layer, or leave --strict out: then this is counted in the report",
        )


def _redundant(base: Ontology, extended: Ontology, changes: Changes) -> None:
    """Note the is-a that say what other paths say already: of the layer, and of the base because of the layer."""
    ends = ["source", "target"]
    new = [
        rows.filter(pl.col("type") == IS_A).select(ends) if "type" in rows.columns else rows.select(ends)
        for what in ("new relations", "inferred is-a")
        if (rows := changes.tables.get(what)) is not None
    ]
    if not new:
        return
    told = set(pl.concat(new).rows())
    sources = extended.indices(np.array(sorted({source for source, _ in told}), dtype=np.int64))
    if not len(sources):
        return
    closure = extended.closure
    # whoever stands below a new is-a may have got a second way up
    touched = np.zeros(len(extended), dtype=bool)
    touched[sources] = True
    nodes = np.flatnonzero(closure @ touched)
    pairs = _doubled(extended, nodes)
    before = _doubled(base, base.indices(extended.sctids[nodes]))
    schema = {"source": pl.Int64(), "target": pl.Int64()}
    own = [pair for pair in pairs if pair in told]
    others = [pair for pair in pairs if pair not in told and pair not in before]
    changes.note("redundant is-a of the layer", pl.DataFrame(own, schema=schema, orient="row"))
    changes.note("is-a made redundant", pl.DataFrame(others, schema=schema, orient="row"))


def _doubled(ontology: Ontology, nodes: Any) -> dict[tuple[int, int], None]:
    """Give the is-a (child, parent) of some nodes whose parent is also above another parent."""
    nodes = np.asarray(nodes)[np.asarray(nodes) >= 0]
    links, size = ontology.parent_links, len(ontology)
    up = sparse.csr_array(
        (np.ones(len(links.indices), dtype=bool), links.indices, links.indptr), shape=(size, size)
    )
    rows = up[nodes]
    # two steps or more above: parents of parents, and everything above those
    above = rows @ up @ ontology.closure
    double = rows.multiply(above).tocoo()
    sctids = ontology.sctids
    return {
        (int(sctids[nodes[row]]), int(sctids[column])): None
        for row, column in zip(double.row.tolist(), double.col.tolist(), strict=True)
    }


def described(ontology: Ontology, rows: pl.DataFrame) -> list[str]:
    """Write rows of changes as a person reads them: identifiers with their terms.

    Args:
        ontology: What names the concepts.
        rows: The rows, in SCTIDs.
    """
    return [", ".join(_said(ontology, row)) for row in rows.iter_rows(named=True)]


_CONCEPTS = ("sctid", "component")
_QUIET = {"id": 0, "reason": 0, "group": 0, "category": 0, "layer": None, "priority": 1, "rule": "TRUE"}


def name_of(ontology: Ontology, sctid: int) -> str:
    """Give an identifier with its term, as SNOMED CT's grammars write it; of an inactive concept too.

    Args:
        ontology: The ontology.
        sctid: The concept, known or not.
    """
    shown = ontology.identifier(sctid)
    if sctid in ontology:
        return f"{shown} |{ontology.term(sctid)}|"
    # preferred ones come first within a kind, and the FSN before the synonyms
    terms = ontology.inactive_terms.filter(pl.col("sctid") == sctid)
    synonyms = terms.filter(pl.col("kind") == "synonym")
    named = synonyms if synonyms.height else terms
    return f"{shown} |{named['term'][0]}|" if named.height else shown


def _said(ontology: Ontology, row: dict[str, Any]) -> Iterable[str]:
    if "source" in row and "target" in row:
        kind = row.get("type", row.get("refset"))
        arrow = NAMES.get(kind) or ASSOCIATIONS.get(kind) or name_of(ontology, kind) if kind else "is a"
        yield f"{name_of(ontology, row['source'])} -- {arrow} -> {name_of(ontology, row['target'])}"
    for key, value in row.items():
        if key in ("source", "target", "type", "refset") and "source" in row and "target" in row:
            continue
        if value is None or value == "" or value != value or (key in _QUIET and value == _QUIET[key]):
            continue
        if key in _CONCEPTS:
            yield name_of(ontology, value)
        elif key in ("source", "type", "refset", "reason", "module") and value:
            yield f"{key} {name_of(ontology, value)}"
        elif key == "was":
            yield f"'{value}'"
        elif key == "now":
            yield f"now '{value}'"
        elif key in ("term", "why"):
            yield str(value)
        else:
            yield f"{key} {value}"
