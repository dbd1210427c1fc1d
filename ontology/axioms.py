"""What OWL axioms state, as columns: relations with role groups, concrete values, general class axioms, properties.

A release of SNOMED CT writes half a million axioms, nearly all in one shape, so the rows of that shape are taken
apart by polars expressions, and only the rest goes through the parser of `ontology.functional_syntax`. py-horned-owl
could parse single axioms too, but only inside a whole document: a wrong row could then not be named, and nothing
would be faster than the columns.

Role groups have no numbers in OWL. Here the groups of a concept are numbered from 1 in the order of their content, so
that the same axioms always give the same numbers; a group that is said twice is one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import polars as pl

from ontology import codes
from ontology.errors import InputError
from ontology.functional_syntax import (
    All,
    Axiom,
    Equivalent,
    Expression,
    Other,
    PropertyTrait,
    Some,
    SubClass,
    SubProperty,
    Value,
    parse,
)
from ontology.identifiers import IS_A, ROLE_GROUP
from ontology.model import Ontology
from ontology.parts import Parts
from ontology.writers.iris import from_iri

__all__ = [
    "Statements",
    "number_groups",
    "parse",
    "property_axioms",
    "property_chains",
    "state",
    "stated_relations",
]

ROWS = {
    "source": pl.Int64(),
    "type": pl.Int64(),
    "target": pl.Int64(),
    "value": pl.String(),
    "local": pl.Int64(),
    "gci": pl.Int32(),
    "defined": pl.Boolean(),
}
PROPERTIES = {"kind": pl.String(), "property": pl.Int64(), "chain": pl.List(pl.Int64())}


def _key(name: str) -> int:
    return codes.key(from_iri(name))


@dataclass
class Statements:
    """Collects what axioms say, one row a relation.

    Attributes:
        key: Makes the key of a name, see `ontology.codes`.
        properties: Rows of `property_axioms`.
        data: Properties that hold concrete values.
        equivalent: Pairs of named classes that an axiom calls equivalent.
        unused: How many expressions and axioms could not be said as relations, by what they are.
    """

    key: Callable[[str], int] = _key
    properties: list[tuple[str, int, list[int]]] = field(default_factory=list)
    data: set[int] = field(default_factory=set)
    equivalent: list[tuple[int, int]] = field(default_factory=list)
    unused: Counter[str] = field(default_factory=Counter)
    _rows: list[tuple[int, int, int | None, str | None, int, int, bool]] = field(default_factory=list)
    _groups: int = 0
    _gcis: Counter[int] = field(default_factory=Counter)

    def say(self, axiom: Axiom) -> None:
        """Take one axiom in.

        Args:
            axiom: The axiom.
        """
        match axiom:
            case SubClass(str() as sub, above):
                self._describe(self.key(sub), above, 0, False)
            case SubClass(sub, str() as above):
                source = self.key(above)
                self._gcis[source] += 1
                self._describe(source, sub, self._gcis[source], False)
            case Equivalent(parts):
                named = [p for p in parts if isinstance(p, str)]
                for name in named:
                    for part in parts:
                        if not isinstance(part, str):
                            self._describe(self.key(name), part, 0, True)
                self.equivalent += [(self.key(named[0]), self.key(other)) for other in named[1:]]
                if not named:
                    self.unused["equivalent classes without a name"] += 1
            case SubProperty(chain, above, data):
                kind = "sub" if len(chain) == 1 else "chain"
                if data:
                    self.data.update(self.key(p) for p in (*chain, above))
                self.properties.append((kind, self.key(above), [self.key(p) for p in chain]))
            case PropertyTrait(trait, of):
                self.properties.append((trait, self.key(of), []))
            case SubClass():
                self.unused["SubClassOf without a name on either side"] += 1
            case Other(kind):
                self.unused[kind] += 1

    def _describe(self, source: int, expression: Expression, gci: int, defined: bool) -> None:
        for part in _flat(expression):
            match part:
                case str():
                    self._rows.append((source, IS_A, self.key(part), None, 0, gci, defined))
                case Some(role, All() | Some() | Value() as inner) if self.key(role) == ROLE_GROUP:
                    self._groups += 1
                    for attribute in _flat(inner):
                        self._attribute(source, attribute, self._groups, gci, defined)
                case _:
                    self._attribute(source, part, 0, gci, defined)

    def _attribute(self, source: int, part: Expression, local: int, gci: int, defined: bool) -> None:
        match part:
            case Some(role, str() as target):
                self._rows.append((source, self.key(role), self.key(target), None, local, gci, defined))
            case Value(role, value):
                self.data.add(self.key(role))
                self._rows.append((source, self.key(role), None, value, local, gci, defined))
            case Other(kind):
                self.unused[kind] += 1
            case str():
                self.unused["named class in a role group"] += 1
            case _:
                self.unused["nested ObjectSomeValuesFrom"] += 1

    def rows(self) -> pl.DataFrame:
        """Give what was said: the columns of `ROWS`; `local` tells role groups apart, 0 is ungrouped."""
        return pl.DataFrame(self._rows, schema=ROWS, orient="row")

    def property_rows(self) -> pl.DataFrame:
        """Give the axioms on properties: the columns of `PROPERTIES`."""
        return pl.DataFrame(self.properties, schema=PROPERTIES, orient="row").unique(maintain_order=True)


def _flat(expression: Expression) -> Iterable[Expression]:
    if not isinstance(expression, All):
        return (expression,)
    return [inner for part in expression.parts for inner in _flat(part)]


def number_groups(rows: pl.DataFrame) -> pl.DataFrame:
    """Number the role groups of each source from 1, in the order of their content.

    Args:
        rows: The columns of `ROWS`; `local` is any number that tells the groups of a source apart.

    Returns:
        The rows with `group` in place of `local`, each once, in order.
    """
    rows = rows.rechunk()  # polars 2.1 panics in format where columns lie in chunks of different lengths
    content = pl.format("{}={}", "type", pl.coalesce(pl.col("target").cast(pl.String), "value", pl.lit("")))
    scope = ["source", "gci"]
    named = (
        rows.filter(pl.col("local") != 0)
        .with_columns(content=content)
        .group_by(*scope, "local")
        .agg(pl.col("content").unique().sort().str.join("\x1f"))
        .with_columns(group=pl.col("content").rank("dense").over(scope).cast(pl.Int32))
        .drop("content")
    )
    return (
        rows.join(named, on=[*scope, "local"], how="left")
        .with_columns(pl.col("group").fill_null(0))
        .drop("local")
        .unique()
        .sort("source", "gci", "type", "target", "group", "value", "defined")
    )


# The ordinary shapes of a row of the OWL reference set, see the module's docstring.
_NUMBER = "[1-9][0-9]{0,17}"  # a digit of RE2 may be one of any script
_PAIR = rf"ObjectSomeValuesFrom\(:{_NUMBER} :{_NUMBER}\)"
_LITERAL = rf'DataHasValue\(:{_NUMBER} "[^"\\]*"\^\^xsd:(?:decimal|integer|string)\)'
_ATOM = f"(?:{_PAIR}|{_LITERAL})"
_GROUP = rf"ObjectSomeValuesFrom\(:{ROLE_GROUP} (?:{_ATOM}|ObjectIntersectionOf\({_ATOM}(?: {_ATOM})+\))\)"
_ITEM = rf"(?:{_GROUP}|{_ATOM}|:{_NUMBER})"
_HEAD = rf"^(?:SubClassOf|EquivalentClasses)\(:{_NUMBER} "
ORDINARY = rf"{_HEAD}(?:{_ITEM}|ObjectIntersectionOf\({_ITEM}(?: {_ITEM})+\))\)$"
_NAMES_ONLY = rf"^EquivalentClasses\(:{_NUMBER} :{_NUMBER}\)$"


def _ordinary(axioms: pl.DataFrame) -> pl.DataFrame:
    """Take apart the rows that fit `ORDINARY`."""
    text = pl.col("axiom")
    items = (
        axioms.lazy()
        .select(
            source=text.str.extract(r"^[A-Za-z]+\(:([0-9]+)").cast(pl.Int64),
            defined=text.str.starts_with("E"),
            item=text.str.replace(_HEAD, "").str.extract_all(_ITEM),
        )
        .explode("item", keep_nulls=False, empty_as_null=False)
        .with_row_index("row", 1)
    )
    grouped = pl.col("item").str.starts_with(f"ObjectSomeValuesFrom(:{ROLE_GROUP} ")
    named = pl.col("item").str.starts_with(":")
    parents = items.filter(named).select(
        "source",
        type=pl.lit(IS_A, dtype=pl.Int64),
        target=pl.col("item").str.slice(1).cast(pl.Int64),
        value=pl.lit(None, dtype=pl.String),
        local=pl.lit(0, dtype=pl.Int64),
        gci=pl.lit(0, dtype=pl.Int32),
        defined="defined",
    )
    atom = pl.col("atom")
    literal = atom.str.extract(r'^DataHasValue\(:[0-9]+ "([^"]*)"')
    attributes = (
        items.filter(~named)
        .select(
            "source",
            "defined",
            local=pl.when(grouped).then("row").otherwise(0).cast(pl.Int64),
            atom=pl.when(grouped)
            .then(pl.col("item").str.slice(len(f"ObjectSomeValuesFrom(:{ROLE_GROUP} ")))
            .otherwise("item")
            .str.extract_all(_ATOM),
        )
        .explode("atom", keep_nulls=False, empty_as_null=False)
        .select(
            "source",
            type=atom.str.extract(r"\(:([0-9]+) ").cast(pl.Int64),
            target=atom.str.extract(r"^ObjectSomeValuesFrom\(:[0-9]+ :([0-9]+)\)").cast(pl.Int64),
            value=pl.when(atom.str.ends_with("string)"))
            .then(pl.format('"{}"', literal))
            .otherwise(pl.format("#{}", literal)),
            local="local",
            gci=pl.lit(0, dtype=pl.Int32),
            defined="defined",
        )
    )
    return pl.concat([parents, attributes]).collect()


def state(axioms: pl.DataFrame, statements: Statements | None = None) -> tuple[pl.DataFrame, Statements]:
    """Take apart the rows of an OWL reference set.

    Args:
        axioms: The column `axiom`, and `sctid` for the error messages.
        statements: Collects the rows that are not ordinary; made anew by default.

    Returns:
        The columns of `ROWS` of all axioms, not numbered; and what was collected from the others.

    Raises:
        InputError: If an axiom does not parse.
    """
    collected = statements or Statements()
    text = pl.col("axiom")
    fits = axioms.select(
        text.str.contains(ORDINARY)
        & ~text.str.contains(_NAMES_ONLY)
        & ~text.str.contains(f"(:{ROLE_GROUP} :", literal=True)
    ).to_series()
    for sctid, axiom in axioms.filter(~fits).select("sctid", "axiom").iter_rows():
        try:
            collected.say(parse(axiom))
        except InputError as error:
            raise InputError(
                f"of the axioms of {sctid}, {error.problem.removeprefix('the axiom ')}", remedy=error.remedy
            ) from error
    return pl.concat([_ordinary(axioms.filter(fits)), collected.rows()]), collected


def stated_relations(content: Ontology | Parts) -> pl.DataFrame:
    """Give what the OWL axioms of a terminology state as relations.

    Args:
        content: An ontology or the parts of one.

    Returns:
        source, type, target (null where `value` holds a concrete value), value, group (0 ungrouped), gci (0; or n for
        what the nth general class axiom says suffices to be a `source`) and defined (whether the axiom says that this,
        together with its other rows, suffices).

    Raises:
        InputError: If an axiom does not parse; it names the concept and the character.
    """
    rows, _ = state(content.axioms)
    return number_groups(rows)


def property_axioms(content: Ontology | Parts) -> pl.DataFrame:
    """Give what the OWL axioms say of properties.

    Args:
        content: An ontology or the parts of one.

    Returns:
        kind ("sub", "chain", "transitive", "reflexive"), property, and chain: the properties, one after another, that
        imply `property`; one for "sub", none for the traits.

    Raises:
        InputError: If an axiom does not parse.
    """
    return state(content.axioms)[1].property_rows()


def property_chains(content: Ontology | Parts) -> pl.DataFrame:
    """Give the property chains: rows of `property_axioms` of kind "chain", as property and chain.

    Args:
        content: An ontology or the parts of one.

    Raises:
        InputError: If an axiom does not parse.
    """
    return property_axioms(content).filter(pl.col("kind") == "chain").drop("kind")
