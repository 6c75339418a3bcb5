"""`ns2 export-model`: programs that speak as the run does, called by the code of docs/export.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from ns2.cli import main
from ns2.model.diffusion.sampler_config import SamplerConfig
from ns2.model.tts.choices import Choices
from ns2.train.speak.lines import Line
from ns2.train.speak.synthesizer import Synthesizer
from ns2.train.speak.voice_file import save_voice

PAGE = Path(__file__).parents[3] / "docs" / "export.md"


@pytest.fixture(scope="module")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "model"
    done = CliRunner().invoke(main, ["export-model", str(run), str(out), "--steps", "5"])
    assert done.exit_code == 0, done.output
    return out


def caller(exported: Path) -> Any:
    """The class of the page, made of nothing but the page."""
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)[0]
    assert "ns2" not in code
    found: dict[str, Any] = {}
    exec(code[: code.index("\nexported = ")], found)
    return found["Exported"](str(exported))


def test_the_same_speech_at_any_length(run: Path, exported: Path, tmp_path: Path) -> None:
    voice, other = Synthesizer.open(run), caller(exported)
    rng = np.random.default_rng(0)
    quantizers, entries, _ = voice.model.codebooks.shape
    choices = Choices(sampler=SamplerConfig(kind="dpm++", steps=5, spacing="log_snr"))
    for text, prompt_frames in (("Go!", 31), ("How many men sell lemons, melons and lamps?", 90)):
        codes = rng.integers(0, entries, (quantizers, prompt_frames)).astype(np.int32)
        save_voice(tmp_path / "voice.safetensors", codes, voice.facts.codec_digest)
        ids = voice.ids(text)
        expected = voice.speak([Line(phonemes=ids, prompt=codes, seed=3)], choices)[0].wave
        symbols = voice.table.symbols(ids)
        made = other.speak(symbols, str(tmp_path / "voice.safetensors"), seed=3).numpy()
        assert len(made) == len(expected) > 0
        np.testing.assert_allclose(made, expected, atol=1e-4)


def test_a_part_has_the_weights_that_it_uses(run: Path, exported: Path) -> None:
    """All parts together are hardly larger than the run's weights and the codec's decoder."""
    programs = sum(path.stat().st_size for path in exported.glob("*.pt2"))
    weights = (run / "model.safetensors").stat().st_size
    assert weights < programs < weights + 15e6


def test_what_cannot_be_exported_is_told(run: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["export-model", str(tmp_path), str(tmp_path / "out")])
    assert done.exit_code == 1 and "no run of" in done.output
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True
