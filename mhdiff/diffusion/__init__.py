"""Diffusion on latents: schedule, denoisers, loss, samplers, likelihood, and the priors made of them."""

from mhdiff.diffusion.backbone import ResidualMLP
from mhdiff.diffusion.denoiser import Denoiser, Estimate, VDenoiser
from mhdiff.diffusion.ema import EMA
from mhdiff.diffusion.likelihood import log_likelihood
from mhdiff.diffusion.loss import Weighting, denoising_loss
from mhdiff.diffusion.oracle import GaussianDenoiser, MixtureDenoiser
from mhdiff.diffusion.prior import DiffusionPrior, Latents, NoPrior, Prior
from mhdiff.diffusion.sampler import DDIM, EulerMaruyama, Heun, Sampler, sampler_for
from mhdiff.diffusion.schedule import CosineSchedule, RectifiedFlow, Schedule, VPSchedule
from mhdiff.diffusion.standardise import Standardiser

__all__ = [
    "CosineSchedule",
    "DDIM",
    "EMA",
    "Denoiser",
    "DiffusionPrior",
    "Estimate",
    "EulerMaruyama",
    "GaussianDenoiser",
    "Heun",
    "Latents",
    "MixtureDenoiser",
    "NoPrior",
    "Prior",
    "RectifiedFlow",
    "ResidualMLP",
    "Sampler",
    "Schedule",
    "Standardiser",
    "VDenoiser",
    "VPSchedule",
    "Weighting",
    "denoising_loss",
    "log_likelihood",
    "sampler_for",
]
