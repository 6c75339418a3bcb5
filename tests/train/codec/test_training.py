"""`train_codec` on spoken recordings, with a network small enough for a test."""

from __future__ import annotations

import json
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from ns2.model.codec.loading import load_codec
from ns2.model.codec.mini.mini_config import MiniConfig
from ns2.model.codec.mini_codec import load_network
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.progress import Progress
from ns2.pipeline.sound.pitch import PitchConfig, extract_f0
from ns2.train.codec.crops import Crops, Voices, f0_at, read_voices
from ns2.train.codec.training import initial_network, network_sizes, train_codec
from ns2.train.codec.training_config import CodecTraining
from tests.support import warm

SMALL = MiniConfig(
    quantizers=3, entries=64, spectral_dim=12, encoder_width=32, decoder_width=48,
    encoder_blocks=1, decoder_blocks=2, pitch_width=16, pitch_blocks=1,
)  # fmt: skip
CONFIG = CodecTraining(
    network=SMALL, steps=90, batch=4, frames=32, warmup=5, validate_every=10, val_share=0.2,
    plain_steps=6, learning_rate=3e-3, ema=0.9, harvest_minutes=0.05,
)  # fmt: skip


def rows(out: Path) -> list[dict[str, float]]:
    log = out.with_suffix(".training") / "log.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.fixture(scope="module")
