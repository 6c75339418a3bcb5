"""How often stored codes are the most likely ones to the residual quantiser's cross-entropy."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ns2.model.codec.interface import EXTRA_FRAMES, codes_to_latents
from ns2.model.codec.mini_codec import MiniCodec, load_network
from ns2.model.codec.registry import MINI_WEIGHTS
from ns2.model.diffusion.rvq import rvq_logits
from tests.support.seeded_encodec import spoken


def rvq_rates(seconds: float = 20.0) -> dict[str, list[float]]:
    """Return the share of frames in which the stored code has the largest logit, per quantiser.

    Logits are computed from the output of the bundled codec's encoder, and from the sum of the
    chosen entries.
    """
    network = load_network(MINI_WEIGHTS)
    codec = MiniCodec(network)
    hop = codec.spec.hop_length
    wave = torch.tensor(np.concatenate(spoken()))[: int(seconds * codec.spec.sample_rate)]
    codes = codec.encode(wave)[None]
    with torch.no_grad():
        made = network.encode(nn.functional.pad(wave, (0, hop * EXTRA_FRAMES))[None])
    books = codec.codebooks
    inputs = {
        "the encoder's output": made[:, : codes.shape[2]].transpose(1, 2),
        "the sum of entries": codes_to_latents(codes, books),
    }
    found: dict[str, list[float]] = {}
    for name, latents in inputs.items():
        rates = []
        for number in range(len(books)):
            best = rvq_logits(latents, codes, books, torch.tensor([number])).argmax(2)
            rates.append(float((best == codes[:, number]).double().mean()))
        found[name] = rates
    return found
