r"""Noise schedules: from time to signal and noise.

    z_t = alpha(t) z_0 + sigma(t) eps,   eps ~ N(0, I),   t in [0, 1],   alpha^2 + sigma^2 = 1

    VPSchedule        alpha = exp(-u / 2),   u(t) = t^2 (b1 - b0) / 2 + t b0
    CosineSchedule    alpha = cos(theta(t)) / cos(theta(0)),   theta(t) = pi / 2 (t + o) / (1 + o)
    RectifiedFlow     alpha = (1 - t) / r,   sigma = t / r,   r(t)^2 = (1 - t)^2 + t^2

- phi(t) = atan2(sigma, alpha): the angle from data (0) to noise (pi / 2). With v = alpha eps - sigma z_0 the
  probability-flow equation is dz / dphi = v, whatever the schedule, without the singularity that it has at t = 0 when
  written in t;
- log-SNR(t) = log alpha^2 / sigma^2; its slope is -g^2 / sigma^2;
- u(t) = -log alpha^2 = integral_0^t beta, beta = g^2: the rate of noising, and u the clock of the stochastic equation
  dz = -z / 2 du + dW_u;
- b0, b1: beta at t = 0 and 1; .1 and 20 are the continuous limit of a linear beta in [1e-4, .02] over 1000 steps
  (Ho et al. 2020; Song et al. 2021);
- o: the offset, .008, of Nichol and Dhariwal (2021), whose alpha-bar is alpha^2 here. They clip beta at the noisy end;
  here times after `end` are not used;
- rectified flow (Liu et al. 2022) walks y_t = (1 - t) z_0 + t eps in straight lines. y does not preserve variance, but
  z = y / r does and has the same log-SNR, and a posterior knows of y and of z the same. So z is the latent throughout,
  and a schedule is nothing but a way of passing through the angles. The straight step is DDIM's:
  y_s = y_t + (s - t) E[eps - z_0 | y_t].

sigma and the inverses are written so that small t keeps its digits in float32.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ontology.errors import InputError


def _clock(alpha: Tensor, sigma: Tensor) -> Tensor:
    """-log alpha^2, from whichever of alpha and sigma has the digits."""
    noise = sigma * sigma
    return torch.where(noise < 0.5, -torch.log1p(-noise.clamp(max=0.5)), -2 * torch.log(alpha))


class Schedule(ABC):
    """A map from time to signal and noise scale that preserves variance.

    Attributes:
        start: Smallest time that is trained on and that a network is asked about.
        end: Largest time that a network is asked about; the samplers walk from here.
    """

    start: float
    end: float

    @abstractmethod
    def __call__(self, t: Float[Tensor, "*times"]) -> tuple[Float[Tensor, "*times"], Float[Tensor, "*times"]]:
        """Alpha and sigma."""

    @abstractmethod
    def time_of(
        self, alpha: Float[Tensor, "*times"], sigma: Float[Tensor, "*times"]
    ) -> Float[Tensor, "*times"]:
        """The time that has these scales."""

    @abstractmethod
    def beta(self, t: Float[Tensor, "*times"]) -> Float[Tensor, "*times"]:
        """g^2, the rate of noising; infinite where alpha is 0."""

    def clock(self, t: Float[Tensor, "*times"]) -> Float[Tensor, "*times"]:
        """u, the integral of beta from 0 to t; infinite where alpha is 0."""
        return _clock(*self(t))

    def time_of_clock(self, u: Float[Tensor, "*times"]) -> Float[Tensor, "*times"]:
        """The time at which so much noise has come in."""
        return self.time_of(torch.exp(-u / 2), torch.sqrt(-torch.expm1(-u)))

    def log_snr(self, t: Float[Tensor, "*times"]) -> Float[Tensor, "*times"]:
        """Log of alpha^2 / sigma^2; times outside [`start`, `end`] are read as `start` and `end`."""
        alpha, sigma = self(t.clamp(self.start, self.end))
        return 2 * (torch.log(alpha) - torch.log(sigma))

    def time_of_log_snr(self, log_snr: Float[Tensor, "*times"]) -> Float[Tensor, "*times"]:
        """The time that has this log-SNR."""
        return self.time_of(torch.sigmoid(log_snr).sqrt(), torch.sigmoid(-log_snr).sqrt())

    def angle(self, t: Float[Tensor, "*times"]) -> Float[Tensor, "*times"]:
        """Phi."""
        alpha, sigma = self(t)
        return torch.atan2(sigma, alpha)

    def time_of_angle(self, angle: Float[Tensor, "*times"]) -> Float[Tensor, "*times"]:
        """The time that has this angle."""
        return self.time_of(torch.cos(angle), torch.sin(angle))

    def times_by_angle(self, shares: Float[Tensor, "*times"]) -> Float[Tensor, "*times"]:
        """The times that have these shares of the angle of `end`.

        Args:
            shares: In [0, 1]; 1 is `end` and 0 is data.
        """
        end = torch.full_like(shares, self.end)
        # where, since the way to the angle and back would blur the end
        return torch.where(shares == 1.0, end, self.time_of_angle(shares * self.angle(end)))

    def times_by_noise(self, shares: Float[Tensor, "*times"]) -> Float[Tensor, "*times"]:
        """The times at which sigma / (alpha + sigma) is these shares of what it is at `end`.

        Args:
            shares: In [0, 1]; 1 is `end` and 0 is data.
        """
        end = torch.full_like(shares, self.end)
        alpha, sigma = self(end)
        noise = shares * sigma / (alpha + sigma)
        length = torch.hypot(1 - noise, noise)
        return torch.where(shares == 1.0, end, self.time_of((1 - noise) / length, noise / length))


@dataclass(frozen=True)
class VPSchedule(Schedule):
    """The variance-preserving schedule of a linear beta.

    Attributes:
        beta_min: b0.
        beta_max: b1.
        start: See `Schedule`.
        end: See `Schedule`.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0
    start: float = 1e-5
    end: float = 1.0

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
        _check_ends(self)

    def __call__(self, t: Float[Tensor, "*times"]) -> tuple[Float[Tensor, "*times"], Float[Tensor, "*times"]]:
        """Alpha and sigma."""
        u = self.clock(t)
        return torch.exp(-u / 2), torch.sqrt(-torch.expm1(-u))

    def time_of(
        self, alpha: Float[Tensor, "*times"], sigma: Float[Tensor, "*times"]
    ) -> Float[Tensor, "*times"]:
        """The time that has these scales."""
        return self.time_of_clock(_clock(alpha, sigma))

    def beta(self, t: Float[Tensor, "*times"]) -> Float[Tensor, "*times"]:
        """g^2, the rate of noising."""
        return self.beta_min + t * (self.beta_max - self.beta_min)

    def clock(self, t: Float[Tensor, "*times"]) -> Float[Tensor, "*times"]:
        """u, the integral of beta from 0 to t."""
        return t * t * (self.beta_max - self.beta_min) / 2 + t * self.beta_min

    def time_of_clock(self, u: Float[Tensor, "*times"]) -> Float[Tensor, "*times"]:
        """The time at which so much noise has come in."""
        b0, slope = self.beta_min, self.beta_max - self.beta_min
        return 2 * u / (b0 + torch.sqrt(b0 * b0 + 2 * slope * u))


