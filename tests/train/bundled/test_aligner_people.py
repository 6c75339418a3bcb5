"""What the aligner's network learns beside sentences of an engine: words alone, and people."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ns2.model.aligner.evidence import REACH
from ns2.pipeline.align.aligner_file import default_config
from ns2.pipeline.align.bundled_network import network_file, network_of
from ns2.pipeline.corpora.spoken.espeak import SENTENCES, speak_corpus
from ns2.train.bundled import make_aligner_people
from ns2.train.bundled.aligner_people.learning import (
    CROP,
    Example,
    _crop,
    load_examples,
    save_examples,
)
from ns2.train.bundled.aligner_people.people import aligned, recordings_of
from ns2.train.bundled.aligner_people.surroundings import faded, single_words, surrounded, worn
from ns2.train.bundled.labelled_speech import PAUSE, SAMPLE_RATE, Labelled
from ns2.train.bundled.make_aligner_network import POINTS, UNKNOWN
from tests.support.festival import needs_festival


def test_words_alone_fill_their_waves() -> None:
    for word in single_words(12, seed=1):
        assert PAUSE not in word.phones and len(word.starts) == len(word.phones)
        assert word.starts[0] == 0 and word.starts[-1] <= (len(word.wave) + 1) / SAMPLE_RATE
        loud = np.abs(word.wave) > 0.01 * np.abs(word.wave).max()
        assert np.flatnonzero(loud)[-1] > 0.5 * len(word.wave)


def test_what_sounds_beside_speech_lies_in_its_pauses() -> None:
    random = np.random.default_rng(0)
    added = hissing = 0
    for word in single_words(30, seed=2):
        found = surrounded(word, random)
        assert found.phones == (PAUSE, *word.phones, PAUSE)
        begin, end = (round(found.starts[i] * SAMPLE_RATE) for i in (1, -1))
        assert np.allclose(np.diff(found.starts[1:-1]), np.diff(word.starts))
        assert np.array_equal(found.wave[begin:end], word.wave)
        clear = round(0.015 * SAMPLE_RATE)
        for pause in (found.wave[:begin][::-1], found.wave[end:]):
            added += pause.any()
            if pause[:clear].any():  # noise from its begin to its end
                hissing += 1
                assert pause[-clear:].any() and np.count_nonzero(pause) > 0.9 * len(pause)
        assert worn(found.wave, random).shape == found.wave.shape
    assert 20 < added < 55 and 2 < hissing < 25


def test_speech_fades_into_long_pauses_only() -> None:
    """A short one, inside of a phrase, is one that the network has to find."""
    phones, starts = ("a", PAUSE, "b", PAUSE), np.array([0.0, 0.3, 0.36, 0.8])
    wave = np.ones(SAMPLE_RATE, np.float32)
    speech = Labelled(language="en", wave=wave, starts=starts, phones=phones)
    random = np.random.default_rng(0)
    found = np.stack([faded(speech, random).wave for _ in range(100)])
    short, long = (round(second * SAMPLE_RATE) for second in (0.33, 0.8))
    assert (found[:, short - 7200 // 4 : short + 7200 // 4] == 1).all()
    assert 0.4 < (found[:, long - 1] < 0.5).mean() < 0.8


def test_speech_fades_before_its_end_only() -> None:
    """Seen in a wave of ones: a word of two phones, a pause, and a word up to the end."""
    wave = np.ones(SAMPLE_RATE, np.float32)
    phones, starts = ("a", "b", PAUSE, "c"), np.array([0.1, 0.25, 0.5, 0.7])
    speech = Labelled(language="en", wave=wave, starts=starts, phones=phones)
    random = np.random.default_rng(0)
    found = np.stack([faded(speech, random).wave for _ in range(200)])
    begin, end, again = (round(start * SAMPLE_RATE) for start in (0.1, 0.5, 0.7))
    assert (found[:, :begin] == 1).all() and (found[:, end:again] == 1).all()
    for last in (end, SAMPLE_RATE):
        few = found[:, last - 1] < 0.5
        assert 0.5 < few.mean() < 0.7
        slopes = np.diff(found[few, last - SAMPLE_RATE // 10 : last])
        assert (slopes <= 0).all() and (found[~few, last - 1] == 1).all()
    assert 0.2 < (found[:, begin] < 1).mean() < 0.4
    assert (found[:, (begin + end) // 2] == 1).all() and (wave == 1).all()


def test_examples_are_read_as_they_were_written(tmp_path: Path) -> None:
    examples = [
        Example(torch.randn(80, n).half(), torch.full((n, POINTS), n).short(), torch.rand(n))
        for n in range(1, 13)
    ]
    save_examples(tmp_path / "examples", examples)
    for one, same in zip(examples, load_examples(tmp_path / "examples"), strict=True):
        assert all(torch.equal(value, vars(same)[name]) for name, value in vars(one).items())


def test_crops_are_normalised_as_if_they_were_all() -> None:
    """Of a mel that is louder in its second half, no crop shows more than its part."""
    random = np.random.default_rng(0)
    mel = torch.randn(80, 300)
    mel[:, 150:] += 6
    phones = torch.arange(300)[:, None].expand(-1, POINTS)
    example = Example(mel.half(), phones, torch.zeros(300))
    wholes = 0
    for _ in range(60):
        found, classes, borders = _crop(example, random)
        assert found.shape == (80, CROP + 2 * REACH) and classes.shape == (CROP, POINTS)
        there = classes[:, 0] != UNKNOWN
        assert torch.equal(there, borders >= 0)
        assert (classes[there, 0].diff() == 1).all()
        wholes += int(there.sum()) == CROP
    assert wholes > 30
    short = Example(mel[:, :20].half(), phones[:20], torch.zeros(20))
    _, classes, _ = _crop(short, random)
    assert (classes[:20, 0] == torch.arange(20)).all() and (classes[20:] == UNKNOWN).all()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 sentences by espeak-ng, with their truth."""
    folder = tmp_path_factory.mktemp("spoken")
    return speak_corpus(folder, utterances=24, seed=3, sentences=SENTENCES[:24])


