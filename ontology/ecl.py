"""Expression constraints: `select` gives the concepts that an expression of SNOMED CT's query language stands for.

Covered, after SNOMED International's Expression Constraint Language 2.2 in its brief syntax:

- concepts with or without a |term| (which is not compared), `*`, brackets, comments `/* */`, keywords in either case;
- `< << <! <<! > >> >! >>!` and `!!>` `!!<` (the top and the bottom of a set), before a concept, a bracket or `^`;
- `^` for the components of a reference set: simple and other ones (`Ontology.members`), maps, historical associations;
  `^ *` for those of any, `^ (expression)` for those of several;
- AND or a comma, OR, MINUS; two different ones need brackets between them, and so does a second MINUS;
- refinements `: name = value` and `!=` with AND, a comma, OR and brackets; role groups `{ }`; cardinalities `[1..3]`,
  `[0..0]`, `[2..*]` of attributes and groups; `R` for the reversed direction; dotted attributes;
- concrete values: `= #5`, `!= >= > <= <` with a number, `=` and `!=` with a "text" (the same in every letter) or TRUE
  and FALSE. Numbers are compared exactly, as decimals.

How it is meant:

- Attributes are the inferred relations and the concrete values. `*` as a name is every type but is-a. `!=` wants a
  value that is another one, not the absence of the value. `= *` and `!= *` speak of concepts, not of concrete values.
- A group is the rows of one concept with one role group number; each row of group 0 counts as a group of its own, and
  is-a belongs to none. Outside a group, a cardinality counts rows in all groups together.
- `*` is every active concept. An inactive concept can be in a result only as a member of a reference set, which is how
  the historical associations are asked for; naming one is an error, as is naming an unknown concept.

Beyond the standard: a concept that has no SCTID is written as its CURIE or IRI in angle brackets, `<< <DOID:1816>`, or,
except right after a comparison where it would be a text, in quotes, `<< "DOID:1816"`. SCTIDs need not have six digits.

Everything else is refused with an `InputError` that names the character: filters and history supplements `{{ }}`,
the choice of fields `^ [ ]`, sets of search terms, the long syntax, alternate identifiers, groups in groups, a reversed
attribute within a group, and brackets nested deeper than `ecl_parse.DEEPEST`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ontology.ecl_evaluate import Evaluator
from ontology.ecl_parse import parse
from ontology.ecl_tree import Expression

if TYPE_CHECKING:
    from ontology.model import Ontology

__all__ = ["parse", "select"]


def select(ontology: Ontology, expression: str | Expression) -> NDArray[np.int64]:
    """Give the concepts that an expression constraint stands for.

    Args:
        ontology: Where to look.
        expression: The text, or what `parse` made of it.

    Returns:
        SCTIDs (or keys), int64, ascending.

    Raises:
        InputError: If the text does not parse, has an unsupported part, or names a concept that the ontology does
            not hold or that is inactive; the message names the character.
    """
    tree = parse(expression) if isinstance(expression, str) else expression
    return Evaluator(ontology).select(tree)
