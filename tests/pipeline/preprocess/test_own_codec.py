"""A codec of another package, on another grid: dataset, training, speech; and the example's."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from ns2.cli import main
from ns2.model.codec.interface import CodecError
from ns2.model.codec.loading import load_codec, load_codec_of
from ns2.model.codec.registry import codec_spec
from ns2.pipeline.dataset import Dataset
from ns2.pipeline.tools.verify.check import verify
from tests.support.factories import ROOT
from tests.support.packages import installed
from tests.support.preprocessing import run_inline

BLOCKS = """
import torch
from ns2.model.codec.interface import CodecSpec
from ns2.model.codec.own import OwnCodec

class Blocks(OwnCodec):
    '''Blocks of 256 samples by a fixed basis of 12 vectors, quantised in Q random steps.'''

    @classmethod
    def describe(cls, quantizers):
        count = 3 if quantizers is None else quantizers
        if count > 3:
            raise ValueError("it has 3 quantizers")
        return CodecSpec(name="blocks", sample_rate=16_000, hop_length=256, quantizers=count,
                         entries=64, latent_dim=12)

    @classmethod
    def load(cls, weights, quantizers):
        return cls(cls.describe(quantizers), float(weights or 1))

    def __init__(self, spec, scale):
        made = torch.Generator().manual_seed(0)
        t = torch.arange(256) / 16_000
        self.basis = torch.stack([torch.sin(6.2832 * 120 * (i + 1) * t) for i in range(12)]) / 11.3
        sizes = scale / 2.0 ** torch.arange(3)
        books = torch.randn(3, 64, 12, generator=made) * sizes[:, None, None]
        super().__init__(spec, books[: spec.quantizers], {"books": books})

    def to(self, device):
        self.basis, self._codebooks = self.basis.to(device), self._codebooks.to(device)

    def quantise(self, waves):
        left, codes = waves.unflatten(1, (-1, 256)) @ self.basis.T, []
        for book in self.codebooks:
            codes.append(torch.cdist(left, book).argmin(-1))
            left = left - book[codes[-1]]
        return torch.stack(codes, 1)

    def decode_latents(self, latents):
        return (latents.T @ self.basis).flatten()

class Lacking(OwnCodec):
    pass
class Liar(Blocks):
    @classmethod
    def load(cls, weights, quantizers):
        return super().load(weights, 1)
class Named(Blocks):
    @classmethod
    def describe(cls, quantizers):
        spec = Blocks.describe(quantizers)
        return CodecSpec(**{**vars(spec), "name": "../blocks"})
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the codec and what an installation of it would add."""
    entry = "[ns2.codecs]\nblocks = block_codec:Blocks\n"
    with installed(tmp_path / "elsewhere", "block_codec", BLOCKS, entry, monkeypatch) as folder:
        yield folder


def ns2(*words: object) -> Result:
    done = CliRunner().invoke(main, [*map(str, words)])
    assert done.exit_code == 0, done.output
    return done


def test_dataset_training_and_speech_have_its_rate(
    package: Path, spoken: Path, tmp_path: Path
) -> None:
    shards, run, wav = tmp_path / "shards", tmp_path / "run", tmp_path / "a.wav"
    run_inline(spoken, shards, None, codec="block_codec:Blocks", quantizers=2)
    dataset = Dataset(shards)
    assert (dataset.grid.sample_rate, dataset.grid.hop_length) == (16_000, 256)
    assert dataset.card.config("codes")["codec"] == dataset.card.options["codec"] == "blocks"
    row, codes = dataset.row(0), dataset[0]["codes"]
    frames = int(np.ceil(row["seconds"] * 16_000 / 256))
    assert codes.shape == (2, frames) and dataset[0]["mel"].shape == (80, frames)
    assert verify(shards).ok
    sets = ["global_frames=900", "precision=fp32", "frame_multiple=16"]
    sets += [f"model.prompt.{name}" for name in ("shortest=20", "whole_below=60", "longest=60")]
    words = [word for one in sets for word in ("--set", one)]
    ns2("train", shards, "-o", run, "--preset", "tiny", "--steps", "2", *words)
    prompt = next((spoken / "wavs").iterdir())
    ns2("synthesize", run, "Good morning.", "--prompt", prompt, "-o", wav, "--steps", "2")
    spoken_file = soundfile.info(wav)
    assert spoken_file.samplerate == 16_000 and spoken_file.frames % 256 == 0 < spoken_file.frames
    ns2("report", shards, "-o", tmp_path / "report.html", "--audio", "1")
    assert "<audio" in (tmp_path / "report.html").read_text("utf-8")


def test_names_stand_for_the_same_codec(package: Path) -> None:
    import torch

    named, given = load_codec("block_codec:Blocks"), load_codec("blocks")
    wave = torch.sin(torch.arange(5000) / 10)
    assert torch.equal(named.encode(wave), given.encode(wave)) and named.digest == given.digest
    assert load_codec("blocks", Path("2")).digest != given.digest  # the file of its weights
    assert load_codec_of("blocks", given.digest, 3).digest == given.digest


def test_a_dataset_can_name_neither_a_class_nor_a_file(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(package)
    Path("strange").write_text("")
    for called in ("block_codec:Blocks", "strange", "/etc/passwd"):
        with pytest.raises(CodecError, match="no installed package gives it"):
            load_codec_of(called, "", 1)
    assert "block_codec" not in sys.modules


@pytest.mark.parametrize(
    ("name", "quantizers", "message"),
    [
        ("block_codec:Nothing", None, "block_codec has no Nothing"),
        ("block_codec:torch", None, "it is no codec"),
        (
            "block_codec:Lacking",
            None,
            "the class has no decode_latents, describe, load, quantise, to",
        ),
        ("block_codec:Blocks", 4, "it has 3 quantizers"),
        ("block_codec:Liar", 2, "it is not what describe.. says"),
        ("block_codec:Named", None, "expected a CodecSpec whose name"),
        ("no_module:Codec", None, "the module no_module can't be imported"),
        ("blocs", None, "there is no codec 'blocs'"),
    ],
)
def test_what_is_no_codec_is_said(
    package: Path, name: str, quantizers: int | None, message: str
) -> None:
    with pytest.raises(CodecError, match=message):
        codec_spec(name, quantizers)
        load_codec(name, quantizers=quantizers)


def test_the_example_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("dac", reason="pip install descript-audio-codec")
    import torch

    page = (ROOT / "docs" / "codec.md").read_text("utf-8")
    (code,) = [b for b in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "OwnCodec" in b]
    small = "\nclass Small(Dac16k):\n    name, width, decoder_width = 'dac-small', 4, 96\n"
    (tmp_path / "dac_codec.py").write_text(code + small)
    monkeypatch.syspath_prepend(str(tmp_path))
    codec = load_codec("dac_codec:Small", quantizers=3)
    wave = torch.randn(5000) / 10
    codes = codec.encode(wave)
    assert codes.shape == (3, 16) and codec.decode(codes).shape == (5120,)
    padded = torch.nn.functional.pad(wave, (0, 320 * 24 - 5000))
    latents = codec.net.encode(padded[None, None], 3)[0][0, :, :16]  # type: ignore[attr-defined]
    assert torch.allclose(codec.latents(codes), latents, atol=1e-4)
