"""Diffusion on latents: schedule, denoisers, loss, samplers, likelihood, and the priors made of them."""

from mhdiff.diffusion.backbone import ResidualMLP
from mhdiff.diffusion.condition import UNTOLD, Condition
from mhdiff.diffusion.denoiser import Denoiser, Estimate, VDenoiser
from mhdiff.diffusion.effort import Effort, sampler_for, timed
from mhdiff.diffusion.ema import EMA
from mhdiff.diffusion.guided import Guided
from mhdiff.diffusion.likelihood import LogDensity, log_density, log_likelihood
from mhdiff.diffusion.loss import Weighting, denoising_loss
from mhdiff.diffusion.multistep import DPMSolver
from mhdiff.diffusion.oracle import GaussianDenoiser, MixtureDenoiser
from mhdiff.diffusion.prior import DiffusionPrior, Latents, NoPrior, Prior
from mhdiff.diffusion.repaint import RePaint
from mhdiff.diffusion.sampler import DDIM, EulerMaruyama, Heun, Sampler
from mhdiff.diffusion.schedule import CosineSchedule, RectifiedFlow, Schedule, VPSchedule
from mhdiff.diffusion.standardise import Standardiser

__all__ = [
    "DDIM",
    "EMA",
    "UNTOLD",
    "Condition",
    "CosineSchedule",
    "DPMSolver",
    "Denoiser",
    "DiffusionPrior",
    "Effort",
    "Estimate",
    "EulerMaruyama",
    "GaussianDenoiser",
    "Guided",
    "Heun",
    "Latents",
    "LogDensity",
    "MixtureDenoiser",
    "NoPrior",
    "Prior",
    "RePaint",
    "RectifiedFlow",
    "ResidualMLP",
    "Sampler",
    "Schedule",
    "Standardiser",
    "VDenoiser",
    "VPSchedule",
    "Weighting",
    "denoising_loss",
    "log_density",
    "log_likelihood",
    "sampler_for",
    "timed",
]