@dataclass(frozen=True)
class CosineSchedule(Schedule):
    """The cosine schedule, with time left continuous.

    Attributes:
        offset: o, which keeps beta at t = 0 from being 0.
        start: See `Schedule`.
        end: See `Schedule`; alpha(1) is 0, and .999 leaves .0016 of the signal.
    """

    offset: float = 0.008
    start: float = 1e-5
    end: float = 0.999

    def __post_init__(self) -> None:
        if not 0.0 < self.offset < 1.0:
            raise InputError(
                f"an offset of {self.offset} is outside (0, 1)", remedy="The default offset is 0.008."
            )
        _check_ends(self)

    @property
    def _first(self) -> float:
        return math.pi / 2 * self.offset / (1 + self.offset)

    def __call__(self, t: Float[Tensor, "*times"]) -> tuple[Float[Tensor, "*times"], Float[Tensor, "*times"]]:
        """Alpha and sigma."""
        first, rate = self._first, math.pi / 2 / (1 + self.offset)
        # cos(theta) = sin(pi / 2 - theta), and cos^2 a - cos^2 b = sin(b - a) sin(b + a): no difference of near numbers
        left, gone = rate * (1 - t), rate * t
        noise = torch.sin(gone) * torch.sin(gone + 2 * first)
        return torch.sin(left) / torch.sin(torch.full_like(t, rate)), torch.sqrt(noise) / math.cos(first)

    def time_of(
        self, alpha: Float[Tensor, "*times"], sigma: Float[Tensor, "*times"]
    ) -> Float[Tensor, "*times"]:
        """The time that has these scales."""
        sine, cosine = math.sin(self._first), math.cos(self._first)
        along, across = cosine * alpha, torch.sqrt(sine**2 + (cosine * sigma) ** 2)  # cos and sin of theta
        gone = torch.atan2(
            (cosine * sigma) ** 2 / (across * cosine + along * sine), along * cosine + across * sine
        )
        return gone * (2 / math.pi * (1 + self.offset))

    def beta(self, t: Float[Tensor, "*times"]) -> Float[Tensor, "*times"]:
        """g^2, the rate of noising; infinite at t = 1."""
        rate = math.pi / 2 / (1 + self.offset)
        return 2 * rate / torch.tan(rate * (1 - t))


@dataclass(frozen=True)
class RectifiedFlow(Schedule):
    """The straight line from data to noise, brought to unit variance.

    Attributes:
        start: See `Schedule`.
        end: See `Schedule`; alpha(1) is 0, and .999 leaves .001 of the signal.
    """

    start: float = 1e-3
    end: float = 0.999

    def __post_init__(self) -> None:
        _check_ends(self)

    def __call__(self, t: Float[Tensor, "*times"]) -> tuple[Float[Tensor, "*times"], Float[Tensor, "*times"]]:
        """Alpha and sigma."""
        length = torch.hypot(1 - t, t)
        return (1 - t) / length, t / length

    def time_of(
        self, alpha: Float[Tensor, "*times"], sigma: Float[Tensor, "*times"]
    ) -> Float[Tensor, "*times"]:
        """The time that has these scales."""
        return sigma / (alpha + sigma)

    def beta(self, t: Float[Tensor, "*times"]) -> Float[Tensor, "*times"]:
        """g^2, the rate of noising; infinite at t = 1."""
        return 2 * t / ((1 - t) * ((1 - t) ** 2 + t * t))


def _check_ends(schedule: Schedule) -> None:
    if not 0.0 < schedule.start < schedule.end <= 1.0:
        raise InputError(
            f"a schedule cannot start at {schedule.start} and end at {schedule.end}",
            remedy="Give 0 < start < end <= 1.",
        )
    alpha, _ = schedule(torch.tensor(schedule.end, dtype=torch.float64))
    if not 0.0 < alpha <= 0.1:
        raise InputError(
            f"an end of {schedule.end} leaves {float(alpha):.2g} of the signal",
            remedy="Sampling starts there, from pure noise: give an end at which alpha is in (0, 0.1].",
        )
