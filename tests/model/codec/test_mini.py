"""The codec that comes with ns2, on real speech, against brute force and its own parts."""

from __future__ import annotations

import functools
import itertools
import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ns2.model.codec.interface import CodecError
from ns2.model.codec.loading import load_codec
from ns2.model.codec.mini.decoder import Decoder
from ns2.model.codec.mini.mini_config import CREDITS, MiniConfig, read_config, read_metadata
from ns2.model.codec.mini.network import MiniNetwork
from ns2.model.codec.mini.pitch import embed_pitch, pitch_codebook, read_pitch, sharpened
from ns2.model.codec.mini_codec import MiniCodec, load_mini, pack_mini
from ns2.model.codec.registry import MINI_WEIGHTS, codec_spec
from ns2.model.log_mel import LogMel
from ns2.pipeline.corpora.spoken.espeak import speak
from ns2.pipeline.sound.decode import resample
from ns2.pipeline.sound.pitch import PitchConfig, extract_f0
from tests.support.processes import loaded
from tests.support.seeded_encodec import spoken

MOST = read_config(MINI_WEIGHTS).quantizers


@functools.cache
def codec() -> MiniCodec:
    return load_mini(MINI_WEIGHTS)


@functools.cache
def network() -> MiniNetwork:
    """The bundled weights once more, to be called part by part."""
    made = load_mini(MINI_WEIGHTS)._network
    assert isinstance(made, MiniNetwork)
    return made


def speech(samples: int, start: int = 4000) -> Tensor:
    return torch.tensor(np.concatenate(spoken())[start : start + samples])


def distance(made: Tensor, wave: Tensor) -> float:
    mel = LogMel()
    return float((mel(made[: len(wave)]) - mel(wave)).abs().mean())


