"""What concepts are called where people read: fully specified names, and short ones that cannot be mistaken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ontology.naming import untagged

if TYPE_CHECKING:
    from ontology import Ontology


class Names:
    """Names of concepts.

    Args:
        ontology: Where the names come from; without one a concept is called by its SCTID.
    """

    def __init__(self, ontology: Ontology | None) -> None:
        self.ontology = ontology

    def fsn(self, sctid: int) -> str:
        """Give the fully specified name; the SCTID as text where none is known.

        Args:
            sctid: The concept.
        """
        if self.ontology is None or sctid not in self.ontology:
            return str(sctid)
        return self.ontology.fsn(sctid)

    def synonyms(self, sctid: int) -> list[str]:
        """Give the other names; none where they are not known.

        Args:
            sctid: The concept.
        """
        if self.ontology is None or sctid not in self.ontology:
            return []
        return self.ontology.synonyms(sctid)

    def short(self, sctids: Iterable[int]) -> dict[int, str]:
        """Give names without their semantic tags, but for those that two of the concepts would then share.

        Args:
            sctids: The concepts that are shown together.
        """
        full = {sctid: self.fsn(sctid) for sctid in sctids}
        bare = {sctid: untagged(name) for sctid, name in full.items()}
        shared = Counter(name.casefold() for name in bare.values())
        return {sctid: name if shared[name.casefold()] == 1 else full[sctid] for sctid, name in bare.items()}


class NodeNames(Names):
    """Names of a graph's concept nodes.

    Args:
        sctids: The SCTID on each node.
        ontology: Where the names come from; without one a concept is called by its SCTID.
    """

    def __init__(self, sctids: Sequence[int], ontology: Ontology | None) -> None:
        super().__init__(ontology)
        self.sctids = list(sctids)

    def node(self, node: int) -> str:
        """Give the fully specified name of what stands on a node.

        Args:
            node: The node.
        """
        return self.fsn(self.sctids[node])
