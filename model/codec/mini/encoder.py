"""The encoder of `mini`: spectra by one network, F0 and voicing by another.

Letters for shapes: B batch, T frames, F features, L classes of F0, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ns2.model.codec.mini.blocks import make_blocks
from ns2.model.codec.mini.features import pitch_classes
from ns2.model.codec.mini.mini_config import MiniConfig
from ns2.model.codec.mini.pitch import embed_pitch

_AROUND = 3
"""The classes on each side of the likeliest that F0 is averaged over."""
_VOICED = -1.0
"""The score above which a frame is voiced: below 0, since a voiced frame that became noise is worse
than noise that became a voice, and Harvest too calls more frames voiced than ns2 does."""
_LOW_MELS = 40
"""The number of lowest mel bins that the encoder of F0 hears, up to about 3 kHz."""


class Trunk(nn.Module):
    """Maps inputs (B, T, F) to channels (B, T, C) by ConvNeXt blocks at the frame rate."""

    def __init__(self, inputs: int, width: int, blocks: int, expansion: int, kernel: int) -> None:
        super().__init__()
        self.enter = nn.Linear(inputs, width)
        self.enter_norm = nn.LayerNorm(width)
        self.blocks = make_blocks(width, blocks, expansion, kernel)
        self.leave_norm = nn.LayerNorm(width)

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute channels (B, T, C) of inputs (B, T, F)."""
        x: Tensor = self.leave_norm(self.blocks(self.enter_norm(self.enter(inputs))))
        return x


class PitchEncoder(nn.Module):
    """Finds F0 and voicing of features (B, T, F).

    F0 is a choice among classes, refined by the mean around it, as in CREPE (Kim et al. 2018,
    arXiv:1802.06182). It is taught by the F0 of WORLD and by nothing else.
    """

    classes: Tensor

    def __init__(self, config: MiniConfig, features: int) -> None:
        super().__init__()
        self._lags = config.lags
        self._mels = min(_LOW_MELS, config.mels)
        inputs = config.lags + self._mels
        self.trunk = Trunk(inputs, config.pitch_width, config.pitch_blocks, config.expansion, 5)
        self.leave = nn.Linear(config.pitch_width, config.lags + 1)
        self.register_buffer("classes", pitch_classes(config), persistent=False)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Compute scores (B, T, L) of the classes, and of voicing (B, T), the log odds."""
        heard = torch.cat([features[..., : self._mels], features[..., -self._lags :]], dim=-1)
        scores = self.leave(self.trunk(heard)).float()
        return scores[..., :-1] + 4 * heard[..., -self._lags :], scores[..., -1]

    def log_f0(self, scores: Tensor) -> Tensor:
        """Compute the natural logarithm (B, T) of F0 in Hz from scores (B, T, L)."""
        best = scores.detach().argmax(-1, keepdim=True)
        steps = torch.arange(-_AROUND, _AROUND + 1, device=scores.device)
        around = (best + steps).clamp(0, self._lags - 1)
        weights = scores.gather(-1, around).softmax(-1)
        return (weights * self.classes[around]).sum(-1)


class Encoder(nn.Module):
    """Maps features (B, T, F) to latents (B, T, D): spectra, then F0 and voicing."""

    def __init__(self, config: MiniConfig, features: int) -> None:
        super().__init__()
        width = config.encoder_width
        self.spectral = Trunk(features, width, config.encoder_blocks, config.expansion, 5)
        self.leave = nn.Linear(width, config.spectral_dim)
        # what a linear map does exactly, such as level, the network need not learn
        self._heard = features - config.lags
        self.direct = nn.Linear(self._heard, config.spectral_dim, bias=False)
        self.pitch = PitchEncoder(config, features)

    def forward(self, features: Tensor) -> Tensor:
        """Compute latents (B, T, D) of features (B, T, F)."""
        scores, voicing = self.pitch(features)
        pitch = embed_pitch(self.pitch.log_f0(scores), voicing > _VOICED)
        return torch.cat([self.spectra(features), pitch], dim=-1)

    def spectra(self, features: Tensor) -> Tensor:
        """Compute the channels of the latents that hold spectra."""
        out: Tensor = self.leave(self.spectral(features)) + self.direct(
            features[..., : self._heard]
        )
        return out.float()
