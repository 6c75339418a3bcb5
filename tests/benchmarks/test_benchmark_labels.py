"""Borders of people: folders of TextGrids as people have them, and what is measured on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.making.borders import corpora, measured
from benchmarks.making.known_borders import PAUSE, Spoken, sentences
from benchmarks.making.labels import are_arpabet, labelled
from tests.support.textgrid_factories import Spans, praat_save, praat_textgrid, spans

RATE = 16_000
PHONES = spans(
    (0.3, ""), (0.1, "h"), (0.2, "aɪ"), (0.25, "sil"), (0.1, "j"), (0.15, "uː"), (0.4, "")
)
WORDS = spans((0.3, ""), (0.3, "hi"), (0.25, ""), (0.25, "you"), (0.4, ""))


def put(folder: Path, name: str, tiers: Mapping[str, Spans], form: str = "long") -> Path:
    """A recording of noise and a TextGrid, named as in "a.TextGrid, a.wav"."""
    grid, audio = (folder / part for part in name.split(", "))
    end = max(spans[-1][1] for spans in tiers.values())
    grid.parent.mkdir(parents=True, exist_ok=True)
    wave = np.random.default_rng(0).normal(size=round(end * RATE)) * 0.01
    kind = "FLAC" if audio.suffix.lower() == ".flac" else "WAV"
    soundfile.write(audio, wave, RATE, format=kind)
    return praat_save(praat_textgrid(end, tiers, ["notes"]), grid, form)


def read(folder: Path, tier: str | None = None, longest: float = 90.0) -> list[Spoken]:
    return [*labelled(folder, tier, None, longest)]


@pytest.mark.parametrize(
    ("name", "phones", "words", "form"),
    [
        ("a.TextGrid, a.wav", "phones", "words", "long"),
        ("mary/a 1.TextGrid, mary/a 1.flac", "Mary - phones", "Mary - words", "short"),
        ("x/y/ä.textgrid, x/y/ä.WAV", "MAU", "ORT-MAU", "long-utf16"),
        ("a.b.TextGrid, a.b.wav", "Phone", "Word", "short-utf16"),
    ],
)
def test_folders_as_people_have_them_are_read(
    name: str, phones: str, words: str, form: str, tmp_path: Path
) -> None:
    put(tmp_path, name, {words: WORDS, phones: PHONES}, form)
    (found,) = read(tmp_path)
    assert found.rate == RATE and len(found.wave) == round(PHONES[-1][1] * RATE)
    starts, symbols = zip(*found.sounds, strict=True)
    assert symbols == ("h", "aɪ", PAUSE, "j", "uː", PAUSE)
    assert starts == pytest.approx([0.3, 0.4, 0.6, 0.85, 0.95, 1.1])
    assert found.ends == pytest.approx([0.4, 0.6, 0.95, 1.1])
    assert found.words == [(0, 2), (2, 4)]
    assert found.tokens == ["h", "aɪ", "|", "j", "uː"]


def test_without_words_pauses_alone_part_phones(tmp_path: Path) -> None:
    put(tmp_path, "a.TextGrid, a.wav", {"phones": PHONES})
    (found,) = read(tmp_path)
    assert not found.words and found.tokens is None


def test_a_named_tier_is_read_and_what_cannot_be_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path, "a.TextGrid, a.wav", {"phones": PHONES, "mine": spans((0.5, ""), (0.5, "m"))})
    put(tmp_path, "b.TextGrid, b.wav", {"mine": PHONES})
    put(tmp_path, "c.TextGrid, c.wav", {"phones": spans((1.0, ""))})
    (tmp_path / "d.TextGrid").write_text("no TextGrid")
    (tmp_path / "d.wav").write_bytes((tmp_path / "a.wav").read_bytes())
    put(tmp_path, "e.TextGrid, e.wav", {"phones": PHONES})
    (tmp_path / "e.wav").unlink()
    assert [len(one.sounds) for one in read(tmp_path, "mine")] == [2, 6]
    capsys.readouterr()
    assert len(read(tmp_path)) == 1
    said = capsys.readouterr().out
    for name, why in {
        "b": "its tiers are 'mine', 'notes': name one with --tier",
        "c": "nothing is spoken",
        "d": "is not",
        "e": "no recording beside it",
    }.items():
        assert any(f"{name}.TextGrid" in line and why in line for line in said.splitlines()), name


def test_arpabet_is_turned_into_ipa(tmp_path: Path) -> None:
    labels = ("HH", "AH0", "L", "OW1", "W", "ER1", "L", "D", *["N", "IY1"] * 8, "spn")
    put(tmp_path, "a.TextGrid, a.wav", {"phones": spans(*((0.1, label) for label in labels))})
    (found,) = read(tmp_path)
    assert [s for _, s in found.sounds] == [
        *("h", "ʌ", "l", "oʊ", "w", "ɜː", "l", "d"),
        *["n", "iː"] * 8,
        *("spn", PAUSE),
    ]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["aa", "b", "hh", "iy"], True),
        (["p", "a", "t", "o"], False),  # letters of many languages
        (["s", "ae", "tʃ", "iy"], False),
        ([], False),
    ],
)
def test_letters_alone_are_no_arpabet(labels: Sequence[str], expected: bool) -> None:
    assert are_arpabet(labels) == expected


def test_long_recordings_are_cut_in_pauses(tmp_path: Path) -> None:
    many = [part for _ in range(60) for part in ((0.5, "a"), (0.5, "m"), (0.5, ""))]
    put(tmp_path, "a.TextGrid, a.wav", {"phones": spans(*many)})
    found = read(tmp_path, longest=60.0)
    lengths = [len(one.wave) / RATE for one in found]
    assert len(found) == 5 and sum(lengths) == pytest.approx(90.0) and max(lengths) < 25
    assert len({one.key for one in found}) == 5
    assert sum(len(one.ends) for one in found) == 120
    for one in found:
        spoken = [start for start, symbol in one.sounds if symbol]
        assert spoken[0] >= 0 and one.ends[-1] <= len(one.wave) / RATE
        np.testing.assert_allclose(np.array(one.ends) - spoken, 0.5, atol=1e-6)


def test_figures_are_those_of_the_labels(tmp_path: Path) -> None:
    """Labels that all come 40 ms late differ by that from what is found for the true ones."""
    for late in (0.0, 0.04):
        for one in sentences(3, 1):
            times = [*(start + late * (start > 0) for start, _ in one.sounds)]
            end = len(one.wave) / one.rate + late
            tier = [
                (begin, behind, label)
                for begin, behind, (_, label) in zip(
                    times, [*times[1:], end], one.sounds, strict=True
                )
                if label and behind > begin
            ]
            name = tmp_path / f"{late}" / one.key
            name.parent.mkdir(exist_ok=True)
            soundfile.write(f"{name}.wav", np.pad(one.wave, (0, round(late * one.rate))), one.rate)
            tiers = {"phones": tier, "words": tier}
            praat_save(praat_textgrid(end, tiers), Path(f"{name}.TextGrid"))
    figures = {}
    for late in ("0.0", "0.04"):
        made = corpora(0, None, tmp_path / late, (None, None))
        table = measured({"textgrids": made["textgrids"]}, ["bundled"])
        figures[late] = table["textgrids"]["bundled"]
    for what in ("median", "words median"):
        assert figures["0.0"][what] < 10
        assert figures["0.04"][what] == pytest.approx(40, abs=8)
    assert figures["0.0"]["utterances"] == 3 and figures["0.0"]["left out"] == 0
