"""Learns the weights of the pitch path, `pipeline/sound/f0/path_weights.json`, from recordings.

    python -m ns2.train.bundled.make_pitch_weights WORK --lj LJSpeech-1.1 --real REAL
        [--out path_weights.json]

The recordings are those that `make_mini` learns from; of each corpus some are made again by WORLD,
so that their F0 is known, and tones, hum and noise are added. The path's weights are those of a
conditional random field (Lafferty et al., 2001): the likelihood of the true path is made as great
as it can be. A step beside a change of voicing may be on either side.

Shapes: B waves, T frames, K candidates, C kinds of evidence for a candidate, U for a frame.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ns2.pipeline.core.atomic import atomic_write
from ns2.pipeline.corpora.corpus import audio_path
from ns2.pipeline.corpora.reading import read_corpus
from ns2.pipeline.sound.decode import read_audio, resample
from ns2.pipeline.sound.f0 import world
from ns2.pipeline.sound.f0.evidence import CANDIDATE_EVIDENCE, FRAME_EVIDENCE, find_evidence
from ns2.pipeline.sound.f0.path import WEIGHTS, PathWeights
from ns2.pipeline.sound.pitch import PitchConfig
from ns2.train.bundled.arguments import recordings_arguments
from ns2.train.bundled.make_mini import recordings
from ns2.train.bundled.resynthesis import Known, made_again, tones_and_noises

CONFIG = PitchConfig(method="path")
EACH = 20
"""The number of recordings that are taken of each corpus."""
SECONDS = 5.0
"""The most seconds that are taken of a recording."""
STEPS = 5
"""The number of steps of L-BFGS, each of up to 12 iterations."""

FAINT = -3.0
"""The weight of the last kind of evidence for a frame, which is not learned: recordings hold faint
voices, and would let hum in their pauses be one."""

_NEAR = 60.0  # cents from the truth in which a candidate is right
_LITTLE = 0.15  # weight of waves that are no speech
_DECAY = 1e-4


@dataclass(frozen=True)
class Learned:
    """A wave as the random field sees it.

    Attributes:
        f0: (T, K) Hz of the candidates, 0 where there are fewer.
        candidates: (T, K, C) evidence.
        frames: (T, U) evidence.
        allowed: (T, K + 1) bool, the states that the truth allows; the last is "unvoiced".
        weight: of the wave.
    """

    f0: Tensor
    candidates: Tensor
    frames: Tensor
    allowed: Tensor
    weight: float


class Field(nn.Module):
    """The path as a conditional random field."""

    def __init__(self) -> None:
        super().__init__()
        first = [{"one": -4.0, "wide": 4.0, "low": 4.0}.get(n, 0.0) for n in CANDIDATE_EVIDENCE]
        self.candidates = nn.Parameter(torch.tensor(first, dtype=torch.double))
        self.frames = nn.Parameter(torch.zeros(len(FRAME_EVIDENCE) - 1, dtype=torch.double))
        self.costs = nn.Parameter(torch.tensor([2.0, 2.0, 2.0, 2.0], dtype=torch.double))

    def weights(self) -> PathWeights:
        """What was learned."""
        slope, most, ends, begins = (round(x, 4) for x in self._costs().tolist())
        return PathWeights(
            candidates=tuple(round(x, 4) for x in self.candidates.tolist()),
            frames=(*(round(x, 4) for x in self.frames.tolist()), FAINT),
            slope=slope,
            most=most,
            ends=ends,
            begins=begins,
        )

    def _costs(self) -> Tensor:
        return functional.softplus(self.costs) * self.costs.new_tensor([10.0, 3.0, 1.0, 1.0])

    def forward(self, batch: Batch) -> Tensor:
        """The negative log-likelihood of the true paths, for a frame."""
        scores = batch.candidates @ self.candidates
        frames = torch.cat([self.frames, self.frames.new_tensor([FAINT])])
        scores = scores + (batch.frames @ frames)[..., None]
        none = -1e9  # the score of what is not there
        scores = torch.where(batch.f0 > 0, scores, none)
        scores = torch.cat([scores, torch.zeros_like(scores[..., :1])], dim=-1)
        true = torch.where(batch.allowed, scores, none)
        octaves = batch.f0.clamp(min=1.0).log2()
        every, right = scores[:, 0], true[:, 0]
        for t in range(1, scores.shape[1]):
            step = self._changes(octaves[:, t - 1], octaves[:, t])
            lasts = (t < batch.lengths)[:, None]
            sums = [
                torch.logsumexp(total[:, :, None] + step, dim=1) + score[:, t]
                for total, score in ((every, scores), (right, true))
            ]
            every, right = (
                torch.where(lasts, s, o) for s, o in zip(sums, (every, right), strict=True)
            )
        losses = torch.logsumexp(every, dim=1) - torch.logsumexp(right, dim=1)
        decay = _DECAY * sum(p.square().sum() for p in (self.candidates, self.frames))
        return (losses * batch.weights).sum() / batch.lengths.sum() + decay

    def _changes(self, before: Tensor, after: Tensor) -> Tensor:
        """The scores (B, K + 1, K + 1) of steps between states of two frames."""
        slope, most, ends, begins = self._costs()
        far = (after[:, None, :] - before[:, :, None]).abs()
        voiced = -torch.minimum(slope * far, most)
        end = (-ends).expand(*voiced.shape[:2], 1)
        begin = (-begins).expand(len(voiced), 1, voiced.shape[2])
        begin = torch.cat([begin, torch.zeros_like(begin[..., :1])], dim=-1)
        return torch.cat([torch.cat([voiced, end], dim=-1), begin], dim=1)


@dataclass(frozen=True)
class Batch:
    """Waves, padded to the longest: the fields of `Learned`, and the numbers of frames (B,)."""

    f0: Tensor
    candidates: Tensor
    frames: Tensor
    allowed: Tensor
    weights: Tensor
    lengths: Tensor


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, see the docstring of the module."""
    parser = recordings_arguments("make_pitch_weights")
    parser.add_argument(
        "--out",
        type=Path,
        default=WEIGHTS,
        help="The file to write; without it the file of the package is replaced.",
    )
    args = parser.parse_args(arguments)
    args.work.mkdir(parents=True, exist_ok=True)
    waves = [
        *(learned(known, 1.0) for known in people(args.work, args.lj, args.real)),
        *(learned(known, _LITTLE) for known in tones_and_noises(CONFIG.sample_rate)),
    ]
    weights = fit(waves)
    with atomic_write(args.out) as file:
        file.write((json.dumps(weights.to_json(), indent=2) + "\n").encode())


