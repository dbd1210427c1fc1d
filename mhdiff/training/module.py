"""The LightningModule: builds MH-Diff when the data are known, and says what is optimised.

What is minimised is a weighted sum of losses, see `mhdiff.losses`; by default cross-entropy and the prior's own loss.
"""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Literal

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer

from graph_builders import ConceptGraph
from mhdiff.augmentation import Augmentation
from mhdiff.batch import Batch
from mhdiff.candidates import CANDIDATES, Candidates
from mhdiff.compiled import compile_core
from mhdiff.diffusion.prior import DiffusionPrior, Prior
from mhdiff.encoders.base import Encoder
from mhdiff.encoders.embedded import Embedded
from mhdiff.encoders.specs import EmbeddingSpec
from mhdiff.fusion.base import Fusion
from mhdiff.fusion.fusion import CrossModalFusion
from mhdiff.fusion.influence import influence
from mhdiff.fusion.masking import Masking, ModalityMasking
from mhdiff.guidance import Guidance, MessagePassing
from mhdiff.head import Head, Perceptron
from mhdiff.losses import CrossEntropy, HeadLoss, Loss, LossContext, Objective, PriorLoss
from mhdiff.losses.base import seed_of
from mhdiff.model import MHDiff, Output
from mhdiff.training.gradients import EVERY, GradientGuard, set_aside
from mhdiff.training.learning_rate import RateSchedule, by_step
from mhdiff.training.means import Means
from mhdiff.training.shared import leave_mapped, share_of_step
from mhdiff.training.spec import DataSpec
from ontology.errors import InputError


