"""The spoken corpus and the seeded weights that benchmarks use, made once and kept."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

from ns2.pipeline.core.atomic import atomic_write
from ns2.pipeline.corpora.spoken.espeak import SENTENCES, speak, truth_line, write_wav

VOICES = ("en-us", *(f"en-us+m{i}" for i in range(1, 8)), *(f"en-us+f{i}" for i in range(1, 6)))
_WORDS = 16
"""Sentences are joined until an utterance has at least so many words, which are 5 to 8 s."""
_WEIGHT_SECONDS = 60.0
QUANTIZERS = 16


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """A synthesised corpus in LJSpeech layout."""

    root: Path
    """The folder of the corpus."""

    seconds: float
    """The seconds of audio."""

    utterances: int
    """The number of utterances."""

    def rows(self) -> list[tuple[str, Path, str]]:
        """Return the key, the recording and the text of every utterance, in order."""
        lines = (self.root / "metadata.csv").read_text(encoding="utf-8").splitlines()
        split = [line.split("|") for line in lines]
        return [(key, self.root / "wavs" / f"{key}.wav", text) for key, text, *_ in split]


def spoken(work: Path, minutes: float) -> Spoken:
    """Synthesise a corpus of at least so many minutes, unless `work` has it already.

    `truth.jsonl` has its phones. A shorter corpus is the beginning of a longer one.
    """
    root = work / f"corpus-{minutes:g}min"
    done = root / "spoken.json"
    if done.is_file() and (root / "truth.jsonl").is_file():
        return Spoken(root=root, **json.loads(done.read_text()))
    rng = random.Random(0)
    (root / "wavs").mkdir(parents=True, exist_ok=True)
    seconds, count = 0.0, 0
    with (
        (root / "metadata.csv").open("w", encoding="utf-8") as table,
        (root / "truth.jsonl").open("w", encoding="utf-8") as truth,
    ):
        while seconds < 60 * minutes:
            sentences: list[str] = []
            while len(" ".join(sentences).split()) < _WORDS:
                sentences.append(rng.choice(SENTENCES))
            text, voice = " ".join(sentences), rng.choice(VOICES)
            samples, rate, phones = speak(text, voice, rng.randint(150, 190), rng.randint(35, 65))
            key = f"bench-{count:06d}"
            write_wav(root / "wavs" / f"{key}.wav", samples, rate)
            table.write(f"{key}|{text}|{text}\n")
            truth.write(truth_line(key, voice, rate, samples, phones))
            seconds, count = seconds + len(samples) / rate, count + 1
    found = {"seconds": seconds, "utterances": count}
    done.write_text(json.dumps(found))
    return Spoken(root=root, seconds=seconds, utterances=count)


def weights(work: Path, corpus: Spoken) -> Path:
    """Return a file with EnCodec weights of the published layout, seeded on a corpus."""
    path = work / "encodec-seeded.th"
    if not path.is_file():
        import torch

        from tests.support.seeded_encodec import load_speech, seeded_encodec

        speech = load_speech([corpus.root / "wavs"], _WEIGHT_SECONDS)
        with atomic_write(path) as file:
            torch.save(seeded_encodec(speech, seed=0, quantizers=QUANTIZERS), file)
    return path