def people(work: Path, lj: Path, real: Path) -> Iterator[Known]:
    """Recordings of all corpora of `make_mini`, made again; see `make_mini.recordings`."""
    for manifest in recordings(work, lj, real):
        corpus = read_corpus(manifest)
        step = max(1, len(corpus.utterances) // EACH)
        for utterance in corpus.utterances[::step][:EACH]:
            wave, rate = read_audio(audio_path(corpus.root, utterance), utterance.piece)
            wave = resample(wave, rate, CONFIG.sample_rate)
            yield made_again(wave[: round(SECONDS * CONFIG.sample_rate)], CONFIG.sample_rate)


def learned(known: Known, weight: float) -> Learned:
    """What the random field learns from a wave."""
    signal, frames = world.levelled(known.wave, CONFIG)
    if signal is None:
        raise ValueError("a wave to learn from is silent")
    found = world.bare_dio(signal, frames, CONFIG)
    evidence = find_evidence(signal, found, CONFIG, drown=False)
    truth = known.on(CONFIG.grid)
    return Learned(
        f0=torch.from_numpy(evidence.f0),
        candidates=torch.from_numpy(evidence.candidates),
        frames=torch.from_numpy(evidence.frames),
        allowed=torch.from_numpy(_allowed(evidence.f0, truth)),
        weight=weight,
    )


def _allowed(f0: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The states (T, K + 1) that the truth (T,) allows: any where no candidate (T, K) is right."""
    voiced = truth > 0
    ratio = np.where(f0 > 0, f0, 1.0) / np.where(voiced, truth, 1.0)[:, None]
    right = (f0 > 0) & voiced[:, None] & (np.abs(1200 * np.log2(ratio)) < _NEAR)
    allowed = np.concatenate([right, ~voiced[:, None]], axis=1)
    changes = np.flatnonzero(voiced[1:] != voiced[:-1])
    allowed[changes] = allowed[changes + 1] = True
    allowed[~allowed.any(axis=1)] = True
    return allowed


def fit(waves: Sequence[Learned]) -> PathWeights:
    """The weights with which the true paths are the likeliest."""
    torch.manual_seed(0)
    batch, field = _batch(waves), Field()
    optimiser = torch.optim.LBFGS(
        field.parameters(), lr=0.5, max_iter=12, history_size=20, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimiser.zero_grad()
        value: Tensor = field(batch)
        torch.autograd.backward(value)
        return value

    for step in range(STEPS):
        optimiser.step(loss)
        print(f"step {step + 1} of {STEPS}: loss {float(loss().detach()):.5f}", flush=True)
    return field.weights()


def _batch(waves: Sequence[Learned]) -> Batch:
    def padded(parts: Sequence[Tensor]) -> Tensor:
        return nn.utils.rnn.pad_sequence(list(parts), batch_first=True)

    return Batch(
        f0=padded([wave.f0 for wave in waves]),
        candidates=padded([wave.candidates for wave in waves]),
        frames=padded([wave.frames for wave in waves]),
        allowed=padded([wave.allowed for wave in waves]),
        weights=torch.tensor([wave.weight for wave in waves], dtype=torch.double),
        lengths=torch.tensor([len(wave.f0) for wave in waves]),
    )


if __name__ == "__main__":
    main()
