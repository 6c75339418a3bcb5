"""How good durations are: on little speech of known truth, in noise, with wrong transcripts.

Every corpus goes the whole way, from recordings to a dataset whose aligner was trained on it.
"""

from __future__ import annotations

import itertools
import random
import shutil
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ns2.pipeline.corpora.spoken.espeak import SENTENCES, speak_corpus, write_wav
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.tools.align_eval.against_truth import evaluate
from tests.support.factories import LJSPEECH, needs_ljspeech
from tests.support.preprocessing import run_inline

UTTERANCES = 60


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Utterances of two sentences in seven voices, no two alike, with their truth."""
    pairs = random.Random(0).sample(list(itertools.permutations(SENTENCES, 2)), UTTERANCES)
    texts = [" ".join(pair) for pair in pairs]
    return speak_corpus(
        tmp_path_factory.mktemp("speech"), utterances=UTTERANCES, seed=21, sentences=texts
    )


def made(corpus: Path, out: Path) -> Dataset:
    """The dataset of a corpus: mel, phonemes and durations."""
    run_inline(corpus, out, None, columns=("durations",), shard_utterances=512)
    return Dataset(out)


def overall(dataset: Dataset, corpus: Path) -> dict[str, Any]:
    """Figures of a dataset; nothing may have been left out."""
    found = evaluate(dataset, corpus / "truth.jsonl")
    counts = found["utterances"]
    assert counts["missing"] == counts["other_length"] == 0 and found["skipped_share"] < 0.03
    assert found["overall"]["phones"] > 40 * UTTERANCES
    return found["overall"]


def read_wav(path: Path) -> tuple[np.ndarray, int]:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2"), file.getframerate()


def test_sixty_utterances_are_enough(speech: Path, tmp_path: Path) -> None:
    errors = overall(made(speech, tmp_path / "shards"), speech)
    assert errors["mean"] <= 15.0, errors
    assert abs(errors["signed"]) <= 3.0, errors
    assert errors["mean"] * 5 < errors["even"]["mean"], errors


def test_noise_at_10_db_moves_boundaries_a_little(speech: Path, tmp_path: Path) -> None:
    noisy = tmp_path / "noisy"
    shutil.copytree(speech, noisy)
    rng = np.random.default_rng(0)
    for path in sorted(noisy.glob("wavs/*.wav")):
        samples, rate = read_wav(path)
        power = np.mean(samples.astype(np.float64) ** 2)
        noise = rng.normal(0, np.sqrt(power / 10), len(samples))
        write_wav(path, np.clip(samples + noise, -32768, 32767).astype(np.int16), rate)
    errors = overall(made(noisy, tmp_path / "shards"), speech)
    assert errors["mean"] <= 20.0, errors


def test_the_score_finds_swapped_transcripts(speech: Path, tmp_path: Path) -> None:
    """One in ten, and the aligner is trained on them, too."""
    corpus = tmp_path / "swapped"
    shutil.copytree(speech, corpus)
    table = corpus / "metadata.csv"
    rows = [line.split("|") for line in table.read_text("utf-8").splitlines()]
    chosen = range(4, UTTERANCES, 10)
    texts = [rows[i][1] for i in chosen]
    for i, text in zip(chosen, [*texts[1:], texts[0]], strict=True):
        assert text != rows[i][1]
        rows[i][1:] = [text, text]
    table.write_text("".join("|".join(row) + "\n" for row in rows), encoding="utf-8")
    dataset = made(corpus, tmp_path / "shards")
    wrong = {rows[i][0] for i in chosen}
    scores = dict(zip(dataset.keys, dataset.index["align_score"].to_pylist(), strict=True))
    bad = np.array([score for key, score in scores.items() if key in wrong])
    good = np.array([score for key, score in scores.items() if key not in wrong])
    assert len(bad) == 6 and len(good) >= 50
    assert np.mean(good[:, None] > bad[None]) >= 0.98, (sorted(good)[:6], sorted(bad))


def quiet_stretches(samples: np.ndarray, rate: int, least: float) -> list[tuple[float, float]]:
    """Begins and ends in seconds of stretches that are quiet for `least` seconds or more.

    Quiet is 10 ms of less than 3 % of the amplitude that loud speech of the recording has.
    """
    step = rate // 100
    blocks = samples[: len(samples) // step * step].reshape(-1, step).astype(np.float64)
    level = np.sqrt(np.mean(blocks**2, axis=1))
    quiet = np.concatenate([[False], level < 0.03 * np.quantile(level, 0.95), [False]])
    turns = np.flatnonzero(np.diff(quiet.astype(np.int8)))
    return [
        (begin / 100, end / 100)
        for begin, end in turns.reshape(-1, 2).tolist()
        if end - begin >= 100 * least
    ]


@needs_ljspeech
def test_pauses_of_real_recordings_lie_in_silent_tokens(tmp_path: Path) -> None:
    dataset = made(LJSPEECH, tmp_path / "shards")
    shares = []
    for key in dataset.keys:
        samples, rate = read_wav(LJSPEECH / "wavs" / f"{key}.wav")
        tokens = dataset.phoneme_table.symbols(dataset.read("phonemes", key))
        durations = dataset.read("durations", key)
        silent = np.repeat([t in dataset.phoneme_table.optional for t in tokens], durations)
        for begin, end in quiet_stretches(samples, rate, 0.2):
            frames = silent[round(begin * 75) : round(end * 75)]
            shares.append(frames.mean())
    assert len(shares) >= 40, len(shares)
    assert np.mean(np.array(shares) >= 0.7) >= 0.85, sorted(shares)
