"""The folder of a listening test, which tells nobody what is what, and the key beside it.

FOLDER/index.html         the page: no network, no names; it saves the answers as JSON
FOLDER/samples/ID.wav     the samples, under names that are drawn
FOLDER-key.json           beside the folder: which sample is what
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from ns2.pipeline.core.atomic import member_folder, write_if_changed
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.hashing import short_hash, unit_interval
from ns2.pipeline.sound.wav import wav_bytes
from ns2.pipeline.tools.reporting.pages import render
from ns2.train.evaluation.evaluator import COPY, RECORDING
from ns2.train.evaluation.listening.listening_config import Method
from ns2.train.evaluation.listening.samples import ANCHOR, SentenceSamples

INDEX, SAMPLES = "index.html", "samples"
_TEMPLATE = "listening.html"
_PAIRS = 3
"""Pairs of one sentence, at most; all pairs come about equally often."""
_TITLES = {RECORDING: "recording", COPY: "codec copy"}
_DITHER = 1.0 / (1 << 15)
"""The most noise in a sample, one step of 16 bits, so that no two files have the same content."""
_WHEN = 1_000_000_000
"""The time of all files of samples, so that it does not tell which were written together."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What a listener answers at once.

    Attributes:
        key, text: of the sentence.
        systems: what is compared, in the order in which it is shown.
        reference: the system that is named as the reference; "" for none.
    """

    key: str
    text: str
    systems: tuple[str, ...]
    reference: str


def trials_of(sentences: Sequence[SentenceSamples], method: Method, seed: int) -> list[Trial]:
    """The trials of a test, in random order, each with its samples in random order."""
    found = []
    turn = 0
    for one in sentences:
        systems = list(one.waves)
        if method == "mushra":
            reference = RECORDING if RECORDING in systems else COPY
            chosen: list[tuple[str, ...]] = [tuple(systems)]
        else:
            reference = ""
            pairs = list(combinations([name for name in systems if name != ANCHOR], 2))
            chosen = [pairs[(turn + i) % len(pairs)] for i in range(min(_PAIRS, len(pairs)))]
            turn += len(chosen)
        for group in chosen:
            order = sorted(group, key=lambda n: unit_interval(n, f"{one.key} {seed} {group}"))
            found.append(
                Trial(key=one.key, text=one.text, systems=tuple(order), reference=reference)
            )
    return sorted(found, key=lambda t: unit_interval(t.key, f"{seed} {t.systems}"))


def write_test(
    folder: Path,
    sentences: Sequence[SentenceSamples],
    method: Method,
    *,
    seed: int,
    rate: int,
    about: Mapping[str, Any],
) -> Path:
    """Write the folder of a test, and its key beside it.

    Args:
        seed: decides names and orders.
        rate: of the waves, in Hz.
        about: how the samples were made; goes into the key.

    Returns:
        the path of the key.

    Raises:
        UserError: the folder holds something else, or there is a key already.
    """
    key = check_new(folder)
    test = short_hash([seed, os.urandom(8).hex(), method, dict(about)], 12)
    trials = trials_of(sentences, method, seed)
    waves = {one.key: one.waves for one in sentences}
    # the name of a sample is drawn: nobody can compute it from what it is
    names: dict[tuple[str, str], str] = {}
    for trial in trials:
        for system in {*trial.systems, trial.reference} - {""}:
            names.setdefault((trial.key, system), os.urandom(6).hex())
    references = {(t.key, t.reference): os.urandom(6).hex() for t in trials if t.reference}

    member_folder(folder, SAMPLES)
    written = {**{name: pair for pair, name in names.items()}}
    written |= {name: pair for pair, name in references.items()}
    for name in sorted(written):  # in the order of names that mean nothing
        sentence, system = written[name]
        path = folder / SAMPLES / f"{name}.wav"
        length = max(map(len, waves[sentence].values()))
        write_if_changed(path, wav_bytes(_alike(waves[sentence][system], length), rate))
        os.utime(path, (_WHEN, _WHEN))
    shown = [
        {
            "trial": f"t{i + 1}",
            "text": trial.text,
            "reference": references.get((trial.key, trial.reference), ""),
            "samples": [names[trial.key, system] for system in trial.systems],
        }
        for i, trial in enumerate(trials)
    ]
    data = json.dumps({"test": test, "method": method, "trials": shown}, ensure_ascii=False)
    page = render(__package__, _TEMPLATE, data=Markup(data.replace("<", "\\u003c")), method=method)
    write_if_changed(folder / INDEX, page.encode())
    told = {
        "listening_test": 1,
        "test": test,
        "method": method,
        "about": dict(about),
        "systems": _titles(sentences[0].waves),
        "trials": {
            f"t{i + 1}": {
                "key": trial.key,
                "text": trial.text,
                "samples": {names[trial.key, system]: system for system in trial.systems},
            }
            for i, trial in enumerate(trials)
        },
    }
    write_if_changed(key, (json.dumps(told, indent=2, ensure_ascii=False) + "\n").encode())
    return key


def _titles(systems: Iterable[str]) -> dict[str, str]:
    """What each system is, in words; the anchor is made of the recording, or of its copy."""
    titles = {name: _TITLES.get(name, name) for name in systems}
    if ANCHOR in titles:
        whole = titles.get(RECORDING, _TITLES[COPY])
        titles[ANCHOR] = f"{whole} below 3.5 kHz (anchor)"
    return titles


def _alike(wave: np.ndarray, length: int) -> np.ndarray:
    """A wave (S,) with silence behind it up to `length`, and noise that nobody hears.

    By its length a file would tell what was spoken by a model and what is as long as the recording,
    and by its content which of the samples is the reference.
    """
    padded = np.zeros(length, np.float32)
    padded[: len(wave)] = wave
    noise = np.random.default_rng().uniform(-_DITHER, _DITHER, length)  # others at each call
    return np.asarray(padded + noise, np.float32)


def check_new(folder: Path) -> Path:
    """See that a test can be written into a folder, and find its key's path.

    Raises:
        UserError: the folder holds something else, or there is a key already.
    """
    key = key_path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty: name a new folder for the listening test")
    if key.exists():
        raise UserError(
            f"{key} is the key of another listening test, whose answers can't be counted without "
            "it: name another folder, or move the key"
        )
    return key


def key_path(folder: Path) -> Path:
    """Where the key of a test lies: beside its folder, so that it is not sent with it."""
    folder = folder.resolve()
    return folder.with_name(f"{folder.name}-key.json")
