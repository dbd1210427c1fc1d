"""What a data set tells the model before it is built."""

from dataclasses import dataclass
from typing import Any

from graph_builders import ConceptGraph


@dataclass
class DataSpec:
    """Sizes and names that only the data know.

    Attributes:
        modalities: Names, in the order of the batch's modality axis.
        inputs: For each modality the specification that its encoder is built from (`mhdiff.encoders.specs`).
        classes: Names of the classes, in the order of the labels.
        graph: The concept side of the graph.
        counts: Samples of each class in the training split; empty where nobody counted.
    """

    modalities: list[str]
    inputs: dict[str, Any]
    classes: list[str]
    graph: ConceptGraph
    counts: tuple[int, ...] = ()
