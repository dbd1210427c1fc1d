"""From the text of an expression constraint to its tree; whatever is not understood is refused with its place.

A recursive descent over the tokens, one method a rule of the grammar (SNOMED International, Expression Constraint
Language, specification and guide 2.2, section 5.3, brief syntax).
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import NamedTuple

from ontology import codes
from ontology.ecl_tree import (
    Anything,
    Attribute,
    Cardinality,
    Compound,
    Dotted,
    Expression,
    Group,
    Hierarchy,
    Joined,
    Members,
    Reference,
    Refined,
    Refinement,
)
from ontology.errors import InputError

DEEPEST = 50
"""How deep brackets may be nested; what people write has three or four."""

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+|/\*.*?\*/)
    |(?P<filter>\{\{)
    |(?P<curie><[A-Za-z][A-Za-z0-9_.+-]*:[^\s<>|"]+>)
    |(?P<compare><=|>=|!=|=)
    |(?P<operator><<!|<!|<<|<|>>!|>!|>>|>|!!>|!!<)
    |(?P<value>\#[+-]?[0-9]+(?:\.[0-9]+)?(?![0-9.A-Za-z_]))
    |(?P<number>[0-9]+)
    |(?P<term>\|[^|]*\|)
    |(?P<text>"(?:[^"\\]|\\["\\])*")
    |(?P<word>[A-Za-z]+)
    |(?P<sign>\.\.|[*^:,.(){}\[\]])""",
    re.VERBOSE | re.DOTALL,
)
_UNCLOSED = {"/*": "a comment is not closed", "|": "a term is not closed with |", '"': "a text is not closed"}
_COMPARISONS = {"=", "!=", "<", "<=", ">", ">="}


class Token(NamedTuple):
    """A piece of the expression: its kind, its text, and where it begins, counted from 1."""

    kind: str
    text: str
    position: int


def refuse(position: int, problem: str, remedy: str = "") -> InputError:
    """Make the error that says where an expression is wrong.

    Args:
        position: The character, counted from 1.
        problem: What is wrong there.
        remedy: What to do about it.
    """
    return InputError(f"character {position} of the expression: {problem}", remedy=remedy)


def tokens(text: str) -> list[Token]:
    """Cut an expression into its pieces; the last one is of the kind "end".

    Args:
        text: The expression.

    Raises:
        InputError: If a character begins nothing that the language has.
    """
    found, place = [], 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            begun = next((why for sign, why in _UNCLOSED.items() if text.startswith(sign, place)), "")
            raise refuse(place + 1, begun or f"{text[place]!r} begins nothing that the language has")
        if match.lastgroup != "space":
            found.append(Token(str(match.lastgroup), match.group(), place + 1))
        place = match.end()
    return [*found, Token("end", "", len(text) + 1)]


def parse(text: str) -> Expression:
    """Parse an expression constraint.

    Args:
        text: The expression.

    Raises:
        InputError: If it does not parse, or has a part that is not supported; the message names the character.
    """
    parser = _Parser(tokens(text))
    tree = parser.expression()
    parser.end()
    return tree


