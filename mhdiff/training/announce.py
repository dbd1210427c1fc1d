"""What is said before a training begins."""

from mhdiff import console
from mhdiff.cohort.parted import parted_images
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


def parted(data: MultimodalData) -> list[str]:
    """Say how many images a stored split has on several sides; every other split keeps such patients together.

    Args:
        data: A module that is set up.

    Returns:
        A sentence, or none.
    """
    if data.split != "stored":
        return []
    found = parted_images(data.cohort, data.samples)
    if not found.images:
        return []
    images = "1 image" if found.images == 1 else f"{found.images:,} images"
    return [
        f"{images}, byte for byte the same, of {found.patients} patients in different splits: "
        "they may be one patient, and results too good. mhdiff cohort audit --cases FILE names them; "
        "data.split=fold:0/5 keeps them together"
    ]


def warn(data: MultimodalData) -> None:
    """Say what whoever trains or predicts should know.

    Args:
        data: A module that is set up.
    """
    for told in data.warnings:
        console.say(f"warning: {told}")
