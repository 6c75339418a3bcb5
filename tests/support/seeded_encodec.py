"""EnCodec weights that are not trained but behave, for where the published ones can't be had.

    python -m tests.seeded_encodec OUT.th --audio DIR_OR_FILE... [--seed 0] [--quantizers 32]

The file has the layout of the published encodec_24khz weights and loads with `--codec-weights`
and with the `encodec` package. What it decodes to is noise-like, but its codes are good test data:

- a seeded network, in which every convolution is scaled, channel by channel, to mean 0 and
  variance 1 on some speech (after Salimans & Kingma 2016, arXiv:1602.07868, section 3);
- codebooks made from the residuals that this speech leaves at their stage: samples of them, moved
  by a few rounds of k-means, and drawn a little towards 0, so that a vector with an entry of its
  own still leaves a residual.

So each codebook uses hundreds of its 1,024 entries on speech. A plain seeded network with noise
for codebooks uses 2 to 30, and an error that touches few frames goes unseen.

The same speech and seed make the same weights, on one type of CPU.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from encodec.model import EncodecModel
from torch import Tensor, nn

from ns2.model.codec.interface import one_thread

RATE, HOP = 24_000, 320
QUANTIZERS, ENTRIES = 32, 1024
NETWORK_SECONDS = 8.0
"""Speech that the network is scaled on; the codebooks take all of it."""
ROUNDS = 3
"""Of k-means for each codebook."""
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")


def seeded_encodec(
    speech: Sequence[np.ndarray], seed: int = 0, quantizers: int = QUANTIZERS
) -> dict[str, Tensor]:
    """A state dict of the published layout.

    A minute of speech takes about 15 s on one core. At least 30 s are wanted: with fewer frames
    than a codebook has entries, entries are copies of frames, moved by a little noise.

    Args:
        speech: recordings, (S,) floats at 24 kHz.
        seed: of the weights and of the sampled residuals.
        quantizers: codebooks that are made with k-means. The others of the 32 are there too, as
            plain samples of what remains.

    Returns:
        tensors by name; all 32 quantisers are in it.

    Raises:
        ValueError: there is no speech, or it is silent.
    """
    waves = [torch.tensor(np.asarray(wave, dtype=np.float32)) for wave in speech if len(wave)]
    level = float(torch.cat(waves).std()) if waves else 0.0
    if level == 0.0:
        raise ValueError("seeded_encodec needs speech: there is none, or it is silent")
    with one_thread(), torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            model = EncodecModel.encodec_model_24khz(pretrained=False).eval()
        _scale_lstms(model)
        start = torch.cat(waves)[: round(NETWORK_SECONDS * RATE)]
        with _scaling(model.encoder):
            model.encoder(_whole_frames(start))
        frames = torch.cat([model.encoder(_whole_frames(wave))[0].T for wave in waves])
        _fill_codebooks(model, frames, quantizers)
        codes = model.quantizer.vq.encode(frames[: len(start) // HOP].T[None])
        latents = model.quantizer.vq.decode(codes)
        with _scaling(model.decoder):
            model.decoder(latents)
        _rescale(model.decoder.model[-1].conv.conv, torch.tensor(level))  # as loud as the speech
        return {name: value.clone() for name, value in model.state_dict().items()}


def load_speech(paths: Sequence[Path], seconds: float) -> list[np.ndarray]:
    """The first recordings of files and folders, in order of names, as (S,) floats at 24 kHz.

    Raises:
        ValueError: there are none.
    """
    files: list[Path] = []
    for path in paths:
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES)
        files += found if path.is_dir() else [path]
    waves: list[np.ndarray] = []
    left = round(seconds * RATE)
    for file in files:
        if left <= 0:
            break
        wave, rate = soundfile.read(file, dtype="float32", always_2d=True)
        waves.append(soxr.resample(wave.mean(axis=1), rate, RATE)[:left])
        left -= len(waves[-1])
    if not waves:
        raise ValueError(f"no audio in {', '.join(map(str, paths))}")
    return waves


@cache
def spoken() -> tuple[np.ndarray, ...]:
    """About 20 s of made speech in several voices, at 24 kHz."""
    from ns2.pipeline.corpora.spoken.espeak import SENTENCES, VOICES, speak

    waves = []
    for i, text in enumerate(SENTENCES[:7]):
        samples, rate, _ = speak(text, VOICES[i % len(VOICES)], rate=170)
        waves.append(soxr.resample(samples.astype(np.float32) / 32768, rate, RATE))
    return tuple(waves)


@cache
def spoken_encodec(quantizers: int = 16) -> dict[str, Tensor]:
    """Weights seeded on `spoken`, made once a process. Do not write into them."""
    return seeded_encodec(spoken(), seed=0, quantizers=quantizers)


def _whole_frames(wave: Tensor) -> Tensor:
    """(1, 1, S) of (S,), cut or padded to whole frames, at least 8."""
    length = max(len(wave) // HOP, 8) * HOP
    return nn.functional.pad(wave, (0, length - len(wave)))[None, None]


def _scale_lstms(model: nn.Module) -> None:
    """Give all gates variance of about 1 for the input, and leave the recurrence contracting.

    PyTorch draws weights of variance 1 / (3 H). The input of the first layer has variance 1, that
    of the others is the one before them, around 0.1. A stronger recurrence would be chaotic: a
    rounding error would grow from frame to frame.
    """
    for module in model.modules():
        if isinstance(module, nn.LSTM):
            for layer in range(module.num_layers):
                getattr(module, f"weight_ih_l{layer}").mul_(3**0.5 if layer == 0 else 30**0.5)


def _rescale(conv: nn.Module, scale: Tensor) -> None:
    """Multiply a weight-normed convolution's output by a scale, of each channel or of all."""
    axis = 1 if isinstance(conv, nn.ConvTranspose1d) else 0
    weight = torch._weight_norm(conv.weight_v, conv.weight_g, 0)
    shape = [1, 1, 1]
    shape[axis] = -1
    weight = weight * scale.reshape(shape)
    # g has a value for each row of axis 0, which are the inputs of a transposed convolution
    conv.weight_v.copy_(weight)
    conv.weight_g.copy_(weight.flatten(1).norm(dim=1).reshape(-1, 1, 1))
    conv.bias.mul_(scale)