def as_learned(codes: Tensor) -> Tensor:
    """Decode codes (Q, T) without making spectra crisper."""
    decoder, latents = network().decoder, codec().latents(codes).T[None]
    noise = torch.randn(1, 320 * latents.shape[1], generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return decoder.sound(decoder.controls(latents), noise)[0]


def test_what_comes_with_ns2_is_small_and_names_what_it_learned_from() -> None:
    assert MINI_WEIGHTS.stat().st_size <= 8_000_000
    spec = codec_spec("mini")
    assert (spec.sample_rate, spec.hop_length, spec.quantizers, spec.name) == (
        24_000, 320, 8, "mini",
    )  # fmt: skip
    credits = read_metadata(MINI_WEIGHTS)[CREDITS]
    assert "LibriSpeech" in credits and "CC BY 4.0" in credits
    assert codec().codebooks.shape == (MOST, spec.entries, spec.latent_dim)
    assert codec().codebooks.dtype == torch.float32


@pytest.mark.parametrize("samples", [1, 319, 320, 321, 8000, 8001])
def test_frames_of_any_length(samples: int) -> None:
    wave = speech(samples)
    codes = codec().encode(wave)
    frames = -(-samples // 320)
    assert codes.shape == (MOST, frames)
    assert codes.dtype == torch.int64
    assert codec().decode(codes).shape == (320 * frames,)


def test_it_copies_speech_it_has_never_heard() -> None:
    """The next second is far off; noise is never the same, so no copy comes nearer than this."""
    wave = speech(96_000)
    codes = codec().encode(wave)
    assert distance(as_learned(codes), wave) < 0.55
    assert distance(codec().decode(codes), wave) < 0.7  # crisper, as is good for hearing
    assert distance(codec().decode(codes).roll(24_000), wave) > 1.0


def test_codes_do_not_depend_on_order_neighbours_or_threads() -> None:
    rng = np.random.default_rng(0)
    waves = [
        speech(int(n), int(s))
        for n, s in zip(rng.integers(1, 16_000, 100), rng.integers(0, 90_000, 100), strict=True)
    ]
    first = [codec().encode(wave) for wave in waves]
    before = torch.get_num_threads()
    torch.set_num_threads(2 if before == 1 else 1)
    try:
        again = {i: codec().encode(waves[i]) for i in rng.permutation(100).tolist()}
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(codes, again[i]) for i, codes in enumerate(first))


def test_batches_of_mixed_lengths_give_the_same_codes() -> None:
    lengths = [24_000, 8_000, 23_999, 1, 12_345, 24_000, 11_000, 48_001]
    waves = [speech(n, 3_000 + 7 * i) for i, n in enumerate(lengths)]
    found, alone = codec().encode_many(waves), [codec().encode(wave) for wave in waves]
    assert [c.shape for c in found] == [c.shape for c in alone]
    equal = torch.cat([(a == b).flatten() for a, b in zip(found, alone, strict=True)])
    assert equal.float().mean() >= 0.99
    for a, b in zip(found, alone, strict=True):
        wanted = codec().latents(b)
        assert (codec().latents(a) - wanted).norm() <= 0.01 * wanted.norm()


def test_what_lies_behind_the_audio_reaches_no_frame_that_is_kept() -> None:
    """Eight frames of zeros are as good as forty: no frame sees further."""
    wave = torch.nn.functional.pad(speech(9_600), (0, 320 * 40))
    with torch.inference_mode():
        short = network().encode(wave[None, : 320 * 38])[0, :30]
        long = network().encode(wave[None])[0, :30]
    assert torch.allclose(short, long, atol=1e-5)


def test_codes_are_the_nearest_entries_by_brute_force() -> None:
    wave = speech(16_000)
    padded = torch.nn.functional.pad(wave, (0, 8 * 320))
    with torch.inference_mode():
        rest = network().encode(padded[None])[0, :50].double().numpy()
    codes = codec().encode(wave).numpy()
    for row, codebook in zip(codes, codec().codebooks.double().numpy(), strict=True):
        squares = ((rest[:, None] - codebook[None]) ** 2).sum(-1)  # (T, E)
        chosen = squares[np.arange(50), row]
        assert (chosen <= squares.min(1) + 1e-4 * squares.mean()).all()
        rest = rest - codebook[row]


def test_codes_to_latents_to_audio_is_the_networks_own_path() -> None:
    codes = codec().encode(speech(16_000))
    books = network().codebooks
    latents = torch.zeros(50, books.shape[2])
    for row, book in zip(codes, books, strict=True):
        latents = latents + torch.nn.functional.one_hot(row, len(book)).float() @ book
    assert torch.allclose(codec().latents(codes), latents.T, atol=1e-5)
    with torch.inference_mode():
        wave = network().decoder(latents[None])[0]
        assert torch.allclose(codec().decode(codes), wave, atol=1e-4)


def test_fewer_quantizers_are_worse_but_whole() -> None:
    wave = speech(72_000)
    codes = codec().encode(wave)
    found = []
    for k in range(1, MOST + 1):
        made = codec().decode(codes[:k])
        assert made.shape == (72_000,)
        assert torch.isfinite(made).all()
        found.append(distance(as_learned(codes[:k]), wave))
        few = load_mini(MINI_WEIGHTS, k)
        if k in (1, 2, 5):
            assert torch.equal(few.encode(wave), codes[:k])
            assert few.digest != codec().digest
    assert found[0] < 1.0  # silence instead of speech is at 4
    assert found[0] > found[1] > found[2] > found[4] > found[7]
    assert all(later < earlier + 0.02 for earlier, later in itertools.pairwise(found))


def test_the_decoder_adds_frames_up_to_the_wave_they_were_cut_from() -> None:
    """Windowed frames of a wave, as an inverse transform would give them, ends included."""
    decoder = Decoder(MiniConfig(decoder_width=4, decoder_blocks=1))
    wave = speech(320 * 20)
    side = (960 - 320) // 2
    frames = torch.nn.functional.pad(wave, (side, side)).unfold(0, 960, 320) * decoder.window
    assert torch.allclose(decoder._overlap(frames[None])[0], wave, atol=1e-5)


def test_f0_is_read_from_noisy_channels_more_exactly_than_from_its_height() -> None:
    config, log_f0 = MiniConfig(), torch.linspace(np.log(50.0), np.log(1_000.0), 4_000)
    channels = embed_pitch(log_f0, torch.arange(4_000) % 2 == 0)
    exact, voicing = read_pitch(channels, config)
    assert torch.allclose(exact, log_f0, atol=1e-4)
    assert torch.equal(voicing > 0, torch.arange(4_000) % 2 == 0)
    noise = 0.1 * torch.from_numpy(np.random.default_rng(0).standard_normal((4_000, 4), np.float32))
    noisy, _ = read_pitch(channels + noise, config)
    height = (channels + noise)[:, 0] * np.log(2) + np.log(200.0)
    errors = [float((found - log_f0).abs().median()) for found in (noisy, height)]
    assert errors[0] < 0.3 * errors[1]


def test_entries_of_f0_are_6_cents_apart_in_voiced_frames() -> None:
    config, rng = MiniConfig(), np.random.default_rng(0)
    book = pitch_codebook(config).double()
    log_f0 = torch.from_numpy(rng.uniform(np.log(45), np.log(1_100), 500))
    for voiced, cents in ((True, 3.2), (False, 22.0)):
        wanted = embed_pitch(log_f0, torch.full((500,), voiced))
        found, voicing = read_pitch(book[torch.cdist(wanted, book).argmin(1)], config)
        assert float((found - log_f0).abs().max()) * 1200 / np.log(2) < cents
        assert bool(((voicing > 0) == voiced).all())


def test_f0_moves_as_it_did_before_the_encoder_smoothed_it() -> None:
    fine = np.arange(-6 * 320, 126 * 320) / 24_000  # seconds
    moving = np.log(200) + 0.06 * np.sin(2 * np.pi * 5 * fine)  # a vibrato
    window = np.hanning(1_922)[1:-1]
    centres = 6 * 320 + 160 + 320 * np.arange(120)
    true = torch.from_numpy(moving[centres])
    heard = torch.tensor([np.average(moving[c - 960 : c + 960], weights=window) for c in centres])
    voiced = torch.ones(120, dtype=torch.bool)
    before, after = ((f0 - true).abs().mean() for f0 in (heard, sharpened(heard, voiced)))
    assert after < 0.7 * before
    straight = torch.linspace(5, 5.5, 120)
    assert torch.allclose(sharpened(straight, voiced), straight)
    leaping = heard.clone()
    leaping[60:] += np.log(2)  # an octave
    voiced[30] = False
    found = sharpened(leaping, voiced)
    same = [29, 30, 31, 59, 60, 0, 119]
    assert torch.equal(found[same], leaping[same]) and not torch.equal(found[1:29], leaping[1:29])


def test_audio_is_made_of_crisper_spectra_than_training_hears() -> None:
    own = network()
    with torch.no_grad():
        latents = own.encode(speech(320 * 60)[None])
        plain, crisp = (own.decoder.controls(latents, crisp=one) for one in (False, True))
    bins = plain.noise.shape[-1]
    hertz = torch.linspace(0, 12_000, bins)
    formants = ((hertz - 1000) / 200).sigmoid() * ((4000 - hertz) / 400).sigmoid()
    for before, after, shares in (
        (plain.harmonics, crisp.harmonics, 0.3 + 0.3 * formants),
        (plain.noise, crisp.noise, torch.full((bins,), 0.3)),
    ):
        for i in (60, 200, bins - 90):  # a mean by hand, away from the ends
            weights = np.hanning(83)[1:-1]
            near = before[..., i - 40 : i + 41].double() @ torch.from_numpy(weights / weights.sum())
            wanted = before[..., i] + shares[i] * (before[..., i] - near)
            torch.testing.assert_close(after[..., i], wanted.float(), rtol=0, atol=1e-4)
    assert not torch.equal(plain.log_f0, crisp.log_f0)
    assert torch.equal(plain.breath, crisp.breath)


def test_the_source_has_the_f0_that_is_asked_for_and_no_alias() -> None:
    decoder = Decoder(MiniConfig(decoder_width=8, decoder_blocks=1))
    for hertz in (80.0, 440.0, 1_000.0):
        pulses, _ = decoder._pulses(torch.full((1, 150), np.log(hertz)))
        spectrum = torch.fft.rfft(pulses[0, 12_000:36_000] * torch.hann_window(24_000)).abs()
        loud = torch.nonzero(spectrum > 0.1 * spectrum.max()).flatten() / hertz
        assert float((loud - loud.round()).abs().max()) < 3 / hertz  # 3 Hz: the window's lobe
        assert len(loud.round().unique()) == pytest.approx(12_000 // hertz, abs=1)


def test_unvoiced_frames_have_no_pulses_even_where_a_model_left_noise_in_voicing() -> None:
    decoder = Decoder(MiniConfig(decoder_width=8, decoder_blocks=1))
    latents = torch.zeros(1, 90, 36)
    latents[..., -4:] = embed_pitch(torch.full((1, 90), np.log(150.0)), torch.ones(1, 90) > 0)
    latents[:, 30:60, -1] = -1.0
    latents[..., -1] += 0.3 * torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (1, 90)))
    with torch.inference_mode():
        controls = decoder.controls(latents)
        heard = decoder.sound(controls, torch.zeros(1, 90 * 320))[0]  # without noise
    level = heard.reshape(90, 320).square().mean(1).sqrt()
    assert bool((controls.voicing[0, :30] == 1).all() and (controls.voicing[0, 30:60] == 0).all())
    assert float(level[33:57].max()) < 1e-6 < 1e-3 < float(level[3:27].min())


