r"""The variance-preserving schedule.

    z_t = alpha(t) z_0 + sigma(t) eps,   eps ~ N(0, I),   t in [0, 1]
    u(t) = t^2 (b1 - b0) / 2 + t b0 = integral_0^t beta,   beta(t) = b0 + t (b1 - b0) = g(t)^2
    alpha(t) = exp(-u(t) / 2),   sigma(t)^2 = 1 - alpha(t)^2

- b0, b1: rates of noising at t = 0 and 1; .1 and 20 are the continuous limit of a linear beta in [1e-4, .02]
  over 1000 steps;
- log-SNR(t) = log alpha^2 / sigma^2 = -log(e^u - 1); its slope is -g^2 / sigma^2;
- phi(t) = atan2(sigma, alpha): the angle from data (0) to noise (almost pi / 2). With v = alpha eps - sigma
  z_0 the probability-flow equation is dz / dphi = v, without the singularity that it has at t = 0 when
  written in t.

sigma is computed with expm1 and the inverses with log1p and softplus, so that small t keeps its digits in
float32.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from ontology.errors import InputError


@dataclass(frozen=True)
class VPSchedule:
    """A map from time to signal and noise scale.

    Attributes:
        beta_min: b0.
        beta_max: b1.
        start: Smallest time that is trained on and that a network is asked about.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0
    start: float = 1e-5

    def __post_init__(self) -> None:
        if not 0.0 < self.beta_min <= self.beta_max:
            raise InputError(
                f"beta from {self.beta_min} to {self.beta_max} is no noise schedule",
                remedy="Give 0 < beta_min <= beta_max.",
            )
        if math.exp(-self.beta_min / 2 - (self.beta_max - self.beta_min) / 4) > 0.1:
            raise InputError(
                f"beta from {self.beta_min} to {self.beta_max} leaves over a tenth of the signal at t = 1",
                remedy="Sampling starts from pure noise: raise beta_max (the default is 20).",
            )

    def __call__(self, t: Float[Tensor, "*times"]) -> tuple[Float[Tensor, "*times"], Float[Tensor, "*times"]]:
        """Alpha and sigma."""
        u = self._integral(t)
        return torch.exp(-u / 2), torch.sqrt(-torch.expm1(-u))

    def _integral(self, t: Tensor) -> Tensor:
        return t * t * (self.beta_max - self.beta_min) / 2 + t * self.beta_min

    def _time(self, u: Tensor) -> Tensor:
        b0, slope = self.beta_min, self.beta_max - self.beta_min
        return 2 * u / (b0 + torch.sqrt(b0 * b0 + 2 * slope * u))

    def beta(self, t: Float[Tensor, "*times"]) -> Float[Tensor, "*times"]:
        """g^2, the rate of noising."""
        return self.beta_min + t * (self.beta_max - self.beta_min)

    def log_snr(self, t: Float[Tensor, "*times"]) -> Float[Tensor, "*times"]:
        """Log of alpha^2 / sigma^2; times below `start` are read as `start`."""
        return -torch.log(torch.expm1(self._integral(t.clamp(min=self.start))))

    def time_of_log_snr(self, log_snr: Float[Tensor, "*times"]) -> Float[Tensor, "*times"]:
        """The time that has this log-SNR."""
        return self._time(softplus(-log_snr))

    def angle(self, t: Float[Tensor, "*times"]) -> Float[Tensor, "*times"]:
        """Phi."""
        alpha, sigma = self(t)
        return torch.atan2(sigma, alpha)

    def time_of_angle(self, angle: Float[Tensor, "*times"]) -> Float[Tensor, "*times"]:
        """The time that has this angle."""
        return self._time(-torch.log1p(-(torch.sin(angle) ** 2)))
