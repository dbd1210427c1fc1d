"""What a training step minimises, one file a loss, and how they are weighted and logged."""

from mhdiff.losses.adversarial import Adversarial
from mhdiff.losses.attribution import ExpectedGradients
from mhdiff.losses.base import Loss, LossContext
from mhdiff.losses.classification import ClassBalanced, Classification, CrossEntropy, Focal, LogitAdjusted
from mhdiff.losses.contrastive import Contrastive
from mhdiff.losses.head import HeadLoss
from mhdiff.losses.objective import Objective
from mhdiff.losses.prior import PriorLoss
from mhdiff.losses.schedule import Constant, Cosine, LinearWarmup, Schedule
from mhdiff.losses.synthetic import SyntheticLatents
from mhdiff.losses.unimodal import Unimodal

__all__ = [
    "Adversarial",
    "ClassBalanced",
    "Classification",
    "Constant",
    "Contrastive",
    "Cosine",
    "CrossEntropy",
    "ExpectedGradients",
    "Focal",
    "HeadLoss",
    "LinearWarmup",
    "LogitAdjusted",
    "Loss",
    "LossContext",
    "Objective",
    "PriorLoss",
    "Schedule",
    "SyntheticLatents",
    "Unimodal",
]