def test_noise_is_the_same_each_time_and_does_not_depend_on_what_follows() -> None:
    codes = codec().encode(speech(32_000))
    whole, again, part = (codec().decode(one) for one in (codes, codes, codes[:, :60]))
    assert torch.equal(whole, again)
    assert torch.allclose(whole[: 320 * 35], part[: 320 * 35], atol=1e-4)


def test_low_voices_keep_their_periods() -> None:
    """A voice of 80 Hz: what a copy of it has in common with itself a period later."""
    samples, rate, _ = speak("Nothing moved; even the birds were quiet.", "en-us+m8", pitch=30)
    wave = torch.from_numpy(resample(samples.astype(np.float32) / 32768, rate, 24_000))
    made = codec().decode(codec().encode(wave))[: len(wave)]
    config = PitchConfig()
    voiced = [extract_f0(one.numpy(), config) > 0 for one in (wave, made)]
    assert voiced[0].mean() > 0.3
    assert (voiced[1] & voiced[0]).sum() > 0.7 * voiced[0].sum()


def test_gradients_flow_to_latents_and_not_to_weights() -> None:
    latents = codec().latents(codec().encode(speech(3200))).requires_grad_()
    codec().decode_latents(latents).square().sum().backward()
    assert latents.grad is not None and float(latents.grad.abs().sum()) > 0
    assert all(p.grad is None for p in codec()._network.parameters())


