"""The network of the codec `mini`, second version: its latents hold no phases.

The latents hold spectra, F0 and voicing; see `encoder` and `decoder`. The residual quantiser is
that of SoundStream (Zeghidour et al. 2021, arXiv:2107.03312); its second stage has fixed entries
for F0 and voicing, the others are for spectra.

Letters for shapes: B batch, S samples, T frames, Q quantisers, E entries, D latent width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ns2.model.codec.mini.decoder import Decoder
from ns2.model.codec.mini.encoder import Encoder
from ns2.model.codec.mini.features import Features
from ns2.model.codec.mini.mini_config import PITCH_DIM, PITCH_STAGE, MiniConfig
from ns2.model.codec.mini.pitch import pitch_codebook


class MiniNetwork(nn.Module):
    """The encoder, the codebooks and the decoder.

    Attributes:
        spectral_codebooks: (Q - 1, E, D - 4), of the stages for spectra.
        pitch_codebook: (E, 4), of the stage for F0 and voicing.
    """

    spectral_codebooks: Tensor
    pitch_codebook: Tensor

    def __init__(self, config: MiniConfig) -> None:
        super().__init__()
        self.config = config
        self.features = Features(config)
        self.encoder = Encoder(config, self.features.width)
        self.decoder = Decoder(config)
        shape = (config.quantizers - 1, config.entries, config.spectral_dim)
        self.register_buffer("spectral_codebooks", torch.zeros(shape))
        self.register_buffer("pitch_codebook", pitch_codebook(config))

    @property
    def codebooks(self) -> Tensor:
        """Return the entries of all stages, (Q, E, D), 0 in channels that a stage leaves alone."""
        spectral = torch.nn.functional.pad(self.spectral_codebooks, (0, PITCH_DIM))
        pitch = torch.nn.functional.pad(self.pitch_codebook, (self.config.spectral_dim, 0))
        return torch.cat([spectral[:PITCH_STAGE], pitch[None], spectral[PITCH_STAGE:]])

    def encode(self, waves: Tensor) -> Tensor:
        """Compute latents (B, T, D), not yet quantised, of audio (B, T * hop)."""
        latents: Tensor = self.encoder(self.features(waves))
        return latents.float()