@contextmanager
def _scaling(network: nn.Module) -> Iterator[None]:
    """While open, a pass through the network sets each convolution to mean 0 and variance 1.

    Layer by layer: each sees inputs that the layers before it have scaled already.
    """

    def hook(conv: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        mean = output.mean(dim=(0, 2))
        scale = 1 / output.std(dim=(0, 2)).clamp(min=1e-4)
        conv.bias.sub_(mean)
        _rescale(conv, scale)
        return (output - mean[:, None]) * scale[:, None]

    convs = (m for m in network.modules() if isinstance(m, nn.Conv1d | nn.ConvTranspose1d))
    handles = [conv.register_forward_hook(hook) for conv in convs]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _fill_codebooks(model: nn.Module, residuals: Tensor, fitted: int) -> None:
    """Make one codebook after the other from residuals (N, D), each from what is left."""
    for i, layer in enumerate(model.quantizer.vq.layers):
        book = layer._codebook
        start = _sample(residuals)
        entries, counts = _kmeans(
            residuals, start, book.quantize, book.embed, ROUNDS * (i < fitted)
        )
        book.embed.copy_(entries)
        book.embed_avg.copy_(entries * counts[:, None])
        book.cluster_size.copy_(counts)
        book.inited.fill_(1.0)
        residuals = residuals - entries[book.quantize(residuals)]


def _sample(residuals: Tensor) -> Tensor:
    """1,024 of them at half their length, with a little noise: some may be taken twice."""
    order = torch.randperm(len(residuals))
    chosen = residuals[order.repeat(-(-ENTRIES // len(order)))[:ENTRIES]] / 2
    return chosen + 0.1 * residuals.std() * torch.randn_like(chosen)


def _kmeans(
    vectors: Tensor,
    start: Tensor,
    nearest: Callable[[Tensor], Tensor],
    book: Tensor,
    rounds: int,
) -> tuple[Tensor, Tensor]:
    """Lloyd's rounds; an entry is the sum of its n vectors over n + 1, or its start without any.

    Returns:
        entries (E, D) and how many vectors each had in the last round (E,).
    """
    entries, counts = start, torch.ones(len(start))
    for _ in range(rounds):
        book.copy_(entries)
        owner = nearest(vectors)
        counts = torch.bincount(owner, minlength=len(entries)).float()
        sums = torch.zeros_like(entries).index_add_(0, owner, vectors)
        entries = torch.where(counts[:, None] > 0, sums / (counts[:, None] + 1), start)
    return entries, counts


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line, see the module's docstring."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.seeded_encodec", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("out", type=Path, metavar="OUT.th")
    parser.add_argument("--audio", type=Path, nargs="+", required=True, metavar="DIR_OR_FILE")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quantizers", type=int, default=QUANTIZERS, help="made with k-means")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the audio that are used")
    args = parser.parse_args(arguments)
    speech = load_speech(args.audio, args.seconds)
    seconds = sum(map(len, speech)) / RATE
    if seconds * RATE / HOP < ENTRIES:
        print(f"{seconds:.1f} s of audio are few: some entries will be near copies of others")
    torch.save(seeded_encodec(speech, args.seed, args.quantizers), args.out)
    print(f"{args.out}: EnCodec's layout, seeded with {args.seed} on {seconds:.1f} s of audio")


if __name__ == "__main__":
    main()
