"""What OWL axioms say beyond relations, for the OWL writer: general class axioms, and what holds of properties.

What needs more than intersections, existential restrictions and concrete values (unions, disjointness ...) is not said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

from ontology.axioms import state
from ontology.codes import key
from ontology.functional_syntax import All, Expression, Some, SubClass, Value, parse
from ontology.writers.iris import from_iri

if TYPE_CHECKING:
    from ontology.model import Ontology

_TRAITS = {"transitive": "TransitiveProperty", "reflexive": "ReflexiveProperty"}
_OWL = "http://www.w3.org/2002/07/owl#"


@dataclass
class Beyond:
    """What the axioms of an ontology say beyond relations.

    Attributes:
        general: Expression and the concept that everything of the kind belongs to.
        above: Property -> the properties above it.
        chains: Property -> chains of properties that imply it.
        traits: Property -> "transitive", "reflexive".
        objects: Properties between objects that these are about.
        data: Properties that hold concrete values.
    """

    general: list[tuple[Expression, int]] = field(default_factory=list)
    above: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    chains: defaultdict[int, list[list[int]]] = field(default_factory=lambda: defaultdict(list))
    traits: defaultdict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    objects: set[int] = field(default_factory=set)
    data: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, onto: Ontology) -> Beyond:
        """Collect it.

        Args:
            onto: The ontology.

        Raises:
            InputError: If an axiom does not parse.
        """
        found = cls()
        rows, collected = state(onto.axioms)
        found.data = collected.data
        for kind, of, chain in collected.property_rows().iter_rows():
            if kind == "sub":
                found.above[chain[0]].append(of)
            elif kind == "chain":
                found.chains[of].append(chain)
            else:
                found.traits[of].append(kind)
            found.objects.update({of, *chain} - found.data)
        if (rows["gci"] > 0).any():
            for axiom in onto.axioms["axiom"].to_list():
                match parse(axiom) if not axiom.startswith("SubClassOf(:") else None:
                    case SubClass(All() | Some() | Value() as sub, str() as above) if _sayable(sub):
                        found.general.append((sub, _key(above)))
                        found.objects.update(_roles(sub))
        return found

    def property_facts(self, of: int, role: Callable[[int], str]) -> str:
        """Write what is said of a property, to stand inside its element.

        Args:
            of: The property.
            role: Gives a property's IRI.
        """
        lines = [f"<rdfs:subPropertyOf rdf:resource={quoteattr(role(k))}/>" for k in self.above[of]]
        lines += [f"<rdf:type rdf:resource={quoteattr(_OWL + _TRAITS[trait])}/>" for trait in self.traits[of]]
        for chain in self.chains[of]:
            steps = "".join(f"<rdf:Description rdf:about={quoteattr(role(k))}/>" for k in chain)
            lines.append(
                f'<owl:propertyChainAxiom rdf:parseType="Collection">{steps}</owl:propertyChainAxiom>'
            )
        return "".join(lines)


def _key(name: str) -> int:
    return key(from_iri(name))


def _sayable(expression: Expression) -> bool:
    match expression:
        case All(parts):
            return all(map(_sayable, parts))
        case Some(_, filler):
            return _sayable(filler)
    return isinstance(expression, str | Value)


def _roles(expression: Expression) -> set[int]:
    match expression:
        case All(parts):
            return set().union(*map(_roles, parts))
        case Some(role, filler):
            return {_key(role)} | _roles(filler)
    return set()
