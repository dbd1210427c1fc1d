"""What passes between the data module and the model: one batch of samples, as tensors."""

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass
class EvidenceBatch:
    """The concepts that a sample's modalities bear witness to, padded to `slot` places a modality.

    Attributes:
        concept: Node index in the concept graph; -1 marks an empty place.
        weight: How much the evidence counts, in [0, 1].
        polarity: Index into `ontology.recognise.POLARITIES`.
    """

    concept: Int[Tensor, "batch modality slot"]
    weight: Float[Tensor, "batch modality slot"]
    polarity: Int[Tensor, "batch modality slot"]

    @property
    def mask(self) -> Bool[Tensor, "batch modality slot"]:
        """True where a place holds a concept."""
        return self.concept >= 0


@dataclass
class Batch:
    """One batch.

    Attributes:
        sample_id: Row of the task's sample table.
        present: Which modalities the sample has.
        inputs: For each modality the tensors that its encoder reads; zeros where it is absent.
        evidence: The concepts found, by modality.
        label: Index of the class.
        masks: For a modality whose findings were outlined, where they are, shaped like its pixels or tokens; nothing
            is True where there is no outline. The model is not shown them: losses and evaluations are.
    """

    sample_id: Int[Tensor, " batch"]
    present: Bool[Tensor, "batch modality"]
    inputs: dict[str, dict[str, Tensor]]
    evidence: EvidenceBatch
    label: Int[Tensor, " batch"]
    masks: dict[str, Bool[Tensor, "batch *units"]] = field(default_factory=dict)

    def offering(self, pattern: Bool[Tensor, " modality"]) -> "Batch":
        """Give the same batch with only some modalities offered.

        Args:
            pattern: True for each modality that may be used; what a sample lacks stays absent.
        """
        return replace(self, present=self.present & pattern.to(self.present.device))

    def to(self, device: torch.device | str) -> "Batch":
        """Move every tensor to a device.

        Args:
            device: Where to.
        """
        evidence = EvidenceBatch(
            self.evidence.concept.to(device),
            self.evidence.weight.to(device),
            self.evidence.polarity.to(device),
        )
        inputs = {m: {k: v.to(device) for k, v in tensors.items()} for m, tensors in self.inputs.items()}
        return Batch(
            self.sample_id.to(device),
            self.present.to(device),
            inputs,
            evidence,
            self.label.to(device),
            {m: mask.to(device) for m, mask in self.masks.items()},
        )

    def __len__(self) -> int:
        return int(self.label.shape[0])
