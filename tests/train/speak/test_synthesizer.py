"""`ns2 synthesize`: any text, any prompt, the same again by the same seed, or a clear error."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner, Result
from safetensors.numpy import save_file

from ns2.cli import main
from ns2.model.diffusion.sampler_config import SamplerConfig
from ns2.model.tts.choices import Choices
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.corpora.spoken.espeak import speak
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.dataset.reader import Dataset
from ns2.train.speak.lines import Line, VoicePitch, joined
from ns2.train.speak.speaking import SpeakingOptions
from ns2.train.speak.synthesizer import Synthesizer
from ns2.train.speak.voice_file import save_voice

QUICK = ("--steps", "2")
TEXT = "The old bridge creaks, and then it falls."


@pytest.fixture(scope="module")
def voice(run: Path) -> Synthesizer:
    return Synthesizer.open(run)


@pytest.fixture(scope="module")
def prompt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    samples, rate, _ = speak("Nothing moved; even the birds were quiet.", "en-us+f1")
    path = tmp_path_factory.mktemp("prompt") / "prompt.wav"
    soundfile.write(path, samples, rate)
    return path


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["synthesize", *map(str, words), *QUICK])


def choices(**more: float) -> Choices:
    return Choices(sampler=SamplerConfig(kind="dpm++", steps=2), **more)


def read(path: Path) -> np.ndarray:
    wave, rate = soundfile.read(path, dtype="int16")
    assert rate == 24_000
    return np.asarray(wave)


def test_the_same_seed_speaks_the_same_another_one_otherwise(
    run: Path, prompt: Path, tmp_path: Path
) -> None:
    waves = []
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        out = tmp_path / f"{name}.wav"
        done = call(run, TEXT, "--prompt", prompt, "-o", out, "--seed", seed)
        assert done.exit_code == 0, done.output
        assert "real-time factor" in done.output
        waves.append(read(out))
    assert np.array_equal(waves[0], waves[1])
    assert not np.array_equal(waves[0], waves[2])


def test_another_prompt_is_another_voice(voice: Synthesizer, prompt: Path) -> None:
    ids = voice.ids(TEXT)
    one = voice.read_prompt(prompt)
    samples, rate, _ = speak("How now? The cows are out.", "en-us+m3", pitch=20)
    other = voice.encode_prompt(samples.astype(np.float32) / 32768, rate)
    lines = [Line(phonemes=ids, prompt=p) for p in (one, other, None)]
    a, b, c = voice.speak(lines, choices())
    assert not np.array_equal(a.f0, b.f0) and not np.array_equal(b.f0, c.f0)


def test_neighbours_in_a_batch_change_nothing(voice: Synthesizer, prompt: Path) -> None:
    codes = voice.read_prompt(prompt)
    texts = (TEXT, "Stop!", "Many men in the market sell lemons, melons and lamps.", TEXT)
    lines = [
        Line(phonemes=voice.ids(text), seed=i, prompt=codes if i % 2 else codes[:, :40])
        for i, text in enumerate(texts)
    ]
    together = voice.speak(lines, choices())
    for line, made in zip(lines, together, strict=True):
        alone = voice.speak([line], choices())[0]
        assert np.array_equal(alone.durations, made.durations)
        assert len(alone.wave) == 320 * int(made.durations.sum())
        np.testing.assert_allclose(alone.wave, made.wave, atol=2e-3)


def test_speed_and_pitch(voice: Synthesizer, prompt: Path) -> None:
    line = Line(phonemes=voice.ids(TEXT), prompt=voice.read_prompt(prompt))
    as_is, fast, high = (
        voice.speak([line], chosen)[0]
        for chosen in (choices(), choices(speed=2.0), choices(semitones=3.0))
    )
    assert len(fast.wave) == pytest.approx(len(as_is.wave) / 2, abs=320)
    np.testing.assert_allclose(high.f0, as_is.f0 * 2 ** (3 / 12), rtol=1e-5)


@pytest.mark.parametrize(("hertz", "weight"), [(70.0, 1.0), (300.0, 1.0), (300.0, 0.5), (0.0, 0.9)])
def test_pitch_is_brought_near_the_voice(voice: Synthesizer, hertz: float, weight: float) -> None:
    """The melody stays; other lines of the batch and lines whose voice is not known stay, too."""
    ids = voice.ids(TEXT)
    plain = Line(phonemes=ids)
    line = replace(plain, voice_pitch=VoicePitch(hertz, weight))
    as_predicted = voice.speak([plain], choices())[0]
    alone = voice.speak([line], choices())[0]
    made, other = voice.speak([line, plain], choices())
    np.testing.assert_allclose(made.f0, alone.f0, rtol=1e-5)
    np.testing.assert_allclose(other.f0, as_predicted.f0, rtol=1e-5)
    voiced = as_predicted.f0 > 0
    moved = 12 * np.log2(made.f0[voiced] / as_predicted.f0[voiced])
    assert np.ptp(moved) < 1e-3 and np.array_equal(voiced, made.f0 > 0)
    if hertz:
        before, after = (
            float(torch.from_numpy(one.f0[voiced]).median()) for one in (as_predicted, made)
        )
        mean = weight * np.log2(hertz) + (1 - weight) * np.log2(before)
        assert abs(12 * (np.log2(after) - mean)) == pytest.approx(0.25, abs=1e-3)
    else:
        assert np.abs(moved).max() < 1e-3


def test_a_prompt_decides_pitch_unless_it_is_left_as_predicted(
    run: Path, voice: Synthesizer, prompt: Path, tmp_path: Path
) -> None:
    known = voice.prompt_of(prompt)
    assert known.pitch is not None and known.pitch.weight == 1
    wave, rate = soundfile.read(prompt)
    soundfile.write(tmp_path / "short.wav", wave[rate // 2 : rate], rate)
    assert voice.prompt_of(tmp_path / "short.wav").pitch.weight < 0.8  # type: ignore[union-attr]
    waves = []
    for name, words in (("a", ()), ("b", ("--as-predicted",))):
        out = tmp_path / f"{name}.wav"
        done = call(run, TEXT, "--prompt", prompt, "-o", out, *words)
        assert done.exit_code == 0, done.output
        waves.append(read(out) / 32768)
    line = Line(phonemes=voice.ids(TEXT), prompt=known.codes)
    plain = voice.speak_as_one([[line]], choices())[0].wave
    np.testing.assert_allclose(waves[1], plain, atol=1e-4)
    assert len(waves[0]) == len(plain) and np.abs(waves[0] - plain).max() > 0.01


def test_speech_from_python_takes_the_sampler_of_the_command(voice: Synthesizer) -> None:
    line = Line(phonemes=voice.ids("Stop!"))
    usual = voice.speak([line], SpeakingOptions().choices())[0]
    np.testing.assert_array_equal(voice.speak([line])[0].wave, usual.wave)
    np.testing.assert_array_equal(voice.say("Stop!").wave, voice.speak_as_one([[line]])[0].wave)


def test_true_durations_and_pitch(
    voice: Synthesizer, run: Path, speech: Path, tmp_path: Path
) -> None:
    dataset, out = Dataset(speech), tmp_path / "out.wav"
    key = dataset.keys[2]
    done = call(
        run, "--durations-from", key, "--dataset", speech, "-o", out, "--plot", "--pitch", "+2"
    )
    assert done.exit_code == 0, done.output
    assert len(read(out)) == 320 * dataset.row(key)["frames"]
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    done = call(run, "--durations-from", "nobody", "--dataset", speech, "-o", out)
    assert done.exit_code == 1 and "nobody" in done.output
    done = call(run, "--durations-from", key, "-o", out)
    assert done.exit_code == 2 and "--dataset" in done.output


@pytest.mark.parametrize(
    "text", ["a", "3.14 and 1,000", "Hello 🎉 there!", "Wait... what?!", '(So) "it" goes — on;']
)
def test_odd_texts_are_spoken(voice: Synthesizer, text: str) -> None:
    speech = voice.say(text, choices=choices())
    assert 0 < speech.seconds < 30 and np.isfinite(speech.wave).all()


@pytest.mark.parametrize("text", ["", "   ", "...", "🎉", "Привет, как дела?"])
def test_texts_that_cannot_be_spoken_are_told(run: Path, tmp_path: Path, text: str) -> None:
    out = tmp_path / "out.wav"
    done = call(run, text, "-o", out)
    assert done.exit_code == 1 and done.output.startswith("Error: ")
    assert not out.exists()


def test_a_long_text_is_cut_into_pieces_that_were_learned(voice: Synthesizer) -> None:
    sentence = "He found three keys and an old broken watch. "
    text = sentence * 80 + "and so " * 220 + "x" * 8
    assert len(text) > 5_000
    parts = [piece.ids for piece in voice.pieces(text)]
    assert parts[0].tolist() in [voice.ids(sentence * n).tolist() for n in (1, 2, 3)]
    assert max(map(len, parts[:-1])) <= voice.facts.longest
    phones = [
        i for part in parts for i in voice.table.symbols(part) if i not in voice.table.optional
    ]
    assert phones.count("ˌoʊ") + phones.count("oʊ") + phones.count("ˈoʊ") >= 80 + 220
    spoken = joined(voice.speak([Line(phonemes=p) for p in parts[:3]], choices()))
    assert len(spoken.wave) == 320 * int(spoken.durations.sum())


def test_lines_of_a_file(run: Path, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("Stop!\n\nПривет\nGo slowly.\n", "utf-8")
    done = call(run, "--text-file", texts, "-o", tmp_path / "out")
    assert done.exit_code == 1 and "line 3" in done.output
    assert "1 line could not be spoken" in done.output
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["0001.wav", "0004.wav"]
    # what is in no UTF-8 is found before any is spoken; from standard input when it comes
    latin = "Stop!\r\n\r\nEt voilà.\r\n".encode("latin-1")
    texts.write_bytes(latin)
    done = call(run, "--text-file", texts, "-o", tmp_path / "none")
    assert done.exit_code == 1 and f"line 3 of {texts} is no text in UTF-8" in done.output
    assert not (tmp_path / "none").exists()
    words = ["synthesize", str(run), "--steps", "2", "--text-file", "-", "-o", str(tmp_path / "in")]
    done = CliRunner().invoke(main, words, input=latin)
    assert done.exit_code == 1 and "line 3 of standard input is no text" in done.output
    assert [p.name for p in (tmp_path / "in").iterdir()] == ["0001.wav"]


def test_phonemes_instead_of_text(voice: Synthesizer, run: Path, tmp_path: Path) -> None:
    tokens = voice.table.symbols(voice.ids("Stop!"))
    assert voice.ids_of_tokens(tokens[1:-1]).tolist() == voice.ids("Stop!").tolist()
    with pytest.raises(UserError, match="<pad> stands for no sound"):
        voice.ids_of_tokens(["<pad>", *tokens])
    for pause in (-1.0, math.nan, math.inf):
        with pytest.raises(UserError, match="a pause has to be from 0 to 10 seconds"):
            voice.say("Stop!", pause=pause)
    done = call(run, "s t ˈɑː p", "--phonemes", "-o", tmp_path / "out.wav")
    assert done.exit_code == 0, done.output
    done = call(run, "s XX p", "--phonemes", "-o", tmp_path / "out.wav")
    assert done.exit_code == 1 and "XX" in done.output


def test_prompts_of_any_rate_width_and_length(
    voice: Synthesizer, prompt: Path, tmp_path: Path
) -> None:
    wave, rate = soundfile.read(prompt)
    codes = voice.read_prompt(prompt)
    assert codes.shape == (4, 100)
    short, long, stereo = (tmp_path / f"{name}.wav" for name in ("short", "long", "stereo"))
    soundfile.write(short, wave[: rate // 5], rate)
    quiet = np.zeros(150 * rate)
    soundfile.write(long, np.concatenate([quiet, wave, quiet]), rate)
    soundfile.write(stereo, np.stack([wave, wave], 1), 44_100)
    assert voice.read_prompt(short).shape in [(4, frames) for frames in range(8, 16)]
    assert voice.read_prompt(stereo).shape[0] == 4
    # of a long one the part with speech in it
    found = voice.read_prompt(long)
    assert found.shape == (4, 100)
    heard = voice.codec.decode(torch.from_numpy(found)).detach().numpy()
    assert np.abs(heard).max() > 0.3 * np.abs(wave).max()
    for path in (short, long, stereo):
        made = voice.say("Stop!", prompt=path, choices=choices())
        assert np.isfinite(made.wave).all()


def test_prompts_that_cannot_be_used_are_told(run: Path, tmp_path: Path) -> None:
    silent, text = tmp_path / "silent.wav", tmp_path / "text.wav"
    soundfile.write(silent, np.zeros(24_000), 24_000)
    text.write_text("no audio")
    noise = tmp_path / "noise.wav"
    soundfile.write(noise, 0.1 * np.random.default_rng(0).standard_normal(48_000), 24_000)
    for path, told in ((silent, "silent"), (text, "text.wav"), (noise, "has no voice in it")):
        done = call(run, TEXT, "--prompt", path, "-o", tmp_path / "out.wav")
        assert done.exit_code == 1 and told in done.output
    assert not (tmp_path / "out.wav").exists()


def test_a_prompt_with_little_voice_is_spoken_and_told(
    run: Path, prompt: Path, tmp_path: Path
) -> None:
    wave, rate = soundfile.read(prompt)
    soundfile.write(tmp_path / "short.wav", wave[: rate // 2], rate)
    done = call(run, TEXT, "--prompt", tmp_path / "short.wav", "-o", tmp_path / "out.wav")
    assert done.exit_code == 0 and "s of voice, and a model hears little" in done.output
    done = call(run, TEXT, "--prompt", prompt, "-o", tmp_path / "out.wav")
    assert done.exit_code == 0 and "Warning" not in done.output


def test_several_recordings_of_a_voice_share_the_prompt(
    voice: Synthesizer, prompt: Path, tmp_path: Path
) -> None:
    samples, rate, _ = speak("A second sentence, said by the same.", "en-us+f1")
    soundfile.write(tmp_path / "other.wav", samples, rate)
    codes = voice.read_prompt(prompt, tmp_path / "other.wav")
    assert codes.shape == (4, 100)
    one, other = voice.read_prompt(prompt), voice.read_prompt(tmp_path / "other.wav")
    assert not np.array_equal(codes, one) and not np.array_equal(codes, other)
    made = voice.say("Stop!", prompt=[prompt, tmp_path / "other.wav"], choices=choices())
    assert np.isfinite(made.wave).all()


def test_a_voice_that_was_saved_speaks_as_its_recording(
    run: Path, voice: Synthesizer, prompt: Path, tmp_path: Path
) -> None:
    kept, first, second = (tmp_path / name for name in ("new/v.safetensors", "a.wav", "b.wav"))
    done = call(run, TEXT, "--prompt", prompt, "--save-voice", kept, "-o", first)
    assert done.exit_code == 0, done.output
    done = call(run, TEXT, "--prompt", kept, "-o", second)
    assert done.exit_code == 0, done.output
    assert first.read_bytes() == second.read_bytes()

    other = tmp_path / "other.safetensors"
    codes = np.zeros((4, 10), dtype=np.int32)
    digest = Synthesizer.open(run).facts.codec_digest
    for make, told in (
        (lambda: save_voice(other, codes, "0" * 64), "made by another codec"),
        (lambda: save_voice(other, codes - 1, digest), "is damaged"),
        (lambda: save_voice(other, codes[:2], digest), "is damaged"),
        (lambda: other.write_bytes(kept.read_bytes()[:50]), "can't be read"),
        (lambda: shutil.copy(run / "model.safetensors", other), "is no voice"),
    ):
        make()
        done = call(run, TEXT, "--prompt", other, "-o", tmp_path / "c.wav")
        assert done.exit_code == 1 and told in done.output
    done = call(run, TEXT, "--prompt", kept, "--prompt", prompt, "-o", tmp_path / "c.wav")
    assert done.exit_code == 1 and "is a prompt alone" in done.output
    assert not (tmp_path / "c.wav").exists()
    # it knows its pitch; one of an earlier version does not
    assert voice.prompt_of(kept).pitch == voice.prompt_of(prompt).pitch
    save_voice(other, codes, digest, VoicePitch(float("nan"), 1.0))
    done = call(run, TEXT, "--prompt", other, "-o", tmp_path / "c.wav")
    assert done.exit_code == 1 and "its pitch is none" in done.output
    save_voice(other, codes, digest)
    assert voice.prompt_of(other).pitch is None
    # an earlier version kept how far it may be away, here as of half a second
    old = {"codes": codes, "pitch": np.array([140.0, 0.25 / 0.5**1.5])}
    save_file(old, other, {"form": "ns2 voice 1", "codec": digest})
    assert voice.prompt_of(other).pitch == pytest.approx(VoicePitch.of(np.array([140.0]), 0.5))
    loud = other.rename(other.with_suffix(".SAFETENSORS"))
    assert voice.prompt_of(loud).pitch == pytest.approx(VoicePitch.of(np.array([140.0]), 0.5))
    # one of a run that learned longer prompts is no longer than this one learned
    longest = voice.model.config.prompt.longest
    save_voice(other, np.tile(codes, longest), digest)
    assert voice.read_prompt(other).shape == (4, longest)


def test_wrong_use_is_told(run: Path, speech: Path, tmp_path: Path) -> None:
    folder, voice = tmp_path / "folder.wav", tmp_path / "folder.safetensors"
    folder.mkdir()
    voice.mkdir()
    for words, told in (
        ((run,), "one of TEXT"),
        ((run, TEXT, "-o", tmp_path / "out.mp3"), "wav"),
        ((run, TEXT, "--speed", "0"), "--speed has to be from 0.25 to 4"),
        ((run, TEXT, "--speed", "0.001"), "--speed has to be from 0.25 to 4"),
        ((run, TEXT, "--speed", "nan"), "--speed has to be from 0.25 to 4"),
        ((run, TEXT, "--temperature", "0"), "temperature must be finite and above 0"),
        ((run, TEXT, "--prompt", __file__, "--save-voice", voice), "is a folder"),
        ((run, TEXT, "--pitch", "nan"), "semitones has to be finite, got nan"),
        ((run, TEXT, "-o", folder), "is a folder"),
    ):
        done = call(*words)
        assert done.exit_code == 2 and told in done.output
    done = call(speech, TEXT, "-o", tmp_path / "out.wav")
    assert done.exit_code == 1 and "no run of" in done.output


def test_a_run_with_another_codec_is_refused(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    facts = tmp_path / "run" / "speech" / "speech.json"
    text = facts.read_text("utf-8")
    digest = Synthesizer.open(run).facts.codec_digest
    facts.write_text(text.replace(digest, "0" * 64), "utf-8")
    with pytest.raises(UserError, match="--codec"):
        Synthesizer.open(tmp_path / "run")


def test_phones_within_a_text(run: Path, voice: Synthesizer, tmp_path: Path) -> None:
    said = voice.table.symbols(voice.ids("The old [[b ɹ ˈɪ dʒ]] creaks."))
    plain = voice.table.symbols(voice.ids("The old bridge creaks."))
    assert said == plain
    named = voice.table.symbols(voice.ids("The old [[k ˈæ t]] creaks."))
    assert " ".join(named) == " ".join(plain).replace("b ɹ ˈɪ dʒ", "k ˈæ t")
    # However a long text is cut, phones stay whole.
    text = ", ".join(["The old [[b ɹ ˈɪ dʒ]] creaks"] * 40) + "."
    parts = [voice.table.symbols(piece.ids) for piece in voice.pieces(text)]
    assert len(parts) > 1
    assert sum(" ".join(part).count("b ɹ ˈɪ dʒ") for part in parts) == 40
    done = call(run, "A [[qqq]].", "-o", tmp_path / "x.wav")
    assert done.exit_code == 1 and "[[qqq]]" in done.output and "phoneme table" in done.output


def test_a_run_speaks_by_the_lexicon_of_its_dataset(
    speech: Path, tmp_path: Path, voice: Synthesizer
) -> None:
    from ns2.pipeline.text.lexicon import Lexicon
    from ns2.train.speak.facts import keep_speech, read_lexicon, read_speech

    data = Dataset(speech)
    keep_speech(tmp_path, [data])
    facts, table = read_speech(tmp_path)
    assert read_lexicon(tmp_path, table) is None and facts.g2p == ()
    entries = {"bridge": ("k", "ˈæ", "t")}
    file = tmp_path / "speech" / "lexicon.json"
    file.write_text(json.dumps(Lexicon(entries).to_json()), "utf-8")
    lexicon = read_lexicon(tmp_path, table)
    assert lexicon == Lexicon(entries)
    other = Synthesizer(voice.model, voice.codec, table, facts, lexicon=lexicon)
    assert "k ˈæ t" in " ".join(table.symbols(other.ids("The old Bridge creaks.")))
    file.write_text('{"entries": {"bridge": "qqq"}}', "utf-8")
    with pytest.raises(UserError, match=r"lexicon\.json is damaged"):
        read_lexicon(tmp_path, table)


def test_a_run_of_before_speaks_by_its_own_table(voice: Synthesizer) -> None:
    first = PhonemeTable(marks=voice.table.marks, phones=voice.table.phones[:1615])
    old = Synthesizer(voice.model, voice.codec, first, voice.facts)
    symbols = first.symbols(old.ids("妈骂", "cmn"))
    assert symbols == ["<sil>", "m", "ˈɑ5", "|", "m", "ˈɑ5", "<sil>"]
    assert voice.table.symbols(voice.ids("妈骂", "cmn"))[2] == "ˈɑ55"


def test_a_textgrid_has_the_words_of_what_is_spoken(
    run: Path, speech: Path, tmp_path: Path
) -> None:
    from praatio.textgrid import openTextgrid

    dataset, out = Dataset(speech, ["meta"]), tmp_path / "a.wav"
    key = dataset.keys[2]
    done = call(run, "--durations-from", key, "--dataset", speech, "-o", out, "--textgrid")
    assert done.exit_code == 0, done.output
    tiers = openTextgrid(str(out.with_suffix(".TextGrid")), includeEmptyIntervals=False)
    words = [entry.label for entry in tiers.getTier("words").entries]
    assert words == [word for word, _, _ in dataset[key]["meta"]["words"]]
    assert tiers.maxTimestamp == pytest.approx(len(read(out)) / 24_000)


@pytest.mark.parametrize("wrong", ["-1", "11", "nan"])
def test_a_pause_has_a_length(run: Path, tmp_path: Path, wrong: str) -> None:
    done = call(run, "Stop!", "-o", tmp_path / "a.wav", "--pause", wrong)
    assert done.exit_code == 2 and "--pause has to be from 0 to 10" in done.output


def test_without_a_prompt_pieces_have_the_voice_of_the_first(voice: Synthesizer) -> None:
    first, *others = voice.in_one_voice([voice.lines("Stop!\n\nGo on.\n\nHow?")], choices())[0]
    assert first.prompt is None and len(others) == 2
    spoken = voice.speak([first], choices())[0]
    codes = voice.encode_prompt(spoken.wave, spoken.sample_rate)
    for line in others:
        assert line.prompt is not None and np.array_equal(line.prompt, codes)
        assert line.seed == first.seed
