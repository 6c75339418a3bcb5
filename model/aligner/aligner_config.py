"""What decides the values of an aligner; loads no torch, so that a plan can be made with it."""

from __future__ import annotations

from dataclasses import dataclass

VERSION = 4
"""Raised whenever the same configuration and sample give other values."""


@dataclass(frozen=True, kw_only=True)
class AlignerConfig:
    """Everything that decides the values of a trained aligner, beside its sample and seed.

    Attributes:
        mels: M, bins of the log-mel.
        cepstra: coefficients of the mel's cosine transform that are kept.
        passes: of expectation maximisation over the sample.
        early_passes: how many of them use a part of a large sample only.
        early_frames: about how many frames that part has.
        temper: exponent of the likelihoods in the forward sum. Neighbouring frames are not
            independent, so their product is far too sure of itself.
        covariance_prior: frames of the pooled covariance added to that of each class.
        mean_prior: frames of the mean of all speech added to each phone.
        noise_floor: added to all variances, as a share of the mean pooled variance.
        phone_states: frames that a phone lasts at least, if it may be no shorter for free.
        short_cost: log-likelihood that a phone of one frame loses; those between lose less.
            Without it a tenth of the phones of real speech last one frame.
        start_passes: passes where a network gives the start, in place of `passes`.
        trust_passes: further passes where its phones are trusted.
        border_weight: what the network's log-probability of a border counts.
        phone_weight: what its log-probabilities of phones count where they are trusted.
        trusted_gaussians: what the Gaussians' likelihoods count beside them.
    """

    mels: int = 80
    cepstra: int = 20
    passes: int = 10
    early_passes: int = 5
    early_frames: int = 54_000
    temper: float = 0.2
    covariance_prior: float = 1000.0
    mean_prior: float = 2.0
    noise_floor: float = 0.02
    phone_states: int = 2
    short_cost: float = 30.0
    start_passes: int = 3
    trust_passes: int = 1
    border_weight: float = 3.5
    phone_weight: float = 5.0
    trusted_gaussians: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.cepstra <= self.mels:
            raise ValueError(f"cepstra must be 1 to {self.mels} (mels), got {self.cepstra}")
        if self.passes < 1 or not 0 <= self.early_passes <= self.passes:
            raise ValueError(
                f"expected passes >= 1 and early_passes of 0 to passes, "
                f"got {self.passes} and {self.early_passes}"
            )
        if self.phone_states < 1 or self.short_cost < 0:
            raise ValueError("phone_states must be at least 1, short_cost at least 0")
        if self.start_passes < 1 or self.trust_passes < 0:
            raise ValueError("start_passes must be at least 1, trust_passes at least 0")
        if min(self.border_weight, self.phone_weight, self.trusted_gaussians) < 0:
            raise ValueError("weights of the network and the Gaussians must be at least 0")
        if not (0 < self.temper <= 1 and self.covariance_prior > 0 and self.noise_floor > 0):
            raise ValueError("temper must lie in (0, 1], covariance_prior and noise_floor above 0")
