"""`ns2 codec eval` and `copy`, and `ns2 preprocess` with codecs that `ns2 codec train` makes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner

from ns2.cli import main
from ns2.model.codec.loading import load_codec
from ns2.model.codec.registry import MINI_WEIGHTS
from ns2.pipeline.core.errors import OptionError, UserError
from ns2.pipeline.core.progress import Progress
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.sound.decode import read_audio, resample
from ns2.pipeline.tools.verify.check import verify
from ns2.train.codec.measure import entropy_shares, evaluate
from ns2.train.codec.opened import open_codec
from tests.support.factories import tone
from tests.support.preprocessing import contents, run_inline


def ns2(*arguments: object) -> str:
    done = CliRunner().invoke(main, [str(a) for a in arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(main, [str(a) for a in arguments])
    return done.exit_code, done.output


@pytest.fixture(scope="module")
def made(spoken: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset by a codec file that lies somewhere else."""
    folder = tmp_path_factory.mktemp("mini")
    codec = Path(shutil.copy(MINI_WEIGHTS, folder / "my-codec.safetensors"))
    run_inline(spoken, folder / "shards", None, codec=str(codec), columns=("codes",), limit=4)
    return folder / "shards"


def test_a_dataset_by_a_codec_file(spoken: Path, made: Path) -> None:
    assert [str(fault) for fault in verify(made).faults] == []
    card = json.loads((made / "dataset.json").read_text())
    codec = load_codec("mini", None, 4)
    assert card["columns"]["codes"]["config"] == {
        "codec": "mini", "quantizers": 4, "weights": codec.digest,
    }  # fmt: skip
    assert "encodec" not in json.dumps(card)
    assert "my-codec" not in json.dumps(card)  # a place on a machine, not a setting
    opened = Dataset(made)
    frames = []
    for utterance in opened:
        wave, rate = read_audio(spoken / "wavs" / f"{utterance['key']}.wav")
        codes = codec.encode(torch.from_numpy(resample(wave, rate, 24_000)))
        assert np.array_equal(utterance["codes"], codes.numpy())
        frames.append(codec.latents(codes).T.double().numpy())
    told = card["statistics"]["latents"]
    assert np.allclose(told["mean"], np.concatenate(frames).mean(0), atol=1e-4)
    assert np.allclose(told["std"], np.concatenate(frames).std(0), rtol=1e-3)


def test_the_bytes_are_those_of_the_same_codec_by_name(
    spoken: Path, made: Path, tmp_path: Path
) -> None:
    run_inline(spoken, tmp_path / "shards", None, codec="mini", columns=("codes",), limit=4)
    assert contents(tmp_path / "shards") == contents(made)


def test_copy_writes_as_many_samples_and_fewer_quantizers_are_worse(
    spoken: Path, tmp_path: Path
) -> None:
    source = sorted((spoken / "wavs").iterdir())[0]
    errors = {}
    for k in (1, 8):
        out = tmp_path / f"{k}.wav"
        ns2("codec", "copy", source, out, "--quantizers", k)
        copy, rate = soundfile.read(out, dtype="float32")
        wave = resample(*read_audio(source), 24_000)
        assert (rate, len(copy)) == (24_000, len(wave))
        spectra = [np.abs(np.fft.rfft(w[: len(w) // 512 * 512].reshape(-1, 512)))
                   for w in (copy, wave)]  # fmt: skip
        errors[k] = np.abs(spectra[0] - spectra[1]).sum() / spectra[1].sum()
    assert errors[8] < errors[1] < 1


def test_eval_tells_what_is_lost(spoken: Path) -> None:
    found = evaluate(open_codec("mini"), spoken, Progress(), limit=2)
    few = evaluate(open_codec("mini", None, 2), spoken, Progress(), limit=2)
    assert (found["recordings"], found["bit_rate"], few["bit_rate"]) == (2, 6_000, 1_500)
    assert found["log_mel_l1"] < few["log_mel_l1"] < 1
    assert found["f0_median_cents"] < 100
    if found["stoi"] is not None:
        assert few["stoi"] < found["stoi"] <= 1
    codes = [
        load_codec("mini").encode(torch.from_numpy(resample(*read_audio(path), 24_000)))
        for path in sorted((spoken / "wavs").iterdir())[:2]
    ]
    first = torch.bincount(torch.cat(codes, 1)[0]).double()
    share = first[first > 0] / first.sum()
    assert found["entropy_shares"][0] == pytest.approx(float(-(share * share.log2()).sum()) / 10,
                                                       abs=1e-4)  # fmt: skip


def test_eval_of_a_codec_that_changes_nothing_is_perfect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A codec whose decoder gives the recording back: figures at their best."""
    wave = tone(2.0, 150.0)
    (tmp_path / "wavs").mkdir()
    soundfile.write(tmp_path / "wavs" / "a.wav", wave, 24_000, "FLOAT")
    (tmp_path / "metadata.csv").write_text("a|a|a\n")
    codec = open_codec("mini")
    monkeypatch.setattr(codec, "decode", lambda _: torch.from_numpy(wave))
    found = evaluate(codec, tmp_path, Progress())
    assert found["log_mel_l1"] == 0
    assert found["f0_median_cents"] == found["f0_gross_error"] == found["voicing_error"] == 0
    monkeypatch.setattr(codec, "decode", lambda _: torch.from_numpy(tone(2.0, 300.0)))
    assert evaluate(codec, tmp_path, Progress())["f0_median_cents"] == pytest.approx(1200, abs=5)


def test_entropies() -> None:
    counts = np.array([[5, 5, 5, 5], [9, 0, 0, 0], [4, 4, 0, 0], [2, 1, 1, 0]])
    assert np.allclose(entropy_shares(counts), [1, 0, 0.5, 0.75])


def test_the_command_line(spoken: Path, tmp_path: Path) -> None:
    told = ns2("codec", "eval", "mini", spoken, "--limit", 1)
    assert "8 quantizers of 1024 entries, 6 kbit/s" in told
    assert json.loads(ns2("codec", "eval", "mini", spoken, "--limit", 1, "--json"))["seconds"] > 1
    wav = sorted((spoken / "wavs").iterdir())[0]
    for arguments, code, words in (
        (("eval", "opus", spoken), 2, "mini"),
        (("eval", "mini", spoken, "--quantizers", 99), 2, "1 to 8"),
        (("copy", wav, tmp_path / "x.mp3"), 2, ".wav"),
        (("copy", spoken / "metadata.csv", tmp_path / "x.wav"), 1, "metadata.csv"),
        (("train", spoken, "-o", tmp_path / "c", "--steps", 5, "--minutes", 1), 2, "not both"),
        (("train", spoken, "-o", tmp_path / "c", "--resume"), 1, "leave out --resume"),
    ):
        found, output = refused("codec", *arguments)
        assert found == code, output
        assert words in output
    assert list(tmp_path.iterdir()) == []


def test_weights_are_for_encodec_alone(weights: Path) -> None:
    with pytest.raises(UserError, match="--codec-weights is for encodec_24khz"):
        run_inline(weights.parent, weights.parent / "out", weights, codec="mini")
    with pytest.raises(OptionError, match="is not a codec"):
        from ns2.pipeline.preprocess.recipe import build_graph

        build_graph(Options(codec=str(weights)))
