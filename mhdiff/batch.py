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
        most: Number of concepts of the fullest sample, known where the batch is made; None where nobody counted.
        owner: Whose each place is, where the places of all modalities stand together as those of one, see `compact`.
    """

    concept: Int[Tensor, "batch modality slot"]
    weight: Float[Tensor, "batch modality slot"]
    polarity: Int[Tensor, "batch modality slot"]
    most: int | None = None
    owner: Bool[Tensor, "batch owner place"] | None = None

    @property
    def mask(self) -> Bool[Tensor, "batch modality slot"]:
        """True where a place holds a concept."""
        return self.concept >= 0

    @property
    def owners(self) -> Bool[Tensor, "#batch owner place"]:
        """Say whose each place is, the places of all modalities in a row."""
        if self.owner is not None:
            return self.owner
        modalities, slots = self.concept.shape[1:]
        each = torch.arange(modalities, device=self.concept.device)
        return (each[:, None] == each.repeat_interleave(slots))[None]

    def available(self, present: Bool[Tensor, "batch modality"]) -> Bool[Tensor, "batch place"]:
        """Say which places hold a concept of a present modality.

        Args:
            present: Which modalities are.
        """
        if self.owner is None:
            return (self.mask & present[:, :, None]).flatten(1)
        return self.mask.flatten(1) & (self.owner & present[:, :, None]).any(1)

    def compact(self) -> "EvidenceBatch":
        """Give the same evidence in as few places as the fullest sample needs, in the same order.

        The places of all modalities become those of one axis of length 1, and `owner` says whose they are. Unchanged
        where `most` is unknown or nothing would be saved.
        """
        modalities, slots = self.concept.shape[1:]
        if self.most is None or self.owner is not None or self.most >= modalities * slots:
            return self
        filled = self.mask.flatten(1)
        place = filled.byte().argsort(dim=1, descending=True, stable=True)[:, : max(self.most, 1)]
        concept, weight, polarity = (
            tensor.flatten(1).gather(1, place)[:, None]
            for tensor in (self.concept, self.weight, self.polarity)
        )
        each = torch.arange(modalities, device=place.device)
        owner = (place[:, None] // slots == each[:, None]) & filled.gather(1, place)[:, None]
        return EvidenceBatch(concept, weight, polarity, self.most, owner)

    def only(
        self, present: Bool[Tensor, "batch modality"]
    ) -> tuple["EvidenceBatch", Int[Tensor, "batch place"]]:
        """Give what present modalities bear witness to, in the first places, in the same order; see `compact`.

        Args:
            present: Which modalities are.

        Returns:
            The evidence, and from which place each of its places was taken. `most` and the number of places stay.
        """
        there = self.available(present)
        place = there.byte().argsort(dim=1, descending=True, stable=True)
        held = there.gather(1, place)[:, None]
        concept, weight, polarity = (
            tensor.flatten(1).gather(1, place)[:, None]
            for tensor in (self.concept, self.weight, self.polarity)
        )
        owner = self.owners.expand(len(place), -1, -1).gather(
            2, place[:, None].expand(-1, self.owners.shape[1], -1)
        )
        return EvidenceBatch(concept.masked_fill(~held, -1), weight, polarity, self.most, owner & held), place

    def of(self, rows: Int[Tensor, " row"], places: int) -> "EvidenceBatch":
        """Give the first places of some samples, where the places of all modalities stand together, see `compact`.

        Args:
            rows: Which samples.
            places: How many places; those beyond hold nothing of these samples.
        """
        concept, weight, polarity = (
            tensor[rows, :, :places] for tensor in (self.concept, self.weight, self.polarity)
        )
        owner = None if self.owner is None else self.owner[rows, :, :places]
        return EvidenceBatch(concept, weight, polarity, places, owner)


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
            self.evidence.most,
            None if self.evidence.owner is None else self.evidence.owner.to(device),
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
