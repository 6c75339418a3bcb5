"""The configuration of an aligner; loads no torch, so that planning a run stays quick."""

from __future__ import annotations

from dataclasses import dataclass

VERSION = 4
"""Increased whenever the same configuration and sample give other values."""


@dataclass(frozen=True, kw_only=True)
class AlignerConfig:
    """Everything that decides the values of a trained aligner, beside its sample and seed."""

    mels: int = 80
    """M, the number of mel bins."""

    cepstra: int = 20
    """The number of cepstral coefficients (of the mel's cosine transform) that are kept."""

    passes: int = 10
    """The number of passes of expectation maximisation over the sample."""

    early_passes: int = 5
    """The number of these passes that use only a part of a large sample."""

    early_frames: int = 54_000
    """The approximate number of frames in the part that early passes use."""

    temper: float = 0.2
    """The exponent of the likelihoods in the forward sum. Neighbouring frames are not
    independent, so the plain product of their likelihoods is far too confident."""

    covariance_prior: float = 1000.0
    """The weight, in frames, with which the pooled covariance is added to that of each class."""

    mean_prior: float = 2.0
    """The weight, in frames, with which the mean of all speech is added to that of each phone."""

    noise_floor: float = 0.02
    """A constant that is added to all variances, as a share of the mean pooled variance."""

    phone_states: int = 2
    """The number of states of a phone, which is the frames that it lasts at no cost."""

    short_cost: float = 30.0
    """The log-likelihood that a phone of one frame loses; longer phones, up to `phone_states`,
    lose proportionally less. Without it a tenth of the phones of real speech last one frame."""

    start_passes: int = 3
    """The number of passes where a network gives the start, in place of `passes`."""

    trust_passes: int = 1
    """The number of further passes, in which the network's phones are trusted as far as they
    agree with the Gaussians."""

    border_weight: float = 3.5
    """The weight of the network's log-probability of a phone border."""

    phone_weight: float = 5.0
    """The weight of the network's log-probabilities of phones where they are trusted."""

    trusted_gaussians: float = 0.1
    """The weight of the Gaussians' log-likelihoods where the network's phones are trusted."""

    silence_weight: float = 0.0
    """The weight of the network's log-probability of silence, and of sound, in each frame. A frame
    that overlaps speech a little differs much from silence, so Gaussians alone begin words early
    and end them late, by half of the window of the mel."""

    trusted_silence: float = 1.0
    """The share of `silence_weight` that is left where the network's phones are trusted, which tell
    of silence themselves. Counted twice, it hides short pauses."""

    inner_moves: int = 0
    """The most frames by which a border between phones is moved after the search, where a network
    for that is there."""

    def __post_init__(self) -> None:
        if not 0 < self.cepstra <= self.mels:
            raise ValueError(f"cepstra must be 1 to {self.mels} (mels), got {self.cepstra}")
        if self.passes < 1 or not 0 <= self.early_passes <= self.passes:
            raise ValueError(
                f"passes must be at least 1 and early_passes 0 to passes, "
                f"got {self.passes} and {self.early_passes}"
            )
        if self.phone_states < 1 or self.short_cost < 0:
            raise ValueError("phone_states must be at least 1, short_cost at least 0")
        if self.start_passes < 1 or self.trust_passes < 0:
            raise ValueError("start_passes must be at least 1, trust_passes at least 0")
        weights = (self.border_weight, self.phone_weight, self.trusted_gaussians)
        if min(*weights, self.silence_weight, self.trusted_silence) < 0:
            raise ValueError("weights of the network and the Gaussians must be at least 0")
        if self.inner_moves < 0:
            raise ValueError(f"inner_moves must be at least 0, got {self.inner_moves}")
        if not (0 < self.temper <= 1 and self.covariance_prior > 0 and self.noise_floor > 0):
            raise ValueError("temper must lie in (0, 1], covariance_prior and noise_floor above 0")