class _Parser:
    def __init__(self, pieces: list[Token]) -> None:
        self.pieces, self.place, self.depth = pieces, 0, 0
        self.closing: dict[int, int] = {}
        open_: list[int] = []
        for number, piece in enumerate(pieces):
            if piece.text == "(":
                open_.append(number)
            elif piece.text == ")" and open_:
                self.closing[open_.pop()] = number

    @property
    def here(self) -> Token:
        return self.pieces[self.place]

    def take(self) -> Token:
        self.place += 1
        return self.pieces[self.place - 1]

    def sign(self, *texts: str) -> bool:
        return self.here.kind in ("sign", "operator", "compare") and self.here.text in texts

    def expect(self, text: str, what: str) -> Token:
        if not self.sign(text):
            raise self.unexpected(f"'{text}' {what}")
        return self.take()

    def unexpected(self, wanted: str) -> InputError:
        found = self.here
        if found.kind == "filter":
            return refuse(
                found.position,
                "filters and history supplements {{ ... }} are not supported",
                "Search terms with Ontology.search, and bring inactive codes to active ones with normalise",
            )
        shown = "the expression ends" if found.kind == "end" else f"found {found.text[:40]!r}"
        return refuse(found.position, f"expected {wanted}, but {shown}")

    def deeper(self, position: int) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise refuse(position, f"brackets are nested deeper than {DEEPEST}")

    def joiner(self) -> str:
        """Name the word or the comma that joins what comes next; empty if there is none."""
        if self.sign(","):
            return "AND"
        word = self.here.text.upper() if self.here.kind == "word" else ""
        return word if word in ("AND", "OR", "MINUS") else ""

    def end(self) -> None:
        if self.here.kind != "end":
            if self.sign(":", "."):
                raise refuse(self.here.position, f"'{self.here.text}' may not follow here without brackets")
            raise self.unexpected("AND, OR, MINUS or the end")

    # Expressions

    def expression(self) -> Expression:
        start = self.here.position
        first = self.operand()
        if self.sign(":"):
            self.take()
            return Refined(first, self.refinement(), start)
        if self.sign("."):
            attributes = []
            while self.sign("."):
                self.take()
                attributes.append(self.operand())
            return Dotted(first, tuple(attributes), start)
        joined = self.joiner()
        if not joined:
            return first
        operands = [first]
        while following := self.joiner():
            if following != joined or (joined == "MINUS" and len(operands) > 1):
                raise refuse(
                    self.here.position,
                    f"{following} after {joined} is ambiguous",
                    "Put brackets around the part that goes together",
                )
            self.take()
            operands.append(self.operand())
        return Compound(joined, tuple(operands), start)

    def operand(self) -> Expression:
        start = self.here.position
        operator = self.take().text if self.here.kind == "operator" else ""
        if self.here.kind == "operator":
            raise refuse(self.here.position, "one operator follows another", "Put brackets around the second")
        member = self.sign("^")
        inner = self.here.position
        if member:
            self.take()
            if self.sign("["):
                raise refuse(self.here.position, "the choice of a reference set's fields is not supported")
            if self.here.kind == "operator" or self.sign("^"):
                raise refuse(
                    self.here.position, f"'{self.here.text}' follows ^", "Put brackets around what follows ^"
                )
        found: Expression = self.focus()
        if member:
            found = Members(found, inner)
        return Hierarchy(operator, found, start) if operator else found

    def focus(self) -> Expression:
        piece = self.here
        if self.sign("*"):
            self.take()
            found: Expression = Anything(piece.position)
        elif self.sign("("):
            self.take()
            self.deeper(piece.position)
            found = self.expression()
            self.expect(")", "to close the bracket")
            self.depth -= 1
        else:
            return self.reference()
        if self.here.kind == "filter":
            raise self.unexpected("")
        return found

    def reference(self) -> Reference:
        piece = self.here
        if piece.kind == "number":
            if len(piece.text) > 18 or not int(piece.text):
                raise refuse(piece.position, "an SCTID has at most 18 digits and is not 0")
            key, shown = int(piece.text), piece.text
        elif piece.kind in ("text", "curie"):
            shown = codes.canonical(_plain(piece.text) if piece.kind == "text" else piece.text)
            key = codes.key(shown)
        else:
            raise self.unexpected("a concept, '*' or '('")
        self.take()
        term = self.take().text[1:-1].strip() if self.here.kind == "term" else ""
        if self.here.kind == "filter":
            raise self.unexpected("")
        return Reference(key, shown, term, piece.position)

    # Refinements

    def refinement(self, inside: bool = False) -> Refinement:
        start = self.here.position
        parts, joined = [self.part(inside)], ""
        while following := self.joiner():
            if following == "MINUS":
                raise refuse(self.here.position, "MINUS may not join refinements", "Use it between brackets")
            if joined and following != joined:
                raise refuse(
                    self.here.position,
                    f"{following} after {joined} is ambiguous",
                    "Put brackets around the part that goes together",
                )
            joined = following
            self.take()
            parts.append(self.part(inside))
        return Joined(joined, tuple(parts), start) if joined else parts[0]

    def part(self, inside: bool) -> Refinement:
        start = self.here.position
        cardinality = self.cardinality()
        if self.sign("{"):
            if inside:
                raise refuse(self.here.position, "a group may not hold another group")
            self.take()
            self.deeper(start)
            found = self.refinement(inside=True)
            self.expect("}", "to close the group")
            self.depth -= 1
            return Group(found, cardinality or Cardinality(), start)
        if cardinality is None and self.sign("(") and not self.names_attribute():
            self.take()
            self.deeper(start)
            bracketed = self.refinement(inside)
            self.expect(")", "to close the bracket")
            self.depth -= 1
            return bracketed
        return self.attribute(cardinality or Cardinality(), start, inside)

    def names_attribute(self) -> bool:
        """Say whether the bracket that opens here holds an attribute's name, so that a comparison follows it."""
        after = self.closing.get(self.place)
        return after is not None and self.pieces[after + 1].text in _COMPARISONS

    def cardinality(self) -> Cardinality | None:
        if not self.sign("["):
            return None
        position = self.take().position
        least = self.number()
        self.expect("..", "between the least and the greatest number")
        if self.sign("*"):
            self.take()
            most = None
        else:
            most = self.number()
            if most < least:
                raise refuse(position, f"the greatest number {most} is less than the least {least}")
        self.expect("]", "to close the cardinality")
        return Cardinality(least, most)

    def number(self) -> int:
        if self.here.kind != "number" or len(self.here.text) > 9:
            raise self.unexpected("a number of at most nine digits")
        return int(self.take().text)

    def attribute(self, cardinality: Cardinality, start: int, inside: bool) -> Attribute:
        reverse = self.here.kind == "word" and self.here.text.upper() == "R"
        if reverse:
            if inside:
                raise refuse(self.here.position, "a reversed attribute inside a group is not supported")
            self.take()
        name = self.operand()
        if self.here.text not in _COMPARISONS or self.here.kind not in ("compare", "operator"):
            raise self.unexpected("a comparison such as '='")
        comparison = self.take()
        value = self.value(comparison.text)
        if reverse and isinstance(value, Decimal | str | bool):
            raise refuse(start, "a reversed attribute has no concrete value")
        return Attribute(name, comparison.text, value, reverse, cardinality, start)

    def value(self, comparison: str) -> Expression | Decimal | str | bool:
        piece = self.here
        if piece.kind == "value":
            return Decimal(self.take().text[1:])
        if comparison not in ("=", "!="):
            raise self.unexpected(f"a number such as #5 after '{comparison}'")
        if piece.kind == "text":
            return _plain(self.take().text)
        if piece.kind == "word" and piece.text.upper() in ("TRUE", "FALSE"):
            return self.take().text.upper() == "TRUE"
        return self.operand()


def _plain(quoted: str) -> str:
    return re.sub(r"\\([\"\\])", r"\1", quoted[1:-1])
