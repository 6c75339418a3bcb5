"""Each layout and each audio format, through `ns2 preprocess` to arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from ns2.pipeline.corpora.spoken.espeak import SENTENCES, speak
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.tools.verify.check import verify
from tests.support.corpora_factories import (
    Clip,
    write_audio,
    write_commonvoice,
    write_librispeech,
    write_libritts,
    write_ljspeech,
    write_manifest,
    write_mls,
    write_pairs,
    write_vctk,
)
from tests.support.preprocessing import run_inline

COLUMNS = ("mel", "phonemes", "meta")


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    made = []
    for i, text in enumerate(SENTENCES[:3]):
        samples, rate, _ = speak(text)
        made.append(
            Clip(
                id=f"u-{i}",
                text=text,
                wave=samples.astype(np.float32) / 32768,
                rate=rate,
                speaker=f"s{i % 2}",
            )
        )
    return made


@pytest.fixture(scope="module")
def reference(clips: list[Clip], tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("reference")
    run_inline(write_ljspeech(folder / "corpus", clips), folder / "out", None, columns=COLUMNS)
    return Dataset(folder / "out")


LAYOUTS: dict[str, Callable[[Path, list[Clip]], Path]] = {
    "libritts": write_libritts,
    "pairs": write_pairs,
    "pairs with .lab": lambda root, clips: write_pairs(root, clips, transcript=".lab"),
    "manifest": write_manifest,
    "manifest as csv": lambda root, clips: write_manifest(root, clips, name="manifest.csv"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_arrays(
    layout: str, clips: list[Clip], reference: Dataset, tmp_path: Path
) -> None:
    corpus = LAYOUTS[layout](tmp_path / "corpus", clips)
    run_inline(corpus, tmp_path / "out", None, columns=COLUMNS)
    assert verify(tmp_path / "out").faults == []
    found = Dataset(tmp_path / "out")
    assert found.card["corpus"]["layout"] == layout.split()[0]
    texts = {u["meta"]["text"]: u for u in found}
    assert len(texts) == 3
    for expected in reference:
        utterance = texts[expected["meta"]["text"]]
        np.testing.assert_array_equal(utterance["mel"], expected["mel"])
        np.testing.assert_array_equal(utterance["phonemes"], expected["phonemes"])
    assert {row["speaker"] for row in found.index.to_pylist()} == {"s0", "s1"}


def test_a_manifest_names_languages_and_splits(clips: list[Clip], tmp_path: Path) -> None:
    import dataclasses

    texts = {"de": "Guten Morgen.", "fr-fr": "Bonjour à tous.", "": "Good morning."}
    chosen = [
        dataclasses.replace(clip, text=text, language=language, split=split)
        for clip, (language, text), split in zip(
            clips, texts.items(), ("train", "test", "val"), strict=True
        )
    ]
    corpus = write_manifest(tmp_path / "corpus", chosen)
    run_inline(corpus, tmp_path / "out", None, columns=COLUMNS)
    found = Dataset(tmp_path / "out")
    rows = {row["key"]: row for row in found.index.to_pylist()}
    assert [rows[f"u-{i}"]["language"] for i in range(3)] == ["de", "fr-fr", "en-us"]
    assert [rows[f"u-{i}"]["split"] for i in range(3)] == ["train", "test", "val"]
    phonemes = {u["key"]: "".join(u["meta"]["phonemes"]) for u in found}
    assert "ʒ" in phonemes["u-1"] and "ŋ" in phonemes["u-2"]
    assert "ç" not in phonemes["u-0"] and "ɡ" in phonemes["u-0"]


FORMATS = {
    "wav PCM_U8": 0.5,
    "wav PCM_16": 0.02,
    "wav PCM_24": 0.01,
    "wav PCM_32": 0.01,
    "wav FLOAT": 0.01,
    "wav DOUBLE": 0.01,
    "flac PCM_16": 0.02,
    "mp3": 0.5,
    "ogg": 0.5,
    "opus": 0.5,
}
"""Mean difference of the log-mel in frames of speech that a format's loss may make."""


