"""What an expression constraint is made of once it is parsed; `position` counts characters from 1."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class Anything:
    """`*`: every active concept."""

    position: int


@dataclass(frozen=True)
class Reference:
    """A concept by its SCTID or by its key (`ontology.codes`); the |term| beside it is kept, not compared."""

    key: int
    shown: str
    term: str
    position: int


@dataclass(frozen=True)
class Members:
    """`^ of`: the components of reference sets."""

    of: Expression
    position: int


@dataclass(frozen=True)
class Hierarchy:
    """One of `< << <! <<! > >> >! >>! !!> !!<` before an expression."""

    operator: str
    of: Expression
    position: int


@dataclass(frozen=True)
class Compound:
    """Expressions joined by "AND", "OR" or "MINUS"."""

    operator: str
    operands: tuple[Expression, ...]
    position: int


@dataclass(frozen=True)
class Dotted:
    """`of . attribute . attribute`: the values of attributes."""

    of: Expression
    attributes: tuple[Expression, ...]
    position: int


@dataclass(frozen=True)
class Refined:
    """`of : refinement`."""

    of: Expression
    refinement: Refinement
    position: int


@dataclass(frozen=True)
class Cardinality:
    """How often something must be there; `most` is None for `*`."""

    least: int = 1
    most: int | None = None


@dataclass(frozen=True)
class Attribute:
    """`name comparison value`: the value is an expression, a number, a text or a truth value."""

    name: Expression
    comparison: str
    value: Expression | Decimal | str | bool
    reverse: bool
    cardinality: Cardinality
    position: int


@dataclass(frozen=True)
class Group:
    """`{ ... }`: attributes that stand in one role group."""

    refinement: Refinement
    cardinality: Cardinality
    position: int


@dataclass(frozen=True)
class Joined:
    """Refinements joined by "AND" or "OR"."""

    operator: str
    operands: tuple[Refinement, ...]
    position: int


Expression = Anything | Reference | Members | Hierarchy | Compound | Dotted | Refined
Refinement = Attribute | Group | Joined
