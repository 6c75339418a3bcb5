"""The bundled classifier on voices that it has never heard, and what it makes of nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from ns2.cli import main
from ns2.model.codec.loading import load_codec
from ns2.pipeline.corpora.spoken.espeak import SENTENCES, VOICES, speak, speak_corpus
from ns2.pipeline.sound.decode import resample
from ns2.pipeline.text.pronunciation import pronounce
from ns2.train.bundled import make_phone_classifier
from ns2.train.bundled.labelled_speech import VARIANTS
from ns2.train.evaluation import judges
from ns2.train.evaluation.judges.phones import bare_phones, load_phone_classifier, phone_errors

RATE = 24_000
Speech = list[tuple[list[str], np.ndarray]]


@pytest.fixture(scope="module")
def speech() -> Speech:
    """Tokens and waves at 24 kHz, a sentence of each voice that is kept for measuring."""
    found = []
    for voice, text in zip(VOICES, SENTENCES, strict=False):
        samples, rate, _ = speak(text, voice)
        wave = resample(samples.astype(np.float32) / 32768, rate, RATE)
        found.append((list(pronounce(text, "en-us").tokens), wave))
    return found


def rate_of(waves: list[np.ndarray], speech: Speech) -> float:
    heard = load_phone_classifier().phones_of(waves, RATE)
    wrong = [phone_errors(h, tokens) for h, (tokens, _) in zip(heard, speech, strict=True)]
    return sum(wrong) / sum(len(bare_phones(tokens)) for tokens, _ in speech)


def test_it_tells_speech_from_worse_speech(speech: Speech) -> None:
    codec = load_codec("mini-1")
    waves = [wave for _, wave in speech]
    codes = [codec.encode(torch.from_numpy(wave)) for wave in waves]
    recordings = rate_of(waves, speech)
    copies = rate_of([codec.decode(c).numpy() for c in codes], speech)
    coarse = rate_of([codec.decode(c[:1]).numpy() for c in codes], speech)
    backwards = rate_of([wave[::-1].copy() for wave in waves], speech)
    assert max(recordings, copies) < 0.08 and abs(recordings - copies) < 0.02
    assert 2 * copies < coarse < 0.3 and backwards > 0.85


def test_no_voice_that_is_measured_took_part() -> None:
    assert not {voice.partition("+")[2] for voice in VOICES} & set(VARIANTS)
    voices = {f"{accent}+{variant}" for accent in make_phone_classifier.ACCENTS
              for variant in VARIANTS}  # fmt: skip
    assert not voices & set(VOICES)


def test_rate_level_and_company_make_no_difference(speech: Speech) -> None:
    classifier = load_phone_classifier()
    waves = [wave for _, wave in speech]
    alone = [classifier.phones(wave, RATE) for wave in waves]
    assert classifier.phones_of(waves, RATE) == alone
    assert classifier.phones(0.05 * waves[0], RATE) == alone[0]
    doubled = classifier.phones(resample(waves[0], RATE, 48_000), 48_000)
    assert phone_errors(doubled, alone[0]) <= 1


def test_nothing_is_heard_in_nothing() -> None:
    classifier = load_phone_classifier()
    assert classifier.phones(np.zeros(0, np.float32), RATE) == []
    assert classifier.phones(np.zeros(RATE, np.float32), 16_000) == []
    assert isinstance(classifier.phones(np.ones(1, np.float32), RATE), list)


def test_it_knows_the_phones_of_english() -> None:
    known = load_phone_classifier().known
    for language in ("en-us", "en-gb"):
        phones = [p for text in SENTENCES for p in bare_phones(pronounce(text, language).tokens)]
        assert sum(phone not in known for phone in phones) < 0.005 * len(phones)


def test_phones_are_compared_without_stress_and_marks() -> None:
    tokens = ["<sil>", "ˈa", "b", "|", "ˌoʊ", ",", "t", "?", "<sil>"]
    assert bare_phones(tokens) == ["a", "b", "oʊ", "t"]
    assert phone_errors(["a", "b", "oʊ", "t"], tokens) == 0
    assert phone_errors(["a", "oʊ", "d", "t"], tokens) == 2
    assert phone_errors([], tokens) == 4


def test_recordings_are_learned_with_the_phones_and_borders_of_their_dataset(
    tmp_path: Path,
) -> None:
    """What espeak-ng says where each of its phones begins is near what the aligner found."""
    corpus, out = tmp_path / "spoken", tmp_path / "dataset"
    speak_corpus(corpus, 4, 3, ["en-us+m3"], SENTENCES[:4])
    words = ["preprocess", str(corpus), "-o", str(out), "--executor", "inline", "--columns"]
    done = CliRunner().invoke(main, [*words, "phonemes,durations,meta"])
    assert done.exit_code == 0, done.output
    found = list(make_phone_classifier.recorded(out, corpus))
    assert len(found) == 4
    for one in found:
        assert [ipa for ipa in one.sounds if ipa] == list(one.phones)
        assert (np.diff(one.starts) > 0).all() and one.starts[0] == 0
        assert one.starts[-1] < len(one.wave) / RATE
        loud = [
            np.abs(one.wave[int(start * RATE) : int(end * RATE)]).mean()
            for start, end, ipa in zip(one.starts, one.starts[1:], one.sounds, strict=False)
            if ipa in ("i", "ɑː", "oʊ", "eɪ", "æ", "ɛ", "ɪ")
        ]
        assert len(loud) > 2 and np.median(loud) > np.abs(one.wave).mean()


def test_it_names_what_it_learned_from() -> None:
    content = Path(judges.__file__).with_name("phone_classifier.safetensors").read_bytes()
    assert b"LibriSpeech" in content[: int.from_bytes(content[:8], "little")]


def test_a_file_that_is_no_classifier(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\x02" + bytes(7) + b"{}")
    with pytest.raises(ValueError, match="no phone classifier"):
        load_phone_classifier(tmp_path / "x")


def test_the_maker_makes_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import load_file

    from ns2.model.phone_net import network_from_tensors

    monkeypatch.setattr(make_phone_classifier, "RAREST", 1)
    made = [tmp_path / name for name in ("a", "b")]
    for out in made:
        make_phone_classifier.main([str(out), "--utterances", "4", "--passes", "2", "--seed", "1"])
    assert made[0].read_bytes() == made[1].read_bytes()
    network = network_from_tensors(load_file(made[0]))
    assert network.hear([torch.zeros(80, 10)])[0].shape[0] == 5
    first, again = (next(make_phone_classifier.spoken(1, seed=4)) for _ in range(2))
    assert np.array_equal(first.wave, again.wave)
    # every phone is among the labels of its frames, and they come in order
    number = {phone: i for i, phone in enumerate(dict.fromkeys(first.phones), 1)}
    labels = make_phone_classifier.labels(first, len(first.wave) // 320 + 1, number)
    seen = [n for n in torch.unique_consecutive(labels).tolist() if n]
    assert phone_errors([str(n) for n in seen], [str(number[p]) for p in first.phones]) <= 3
