r"""Losses of the diagnosis itself, for classes that are common and for classes that are rare.

    cross-entropy    -sum_c q_c log p_c
    class-balanced   -a_y sum_c q_c log p_c,   a_c = C e_c / sum_k e_k,   e_c = (1 - beta) / (1 - beta^{n_c})
    focal            -sum_c q_c (1 - p_c)^gamma log p_c
    logit-adjusted   -sum_c q_c log p'_c,      p' = softmax(logits + tau log pi)

- p = softmax(logits); y: the patient's class;
- q: 1 at y and 0 elsewhere, mixed with label smoothing s: q_c = (1 - s) [c = y] + s / C;
- n_c: patients of class c in the training split, pi_c = n_c / sum_k n_k; a class without any counts as 1;
- 1 / e_c is the effective number of patients: beta = 0 weighs all classes alike, beta -> 1 by 1 / n_c.

Each is a plain mean over the patients. Cui et al., "Class-balanced loss based on effective number of samples" (CVPR
2019), eq. 2 and 4; Lin et al., "Focal loss for dense object detection" (ICCV 2017), eq. 4; Menon et al., "Long-tail
learning via logit adjustment" (ICLR 2021), eq. 10.

A model trained by logit adjustment gives scores for a population in which all classes are alike; `natural` brings them
back to the training split's, which is what the checkpoint is chosen by.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mhdiff.losses.base import Loss, LossContext
from mhdiff.losses.schedule import Schedule
from mhdiff.model import MHDiff
from mhdiff.training.spec import DataSpec
from ontology.errors import InputError


class Classification(Loss):
    """What the classification losses share.

    Args:
        weight: See `Loss`.
        log_only: See `Loss`.
        label_smoothing: s, in [0, 1).
    """

    def __init__(
        self, weight: float | Schedule = 1.0, log_only: bool = False, label_smoothing: float = 0.0
    ) -> None:
        super().__init__(weight, log_only)
        if not 0.0 <= label_smoothing < 1.0:
            raise InputError(
                f"label_smoothing is {label_smoothing}", remedy="Give a number from 0 to below 1, such as 0.1"
            )
        self.label_smoothing = label_smoothing

    def forward(self, context: LossContext) -> Float[Tensor, ""]:
        """Compute it, see `Loss.forward`."""
        return self.of(context.output.logits.float(), context.batch.label)

    def of(self, logits: Float[Tensor, "batch classes"], label: Int[Tensor, " batch"]) -> Float[Tensor, ""]:
        """Compute it from scores.

        Args:
            logits: Scores of the classes.
            label: The true classes.
        """
        return self._each(self.natural(logits), label).mean()

    def natural(self, logits: Float[Tensor, "batch classes"]) -> Float[Tensor, "batch classes"]:
        """Turn the model's scores into those of the training split's frequencies.

        Args:
            logits: Scores of the classes.
        """
        return logits

    def _each(self, logits: Tensor, label: Tensor) -> Float[Tensor, " batch"]:
        """Each patient's loss."""
        return torch.nn.functional.cross_entropy(
            logits, label, label_smoothing=self.label_smoothing, reduction="none"
        )


class CrossEntropy(Classification):
    """Cross-entropy."""

    name = "cross_entropy"


class ClassBalanced(Classification):
    """Cross-entropy in which a class counts by its effective number of patients.

    Args:
        weight: See `Loss`.
        log_only: See `Loss`.
        label_smoothing: See `Classification`.
        beta: In [0, 1); the closer to 1, the more a rare class counts.
    """

    name = "class_balanced"
    factor: Tensor

    def __init__(
        self,
        weight: float | Schedule = 1.0,
        log_only: bool = False,
        label_smoothing: float = 0.0,
        beta: float = 0.999,
    ) -> None:
        super().__init__(weight, log_only, label_smoothing)
        if not 0.0 <= beta < 1.0:
            raise InputError(f"beta is {beta}", remedy="Give a number from 0 to below 1, such as 0.999")
        self.beta = beta

    def build(self, spec: DataSpec, net: MHDiff) -> None:
        """Count the classes, see `Loss.build`."""
        e = (1 - self.beta) / (1 - self.beta ** _counts(spec, self.name))
        self.register_buffer("factor", (len(e) * e / e.sum()).float())

    def _each(self, logits: Tensor, label: Tensor) -> Tensor:
        return self.factor[label] * super()._each(logits, label)


class Focal(Classification):
    """Cross-entropy in which a class counts less the surer the model already is of it.

    Args:
        weight: See `Loss`.
        log_only: See `Loss`.
        label_smoothing: See `Classification`.
        gamma: How much less; 0 is cross-entropy.
    """

    name = "focal"

    def __init__(
        self,
        weight: float | Schedule = 1.0,
        log_only: bool = False,
        label_smoothing: float = 0.0,
        gamma: float = 2.0,
    ) -> None:
        super().__init__(weight, log_only, label_smoothing)
        if not gamma >= 0.0:
            raise InputError(f"gamma is {gamma}", remedy="Give 0 or more, such as 2")
        self.gamma = gamma

    def _each(self, logits: Tensor, label: Tensor) -> Tensor:
        if self.gamma == 0.0:
            return super()._each(logits, label)
        log_p = logits.log_softmax(dim=-1)
        # 1 - p is kept off 0, where a power below 1 has no finite slope.
        rest = (-torch.expm1(log_p)).clamp(min=1e-6)
        q = torch.nn.functional.one_hot(label, logits.shape[-1]).to(log_p.dtype)
        q = (1 - self.label_smoothing) * q + self.label_smoothing / logits.shape[-1]
        return -(q * rest**self.gamma * log_p).sum(dim=-1)


class LogitAdjusted(Classification):
    """Cross-entropy of scores to which the log-frequencies of the classes are added.

    Args:
        weight: See `Loss`.
        log_only: See `Loss`.
        label_smoothing: See `Classification`.
        tau: How much of them; 1 minimises the balanced error, 0 is cross-entropy.
    """

    name = "logit_adjusted"
    offset: Tensor

    def __init__(
        self,
        weight: float | Schedule = 1.0,
        log_only: bool = False,
        label_smoothing: float = 0.0,
        tau: float = 1.0,
    ) -> None:
        super().__init__(weight, log_only, label_smoothing)
        self.tau = tau

    def build(self, spec: DataSpec, net: MHDiff) -> None:
        """Count the classes, see `Loss.build`."""
        counts = _counts(spec, self.name)
        self.register_buffer("offset", (self.tau * (counts / counts.sum()).log()).float())

    def natural(self, logits: Tensor) -> Tensor:
        """Add tau log pi, see `Classification.natural`."""
        return logits + self.offset


def _counts(spec: DataSpec, name: str) -> Float[Tensor, " classes"]:
    """n_c, at least 1, in double precision."""
    if len(spec.counts) != len(spec.classes):
        raise InputError(
            f"the loss '{name}' needs the number of training patients of each class, and the data do not say it",
            remedy="Give DataSpec.counts, or take mhdiff.losses.CrossEntropy",
        )
    return torch.tensor(spec.counts, dtype=torch.float64).clamp(min=1)
