"""A corpus of many speakers that espeak-ng speaks: what `ns2 demo` learns from.

    OUT/manifest.jsonl    audio, text, id, speaker, split
    OUT/wavs/<id>.wav     16-bit mono, 22,050 Hz

A speaker is a voice at one pitch and pace, so a prompt tells all that can be known about it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from ns2.pipeline.core.atomic import atomic_write
from ns2.pipeline.core.hashing import short_hash
from ns2.pipeline.corpora.spoken.espeak import speak, write_wav


@dataclass(frozen=True, kw_only=True)
class Speaker:
    """Who speaks.

    Attributes:
        voice: of espeak-ng, with a variant if wanted.
        pitch: 0 to 99.
        rate: words a minute, 80 to 450.
    """

    voice: str
    pitch: int = 50
    rate: int = 160

    @property
    def name(self) -> str:
        """Unlike that of any other speaker."""
        return f"{self.voice.replace('+', '-').replace(' ', '-')}-{self.pitch}-{self.rate}"


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """One utterance of the corpus to be."""

    id: str
    text: str
    speaker: Speaker
    split: str = "train"


def cast(texts: Sequence[str], speakers: Sequence[Speaker], split: str, seed: int) -> list[Spoken]:
    """Who says what: speakers have equally many texts, one more or less, in an order by chance."""
    turns = [speakers[i % len(speakers)] for i in range(len(texts))]
    random.Random(seed).shuffle(turns)
    return [
        Spoken(
            # what is spoken is part of its name: another text never takes its recording
            id=f"{split}-{i:05d}-{short_hash([text, speaker.name], 8)}",
            text=text,
            speaker=speaker,
            split=split,
        )
        for i, (text, speaker) in enumerate(zip(texts, turns, strict=True))
    ]


def speak_spoken(
    out: Path,
    utterances: Sequence[Spoken],
    *,
    workers: int = 1,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Write the corpus; what is there already is spoken no second time.

    Args:
        workers: processes.
        tell: hears how many utterances are done, of how many.

    Returns:
        the manifest, which is written last.
    """
    (out / "wavs").mkdir(parents=True, exist_ok=True)
    missing = [one for one in utterances if not (out / "wavs" / f"{one.id}.wav").is_file()]
    done = len(utterances) - len(missing)
    tell(done, len(utterances))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = pool.map(_speak_one, [out] * len(missing), missing, chunksize=8)
        for _ in jobs:
            done += 1
            tell(done, len(utterances))
    lines = [
        {
            "audio": f"wavs/{one.id}.wav",
            "text": one.text,
            "id": one.id,
            "speaker": one.speaker.name,
            "split": one.split,
        }
        for one in utterances
    ]
    manifest = out / "manifest.jsonl"
    with atomic_write(manifest) as file:
        file.write("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode())
    return manifest


def _speak_one(out: Path, one: Spoken) -> None:
    samples, rate, _ = speak(one.text, one.speaker.voice, one.speaker.rate, one.speaker.pitch)
    part = out / "wavs" / f".{one.id}.part"
    write_wav(part, samples, rate)
    part.replace(out / "wavs" / f"{one.id}.wav")
