"""The work of `ns2 export-model`: a run as programs of `torch.export`, without code of ns2.

OUT/voice.pt2 text.pt2 pitch.pt2 content.pt2 denoiser.pt2 decoder.pt2    see model/tts/parts.py
OUT/model.json    rates, the steps of the sampler, and the phonemes in the order of their ids
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ns2.model.codec.interface import CodecError
from ns2.model.diffusion.sampler_config import SamplerConfig
from ns2.model.diffusion.samplers import sampler_points
from ns2.model.tts.ns2 import NS2
from ns2.model.tts.parts import (
    ContentPart,
    DecoderPart,
    DenoiserPart,
    PitchPart,
    TextPart,
    VoicePart,
)
from ns2.pipeline.core.atomic import atomic_write
from ns2.pipeline.core.errors import UserError
from ns2.train.speak.joints import VOICE_LOUDNESS
from ns2.train.speak.synthesizer import Synthesizer

FORM = "ns2 model 1"
FACTS = "model.json"
_LEAST = 4
"""The fewest frames or phonemes of an exported program."""
_MOST = {"phonemes": 1 << 13, "frames": 1 << 17}
_TRIED = {"phonemes": 37, "frames": 211, "prompt": 83}
"""The lengths with which programs are traced; they serve all others, too."""


def export_model(
    voice: Synthesizer,
    out: Path,
    sampler: SamplerConfig,
    progress: Callable[[str], None] = lambda name: None,
) -> list[Path]:
    """Write the programs of a run, and what one needs to know to call them.

    Args:
        voice: the run, on the CPU and not laid out for it (`plain`).
        out: the folder; files in it that have the same names are replaced.
        sampler: whose steps are written down; it draws no noise beside the start.
        progress: is called with the name of each part before it is made.

    Returns:
        the files.

    Raises:
        UserError: the run's codec can't be exported, or the sampler needs noise in each step.
    """
    if sampler.kind != "dpm++":
        raise UserError(f"only dpm++ is exported, which {sampler.kind} is not: leave out --sampler")
    out.mkdir(parents=True, exist_ok=True)
    (out / FACTS).unlink(missing_ok=True)  # no facts without all of their programs
    files = []
    for name, (part, given, shapes) in parts_of(voice).items():
        progress(name)
        files.append(out / f"{name}.pt2")
        with atomic_write(files[-1]) as file:
            file.write(_program(part, given, shapes))
    files.append(out / FACTS)
    told = json.dumps(facts_for_callers(voice, sampler), indent=1, ensure_ascii=False)
    with atomic_write(files[-1]) as file:
        file.write(f"{told}\n".encode())
    return files


def facts_for_callers(voice: Synthesizer, sampler: SamplerConfig) -> dict[str, Any]:
    """What a caller of the programs has to know, as values for JSON."""
    points = sampler_points(voice.model.schedule, sampler)
    return {
        "form": FORM,
        "sample_rate": voice.grid.sample_rate,
        "hop_length": voice.grid.hop_length,
        "latent_dim": voice.model.sizes.latent_dim,
        "quantizers": voice.model.sizes.quantizers,
        "codec": voice.facts.codec_digest,
        "temperature": sampler.temperature,
        "voice_loudness": VOICE_LOUDNESS,
        "steps": [
            {"time": p.t, "alpha": p.alpha, "sigma": p.sigma, "log_snr": p.log_snr} for p in points
        ],
        "phonemes": voice.table.symbols(range(len(voice.table))),
    }


_Case = tuple[nn.Module, tuple[Tensor, ...], tuple[dict[int, Any] | None, ...]]
"""A part, what it is traced with, and which of its lengths may change."""


def parts_of(voice: Synthesizer) -> dict[str, _Case]:
    """The parts of a model by the names of their files."""
    from torch.export import Dim

    model: NS2 = voice.model
    phonemes = Dim("phonemes", min=_LEAST, max=_MOST["phonemes"])
    frames = Dim("frames", min=_LEAST, max=_MOST["frames"])
    prompt = Dim("prompt", min=_LEAST, max=_MOST["frames"])
    n, t, p = _TRIED["phonemes"], _TRIED["frames"], _TRIED["prompt"]
    quantizers, _, dim = model.codebooks.shape
    width, hop = model.config.width, voice.grid.hop_length
    codes = torch.zeros(1, quantizers, p, dtype=torch.int64)
    states, f0 = torch.zeros(1, t, width), torch.zeros(1, t)
    latents = torch.zeros(1, dim, t)
    heard = VoicePart(model)
    with torch.no_grad():
        seen, tokens = heard(codes)
    try:
        decoder = DecoderPart(model, voice.codec.decoder())
    except CodecError as error:
        raise UserError(str(error)) from error
    ids = torch.ones(1, n, dtype=torch.int64)
    step = (latents, torch.tensor([0.5]), states, tokens, latents.clone())
    return {
        "voice": (heard, (codes,), ({2: prompt},)),
        "text": (TextPart(model), (ids, seen), ({1: phonemes}, {1: prompt})),
        "pitch": (PitchPart(model), (states, seen), ({1: frames}, {1: prompt})),
        "content": (ContentPart(model), (states, f0), ({1: frames}, {1: frames})),
        "denoiser": (
            DenoiserPart(model),
            step,
            ({2: frames}, None, {1: frames}, None, {2: frames}),
        ),
        "decoder": (
            decoder,
            (latents, torch.zeros(1, t * hop)),
            ({2: frames}, {1: hop * frames}),
        ),
    }


def _program(
    part: nn.Module, given: tuple[Tensor, ...], shapes: tuple[dict[int, Any] | None, ...]
) -> bytes:
    """The file of a part."""
    from torch.export import export, save

    buffer = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save(export(part.eval(), given, dynamic_shapes=shapes), buffer)
    return buffer.getvalue()
