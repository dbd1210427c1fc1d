"""Diffusion on latents: schedule, denoisers, loss, samplers, likelihood, and the priors made of them."""

from mhdiff.diffusion.backbone import ResidualMLP
from mhdiff.diffusion.denoiser import Denoiser, Estimate, GaussianDenoiser, VDenoiser
from mhdiff.diffusion.ema import EMA
from mhdiff.diffusion.likelihood import log_likelihood
from mhdiff.diffusion.loss import Weighting, denoising_loss
from mhdiff.diffusion.prior import DiffusionPrior, Latents, NoPrior, Prior
from mhdiff.diffusion.sampler import DDIM, EulerMaruyama, Heun, Sampler, sampler_for
from mhdiff.diffusion.schedule import VPSchedule
from mhdiff.diffusion.standardise import Standardiser

__all__ = [
    "DDIM",
    "EMA",
    "Denoiser",
    "DiffusionPrior",
    "Estimate",
    "EulerMaruyama",
    "GaussianDenoiser",
    "Heun",
    "Latents",
    "NoPrior",
    "Prior",
    "ResidualMLP",
    "Sampler",
    "Standardiser",
    "VDenoiser",
    "VPSchedule",
    "Weighting",
    "denoising_loss",
    "log_likelihood",
    "sampler_for",
]