def trained(spoken: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("codec") / "codec.safetensors"
    train_codec([spoken], out, CONFIG, Progress())
    return out


def test_training_improves_the_validation_figure(trained: Path) -> None:
    figures = [row["validation"] for row in rows(trained) if "validation" in row]
    assert len(figures) == 10  # one before the first step
    assert figures[-1] < 0.9 * figures[1]
    codec = load_codec(str(trained), None, None)
    assert codec.spec.quantizers == 3
    samples = sorted((trained.with_suffix(".training") / "samples").iterdir())
    assert [path.name for path in samples] == [
        f"{i}-{kind}.wav" for i in range(2) for kind in ("codec", "recording")
    ]
    assert soundfile.info(samples[0]).frames == soundfile.info(samples[1]).frames


def test_few_minutes_are_enough_for_the_quantisers_to_begin(spoken: Path, tmp_path: Path) -> None:
    """However slow the machine: they begin after a tenth of the time, not only after some steps."""
    out = tmp_path / "codec.safetensors"
    config = replace(CONFIG, minutes=0.03, plain_steps=100_000)
    train_codec([spoken], out, config, Progress())
    assert "commitment" in rows(out)[-1]
    wave, rate = soundfile.read(next((spoken / "wavs").iterdir()), dtype="float32")
    codes = load_codec(str(out), None, None).encode(torch.from_numpy(wave))
    assert rate and all(len(row.unique()) > 5 for row in codes)


def test_a_training_may_begin_with_the_weights_of_another(
    spoken: Path, trained: Path, tmp_path: Path
) -> None:
    out = tmp_path / "codec.safetensors"
    init = initial_network(str(trained), None)
    assert network_sizes(init, None) == SMALL
    train_codec([spoken], out, replace(CONFIG, steps=2), Progress(), init=init)
    begun, before = rows(out)[0]["validation"], rows(trained)
    untrained, trained_one = before[0]["validation"], before[-1]["validation"]
    assert trained_one < 0.8 * untrained  # so that what follows tells one from the other
    assert abs(begun - trained_one) < 0.01  # half precision in between
    with pytest.raises(UserError, match="has 3 quantizers"):
        initial_network(str(trained), 2)
    with pytest.raises(UserError, match="not encodec_24khz"):
        initial_network("encodec_24khz", None)
    with pytest.raises(UserError, match="first version"):
        initial_network("mini-1", None)
    with pytest.raises(UserError, match="no such codec file"):
        initial_network(str(tmp_path / "none.safetensors"), None)
    assert network_sizes(None, 5) == MiniConfig(quantizers=5)


def test_a_decoder_that_learns_alone_leaves_all_codes_as_they_are(
    spoken: Path, trained: Path, tmp_path: Path
) -> None:
    out = tmp_path / "codec.safetensors"
    init = initial_network(str(trained), None)
    config = replace(CONFIG, steps=40, decoder_only=True, loud=1.0)
    train_codec([spoken], out, config, Progress(), init=init)
    old, new = (load_network(one) for one in (trained, out))
    before, after = old.state_dict(), new.state_dict()
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert {name for name in before if not name.startswith("decoder.")} <= same
    assert not any(name.startswith("decoder.trunk") for name in same)
    digests = [load_codec(str(one), None, None).digest for one in (trained, out)]
    assert digests[0] == digests[1]  # so datasets stay what they are
    losses = [row["loud"] for row in rows(out)[1:]]
    assert len(losses) == 4 and min(losses) > 0
    with pytest.raises(UserError, match="--init"):
        train_codec([spoken], tmp_path / "none.safetensors", config, Progress())


def with_every_checkpoint(corpus: Path, out: Path) -> None:
    torch.set_num_threads(1)
    train_codec([corpus], out, replace(CONFIG, checkpoint_seconds=0.0), Progress())


def test_it_survives_a_kill_and_ends_with_the_same_bytes(
    spoken: Path, trained: Path, tmp_path: Path
) -> None:
    out = tmp_path / "codec.safetensors"
    process = warm.Started(with_every_checkpoint, spoken, out)
    checkpoint = out.with_suffix(".training") / "checkpoint.pt"
    ends = time.monotonic() + 60
    while not checkpoint.is_file() and time.monotonic() < ends and process.poll() is None:
        time.sleep(0.02)
    time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    reached = torch.load(checkpoint, weights_only=True)["step"]
    assert 0 < reached < CONFIG.steps
    assert not out.exists()
    with pytest.raises(UserError, match="--resume"):
        train_codec([spoken], out, CONFIG, Progress())
    train_codec([spoken], out, CONFIG, Progress(), resume=True)
    assert out.read_bytes() == trained.read_bytes()


def test_resuming_what_was_never_begun_or_is_another_codec(
    spoken: Path, trained: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="leave out --resume"):
        train_codec([spoken], tmp_path / "c.safetensors", CONFIG, Progress(), resume=True)
    shutil.copytree(trained.with_suffix(".training"), tmp_path / "c.training")
    other = CodecTraining(network=MiniConfig(quantizers=2), steps=100)
    with pytest.raises(UserError, match="other sizes"):
        train_codec([spoken], tmp_path / "c.safetensors", other, Progress(), resume=True)


def voices(cache: Path, *corpora: Path) -> Voices:
    return read_voices(
        corpora, layout=None, sample_rate=24_000, val_share=0.2, thorough=1.0,
        cache=cache / "f0.npz", progress=Progress(),
    )  # fmt: skip


def test_recordings_of_the_validation_are_not_trained_on(spoken: Path, tmp_path: Path) -> None:
    found = voices(tmp_path, spoken)
    assert (len(found.train[0]), len(found.validation)) == (8, 2)
    train = {one.wave.tobytes() for one in found.train[0]}
    assert train.isdisjoint(one.wave.tobytes() for one in found.validation)
    again = voices(tmp_path, spoken)
    for one, other in zip(found.train[0], again.train[0], strict=True):  # F0 is from the cache
        assert one.pitch and other.pitch and np.array_equal(one.pitch.f0, other.pitch.f0)
    assert [one.wave.tobytes() for one in again.validation] == [
        one.wave.tobytes() for one in found.validation
    ]


def test_what_a_corpus_holds_out_is_not_trained_on(spoken: Path, tmp_path: Path) -> None:
    paths = sorted((spoken / "wavs").iterdir())
    rows = [
        {"audio": str(path), "text": "a", "split": "train" if i < 7 else "val"}
        for i, path in enumerate(paths)
    ]
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = voices(tmp_path, manifest)
    assert (len(found.train[0]), len(found.validation)) == (7, len(paths) - 7)


def test_f0_of_pieces_is_that_of_the_places_they_were_cut_from(
    spoken: Path, tmp_path: Path
) -> None:
    """Pieces whose speed is changed too: the loudest period of their sound is that of their F0."""
    crops = Crops(voices(tmp_path, spoken), batch=100, samples=6_400, seed=1)
    piece = crops.batch(crops.rng(0))
    errors = []
    for wave, log_f0, voiced in zip(piece.waves, piece.log_f0, piece.voiced, strict=True):
        found = extract_f0(wave.numpy(), PitchConfig(f0_max=800.0))
        both = (found > 0) & voiced.numpy()
        errors.append(1200 * np.abs(np.log2(found[both]) - log_f0.numpy()[both] / np.log(2)))
    cents = np.concatenate(errors)
    assert len(cents) > 300
    assert np.median(cents) < 15
    assert np.mean(cents > 100) < 0.1


def test_f0_between_frames() -> None:
    f0 = np.array([100.0, 200.0, 0.0, 300.0])
    places = np.array([0.0, 160.0, 320.0, 480.0, 650.0, 900.0, 1_100.0, 1_279.0, 1_300.0])
    wanted = [100.0, 100.0, 150.0, 200.0, 0.0, 0.0, 300.0, 300.0, 0.0]
    assert f0_at(f0, places).tolist() == pytest.approx(wanted, abs=4.0)


def test_pieces_are_the_same_for_the_same_step_and_shared_by_corpora(
    spoken: Path, tmp_path: Path
) -> None:
    flat_corpus(tmp_path)  # known by its level: no variation makes speech
    crops = Crops(voices(tmp_path, spoken, tmp_path), batch=200, samples=3_200, seed=1)
    batch = crops.batch(crops.rng(7)).waves
    assert batch.shape == (200, 3_200)
    assert torch.equal(batch, crops.batch(crops.rng(7)).waves)
    assert not torch.equal(batch, crops.batch(crops.rng(8)).waves)
    assert float(batch.abs().max()) <= 1
    middle = batch[:, 800:2400]
    flat = (middle.std(1) < 0.3 * middle.mean(1).abs()).float().mean()
    assert 0.3 < float(flat) < 0.6  # half of the pieces, but for those with much noise


def test_a_corpus_gives_its_share_of_pieces(spoken: Path, tmp_path: Path) -> None:
    flat_corpus(tmp_path)
    both = replace(voices(tmp_path, spoken, tmp_path), shares=(1.0, 4.0))
    middle = (
        Crops(both, batch=200, samples=3_200, seed=1)
        .batch(np.random.default_rng(0), natural=1.0)
        .waves[:, 800:2_400]
    )
    assert 0.7 < float((middle.std(1) < 0.1 * middle.mean(1).abs()).float().mean()) < 0.9


def test_some_pieces_end_where_recordings_of_lower_rates_do(spoken: Path, tmp_path: Path) -> None:
    crops = Crops(voices(tmp_path, spoken), batch=300, samples=3_200, seed=1)
    spectra = torch.fft.rfft(crops.batch(crops.rng(0), natural=1.0).waves).abs()
    top = spectra[:, int(spectra.shape[1] * 0.7) :].amax(1) / spectra.amax(1).clamp(min=1e-9)
    assert 0.05 < float((top < 1e-5).float().mean()) < 0.25


def test_pieces_of_one_corpus(spoken: Path, tmp_path: Path) -> None:
    flat_corpus(tmp_path)
    crops = Crops(voices(tmp_path, spoken, tmp_path), batch=20, samples=3_200, seed=1)
    piece = crops.batch(crops.rng(0), natural=1.0, corpus=1)
    assert float((piece.waves[:, 400:2_800] - 0.25).abs().max()) < 0.1
    assert not piece.voiced.any()
    assert crops.seconds[1] == pytest.approx(4_000 / 24_000)  # the other one is for validation


def flat_corpus(folder: Path) -> None:
    (folder / "wavs").mkdir()
    wave = 0.25 + 0.002 * np.sin(np.arange(4_000))  # the offset alone would be silence
    for name in ("a", "b"):
        soundfile.write(folder / "wavs" / f"{name}.wav", wave, 24_000)
    (folder / "metadata.csv").write_text("a|a|a\nb|b|b\n")


def test_a_corpus_of_one_recording_is_too_small(tmp_path: Path) -> None:
    (tmp_path / "wavs").mkdir()
    soundfile.write(tmp_path / "wavs" / "a.wav", 0.25 * np.sin(np.arange(2400)), 24_000)
    (tmp_path / "metadata.csv").write_text("a|a|a\n")
    with pytest.raises(UserError, match="at least two recordings"):
        voices(tmp_path, tmp_path)


def test_a_device_that_is_not_there(spoken: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'nowhere'"):
        train_codec([spoken], tmp_path / "c.safetensors", CONFIG, Progress(), device="nowhere")