def test_every_format_gives_the_same_frames(clips: list[Clip], tmp_path: Path) -> None:
    import soxr

    wave = soxr.resample(clips[0].wave, clips[0].rate, 24_000)
    stereo = np.stack([wave, wave], axis=1)
    text, root = clips[0].text, tmp_path / "corpus"
    for name in FORMATS:
        suffix, _, subtype = name.partition(" ")
        path = root / "s" / f"{name.replace(' ', '-')}.{suffix}"
        write_audio(path, stereo if subtype == "PCM_24" else wave, 24_000, subtype or None)
        path.with_suffix(".txt").write_text(text, encoding="utf-8")
    run_inline(root, tmp_path / "out", None, columns=("mel",))
    found = {u["key"]: u["mel"].astype(np.float64) for u in Dataset(tmp_path / "out")}
    by_name = {
        name: next(mel for key, mel in found.items() if name.replace(" ", "-") in key)
        for name in FORMATS
    }
    exact = by_name["wav DOUBLE"]
    assert exact.shape[1] == -(-len(wave) // 320)
    # below -40 dB of the loudest bins a lossy codec keeps nothing
    heard = exact > exact.max() - np.log(100)
    for name, bound in FORMATS.items():
        assert by_name[name].shape == exact.shape, name
        assert np.abs(by_name[name] - exact)[heard].mean() < bound, name


GERMAN = ("Die alte Brücke knarrt.", "Bitte bring ein frisches Brot.", "Sie misst den Garten.")


def run(corpus: Path, out: Path) -> Dataset:
    run_inline(corpus, out, None, columns=COLUMNS)
    assert verify(out).faults == []
    return Dataset(out)


def with_texts(
    clips: list[Clip], texts: Iterable[str], splits: Iterable[str], language: str = ""
) -> list[Clip]:
    return [
        dataclasses.replace(clip, text=text, split=split, language=language)
        for clip, text, split in zip(clips, texts, splits, strict=True)
    ]


@pytest.mark.parametrize("layout", ["librispeech", "vctk", "mls", "commonvoice"])
def test_every_layout_gives_the_arrays_of_a_manifest(
    layout: str, clips: list[Clip], tmp_path: Path
) -> None:
    texts = {
        "librispeech": [clip.text.lower() for clip in clips],
        "vctk": [clip.text for clip in clips],
    }.get(layout, GERMAN)
    language = "de" if texts is GERMAN else ""
    folders = {
        "librispeech": ("train-clean-100", "dev-clean", "test-other"),
        "vctk": ("", "", ""),
        "mls": ("train", "dev", "test"),
        "commonvoice": ("train", "dev", ""),
    }[layout]
    placed = with_texts(clips, texts, folders, language)
    if layout == "mls":
        corpus = write_mls(tmp_path / "mls_german", placed)
    elif layout == "commonvoice":
        corpus = write_commonvoice(tmp_path / "de", placed)
    else:
        corpus = {"librispeech": write_librispeech, "vctk": write_vctk}[layout](
            tmp_path / "corpus", placed
        )
    found = run(corpus, tmp_path / "out")
    assert found.card["corpus"]["layout"] == layout

    plain = with_texts(clips, texts, ("", "", ""), language)
    expected = {
        u["meta"]["text"]: u
        for u in run(write_manifest(tmp_path / "manifest", plain), tmp_path / "expected")
    }
    assert len(found) == len(expected) == 3
    for utterance in found:
        same = expected[utterance["meta"]["text"]]
        np.testing.assert_array_equal(utterance["phonemes"], same["phonemes"])
        assert utterance["meta"]["speaker"] == same["meta"]["speaker"]
        assert utterance["meta"]["language"] == same["meta"]["language"] == (language or "en-us")
        assert utterance["mel"].shape == same["mel"].shape
        if layout != "commonvoice":  # mp3 loses something
            np.testing.assert_array_equal(utterance["mel"], same["mel"])
    splits = {row["text"]: row["split"] for row in found.index.to_pylist()}
    ours = {"vctk": ("train",) * 3, "commonvoice": ("train", "val", "train")}
    assert [splits[text] for text in texts] == list(ours.get(layout, ("train", "val", "test")))
