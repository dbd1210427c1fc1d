r"""MH-Diff as one `nn.Module`: encoders, guidance, fusion, prior and head, wired.

.. math::
    z_m &= \mathrm{encoder}_m(x_m), \quad \text{the learnable token } e^*_m \text{ where } m \text{ is absent} \\
    z &= \mathrm{fusion}([z_1 .. z_M \mid \text{concept tokens}], \lambda A) + \tfrac{1}{M}\sum_{m\,absent} e^*_m \\
    \hat z &= \mathrm{E}[z \mid z_t] \text{ by the prior}, \qquad p(y \mid x) = \mathrm{softmax}(\mathrm{head}(\hat z))

As a key an absent modality is masked out and as a query it is not pooled; its token enters as the summand above,
which lets the model know what is missing without its input having any influence. With nothing present, z is the
prior's mean.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from mhdiff.attended import Attended, InGroups
from mhdiff.batch import Batch, EvidenceBatch
from mhdiff.diffusion.prior import Latents, Prior
from mhdiff.encoders.base import Encoder
from mhdiff.fusion.base import Fusion, refuse_unread
from mhdiff.guidance.base import Guidance, GuidanceOutput, Local
from mhdiff.head import Head, Perceptron

#: How many patients are fused together in training, about, where the processor does it: they are put with others who
#: have as many concepts, and padded to the fullest of these. A GPU would rather have one large batch.
GROUP = 128


@dataclass
class Output:
    """What the model gives for a batch.

    Attributes:
        logits: Scores of the classes.
        latents: The fused latent and the modalities' own, before the prior.
        attended: What the attention saw and gave. In training the concepts' tokens are those of
            `EvidenceBatch.compact`.
        fuse_complete: In training, gives the latents of the patients with nothing hidden, without gradient; None where
            they are `latents`.
    """

    logits: Float[Tensor, "batch classes"]
    latents: Latents
    attended: Attended | InGroups
    fuse_complete: Callable[[], Latents] | None = field(default=None, repr=False)

    @cached_property
    def complete(self) -> Latents | None:
        """What `fuse_complete` gives, computed where it is first asked for."""
        return None if self.fuse_complete is None else self.fuse_complete()

    @property
    def attention(self) -> Float[Tensor, "batch heads token key"]:
        """The last fusion layer's attention over all tokens (modalities first), then over guidance's anchors.

        0 where the fusion has no attention.
        """
        return self.attended.whole.attention

    @property
    def mask(self) -> Bool[Tensor, "batch token"]:
        """Which tokens could be attended to."""
        return self.attended.whole.mask

    @property
    def between(self) -> Float[Tensor, "batch #heads token token"] | None:
        """The bias A between the tokens, before lambda; None without guidance."""
        return self.attended.whole.between

    @property
    def toward(self) -> Float[Tensor, "batch heads token anchor"] | None:
        """A towards guidance's anchors; None without."""
        return self.attended.whole.toward

    @property
    def bias(self) -> Float[Tensor, "batch #heads token key"] | None:
        """The bias A that entered the attention, before lambda, over the same; None without guidance."""
        if self.between is None or self.toward is None:
            return self.between
        return torch.cat([self.between, self.toward], -1)

    @property
    def probabilities(self) -> Float[Tensor, "batch classes"]:
        """Probabilities of the classes, before calibration."""
        return self.logits.softmax(-1)


class Guided(NamedTuple):
    """What guidance says of some patients, or of all.

    Attributes:
        rows: Which patients of the batch; None for all.
        evidence: Theirs.
        said: What guidance says of it.
    """

    rows: Int64[Tensor, " row"] | None
    evidence: EvidenceBatch
    said: GuidanceOutput


