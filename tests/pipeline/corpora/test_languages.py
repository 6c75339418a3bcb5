"""Languages as corpora name them become espeak-ng's voices, in all readers that have any."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ns2.pipeline.corpora.kinds import _LANGUAGES
from ns2.pipeline.corpora.languages import NAMES, VOICES, voice_of
from ns2.pipeline.corpora.reading import read_corpus
from ns2.pipeline.text.engine import languages
from tests.support.corpora_factories import put, touch
from tests.support.held_factories import write_table, write_tar


def test_the_voices_are_those_of_the_engine() -> None:
    assert set(languages()) == VOICES
    assert set(NAMES.values()) <= VOICES
    assert {voice: voice_of(voice) for voice in VOICES} == {voice: voice for voice in VOICES}
    assert {name for name in NAMES if name in VOICES} == set()


def test_names_of_languages_in_tables_have_voices() -> None:
    assert {name for name in _LANGUAGES if voice_of(name) not in VOICES} == set()


@pytest.mark.parametrize(
    ("voice", "names"),
    [
        ("en-us", "en EN eng en-US en_US English en_CA"),
        ("en-gb", "en-GB EN_gb en-AU"),
        ("fr-fr", "fr fra fre fr-FR fr_CA French"),
        ("fr-ch", "fr-CH"),
        ("de", "deu ger de-DE de_AT German"),
        ("es", "spa es-ES"),
        ("es-419", "es-MX es_419"),
        ("pt", "pt-PT por"),
        ("pt-br", "pt_br pt-BR Portuguese"),
        ("cmn", "zh zho zh-CN zh_TW zh-Hans zh-Hans-CN Mandarin Chinese"),
        ("yue", "zh-HK Cantonese"),
        ("ja", "jpn jp ja-JP"),
        ("nb", "no nor nb-NO Norwegian"),
        ("da", "Danish dan da_DK"),
    ],
)
def test_codes_locales_and_names(voice: str, names: str) -> None:
    assert {name: voice_of(name) for name in names.split()} == dict.fromkeys(names.split(), voice)


@pytest.mark.parametrize("name", ["gl", "gl-ES", "xx", "Elvish", "nn-NO", "en-us+f1", "", "-"])
def test_what_has_no_voice_stays(name: str) -> None:
    assert voice_of(name) == name


def _tar(root: Path) -> None:
    told = {"text": "One.", "language": "en"}
    write_tar(root / "x.tar", [{"__key__": "a", "wav": b"audio", "json": told}])


def _nemo(root: Path) -> None:
    row = {"audio_filepath": "a.wav", "text": "One.", "lang": "en"}
    put(root, {"manifest.json": json.dumps(row)})


def _kaldi(root: Path) -> None:
    put(root, {"wav.scp": "a a.wav\n", "text": "a One.\n", "utt2lang": "a en\n"})


def _lhotse(root: Path) -> None:
    recording = {"id": "r", "sampling_rate": 8000, "num_samples": 8000, "duration": 1,
                 "sources": [{"type": "file", "channels": [0], "source": "a.wav"}]}  # fmt: skip
    said = {"id": "a", "recording_id": "r", "start": 0, "duration": 1, "text": "One.",
            "language": "en"}  # fmt: skip
    cut = {"id": "c", "start": 0, "duration": 1, "channel": 0, "type": "MonoCut",
           "supervisions": [said], "recording": recording}  # fmt: skip
    put(root, {"cuts.jsonl": json.dumps(cut)})


def _parquet(root: Path) -> None:
    row = {"audio": {"bytes": b"audio", "path": "a.wav"}, "text": "One.", "language": "en"}
    write_table(root / "x.parquet", [row])


def _ljspeech(root: Path) -> None:
    touch(root, "wavs/a.wav")
    put(root, {"metadata.csv": "id|text|language\na|One.|en\n"})


@pytest.mark.parametrize("write", [_tar, _nemo, _kaldi, _lhotse, _parquet, _ljspeech])
def test_all_readers_take_codes(write: Callable[[Path], None], tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    write(tmp_path)
    assert [u.language for u in read_corpus(tmp_path).utterances] == ["en-us"]
