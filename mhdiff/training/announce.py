"""What is said before a training begins."""

from mhdiff import console
from mhdiff.training.data import MultimodalData


def announce(data: MultimodalData) -> None:
    """Say what will be trained on.

    Args:
        data: A module that is set up.
    """
    counts = ", ".join(f"{name} {n}" for name, n in sorted(data.state()["splits"].items()))
    console.say(f"task {data.task.name}: {counts} samples; modalities {', '.join(data.modalities)}")
    if data.control is not None:
        console.say(f"null graph: {data.control}")
    warn(data)


def warn(data: MultimodalData) -> None:
    """Say what whoever trains or predicts should know.

    Args:
        data: A module that is set up.
    """
    for told in data.warnings:
        console.say(f"warning: {told}")
