"""Diffusion on latents: schedule, denoisers, loss, samplers, likelihood; the priors made of them, and their rivals."""

from mhdiff.diffusion.backbone import ResidualMLP
from mhdiff.diffusion.backbone_transformer import BlockTransformer
from mhdiff.diffusion.condition import UNTOLD, Condition
from mhdiff.diffusion.denoiser import Denoiser, Estimate, VDenoiser
from mhdiff.diffusion.effort import Effort, sampler_for, timed
from mhdiff.diffusion.ema import EMA
from mhdiff.diffusion.guided import Guided
from mhdiff.diffusion.imputer_gaussian import GaussianImputer
from mhdiff.diffusion.imputers import MeanImputer, NoPrior, RegressionImputer
from mhdiff.diffusion.latents import Latents
from mhdiff.diffusion.likelihood import LogDensity, log_density, log_likelihood
from mhdiff.diffusion.loss import Weighting, denoising_loss
from mhdiff.diffusion.multistep import DPMSolver
from mhdiff.diffusion.oracle import GaussianDenoiser, MixtureDenoiser
from mhdiff.diffusion.prior import DiffusionPrior
from mhdiff.diffusion.prior_base import Prior
from mhdiff.diffusion.repaint import RePaint
from mhdiff.diffusion.sampler import DDIM, EulerMaruyama, Heun, Sampler
from mhdiff.diffusion.schedule import CosineSchedule, RectifiedFlow, Schedule, VPSchedule
from mhdiff.diffusion.standardise import Standardiser
from mhdiff.diffusion.vae import VAEPrior
from mhdiff.diffusion.views import View, draw_views

__all__ = [
    "DDIM",
    "EMA",
    "UNTOLD",
    "BlockTransformer",
    "Condition",
    "CosineSchedule",
    "DPMSolver",
    "Denoiser",
    "DiffusionPrior",
    "Effort",
    "Estimate",
    "EulerMaruyama",
    "GaussianDenoiser",
    "GaussianImputer",
    "Guided",
    "Heun",
    "Latents",
    "LogDensity",
    "MeanImputer",
    "MixtureDenoiser",
    "NoPrior",
    "Prior",
    "RePaint",
    "RectifiedFlow",
    "RegressionImputer",
    "ResidualMLP",
    "Sampler",
    "Schedule",
    "Standardiser",
    "VAEPrior",
    "VDenoiser",
    "VPSchedule",
    "View",
    "Weighting",
    "denoising_loss",
    "draw_views",
    "log_density",
    "log_likelihood",
    "sampler_for",
    "timed",
]
