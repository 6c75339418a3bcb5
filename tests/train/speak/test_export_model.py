"""`ns2 export-model`: programs that speak as the run does, called by the code of docs/export.md."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from ns2.cli import main
from ns2.model.diffusion.sampler_config import SamplerConfig
from ns2.model.tts.choices import Choices
from ns2.pipeline.core.errors import UserError
from ns2.train.speak.export_model import export_model, facts_for_callers, parts_of
from ns2.train.speak.lines import Line, VoicePitch
from ns2.train.speak.speaking import SpeakingOptions
from ns2.train.speak.synthesizer import Synthesizer
from ns2.train.speak.voice_file import save_voice

PITCH = VoicePitch(240.0, 0.9)
PAGE = Path(__file__).parents[3] / "docs" / "export.md"


@pytest.fixture(scope="module")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "model"
    done = CliRunner().invoke(main, ["export-model", str(run), str(out), "--steps", "5"])
    assert done.exit_code == 0, done.output
    return out


def said(voice: Synthesizer, line: Line, choices: Choices) -> np.ndarray:
    """The speech of one line as `ns2 synthesize` writes it, if it is not too loud."""
    return voice.speak_as_one([[line]], choices)[0].wave


def caller(exported: Path, parts: dict[str, Any] | None = None) -> Any:
    """The class of the page, made of nothing but the page; with parts that are not loaded."""
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)[0]
    assert "ns2" not in code
    found: dict[str, Any] = {}
    exec(code[: code.index("\nexported = ")], found)
    if parts is None:
        return found["Exported"](str(exported))
    made = found["Exported"].__new__(found["Exported"])
    made.facts = json.loads((exported / "model.json").read_text("utf-8"))
    made.parts = {name: part for name, (part, _, _) in parts.items()}
    made.ids = {token: i for i, token in enumerate(made.facts["phonemes"])}
    return made


@pytest.mark.large
def test_the_same_speech_at_any_length(run: Path, exported: Path, tmp_path: Path) -> None:
    voice, other = Synthesizer.open(run), caller(exported)
    rng = np.random.default_rng(0)
    quantizers, entries, _ = voice.model.codebooks.shape
    choices = SpeakingOptions(steps=5).choices()  # as the command that exported it
    for text, prompt_frames in (("Go!", 31), ("How many men sell lemons, melons and lamps?", 90)):
        codes = rng.integers(0, entries, (quantizers, prompt_frames)).astype(np.int32)
        save_voice(tmp_path / "voice.safetensors", codes, voice.facts.codec_digest, PITCH)
        ids = voice.ids(text)
        expected = said(voice, Line(phonemes=ids, prompt=codes, seed=3, voice_pitch=PITCH), choices)
        symbols = voice.table.symbols(ids)
        made = other.speak(symbols, str(tmp_path / "voice.safetensors"), seed=3).numpy()
        assert len(made) == len(expected) > 0
        # a model that has learned nothing hardly sounds, and is made louder, rounding and all
        np.testing.assert_allclose(made, expected, atol=4e-4)


def test_the_parts_speak_as_the_model(run: Path, tmp_path: Path) -> None:
    """As above, with the parts themselves instead of what is traced of them."""
    voice = Synthesizer.open(run, plain=True)
    sampler = SamplerConfig(kind="dpm++", steps=5, spacing="log_snr")
    (tmp_path / "model.json").write_text(json.dumps(facts_for_callers(voice, sampler)), "utf-8")
    other = caller(tmp_path, parts_of(voice))
    quantizers, entries, _ = voice.model.codebooks.shape
    codes = np.random.default_rng(0).integers(0, entries, (quantizers, 45)).astype(np.int32)
    ids = voice.ids("How many men sell lemons?")
    symbols = voice.table.symbols(ids)
    waves = []
    for pitch in (PITCH, None):  # voices of earlier versions have none
        save_voice(tmp_path / "voice.safetensors", codes, voice.facts.codec_digest, pitch)
        line = Line(phonemes=ids, prompt=codes, seed=3, voice_pitch=pitch)
        waves.append(said(voice, line, Choices(sampler=sampler)))
        made = other.speak(symbols, str(tmp_path / "voice.safetensors"), seed=3).numpy()
        np.testing.assert_allclose(made, waves[-1], atol=1e-4 if pitch is None else 4e-4)
    assert np.abs(waves[0] - waves[1]).max() > 0.01


@pytest.mark.large
def test_a_part_has_the_weights_that_it_uses(run: Path, exported: Path) -> None:
    """All parts together are hardly larger than the run's weights and the codec's decoder."""
    programs = sum(path.stat().st_size for path in exported.glob("*.pt2"))
    weights = (run / "model.safetensors").stat().st_size
    assert weights < programs < weights + 15e6


def test_what_cannot_be_exported_is_told(run: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["export-model", str(tmp_path), str(tmp_path / "out")])
    assert done.exit_code == 1 and "no run of" in done.output
    assert not (tmp_path / "out").exists()
    voice = Synthesizer.open(run, plain=True)
    with pytest.raises(UserError, match=r"dpm\+\+"):
        export_model(voice, tmp_path / "out", SamplerConfig())
    assert not (tmp_path / "out").exists()
