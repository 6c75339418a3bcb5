"""Losses and codebooks of a codec's training, against closed forms and other libraries."""

from __future__ import annotations

import numpy as np
import torch
from torchaudio.transforms import MelSpectrogram

from ns2.model.codec.mini import losses
from ns2.model.codec.mini.blocks import quantise
from ns2.model.codec.mini.codebooks import CodebookTrainer
from ns2.model.codec.mini.losses import SpectralLoss
from ns2.train.codec.measure import entropy_shares


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape, np.float32))


def test_the_spectrums_gradient_is_right() -> None:
    frames = noise(2, 3, 16).double().requires_grad_()
    assert torch.autograd.gradcheck(losses._Spectrum.apply, (frames,))
    spectrum = losses._Spectrum.apply(frames)
    assert torch.allclose(torch.complex(spectrum[0], spectrum[1]), torch.fft.rfft(frames))


def test_the_mel_loss_is_that_of_torchaudio() -> None:
    made, wanted = 0.1 * noise(2, 8_000), 0.2 * noise(2, 8_000, seed=1)
    expected = []
    for size, hop, bins in losses.SIZES:
        mel = MelSpectrogram(
            24_000, size, hop_length=hop, n_mels=bins, power=1.0, norm="slaney",
            mel_scale="slaney", center=False,
        )  # fmt: skip
        logs = [mel(wave).clamp(min=1e-5).log() for wave in (made, wanted)]
        expected.append(float((logs[0] - logs[1]).abs().mean()))
    found = SpectralLoss()(made, wanted)
    assert abs(float(found["mel"]) - np.mean(expected)) < 1e-3


def test_losses_are_nothing_for_equals_and_hear_level_and_tone_but_no_phase() -> None:
    loss, wave = SpectralLoss(), 0.1 * noise(1, 24_000)
    assert all(float(value) < 1e-3 for value in loss(wave, wave).values())
    assert all(float(value) < 1e-3 for value in loss(-wave, wave).values())
    assert float(loss(2 * wave, wave)["mel"]) > 0.6  # ln 2 is 0.69
    assert float(loss(2 * wave, wave)["envelope"]) < 1e-3  # of each band whatever level


def test_noise_is_best_copied_by_noise_of_the_same_level() -> None:
    loss, wanted = SpectralLoss(), 0.1 * noise(8, 24_000)
    losses_at = {
        level: float(loss(level * noise(8, 24_000, seed=1), wanted)["mel"])
        for level in (0.05, 0.08, 0.1, 0.12, 0.2)
    }
    assert min(losses_at, key=losses_at.__getitem__) == 0.1


def test_envelopes_are_compared_by_the_correlation_of_numpy() -> None:
    made, wanted = noise(2, 81, 5).abs(), noise(2, 81, 5, seed=1).abs()
    wanted[1, :50] *= 1e-4  # segments without sound do not count
    found = []
    for item in range(2):
        for start in range(0, 81 - 36 + 1, 9):
            cut = slice(start, start + 36)
            if float(wanted[item, cut].square().mean(0).sum()) < 1e-2:
                continue
            found += [
                np.corrcoef(made[item, cut, band], wanted[item, cut, band])[0, 1]
                for band in range(5)
            ]
    assert len(found) == 5 * 6 + 5 * 4
    assert abs(float(losses.envelope_distance(made, wanted)) - (1 - np.mean(found))) < 1e-3
    short = losses.envelope_distance(made[:, :20], made[:, :20])  # shorter than a segment
    assert float(short) < 1e-3


def centres() -> torch.Tensor:
    """Eight far apart, in 4 dimensions."""
    return 10 * torch.eye(4).repeat(2, 1) * torch.tensor([1.0] * 4 + [-1.0] * 4)[:, None]


