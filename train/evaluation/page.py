"""The page of `ns2 evaluate`: figures, players and plots in one folder that needs no network.

OUT/
  index.html         the page
  evaluation.json    all figures
  wavs/              <key>-<version>.wav, and <key>-prompt.wav
  plots/             <key>.png
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from ns2.pipeline.core.atomic import write_if_changed
from ns2.pipeline.sound.wav import wav_bytes
from ns2.train.evaluation.evaluator import VERSIONS, Result
from ns2.train.evaluation.figures import predicted_lines, table_columns

INDEX, FIGURES, WAVES, PLOTS = "index.html", "evaluation.json", "wavs", "plots"
PROMPT = "prompt"

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em;
  color: #202020; background: #fff; }
table { border-collapse: collapse; margin: 0.8em 0; }
th, td { padding: 0.25em 0.8em; text-align: right; border-bottom: 1px solid #e0e0e0; }
th:first-child, td:first-child { text-align: left; }
#settings td, th.phones, td.phones { text-align: left; }
td.phones { font-size: 14px; max-width: 34em; color: #505050; }
audio { height: 2em; width: 17em; vertical-align: middle; }
img { max-width: 100%; }
section { border-top: 2px solid #d0d0d0; margin-top: 2em; }
h2 { font-size: 1.05em; } small { color: #707070; font-weight: normal; }
"""


def write_waves(out: Path, key: str, waves: Mapping[str, np.ndarray], rate: int) -> None:
    """Write the versions of an utterance, and its prompt, by name."""
    (out / WAVES).mkdir(parents=True, exist_ok=True)
    for name, wave in waves.items():
        write_if_changed(out / _wave(key, name), wav_bytes(wave, rate))


def write_plot(out: Path, key: str, png: bytes) -> None:
    """Write the plot of an utterance."""
    (out / PLOTS).mkdir(parents=True, exist_ok=True)
    write_if_changed(out / _plot(key), png)


def write_page(
    out: Path,
    title: str,
    settings: Mapping[str, str],
    found: dict[str, Any],
    results: Sequence[Result],
) -> Path:
    """Write the page over what lies beside it.

    Args:
        settings: what to say about the run, by name.
        found: figures as `figures.summary` gives them.
    """
    text = "\n".join(_page(title, settings, found, results))
    write_if_changed(out / INDEX, text.encode())
    return out / INDEX


def _wave(key: str, name: str) -> str:
    return f"{WAVES}/{key}-{name}.wav"


def _plot(key: str) -> str:
    return f"{PLOTS}/{key}.png"


def _page(
    title: str, settings: Mapping[str, str], found: dict[str, Any], results: Sequence[Result]
) -> Iterator[str]:
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
    yield f"<h1>{escape(title)}</h1>"
    yield '<table id="settings">'
    for name, value in settings.items():
        yield f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>"
    yield "</table>"
    yield from _overall(found)
    for result in results:
        yield from _utterance(result)
    yield "</body></html>"


def _overall(found: dict[str, Any]) -> Iterator[str]:
    columns = list(table_columns(found))
    yield f"<p>{found['utterances']} utterances, {found['phones']:,} phones</p>"
    yield "<table><tr><th></th>"
    yield "".join(f"<th>{escape(title)}</th>" for title, _ in columns) + "</tr>"
    for name in found["versions"]:
        cells = "".join(f"<td>{escape(cells[name])}</td>" for _, cells in columns)
        yield f"<tr><td>{escape(VERSIONS[name])}</td>{cells}</tr>"
    yield "</table>"
    for line in (*predicted_lines(found), *(f"Note: {note}" for note in found["notes"])):
        yield f"<p>{escape(line)}</p>"


def _utterance(result: Result) -> Iterator[str]:
    one, size = result.utterance, max(len(result.phones), 1)
    yield f'<section id="{escape(one.key)}"><h2>{escape(one.text)} <small>{escape(one.key)}, '
    yield f"{escape(one.speaker)}</small></h2>"
    yield "<table><tr><th></th><th></th><th>phones wrong</th>"
    yield '<th class="phones">phones</th></tr>'
    prompt = "its own beginning" if one.own_prompt else one.prompt_key
    yield f"<tr><td>prompt</td><td>{_player(_wave(one.key, PROMPT))}</td><td></td>"
    yield f'<td class="phones">{escape(prompt)}</td></tr>'
    for name, version in result.versions.items():
        yield f"<tr><td>{escape(VERSIONS[name])}</td><td>{_player(_wave(one.key, name))}</td>"
        yield f'<td>{version.errors / size:.0%}</td><td class="phones">'
        yield f"{escape(' '.join(version.heard))}</td></tr>"
    yield '<tr><td>as the text has it</td><td></td><td></td><td class="phones">'
    yield f"{escape(' '.join(result.phones))}</td></tr></table>"
    yield f'<img loading="lazy" src="{escape(_plot(one.key))}" alt="log-mels and pitch"></section>'


def _player(source: str) -> str:
    return f'<audio controls preload="metadata" src="{escape(source)}"></audio>'