class MHDiff(nn.Module):
    """The whole model.

    Args:
        encoders: One encoder a modality, in the order of the batch's modality axis.
        guidance: Concept graph to concept tokens and bias.
        fusion: From tokens to a latent; by its default cross-modal attention.
        prior: Prior over the latents.
        dim: Width of every latent.
        classes: Number of classes.
        granularity: `modality`: one token a modality; `concept`: the evidence's concepts are tokens too.
        dropout: Dropout before the last layer of the head, where none is given.
        hide_latents: Probability that, in a training step, a patient's own latents z_m are hidden wherever the modality
            has concept tokens, so that these must carry the diagnosis too. Encoders learn the codes that they have
            seen by heart long before the graph has taught what the others mean. One rate, or one by modality
            (none for those not named), such as none for images, whose pixels say more than their codes. Where the
            rate is 1 they are hidden after training too: what they say beside concepts was never learned.
    """

    def __init__(
        self,
        encoders: dict[str, Encoder],
        guidance: Guidance,
        fusion: Fusion,
        prior: Prior,
        dim: int,
        classes: int,
        granularity: Literal["modality", "concept"] = "concept",
        dropout: float = 0.1,
        hide_latents: float | dict[str, float] = 0.0,
        head: Callable[[int, int, int], Head] | None = None,
    ) -> None:
        super().__init__()
        refuse_unread(fusion, guidance.gives_bias, granularity)
        fusion.build(len(encoders))
        rates = hide_latents if isinstance(hide_latents, dict) else dict.fromkeys(encoders, hide_latents)
        self.hide_latents = [float(rates.get(name, 0.0)) for name in encoders]
        self.encoders = nn.ModuleDict(encoders)
        self.guidance, self.fusion, self.prior = guidance, fusion, prior
        self.dim, self.granularity = dim, granularity
        self.kind = nn.Parameter(torch.randn(len(encoders), dim) * 0.02)
        self.absence = nn.Parameter(torch.zeros(len(encoders), dim))
        self.head = (partial(Perceptron, dropout=dropout) if head is None else head)(
            dim, len(encoders), classes
        )
        # What cannot influence the output is not trained: DDP refuses parameters without a gradient.
        if not guidance.gives_bias:
            for name, parameter in fusion.named_parameters():
                if name.endswith("lambda_"):
                    parameter.requires_grad_(False)
        if granularity == "modality":
            idle = [] if guidance.reads_tokens else guidance.token_parameters()
            for parameter in idle if guidance.learns_bias else guidance.parameters():
                parameter.requires_grad_(False)

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """Give for each modality the tensor that attributions attach to.

        Args:
            batch: The batch.
        """
        return {
            name: encoder.differentiable(batch.inputs[name])  # type: ignore[operator]
            for name, encoder in self.encoders.items()
        }

    def run(
        self,
        features: dict[str, Tensor],
        batch: Batch,
        evidence_weight: Tensor,
        complete: Bool[Tensor, "batch modality"] | None = None,
        compact: bool = False,
    ) -> Output:
        """Go from features to logits.

        Args:
            features: What `features` gives.
            batch: The batch that they came from.
            evidence_weight: Weight of each piece of evidence, shape (batch, modality, slot).
            complete: What the patients have, where `batch.present` hides some of it: asks for `Output.complete`.
            compact: Whether the attention may be given over as few places as there are concepts, as in training.
        """
        encoded = torch.stack(
            [
                encoder.encode(features[name], batch.inputs[name])  # type: ignore[operator]
                for name, encoder in self.encoders.items()
            ],
            1,
        )
        evidence = replace(batch.evidence, weight=evidence_weight)
        if self.training or compact:  # else every place keeps its own, for whoever reads the attention
            evidence = evidence.compact()
        found = self.guidance.find(evidence)
        if complete is not None and self._number(evidence) > 1:
            # Patients of whom as little is shown go together: guidance is asked twice, of fewer places.
            groups = self._guided(*self._shown(evidence, found, batch.present), batch.present)
            whole = partial(self._guided, evidence, found, complete)
        else:
            groups = self._guided(evidence, found, batch.present if complete is None else complete)
            whole = partial(list, groups)
        output = self._fuse(encoded, groups, batch.present, self.training)
        if complete is not None:
            output.fuse_complete = partial(self._unhidden, encoded, whole, complete)
        output.logits = self.diagnose(output.latents)
        return output

    def _unhidden(
        self,
        encoded: Float[Tensor, "batch modality dim"],
        groups: Callable[[], list[Guided]],
        complete: Bool[Tensor, "batch modality"],
    ) -> Latents:
        """Fuse all that the patients have, with a gradient only where the prior lets one through."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.prior.stop_gradient):
            return self._fuse(encoded, groups(), complete, False).latents

    def _shown(
        self, evidence: EvidenceBatch, found: Local, present: Bool[Tensor, "batch modality"]
    ) -> tuple[EvidenceBatch, Local]:
        """The evidence of what is present, in the first places, and where its states are."""
        shown, place = evidence.only(present)
        if found.place is None:
            return shown, found
        return shown, found._replace(place=found.place.flatten(1).gather(1, place)[:, None])

    def diagnose(self, latents: Latents, t: float | None = None) -> Float[Tensor, "batch classes"]:
        """Go from fused latents to logits.

        Args:
            latents: What was fused, perhaps completed.
            t: How much of it is taken for noise, see `Prior.denoise`.
        """
        logits: Tensor = self.head(self.prior.denoise(latents, t), latents)
        return logits

    def fuse(
        self,
        encoded: Float[Tensor, "batch modality dim"],
        evidence: EvidenceBatch,
        found: Local,
        present: Bool[Tensor, "batch modality"],
        hide: bool,
    ) -> Output:
        """Fuse what is present; the logits are still empty.

        Args:
            encoded: z of each modality.
            evidence: The evidence, in training compact.
            found: What guidance's `local` gave for it.
            present: Which modalities may be used.
            hide: Whether latents are hidden at random, as `hide_latents` says.
        """
        return self._fuse(encoded, self._guided(evidence, found, present), present, hide)

    def _guided(
        self, evidence: EvidenceBatch, found: Local, present: Bool[Tensor, "batch modality"]
    ) -> list[Guided]:
        """What guidance says of each group of patients.

        It serves whoever is shown less, too: what it says of tokens that are there does not depend on those that are
        gone, and these are masked out. In several groups it is asked for what is shown alone, see `_shown`.
        """
        concepts, groups = self.granularity == "concept", self._groups(evidence)
        if groups is None:
            return [Guided(None, evidence, self.guidance(evidence, present, found, concepts))]
        made = []
        for rows, own in groups:
            place = None if found.place is None else found.place[rows, :, : own.concept.shape[2]]
            said = self.guidance(own, present[rows], found._replace(place=place), concepts)
            made.append(Guided(rows, own, said))
        return made

    def _fuse(
        self,
        encoded: Float[Tensor, "batch modality dim"],
        groups: list[Guided],
        present: Bool[Tensor, "batch modality"],
        hide: bool,
    ) -> Output:
        """Fuse what is present, group by group; see `fuse`."""
        hidden = self._hidden(len(present), present.device, hide)
        parts, order = [], []
        for group in groups:
            if group.rows is None:
                latents, attended = self._fused(encoded, group, present, hidden)
                return Output(latents.shared.new_empty(len(present), 0), latents, attended)
            shown = None if hidden is None else hidden[group.rows]
            parts.append(self._fused(encoded[group.rows], group, present[group.rows], shown))
            order.append(group.rows)
        back = torch.cat(order).argsort()
        shared, modality = (
            torch.cat([getattr(latents, name) for latents, _ in parts])[back]
            for name in ("shared", "modality")
        )
        together = InGroups([seen for _, seen in parts], back)
        return Output(shared.new_empty(len(present), 0), Latents(shared, modality, present), together)

    def _number(self, evidence: EvidenceBatch) -> int:
        """Into how many groups patients fall, see `_groups`."""
        together = (
            self.granularity != "concept"
            or evidence.owner is None
            or evidence.concept.device.type != "cpu"
            or torch.compiler.is_compiling()
        )
        return 1 if together else len(evidence.concept) // GROUP

    def _groups(self, evidence: EvidenceBatch) -> list[tuple[Int64[Tensor, " row"], EvidenceBatch]] | None:
        """Patients by the number of their concepts, and their evidence; None where all are fused together.

        What a patient comes to is the same. Attention over concepts costs by the square of the places, and a batch is
        padded to its fullest patient.
        """
        number = self._number(evidence)
        if number < 2:
            return None
        counts = evidence.mask.sum((1, 2))
        order = counts.argsort(stable=True)
        return [
            (rows, evidence.of(rows, max(int(counts[rows[-1]]), 1))) for rows in order.tensor_split(number)
        ]

    def _fused(
        self,
        encoded: Float[Tensor, "batch modality dim"],
        group: Guided,
        present: Bool[Tensor, "batch modality"],
        hidden: Bool[Tensor, "batch modality"] | None,
    ) -> tuple[Latents, Attended]:
        """Fuse some patients; `hidden` says whose latents are no tokens if concepts stand for them."""
        modality = torch.where(present[..., None], encoded, self.absence)
        evidence, guided = group.evidence, group.said
        tokens, mask, bias, toward = modality + self.kind, present, guided.bias, guided.toward
        if self.granularity == "concept":
            owners, there = evidence.owners, guided.mask & evidence.available(present)
            concepts = guided.tokens + owners.mT.to(self.kind.dtype) @ self.kind
            shown = present
            if hidden is not None:
                shown = present & ~(hidden & (owners & there[:, None]).any(-1))
            tokens, mask = torch.cat([tokens, concepts], 1), torch.cat([shown, there], 1)
        fused = self.fusion(tokens, bias, mask, anchors=guided.anchors, toward=toward)
        absent = (~present)[..., None] * self.absence
        latents = Latents(fused.latent + absent.mean(1), modality, present)
        if fused.attention:
            return latents, Attended(fused.attention[-1], mask, bias, toward)
        nothing = latents.shared.new_zeros(len(mask), 1, mask.shape[1], mask.shape[1])
        return latents, Attended(nothing, mask, bias, toward)

    def _hidden(self, batch: int, device: torch.device, draw: bool) -> Bool[Tensor, "batch modality"] | None:
        """Say whose latents are hidden: drawn in a training step, else those that always are; None for nobody's."""
        if self.granularity != "concept" or not any(self.hide_latents):
            return None
        rates = torch.tensor(self.hide_latents, device=device)
        if draw:
            return torch.rand(batch, 1, device=device) < rates
        return (rates >= 1).expand(batch, -1) if max(self.hide_latents) >= 1 else None

    @torch.no_grad()
    def restandardise(self, latents: Latents) -> None:
        """Standardise by the latents of the weights as they are now, and leave the head's answers as they are.

            W z~ + b = W' z~' + b',   W' = W s' / s,   b' = b + W (m' - m) / s

        W and b are of the maps in the head that read z, m' and s' the new statistics. What the prior has learned is not
        taken along: it goes on learning on the new scale. A patient of whom nothing is present is put at the new mean.

        Args:
            latents: The patients of the training fold, each once, with nothing masked.
        """
        scale = self.prior.scale
        mean, std = scale.mean.clone(), scale.std
        self.prior.restandardise(latents)
        self.head.moved((scale.mean - mean) / std, scale.std / std)

    def score(
        self, features: dict[str, Tensor], batch: Batch, evidence_weight: Tensor
    ) -> Float[Tensor, "batch classes"]:
        """Give the logits alone, for attributions.

        Args:
            features: What `features` gives, perhaps moved towards a baseline.
            batch: The batch that they came from.
            evidence_weight: Weight of each piece of evidence.
        """
        return self.run(features, batch, evidence_weight).logits

    def forward(self, batch: Batch) -> Output:
        """Diagnose a batch.

        Args:
            batch: The batch.
        """
        return self.run(self.features(batch), batch, batch.evidence.weight)