def points(count: int, seed: int = 0) -> torch.Tensor:
    """(N, 4) around the centres, the nearest of which is that of the same number modulo 8."""
    return centres().repeat(count // 8, 1) + 0.1 * noise(count, 4, seed=seed)


def test_kmeans_begins_the_codebooks_where_the_vectors_are() -> None:
    codebooks = torch.zeros(2, 32, 4)
    CodebookTrainer(codebooks).start(points(800), np.random.default_rng(0))
    far = torch.cdist(centres(), codebooks[0]).min(1).values
    assert float(far.max()) < 0.5
    rest = points(800) - codebooks[0][quantise(points(800), codebooks[:1])[:, 0]]
    left = rest - codebooks[1][quantise(points(800), codebooks)[:, 1]]
    assert float(left.norm()) < 0.5 * float(rest.norm())


def test_codebooks_follow_what_chooses_them() -> None:
    codebooks = (centres() * 0.8)[None].clone()
    trainer = CodebookTrainer(codebooks)
    trainer.counts.fill_(4.0)
    trainer.sums.copy_(codebooks * 4.0)
    for step in range(600):
        trainer(points(64, seed=step).reshape(8, 8, 4), np.ones(8, np.int64))
    assert torch.allclose(codebooks[0], centres(), atol=0.1)


def test_gradients_pass_straight_through_and_stages_behind_are_not_used() -> None:
    codebooks = noise(3, 16, 4)
    trainer = CodebookTrainer(codebooks.clone())
    latents = noise(3, 5, 4, seed=1).requires_grad_()
    used = np.array([3, 2, 1])
    out, commitment = trainer(latents, used)
    codes = quantise(latents.detach(), codebooks)  # (B, T, Q)
    for item, depth in enumerate(used):
        wanted = sum(codebooks[q][codes[item, :, q]] for q in range(depth))
        assert torch.allclose(out[item], wanted, atol=1e-5)
    weights = noise(3, 5, 4, seed=2)
    (gradient,) = torch.autograd.grad((out * weights).sum(), latents, retain_graph=True)
    assert torch.equal(gradient, weights)
    (pull,) = torch.autograd.grad(commitment, latents)
    towards = (out[2] - latents[2]).detach()  # with one stage: to what was chosen
    assert float((pull[2] * towards).sum()) < 0
    assert torch.allclose(torch.nn.functional.normalize(-pull[2], dim=-1),
                          torch.nn.functional.normalize(towards, dim=-1), atol=1e-4)  # fmt: skip


def test_entries_that_nothing_chooses_are_moved() -> None:
    codebooks = torch.cat([centres(), torch.full((8, 4), 1e3)])[None].clone()
    trainer = CodebookTrainer(codebooks)
    trainer.counts[0, 8:] = 0.0
    moved = trainer.revive(points(64).reshape(8, 8, 4), 50, np.random.default_rng(0))
    assert moved == 8
    assert float(codebooks.abs().max()) < 20
    assert trainer.revive(points(64).reshape(8, 8, 4), 51, np.random.default_rng(0)) == 0


def usage(vectors: torch.Tensor, codebooks: torch.Tensor) -> list[float]:
    """Entropy of each codebook's use as a share of the most there can be."""
    codes = quantise(vectors, codebooks).numpy()
    counts = np.stack([np.bincount(row, minlength=codebooks.shape[1]) for row in codes.T])
    return entropy_shares(counts).tolist()


def test_codebooks_settle_nearer_and_are_used_evenly_by_each_group() -> None:
    """Two groups that overlap: the second is a narrow kind of speech."""
    groups = [noise(4_000, 4), 0.3 * noise(2_000, 4, seed=1) + 0.5]
    codebooks = torch.zeros(3, 32, 4)
    trainer = CodebookTrainer(codebooks)
    trainer.start(groups[0], np.random.default_rng(0))
    before = codebooks.clone()
    trainer.settle(groups)
    unheard = 0.3 * noise(2_000, 4, seed=2) + 0.5
    assert usage(unheard, codebooks)[0] > usage(unheard, before)[0] + 0.05
    left = [
        sum(book[code] for book, code in zip(books, quantise(unheard, books).T, strict=True))
        - unheard
        for books in (codebooks, before)
    ]
    assert float(left[0].norm()) < 0.9 * float(left[1].norm())
