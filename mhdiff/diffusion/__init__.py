"""Diffusion on latents: schedule, denoisers, loss, samplers, likelihood; the priors made of them, and their rivals."""

from mhdiff.diffusion.backbone import ResidualMLP
from mhdiff.diffusion.backbone_transformer import BlockTransformer
from mhdiff.diffusion.bound import Bound
from mhdiff.diffusion.condition import UNTOLD, Condition
from mhdiff.diffusion.denoiser import Denoiser, Estimate, GaussianDenoiser, VDenoiser
from mhdiff.diffusion.ema import EMA
from mhdiff.diffusion.imputer_gaussian import GaussianImputer
from mhdiff.diffusion.imputers import MeanImputer, NoPrior, RegressionImputer
from mhdiff.diffusion.latents import Latents
from mhdiff.diffusion.likelihood import log_likelihood
from mhdiff.diffusion.loss import Weighting, denoising_loss
from mhdiff.diffusion.prior import DiffusionPrior
from mhdiff.diffusion.prior_base import Prior
from mhdiff.diffusion.sampler import DDIM, EulerMaruyama, Heun, Sampler, sampler_for
from mhdiff.diffusion.schedule import VPSchedule
from mhdiff.diffusion.standardise import Standardiser
from mhdiff.diffusion.vae import VAEPrior
from mhdiff.diffusion.views import View, draw_views

__all__ = [
    "DDIM",
    "EMA",
    "UNTOLD",
    "BlockTransformer",
    "Bound",
    "Condition",
    "Denoiser",
    "DiffusionPrior",
    "Estimate",
    "EulerMaruyama",
    "GaussianDenoiser",
    "GaussianImputer",
    "Heun",
    "Latents",
    "MeanImputer",
    "NoPrior",
    "Prior",
    "RegressionImputer",
    "ResidualMLP",
    "Sampler",
    "Standardiser",
    "VAEPrior",
    "VDenoiser",
    "VPSchedule",
    "View",
    "Weighting",
    "denoising_loss",
    "draw_views",
    "log_likelihood",
    "sampler_for",
]