def test_the_digest_is_of_what_encodes() -> None:
    changed = load_mini(MINI_WEIGHTS)._network
    assert isinstance(changed, MiniNetwork)
    changed.decoder.gains.bias.data += 1
    assert MiniCodec(changed).digest == codec().digest
    changed.encoder.leave.bias.data += 0.01
    assert MiniCodec(changed).digest != codec().digest
    assert load_codec("mini").digest == load_codec(str(MINI_WEIGHTS)).digest == codec().digest


def test_packed_and_loaded_again(tmp_path: Path) -> None:
    config = MiniConfig(quantizers=2, entries=8, spectral_dim=4, encoder_width=8, decoder_width=8)
    small = MiniNetwork(config)
    small.spectral_codebooks.normal_()
    path = tmp_path / "small.safetensors"
    path.write_bytes(pack_mini(small))
    loaded = load_mini(path)
    assert read_config(path) == config
    assert torch.equal(loaded.codebooks, small.codebooks.half().float())
    spec = codec_spec(str(path), None)
    assert (spec.quantizers, spec.entries, spec.latent_dim, spec.name) == (2, 8, 8, "mini")


def test_a_spec_loads_no_torch() -> None:
    code = (
        "from ns2.model.codec.registry import codec_spec, MINI_WEIGHTS\n"
        "assert codec_spec('mini').latent_dim == codec_spec(str(MINI_WEIGHTS), 3).latent_dim"
    )
    assert not loaded(code, "torch")


def test_what_a_user_can_get_wrong(tmp_path: Path) -> None:
    with pytest.raises(CodecError, match=f"1 to {MOST} quantizers"):
        codec_spec("mini", MOST + 1)
    with pytest.raises(CodecError, match="no such codec file"):
        codec_spec(str(tmp_path / "none.safetensors"))
    with pytest.raises(CodecError, match="mini has its weights"):
        load_codec("mini", tmp_path / "x.th")
    for name, content in {
        "empty": b"",
        "text": b"no codec at all, just some text",
        "other": struct.pack("<Q", 2) + b"{}",
        "odd": struct.pack("<Q", 35) + json.dumps({"__metadata__": {"a": "b"}}).encode() + b"    ",
    }.items():
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(content)
        with pytest.raises(CodecError, match="is not a codec that `ns2 codec train` made"):
            codec_spec(str(path))
    trial = tmp_path / "trial.safetensors"
    header = json.dumps({"__metadata__": {"ns2-mini-codec-2": "{}"}}).encode()
    trial.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(CodecError, match="train it again"):
        codec_spec(str(trial))
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(MINI_WEIGHTS.read_bytes()[:100_000])
    assert codec_spec(str(cut)).quantizers == 8  # the header is whole
    with pytest.raises(CodecError, match="may be broken"):
        load_codec(str(cut))


@pytest.mark.parametrize(
    "change",
    [
        {"encoder_blocks": 5},
        {"n_fft": 1280},
        {"entries": 0},
        {"quantizers": 1},
        {"f0_max": 3_000.0},
    ],
)
def test_sizes_that_can_not_be(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"encoder_blocks|n_fft|entries|sizes|quantizers|f0_max"):
        MiniConfig(**change)
