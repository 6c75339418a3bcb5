"""The page of `ns2 evaluate`: figures, players and plots in one folder that needs no network.

OUT/
  index.html         the page, made of the template page.html
  evaluation.json    all figures
  wavs/              <key>-<version>.wav, and <key>-prompt.wav
  plots/             <key>.png
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ns2.pipeline.core.atomic import member_folder, write_if_changed
from ns2.pipeline.sound.wav import wav_bytes
from ns2.pipeline.tools.reporting.pages import render
from ns2.train.evaluation.evaluator import VERSIONS, Result
from ns2.train.evaluation.figures import predicted_lines, table_columns

INDEX, FIGURES, WAVES, PLOTS = "index.html", "evaluation.json", "wavs", "plots"
PROMPT = "prompt"
"""The name of a prompt's file, where those of versions have the version's name."""
_TEMPLATE = "page.html"


def write_waves(out: Path, key: str, waves: Mapping[str, np.ndarray], rate: int) -> None:
    """Write the waves of an utterance: its versions and its prompt.

    Args:
        waves: (S,) each, by the names of versions and `PROMPT`.
        rate: their sampling rate in Hz.
    """
    member_folder(out, WAVES)
    for name, wave in waves.items():
        write_if_changed(out / _wave(key, name), wav_bytes(wave, rate))


def write_plot(out: Path, key: str, png: bytes) -> None:
    """Write the plot of an utterance."""
    member_folder(out, PLOTS)
    write_if_changed(out / _plot(key), png)


def write_page(
    out: Path,
    title: str,
    settings: Mapping[str, str],
    found: dict[str, Any],
    results: Sequence[Result],
) -> Path:
    """Write the page that shows the figures and the files of a folder.

    Args:
        settings: how the run was evaluated, by name.
        found: the figures of all utterances, as `figures.summary` gives them.
        results: the utterances, in the order of the page.

    Returns:
        the path of the page.
    """
    columns = list(table_columns(found))
    text = render(
        __package__,
        _TEMPLATE,
        title=title,
        settings=settings,
        count=found["utterances"],
        phones=found["phones"],
        columns=[column for column, _ in columns],
        table={VERSIONS[name]: [cells[name] for _, cells in columns] for name in found["versions"]},
        lines=[*predicted_lines(found), *(f"Note: {note}" for note in found["notes"])],
        texts=any(one.heard_text is not None for one in results[0].versions.values()),
        utterances=[_utterance(result) for result in results],
    )
    write_if_changed(out / INDEX, text.encode())
    return out / INDEX


def _wave(key: str, name: str) -> str:
    return f"{WAVES}/{key}-{name}.wav"


def _plot(key: str) -> str:
    return f"{PLOTS}/{key}.png"


def _utterance(result: Result) -> dict[str, Any]:
    """The values of an utterance's section, as the template names them."""
    utterance, phones = result.utterance, max(len(result.phones), 1)
    return {
        "key": utterance.key,
        "text": utterance.text,
        "speaker": utterance.speaker,
        "prompt": "its own beginning" if utterance.own_prompt else utterance.prompt_key,
        "prompt_wave": _wave(utterance.key, PROMPT),
        "versions": [
            {
                "title": VERSIONS[name],
                "wave": _wave(utterance.key, name),
                "wrong": f"{version.errors / phones:.0%}",
                "heard": " ".join(version.heard),
                "text": version.heard_text,
            }
            for name, version in result.versions.items()
        ],
        "phones": " ".join(result.phones),
        "plot": _plot(utterance.key),
    }