def test_the_aligner_labels_recordings(corpus: Path) -> None:
    recordings = recordings_of(corpus, minutes=60)
    assert len(recordings) == 24
    assert len(recordings_of(corpus, minutes=0.5)) < 20
    network, phones = network_of(network_file("bundled-1").read_bytes())
    labels = list(aligned(recordings, network, phones, default_config()))
    assert 20 <= len(labels) < 24  # those whose texts fit worst are left out
    truth = [json.loads(line) for line in (corpus / "truth.jsonl").read_text().splitlines()]
    known = {
        row["samples"]: [
            start / row["sample_rate"] for start, ipa in row["phones"] if ipa[:1] != "<" and ipa
        ]
        for row in truth
    }
    errors = []
    for one in labels:
        found = [s for s, p in zip(one.starts, one.phones, strict=True) if p != PAUSE]
        seconds = len(one.wave) / SAMPLE_RATE
        same = [starts for n, starts in known.items() if abs(n / 22_050 - seconds) < 1e-4]
        if len(same) == 1 and len(same[0]) == len(found):
            errors += np.abs(np.subtract(found, same[0])).tolist()
    assert len(errors) > 500 and np.median(errors) < 0.012


FEW = ("--sentences", "4", "--words", "3", "--steps", "2", "--rounds", "1", "--round-steps", "2")


@pytest.mark.parametrize("pieces", [0, pytest.param(1, marks=needs_festival("kal_diphone"))])
def test_training_makes_the_same_bytes_again(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pieces: int
) -> None:
    """In a new folder, and in one where some parts are finished; not with other settings."""
    monkeypatch.setattr(make_aligner_people, "HEARD", ("kal_diphone",))
    monkeypatch.setattr(make_aligner_people, "recordings", lambda *_: iter([corpus]))

    def made(work: str, *more: str) -> bytes:
        given = [str(tmp_path / work), "--lj", "x", "--real", "x", "--out", str(tmp_path / "out")]
        make_aligner_people.main([*given, *FEW, "--pieces", str(pieces), "--minutes", "1", *more])
        return (tmp_path / "out").read_bytes()

    whole = made("a")
    for missing in ("round1", "people1", "sentences"):
        (tmp_path / "a" / f"{missing}.safetensors").unlink()
    assert made("a") == made("b") == whole
    with pytest.raises(SystemExit, match="settings"):
        made("b", "--steps", "3")

    network, phones = network_of(whole)
    _, known = network_of(network_file("bundled-1").read_bytes())
    assert phones == known and network.border.in_channels == make_aligner_people.WIDTH