class Diagnosis(LightningModule):
    """Train MH-Diff to tell the classes of a task apart.

    Args:
        encoders: For each modality of the data how to build its encoder from (spec, dim).
        guidance: How to build guidance from (concept graph, dim, heads).
        fusion: How to build fusion from (dim, heads).
        prior: How to build the prior from (dim, modalities, classes).
        masking: How modalities are left out while training.
        dim: Width of every latent.
        heads: Number of attention heads.
        granularity: See `MHDiff`.
        hide_latents: See `MHDiff`.
        learning_rate: Of AdamW.
        weight_decay: Of AdamW.
        losses: What is minimised; None for cross-entropy and the prior's own loss.
        learning_rate_schedule: How the learning rate changes from step to step, see
            `mhdiff.training.learning_rate`; None for the same in all steps.
        prior_steps: Steps that the prior alone goes on learning after training, see `mhdiff.training.refit`.
        inference: The ways to diagnose that a trained run tries on its tuning patients.
        head: How to build the head from (dim, modalities, classes).
        augmentation: What is changed of a step's patients before they are shown, see `mhdiff.augmentation`; None for
            nothing.
        compile: Whether training and predicting translate fusion, prior and head, see `mhdiff.compiled`.
    """

    net: MHDiff

    def __init__(
        self,
        encoders: dict[str, Callable[[Any, int], Encoder]],
        guidance: Callable[[ConceptGraph, int, int], Guidance] = MessagePassing,
        fusion: Callable[[int, int], Fusion] = CrossModalFusion,
        prior: Callable[[int, int, int], Prior] = DiffusionPrior,
        masking: Masking | None = None,
        dim: int = 64,
        heads: int = 4,
        granularity: Literal["modality", "concept"] = "concept",
        hide_latents: float | dict[str, float] = 0.5,
        learning_rate: float = 1e-4,
        weight_decay: float = 0.01,
        losses: list[Loss] | None = None,
        learning_rate_schedule: RateSchedule | None = None,
        prior_steps: int = 0,
        inference: Candidates = CANDIDATES,
        head: Callable[[int, int, int], Head] = Perceptron,
        augmentation: Augmentation | None = None,
        compile: bool = False,
    ) -> None:
        super().__init__()
        self.seed = 0
        if dim % heads:
            raise InputError(
                f"model.dim ({dim}) is not a multiple of model.heads ({heads})", remedy="Change one of them"
            )
        self.guidance_factory, self.fusion_factory, self.prior_factory = guidance, fusion, prior
        self.encoder_factories, self.head_factory = encoders, head
        self.masking = masking if masking is not None else ModalityMasking(0.3)
        self.augmentation = augmentation
        self.dim, self.heads = dim, heads
        self.granularity: Literal["modality", "concept"] = granularity
        self.hide_latents = hide_latents
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.learning_rate_schedule = learning_rate_schedule
        if prior_steps < 0:
            raise InputError(f"model.prior_steps cannot be {prior_steps}", remedy="Give 0 or more")
        self.prior_steps = prior_steps
        self.inference = inference
        self.compiles = compile
        self.objective = Objective([CrossEntropy(), PriorLoss()] if losses is None else losses)
        self._means, self._tuning_means = Means(), Means()
        self._steady = ExitStack()

    def build(self, spec: DataSpec) -> None:
        """Build the network for a data set.

        Args:
            spec: Modalities, classes, sizes and the concept graph.

        Raises:
            InputError: If a modality of the data has no encoder, or parts do not go together.
        """
        stored = {m for m in spec.modalities if isinstance(spec.inputs[m], EmbeddingSpec)}
        missing = [m for m in spec.modalities if m not in self.encoder_factories and m not in stored]
        if missing:
            raise InputError(
                f"model.encoders has no entry for {', '.join(missing)}",
                remedy=f"Add one, or leave it out by data.modalities; encoders: {', '.join(self.encoder_factories)}",
            )
        self._refuse_strange(spec)
        encoders = {
            m: (Embedded if m in stored else self.encoder_factories[m])(spec.inputs[m], self.dim)
            for m in spec.modalities
        }
        self.net = MHDiff(
            encoders,
            self.guidance_factory(spec.graph, self.dim, self.heads),
            self.fusion_factory(self.dim, self.heads),
            self.prior_factory(self.dim, len(spec.modalities), len(spec.classes)),
            self.dim,
            len(spec.classes),
            self.granularity,
            hide_latents=self.hide_latents,
            head=self.head_factory,
        )
        if list(self.net.head.own()) and not any(
            isinstance(loss, HeadLoss) and not loss.idle for loss in self.objective.losses.values()
        ):
            raise InputError(
                f"{type(self.net.head).__name__} learns from a loss of its own, which model.losses lacks",
                remedy="Add mhdiff.losses.HeadLoss, with a weight above 0",
            )
        self.inference.of(self.net.prior, incomplete=True)  # what cannot be tried is refused before training
        self.objective.build(spec, self.net)
        if self.augmentation is not None:
            self.augmentation.build(spec)
        leave_mapped(self)

    def _refuse_strange(self, spec: DataSpec) -> None:
        """Refuse a part that names a modality which neither the encoders nor the data have: it would do nothing."""
        named = {"hide_latents": list(self.hide_latents) if isinstance(self.hide_latents, dict) else None}
        parts = {f"losses.{name}": loss for name, loss in self.objective.losses.items()}
        for name, part in {"augmentation": self.augmentation, **parts}.items():
            named[f"{name}.modalities"] = getattr(part, "modalities", None)
        known = list(dict.fromkeys((*self.encoder_factories, *spec.modalities)))
        for name, modalities in named.items():
            if strange := sorted(set(modalities or []) - set(known)):
                raise InputError(
                    f"model.{name} names {', '.join(strange)}", remedy=f"Modalities are {', '.join(known)}"
                )

    def configure_model(self) -> None:
        """Build the network from the data module's specification, once."""
        if not hasattr(self, "net"):
            self.build(self.trainer.datamodule.spec)  # type: ignore[attr-defined]

    def speed_up(self) -> None:
        """Translate fusion, prior and head where `model.compile` asks for it, see `mhdiff.compiled`."""
        if self.compiles:
            compile_core(self.net)

    def forward(self, batch: Batch) -> Output:
        """Diagnose a batch.

        Args:
            batch: The batch.
        """
        output: Output = self.net(batch)
        return output

    def on_train_epoch_start(self) -> None:
        """Seed every generator by seed, epoch and rank, so that a resumed run draws what it would have drawn."""
        torch.manual_seed((self.seed * 1_000_003 + self.current_epoch) * 1009 + self.global_rank)
        self.masking.set_epoch(self.current_epoch)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Give the loss of a batch with some modalities left out.

        Args:
            batch: The batch.
            batch_idx: Its place in the epoch.
        """
        present = batch.present
        if self.augmentation is not None:
            seed = seed_of(self.seed, self.global_step, batch_idx, self.global_rank, "augmentation")
            batch = self.augmentation(batch, torch.Generator(self.device).manual_seed(seed))
        batch.present = self.masking(present, list(self.net.encoders))
        features = self.net.features(batch)
        output = self.net.run(features, batch, batch.evidence.weight, complete=present)
        context = LossContext(
            self.net, batch, output, features, present, None, self.global_step, self.current_epoch, batch_idx
        )
        taught = self.objective.teaches_prior(self.global_step, self.current_epoch)
        if taught and self.net.prior.learning:
            self.net.prior.observe(context.latents)
        self.objective.seed = self.seed
        total, told = self.objective(context, self.global_rank)
        self._means.add({f"train/{name}": value for name, value in told.items()}, len(batch))
        return total * share_of_step(len(batch), self.device)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Log the epoch's means with its last batch.

        Args:
            outputs: Not read.
            batch: Not read.
            batch_idx: Not read.
        """
        if self.trainer.is_last_batch:
            self._log(self._means)

    def _log(self, means: Means) -> None:
        self.log_dict(means.take(), on_step=False, on_epoch=True, batch_size=1)

    def on_fit_start(self) -> None:
        """Know the groups of parameters whose gradients are clipped apart, and translate where that is asked for."""
        self.speed_up()
        apart = {"prior": self.net.prior.parameters(), "losses": self.objective.parameters()}
        self._guard = GradientGuard(self.named_parameters(), apart)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip in groups, see `mhdiff.training.gradients`, and set aside what rests in this step.

        Args:
            optimizer: The optimiser.
            gradient_clip_val: The largest norm, or with `value` the largest entry.
            gradient_clip_algorithm: `norm` or `value`.
        """
        by_value = str(gradient_clip_algorithm or "norm").endswith("value")
        scaled = getattr(self.trainer.precision_plugin, "scaler", None) is not None
        self._guard.clip(None if by_value else gradient_clip_val, note=not scaled)
        if by_value:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        set_aside(self.objective.resting(self.net, self.global_step, self.current_epoch))

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Optimizer | LightningOptimizer,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """Step, and let the prior follow its weights by exponential moving average.

        Args:
            epoch: The epoch.
            batch_idx: Place of the last batch of the step.
            optimizer: The optimiser.
            optimizer_closure: Computes loss and gradients.
        """
        taught = self.objective.teaches_prior(self.global_step, self.current_epoch)
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        if taught:
            self.net.prior.update()
        self.net.head.update()
        if (self.global_step + 1) % EVERY == 0:  # the step is counted after this
            self._guard.check()

    def on_train_epoch_end(self) -> None:
        """Refuse what is not finite before a checkpoint is written."""
        self._guard.check()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse to write weights that are not finite.

        Args:
            checkpoint: Not read.
        """
        if hasattr(self, "_guard"):
            self._guard.check()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the loss on the tuning split, by which the checkpoint is chosen.

        Args:
            batch: The batch.
            batch_idx: Its place.
        """
        output = self.net.run(self.net.features(batch), batch, batch.evidence.weight, compact=True)
        logits = self.objective.classification.natural(output.logits)
        loss = nn.functional.cross_entropy(logits, batch.label)
        hit = (output.logits.argmax(-1) == batch.label).float().mean()
        told = {"tuning/loss": loss, "tuning/accuracy": hit} | self._of_prior(output, batch, batch_idx)
        self._tuning_means.add(told | self._guided(output), len(batch))

    def on_validation_epoch_start(self) -> None:
        """Pass messages over the concept graph once for the whole tuning split."""
        self._steady.enter_context(self.net.guidance.unchanging())

    def on_validation_epoch_end(self) -> None:
        """Log the means over the tuning split."""
        self._steady.close()
        self._log(self._tuning_means)

    def _of_prior(self, output: Output, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Give the loss of the prior's average, from the same random numbers in every epoch, and the latents' spread.

        The spread is about 1 while the standardisation follows the latents, and says how far they have moved since.
        """
        prior, latents = self.net.prior, output.latents
        told: dict[str, Tensor] = {}
        if any(p.requires_grad for p in prior.parameters()):
            generator = torch.Generator(self.device).manual_seed(batch_idx)
            told["tuning/prior"] = prior.loss(latents, label=batch.label, generator=generator)
        there = latents.known[:, None]
        mean = prior.standardise(latents).square().masked_fill(~there, 0.0).mean(-1).sum()
        return told | {"tuning/latent_size": (mean / there.sum().clamp(min=1)).sqrt()}

    def _guided(self, output: Output) -> dict[str, Tensor]:
        """Give lambda of every layer and head, and what the bias did to the last layer's attention, for the history."""
        lambdas = self.net.fusion.lambdas
        told = {"lambda": torch.cat(lambdas).mean()} if lambdas else {}
        if output.bias is None:
            return told
        for layer, values in enumerate(lambdas):
            told |= {f"lambda/layer{layer}/head{head}": value for head, value in enumerate(values)}
        did = influence(output.attention, output.bias, lambdas[-1], output.mask)
        for head in range(len(did.moved)):
            told[f"bias/magnitude/head{head}"] = did.magnitude[head]
            told[f"bias/spread/head{head}"] = did.spread[head]
            told[f"bias/moved/head{head}"] = did.moved[head]
        return told | {"bias/magnitude": did.magnitude.mean(), "bias/moved": did.moved.mean()}

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Give ids and logits.

        Args:
            batch: The batch.
            batch_idx: Its place.
        """
        return {"sample_id": batch.sample_id, "label": batch.label, "logits": self(batch).logits}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW over everything that learns; what a loss itself learns (a temperature) does not decay to 0."""
        own = list(self.objective.parameters())
        groups: list[dict[str, Any]] = [{"params": list(self.net.parameters())}]
        if own:
            groups.append({"params": own, "weight_decay": 0.0})
        plugin = None if self._trainer is None else self.trainer.precision_plugin
        scaled = getattr(plugin, "scaler", None) is not None
        optimiser = torch.optim.AdamW(  # fused, it would unscale gradients by itself, after they are clipped
            groups, lr=self.learning_rate, weight_decay=self.weight_decay, fused=not scaled
        )
        if self.learning_rate_schedule is None:
            return optimiser
        return by_step(optimiser, self.learning_rate_schedule, self.trainer.estimated_stepping_batches)
