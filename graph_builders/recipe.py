"""A graph's recipe: the view, what is edited then, and the features that are added last. One YAML file holds it.

view: {kind: reachable, layers: 2, split: {finding site: hierarchy}}
edits:
  - drop_relation: [interprets]
  - cap_depth: 6
  - prune_by_frequency: 5          # training samples
features: [depth, ic, degree, laplacian: 8, random_walk: 6, term: FOLDER, relation, weight: symmetric]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch_geometric.transforms import BaseTransform

from graph_builders.edits import CapDepth, DropRelation, KeepRelations, MergeRelations, PruneByFrequency
from graph_builders.features import Degree, Depth, InformationContent
from graph_builders.features_edges import EdgeWeight, RelationType
from graph_builders.features_positions import LaplacianPositions, RandomWalkPositions
from graph_builders.features_terms import MeanPooled, TermEmbedding
from graph_builders.patient_graph import PatientGraph
from graph_builders.view import View
from ontology.errors import InputError
from ontology.progress import step

if TYPE_CHECKING:
    from ontology import Ontology

EDITS: dict[str, Callable[[Any], BaseTransform]] = {
    "drop_relation": DropRelation,
    "keep_relations": KeepRelations,
    "merge_relations": MergeRelations,
    "cap_depth": CapDepth,
}
PRUNE = "prune_by_frequency"
#: Each feature with the argument that it takes where none is given; None takes none.
FEATURES: dict[str, Any] = {
    "depth": None,
    "ic": "sanchez",
    "degree": None,
    "laplacian": 8,
    "random_walk": 6,
    "term": "",
    "relation": None,
    "weight": "random_walk",
}
Step = tuple[str, Any]


@dataclass(frozen=True)
class Recipe:
    """How a graph is made.

    Args:
        view: Which part of the ontology.
        edits: Names from `EDITS`, or "prune_by_frequency", each with its argument, in order.
        features: Names from `FEATURES`, each with its argument or None for the usual one, in order.

    Raises:
        InputError: If a name is unknown or an argument does not fit.
    """

    view: View = field(default_factory=View)
    edits: tuple[Step, ...] = ()
    features: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        for name, argument in self.edits:
            _known("edit", name, (*EDITS, PRUNE))
            if name == PRUNE:
                PruneByFrequency(argument, ())
            else:
                _called(EDITS[name], name, argument)
        for name, argument in self.features:
            _known("feature", name, tuple(FEATURES))
            if FEATURES[name] is None and argument is not None:
                raise InputError(f"the feature {name} takes no argument, but has {argument!r}")
            if name == "term" and not (isinstance(argument, str) and argument):
                raise InputError("the feature term names no text encoder", remedy="Give its folder or hub id")
            if name in ("ic", "laplacian", "random_walk", "weight"):
                _feature(name, argument, None, (), MeanPooled.from_pretrained)

    @classmethod
    def load(cls, path: str | Path) -> Recipe:
        """Read a recipe from a YAML file with the keys view, edits and features, all of them optional.

        Args:
            path: The file.

        Raises:
            InputError: If there is no such file, it is no YAML, or it holds something else.
        """
        import yaml

        try:
            content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"the view cannot be read ({reason})", path=path) from error
        known = ("view", "edits", "features")
        if not isinstance(content, dict) or set(content) - set(known):
            raise InputError("a view's file has other keys", path=path, remedy=f"Use: {', '.join(known)}")
        view = content.get("view") or {}
        if not isinstance(view, dict):
            raise InputError("view is no mapping", path=path, remedy="Write view: {kind: closure}")
        try:
            return cls(View.from_dict(view), _steps(content, "edits"), _steps(content, "features"))
        except InputError as error:
            raise InputError(error.problem, path=path, remedy=error.remedy) from error

    def apply(
        self,
        graph: PatientGraph,
        ontology: Ontology,
        training: Sequence[int] = (),
        encoder: Callable[[str], Callable[[list[str]], Any]] = MeanPooled.from_pretrained,
    ) -> PatientGraph:
        """Edit a graph that was built with the view, and add the features.

        Args:
            graph: The graph.
            ontology: What it was built from.
            training: The samples that pruning counts.
            encoder: Loads the text encoder of a name.

        Raises:
            InputError: If an edit or a feature does not fit the graph.
        """
        for name, argument in self.edits:
            step(name.replace("_", " "))
            edit = PruneByFrequency(argument, training) if name == PRUNE else EDITS[name](argument)
            graph = graph.transform(edit)
        names = graph.meta["slice"]["relation_names"]
        for name, argument in self.features:
            step(f"feature {name}")
            graph = graph.transform(_feature(name, argument, ontology, names, encoder))
        return graph

    @property
    def prunes(self) -> bool:
        """Whether it has to be known which samples are for training."""
        return any(name == PRUNE for name, _ in self.edits)


def _feature(name: str, argument: Any, ontology: Any, names: Sequence[str], encoder: Any) -> BaseTransform:
    value = FEATURES[name] if argument is None else argument
    if name == "term":
        return TermEmbedding(ontology, encoder(value))
    made: dict[str, Callable[[], BaseTransform]] = {
        "depth": Depth,
        "ic": lambda: InformationContent(ontology, value),
        "degree": Degree,
        "laplacian": lambda: LaplacianPositions(value),
        "random_walk": lambda: RandomWalkPositions(value),
        "relation": lambda: RelationType(names),
        "weight": lambda: EdgeWeight(value),
    }
    return made[name]()


def _called(edit: Callable[[Any], BaseTransform], name: str, argument: Any) -> None:
    if name in ("drop_relation", "keep_relations"):
        fits = isinstance(argument, str) or (
            isinstance(argument, Iterable) and all(isinstance(one, str) for one in argument)
        )
        if not fits or isinstance(argument, Mapping):
            raise InputError(f"{name} is {argument!r}", remedy="Give a list of edge types")
    edit(argument)


def _known(what: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise InputError(f"'{name}' is no {what}", remedy=f"Known ones: {', '.join(known)}")


def _steps(content: dict[str, Any], key: str) -> tuple[Step, ...]:
    """Read a list of names and {name: argument}."""
    listed = content.get(key) or []
    steps: list[Step] = []
    for one in listed if isinstance(listed, list) else [None]:
        if isinstance(one, str):
            steps.append((one, None))
        elif isinstance(one, dict) and len(one) == 1:
            ((name, argument),) = one.items()
            steps.append((str(name), argument))
        else:
            raise InputError(f"{key} is no list of names and {{name: argument}}")
    return tuple(steps)
