"""What `ns2 evaluate` speaks: utterances of a split, each with a prompt of the same speaker.

Letters for shapes: N phonemes, T frames, P prompt frames, Q quantizers, M mel bins, S samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.core.hashing import unit_interval
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.sound.decode import read_audio, resample, trim_silence

COLUMNS = ("codes", "phonemes", "durations", "f0", "meta")
OWN_SHARE = 0.5
"""Of an utterance that has to be its own prompt, what the prompt may take at most."""


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """An utterance as it is stored, and whose voice is to speak it.

    Attributes:
        tokens: N strings.
        phonemes: their ids, (N,).
        durations: frames, (N,).
        f0: Hz, 0 where unvoiced, (T,).
        codes: (Q, T).
        mel: log-mel (M, T) of the recording; None where the dataset has none.
        samples: S.
        prompt: codes (Q, P).
        prompt_key: of the utterance that gives it.
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

    @property
    def own_prompt(self) -> bool:
        """Whether it is its own prompt, since its speaker has no other utterance."""
        return self.prompt_key == self.key


def held_out(
    dataset: Dataset, split: str, limit: int, seed: int, longest_prompt: int
) -> list[HeldOut]:
    """Some utterances of a split, in the order of their keys; the same seed takes the same ones.

    A prompt is another utterance of the speaker, of the same split where it has one; of a long
    one its beginning. A speaker's only utterance gives its own beginning.

    Args:
        limit: how many at most.
        longest_prompt: frames.

    Raises:
        UserError: a column is missing, or the split is empty.
    """
    missing = [name for name in COLUMNS if name not in dataset.card["columns"]]
    if missing:
        raise UserError(
            f"{dataset.root} has no column {', '.join(missing)}; run `ns2 preprocess` with all"
        )
    splits, split_of = dataset.names("split")
    if split not in splits:
        known = ", ".join(sorted(splits))
        raise UserError(
            f"{dataset.root} has no utterance in split {split!r}; it has {known}. "
            "`ns2 preprocess --val-share` sets how many are held out."
        )
    _, speaker_of = dataset.names("speaker")
    there = np.flatnonzero(split_of == splits.index(split))
    drawn = sorted(there.tolist(), key=lambda i: unit_interval(dataset.key(i), f"take {seed}"))
    found = []
    for position in sorted(drawn[:limit], key=dataset.key):
        same = np.flatnonzero(speaker_of == speaker_of[position])
        others = same[same != position]
        near = others[split_of[others] == split_of[position]]
        giver = _draw(near if len(near) else others, position, dataset, seed)
        try:
            found.append(_read(dataset, position, giver, longest_prompt))
        except (ValueError, OSError) as error:
            raise UserError(
                f"{dataset.root}: {error}; `ns2 verify` tells what is damaged"
            ) from error
    return found


def _draw(others: np.ndarray, position: int, dataset: Dataset, seed: int) -> int:
    if not len(others):
        return position
    share = unit_interval(dataset.key(position), f"prompt {seed}")
    return int(others[int(share * len(others))])


def _read(dataset: Dataset, position: int, giver: int, longest: int) -> HeldOut:
    arrays = {name: dataset.read(name, position, check=True) for name in COLUMNS}
    meta = arrays["meta"]
    prompt = dataset.read("codes", giver, check=True)
    if giver == position:
        longest = min(longest, max(1, int(OWN_SHARE * prompt.shape[1])))
    has_mel = "mel" in dataset.card["columns"]
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
        prompt=prompt[:, :longest].astype(np.int64),
        prompt_key=dataset.key(giver),
    )


def recording(dataset: Dataset, corpus: Path, one: HeldOut) -> np.ndarray:
    """The recording (S,) that an utterance was made from, at the dataset's rate.

    Raises:
        UserError: it is not there, or not what the dataset was made from.
    """
    rate = dataset.grid.sample_rate
    path = (corpus if corpus.is_dir() else corpus.parent) / one.source  # a manifest is a file
    try:
        wave = resample(*read_audio(path), rate)
    except UtteranceError as error:
        raise UserError(
            f"{path}, the recording of {one.key}: {error.message}. --corpus takes what the "
            "dataset was made from."
        ) from error
    if len(wave) != one.samples:
        wave = trim_silence(wave, rate)  # --trim
    if len(wave) != one.samples:
        raise UserError(
            f"{path} is not the recording that {one.key} was made from: {one.samples:,} samples "
            f"were expected, {len(wave):,} are there"
        )
    return wave


def seeds(held: Sequence[HeldOut], seed: int) -> list[int]:
    """One of each utterance, which does not depend on what else is spoken."""
    return [int(unit_interval(one.key, f"speak {seed}") * (1 << 53)) for one in held]
