"""F0 and voicing in the latents of `mini`: four channels that a codebook of fixed entries covers.

F0 is a point on a helix: its height is the octave, its angle the place within the octave. So F0
is read more exactly than from its height alone, although a model that samples latents leaves some
noise in each channel. The fourth channel is 1 for voiced and -1 for unvoiced frames, which have an
F0, too: what little repeats in pauses and breath has one.

Letters for shapes: E entries, and ... for any others.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ns2.model.codec.mini.mini_config import MiniConfig

_CENTRE_HZ = 200.0
"""The F0 whose height and angle are 0."""
_SHARPER = 0.2
"""How much of its second difference F0 is moved by, against the encoder's smoothing: of 0 to
0.3, 0.2 brought the F0 of copies of LJSpeech nearest to that of the recordings."""
_EARLIER = 0.05625
"""How many frames before its own time F0 sounds, 0.75 ms: of -3 to 3 ms it brought the F0 of copies
of LJSpeech nearest to that of the recordings, by Harvest."""
_LEAP = 0.1
"""Second differences of log F0 from which on it has leapt rather than moved: it stays as it is."""


def embed_pitch(log_f0: Tensor, voiced: Tensor) -> Tensor:
    """Compute the channels (..., 4) of F0.

    Args:
        log_f0: (...) natural logarithm of Hz.
        voiced: (...) bool.
    """
    octaves = (log_f0 - math.log(_CENTRE_HZ)) / math.log(2)
    angle = 2 * math.pi * octaves
    sign = torch.where(voiced, 1.0, -1.0).to(octaves)
    return torch.stack([octaves, angle.cos(), angle.sin(), sign], dim=-1)


def read_pitch(channels: Tensor, config: MiniConfig) -> tuple[Tensor, Tensor]:
    """Read F0 and voicing from channels (..., 4), which may be noisy.

    Returns:
        (...) the natural logarithm of Hz, within the codec's range; and (...) 1 for voiced frames
        to -1 for unvoiced ones.
    """
    octaves, cosine, sine, voicing = channels.unbind(-1)
    angle = torch.atan2(sine, cosine)
    turn = angle / (2 * math.pi)
    octaves = turn + (octaves - turn).detach().round()
    log_f0 = math.log(_CENTRE_HZ) + octaves * math.log(2)
    return log_f0.clamp(math.log(config.f0_min), math.log(config.f0_max)), voicing


def sharpened(log_f0: Tensor, voiced: Tensor) -> Tensor:
    """Undo some of the smoothing of F0: the encoder hears 80 ms at a time, and tells their mean.

    Args:
        log_f0: (..., T) natural logarithm of Hz.
        voiced: (..., T) bool.

    Returns:
        (..., T), changed where a frame and both its neighbours are voiced.
    """
    bend = log_f0[..., 2:] - 2 * log_f0[..., 1:-1] + log_f0[..., :-2]
    moves = voiced[..., 2:] & voiced[..., 1:-1] & voiced[..., :-2] & (bend.abs() < _LEAP)
    within = log_f0[..., 1:-1] - _SHARPER * torch.where(moves, bend, 0.0)
    return torch.cat([log_f0[..., :1], within, log_f0[..., 1:][..., -1:]], dim=-1)


def advanced(log_f0: Tensor) -> Tensor:
    """Move F0 (..., T) to where it is heard: what follows is reached `_EARLIER` frames sooner."""
    following = torch.cat([log_f0[..., 1:], log_f0[..., -1:]], dim=-1)
    return log_f0 + _EARLIER * (following - log_f0)


def pitch_codebook(config: MiniConfig) -> Tensor:
    """Compute the entries (E, 4): F0 in equal steps of pitch, of unvoiced and of voiced frames.

    Of 1,024 entries 896 are voiced, 6 cents apart; the others are 43 cents apart.
    """
    unvoiced = config.entries // 8
    parts = []
    for count, voiced in ((unvoiced, False), (config.entries - unvoiced, True)):
        steps = torch.linspace(0, 1, count, dtype=torch.float64)
        log_f0 = math.log(config.f0_min) + steps * math.log(config.f0_max / config.f0_min)
        parts.append(embed_pitch(log_f0, torch.full((count,), voiced)))
    return torch.cat(parts).float()
