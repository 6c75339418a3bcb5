"""The utterances that `ns2 evaluate` speaks: drawn from a split, each with a prompt.

Letters for shapes: N phonemes, T frames, P prompt frames, Q quantizers, M mel bins, S samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.core.hashing import unit_interval
from ns2.pipeline.core.held import Recording
from ns2.pipeline.core.names import path_in, shown
from ns2.pipeline.core.schema import Piece
from ns2.pipeline.corpora.corpus import recording_of
from ns2.pipeline.corpora.reading import HOLDING, read_corpus
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.sound.decode import read_audio, resample, trim_silence
from ns2.pipeline.sound.quality.lufs import at_loudness
from ns2.train.speak.speaker_prompt import prompt_in_dataset

COLUMNS = ("codes", "phonemes", "durations", "f0", "meta")
"""The columns that an evaluation needs; mel is used where it is there."""


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """An utterance as the dataset stores it, and the prompt whose voice is to speak it.

    Attributes:
        key, text, language, speaker, source: as in the utterance's meta.
        tokens: the N phonemes as strings.
        phonemes: (N,) their ids.
        durations: (N,) frames of each phoneme.
        f0: (T,) Hz, 0 where unvoiced.
        codes: (Q, T) codes of the recording.
        mel: (M, T) log-mel of the recording; None where the dataset has no mels.
        samples: S, the length of the recording.
        prompt: (Q, P) codes of the prompt.
        prompt_key: the key of the utterance that gives the prompt.
        piece: the part of the recording that it is, or None for all of it.
    """

    key: str
    text: str
    language: str
    speaker: str
    source: str
    tokens: tuple[str, ...]
    phonemes: np.ndarray
    durations: np.ndarray
    f0: np.ndarray
    codes: np.ndarray
    mel: np.ndarray | None
    samples: int
    prompt: np.ndarray
    prompt_key: str
    piece: Piece | None = None

    @property
    def own_prompt(self) -> bool:
        """Whether the utterance is its own prompt, since its speaker has no other one."""
        return self.prompt_key == self.key


def held_out(
    dataset: Dataset, split: str, limit: int, seed: int, longest_prompt: int
) -> list[HeldOut]:
    """Draw utterances of a split, each with a prompt as `speaker_prompt` chooses it.

    Args:
        limit: the most utterances.
        seed: decides which utterances and prompts are drawn.
        longest_prompt: the most frames of a prompt.

    Returns:
        the utterances, in the order of their keys.

    Raises:
        UserError: a column is missing, the split is empty, or an utterance is damaged.
    """
    there = positions_of(dataset, split).tolist()
    drawn = sorted(there, key=lambda i: unit_interval(dataset.key(i), f"take {seed}"))[:limit]
    try:
        return [
            _read(dataset, position, seed, longest_prompt)
            for position in sorted(drawn, key=dataset.key)
        ]
    except (ValueError, OSError) as error:
        raise UserError(
            f"{dataset.root}: {error}; `ns2 verify` finds all that is damaged"
        ) from error


def positions_of(dataset: Dataset, split: str) -> np.ndarray:
    """Where the utterances of a split stand in the index.

    Raises:
        UserError: a column is missing, or the split is empty.
    """
    missing = [name for name in COLUMNS if name not in dataset.card.columns]
    if missing:
        raise UserError(
            f"{dataset.root} has no column {', '.join(missing)}; run `ns2 preprocess` with all "
            "columns"
        )
    splits, split_of = dataset.names("split")
    if split not in splits:
        known = ", ".join(sorted(splits))
        raise UserError(
            f"{dataset.root} has no utterance in split {split!r}; it has {known}. "
            "`ns2 preprocess --val-share` sets how many are held out."
        )
    return np.flatnonzero(split_of == splits.index(split))


def _read(dataset: Dataset, position: int, seed: int, longest_prompt: int) -> HeldOut:
    """An utterance by its position in the index."""
    prompt, prompt_key = prompt_in_dataset(dataset, position, longest=longest_prompt, seed=seed)
    return utterance_at(dataset, position, prompt, prompt_key)


def utterance_at(dataset: Dataset, position: int, prompt: np.ndarray, prompt_key: str) -> HeldOut:
    """An utterance by its position in the index, with a prompt.

    Args:
        prompt: (Q, P) codes.
        prompt_key: the key of the utterance that gives it.

    Raises:
        ValueError, OSError: the arrays can't be read as they were written.
    """
    arrays = {name: dataset.read(name, position, check=True) for name in COLUMNS}
    meta = arrays["meta"]
    has_mel = "mel" in dataset.card.columns
    return HeldOut(
        key=dataset.key(position),
        text=meta["text"],
        language=meta["language"],
        speaker=meta["speaker"],
        source=meta["source"],
        tokens=tuple(dataset.phoneme_table.symbols(arrays["phonemes"])),
        phonemes=arrays["phonemes"].astype(np.int64),
        durations=arrays["durations"].astype(np.int64),
        f0=arrays["f0"],
        codes=arrays["codes"].astype(np.int64),
        mel=dataset.read("mel", position, check=True) if has_mel else None,
        samples=int(meta["samples"]),
        prompt=prompt.astype(np.int64),
        prompt_key=prompt_key,
        piece=Piece.from_json(meta.get("piece")),
    )


class Recorded(Protocol):
    """An utterance whose recording is known, see `HeldOut`."""

    @property
    def key(self) -> str: ...  # noqa: D102
    @property
    def source(self) -> str: ...  # noqa: D102
    @property
    def samples(self) -> int: ...  # noqa: D102
    @property
    def piece(self) -> Piece | None: ...  # noqa: D102


def recording(dataset: Dataset, corpus: Path, utterance: Recorded) -> np.ndarray:
    """The recording (S,) that an utterance was made from, at the dataset's sampling rate.

    Args:
        corpus: the folder or the manifest that the dataset was made from.

    Raises:
        UserError: the recording is missing, lies outside of the corpus, or is not the one that the
            dataset was made from.
    """
    rate = dataset.grid.sample_rate
    place = find_recording(dataset, corpus, utterance.key, utterance.source)
    try:
        wave = resample(*read_audio(place, utterance.piece), rate)
    except UtteranceError as error:
        raise UserError(
            f"{place.path}, the recording of {utterance.key}: {error.message}. --corpus takes what "
            "the dataset was made from."
        ) from error
    if len(wave) != utterance.samples:  # the dataset may have been made with --trim
        wave = trim_silence(wave, rate)
    if len(wave) != utterance.samples:
        verb = "is not" if place.held is None else "does not hold"
        raise UserError(
            f"{place.path} {verb} the recording that {utterance.key} was made from: "
            f"{utterance.samples:,} samples were expected, {len(wave):,} are there"
        )
    audio = dataset.card.stages.get("audio")
    loudness = None if audio is None else audio.config.get("loudness")
    return wave if loudness is None else at_loudness(wave, rate, float(loudness))


def find_recording(dataset: Dataset, corpus: Path, key: str, source: str) -> Recording:
    """Where a recording lies, whose name the dataset tells, which may be a stranger's.

    Its file lies inside the corpus's folder, or the corpus itself names it, as a manifest does, or
    holds it.

    Raises:
        UserError: neither is so.
    """
    made = (dataset.card["corpus"].get("layout"), dataset.card["options"].get("fields"))
    layout, fields = (part if isinstance(part, str) else None for part in made)
    holding = layout in HOLDING
    if corpus.is_dir() and not holding:
        with suppress(ValueError):
            return Recording.of(path_in(corpus, source))
    named = _named_in(corpus, layout if fields or holding else None, fields).get(source)
    if named is None:
        raise UserError(
            f"{key} was made from {shown(source)}, which {corpus} does not hold. --corpus takes "
            "what the dataset was made from."
        )
    return named.get(key) or next(iter(named.values()))


@lru_cache(maxsize=1)
def _named_in(
    corpus: Path, layout: str | None, fields: str | None
) -> Mapping[str, Mapping[str, Recording]]:
    """The recordings of all utterances of a corpus, by source and key."""
    found = read_corpus(corpus, layout, fields)
    named: dict[str, dict[str, Recording]] = {}
    for utterance in found.utterances:
        place = recording_of(found.root, utterance)
        named.setdefault(utterance.source, {})[utterance.key] = place
    return named


def seeds(held: Sequence[HeldOut], seed: int) -> list[int]:
    """The seed of each utterance's noise, which does not depend on the other utterances."""
    return [int(unit_interval(utterance.key, f"speak {seed}") * (1 << 53)) for utterance in held]
