"""Writes a corpus of many speakers that espeak-ng speaks, for `ns2 demo`.

    OUT/manifest.jsonl    audio, text, id, speaker, split
    OUT/wavs/<id>.wav     16-bit mono, 22,050 Hz

A speaker is a voice at one pitch and rate, so a prompt shows all that is particular about it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ns2.pipeline.core.atomic import atomic_write, member_folder
from ns2.pipeline.core.hashing import short_hash
from ns2.pipeline.core.processes import fresh_pool
from ns2.pipeline.corpora.spoken.espeak import speak, write_wav


@dataclass(frozen=True, kw_only=True)
class Speaker:
    """A speaker of the corpus.

    Attributes:
        voice: an espeak-ng voice, also with a variant ("en-us+f2").
        pitch: espeak-ng's pitch, 0 to 99.
        rate: words per minute, 80 to 450.
    """

    voice: str
    pitch: int = 50
    rate: int = 160

    @property
    def name(self) -> str:
        """The name of the speaker, which no other speaker has."""
        return f"{self.voice.replace('+', '-').replace(' ', '-')}-{self.pitch}-{self.rate}"


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """An utterance that is to be spoken."""

    id: str
    text: str
    speaker: Speaker
    split: str = "train"


def cast(texts: Sequence[str], speakers: Sequence[Speaker], split: str, seed: int) -> list[Spoken]:
    """Distribute texts among speakers, in random order; each has equally many, up to one.

    Args:
        texts: the texts, one for each utterance.
        speakers: at least one speaker.
        split: the split of all utterances.
        seed: the seed of the order.
    """
    turns = [speakers[i % len(speakers)] for i in range(len(texts))]
    random.Random(seed).shuffle(turns)
    return [
        Spoken(
            # the text is part of the id: another text never gets its recording
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
    """Write the corpus; recordings that exist already are kept.

    Args:
        out: the folder of the corpus.
        utterances: the utterances, with different ids.
        workers: the number of processes.
        tell: called with the number of utterances that are done, and of all.

    Returns:
        the path of the manifest, which is written last.
    """
    member_folder(out, "wavs")
    missing = [
        utterance
        for utterance in utterances
        if not (out / "wavs" / f"{utterance.id}.wav").is_file()
    ]
    # Speech takes long, so recordings are made in processes of their own.
    done = len(utterances) - len(missing)
    tell(done, len(utterances))
    with fresh_pool(workers) as pool:
        jobs = pool.map(_speak_one, [out] * len(missing), missing, chunksize=8)
        for _ in jobs:
            done += 1
            tell(done, len(utterances))
    # The manifest comes last: a folder with a manifest is complete.
    lines = [
        {
            "audio": f"wavs/{utterance.id}.wav",
            "text": utterance.text,
            "id": utterance.id,
            "speaker": utterance.speaker.name,
            "split": utterance.split,
        }
        for utterance in utterances
    ]
    manifest = out / "manifest.jsonl"
    with atomic_write(manifest) as file:
        file.write("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode())
    return manifest


def _speak_one(out: Path, utterance: Spoken) -> None:
    samples, rate, _ = speak(
        utterance.text, utterance.speaker.voice, utterance.speaker.rate, utterance.speaker.pitch
    )
    write_wav(out / "wavs" / f"{utterance.id}.wav", samples, rate)
