"""The way through the ontology from one concept to another that a guidance's score came about by.

- `Linked`: a shortest way over the relations that it walks, in either direction.
- `Similarity`, `Distance`: up from both to the concept in which they meet, as the score was computed.
- `MessagePassing`: a shortest way over all relations. Messages went along many ways at once; this is the shortest.
  Where concepts inherit, no way is too long.
- a guidance that reads no ontology has none.
"""

from __future__ import annotations

from graph_builders import ConceptGraph, PathFinder, Step
from graph_builders.reach import way_up
from mhdiff.guidance import Distance, Free, Guidance, Linked, MessagePassing, NoGuidance, Similarity


class PathTeller:
    """Paths as a guidance walked them.

    Args:
        guidance: The guidance.
        graph: The concept side of the graph that it was made with.

    Attributes:
        how: What the path has to do with the score, in words.
        longest: Steps of the longest path on which messages of both ends meet; None where there are no messages.
    """

    def __init__(self, guidance: Guidance, graph: ConceptGraph) -> None:
        self.guidance, self.graph = guidance, graph
        self._finder: PathFinder | None = None
        self.longest: int | None = None
        if isinstance(guidance, Similarity):
            self.how = f"Paths lead up to the common ancestor that the similarity ({guidance.measure}) was computed by."
            if guidance.measure == "jaccard":
                self.how = "The similarity (jaccard) counts all common ancestors; paths lead up to the deepest of them."
        elif isinstance(guidance, Distance):
            self.how = "Paths lead up to the concept in which the two meet, by which the bias was chosen."
        elif isinstance(guidance, Linked):
            self.how = "Paths are shortest ones over the relations that link."
            walked = {name: graph.edge_index[name] for name in guidance.relations}
            self._finder = PathFinder(ConceptGraph(graph.num_nodes, walked))
        elif isinstance(guidance, Free | NoGuidance):
            self.how = "This guidance reads no ontology: a pair of concepts has a score and no path."
        else:
            self.how = "Messages went along many ways at once; the path told is a shortest one."
            self._finder = PathFinder(graph)
            if isinstance(guidance, MessagePassing):
                rounds = len(guidance.rounds)
                if guidance.inheritance is not None:
                    self.how += (
                        " Each concept also inherits from all that it reaches upward, however far"
                        f"{' along is-a' if guidance.inheritance.walk == 'is_a' else ''}."
                    )
                    return
                self.longest = 2 * rounds
                self.how += (
                    f" They went {rounds} {'step' if rounds == 1 else 'steps'} from each concept: where the shortest "
                    f"path is longer than {2 * rounds}, none of both met, and the score is that of what lies near each."
                )

    def path(self, a: int, b: int) -> list[Step] | None:
        """Give the steps from one concept to another; none for one and the same, None where there is no path.

        Args:
            a: The node to start from.
            b: The node to reach.
        """
        if self._finder is not None:
            return self._finder.path(a, b)
        if not isinstance(self.guidance, Similarity | Distance):
            return None
        meeting = self.guidance.meeting(a, b)
        if meeting is None:
            return None
        reach = self.guidance.reach
        up = [Step(x, name, y, True) for x, name, y in way_up(reach, self.graph, a, meeting)]
        down = [Step(y, name, x, False) for x, name, y in way_up(reach, self.graph, b, meeting)]
        return up + down[::-1]
