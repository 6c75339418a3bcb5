"""The zero-shot protocol from start to end, and the files that it writes.

OUT/
  zero-shot.json     all figures, and all that they depend on: judges, normaliser, seeds
  zero-shot.md       the tables in Markdown
  zero-shot.tex      the tables in LaTeX
  wavs.tsv           for other scorers a line for each wav: its version, speaker, prompt and text
  wavs/              KEY-VERSION.wav, and KEY-prompt-VERSION.wav
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ns2.pipeline.core.atomic import write_if_changed
from ns2.pipeline.core.progress import Progress
from ns2.train.evaluation.evaluate_config import EvaluateConfig
from ns2.train.evaluation.page import WAVES, write_waves
from ns2.train.evaluation.zero_shot.intervals import DRAWS, FEWEST_SPEAKERS, figures
from ns2.train.evaluation.zero_shot.protocol import (
    EXCHANGED,
    NOISE,
    TELEPHONE,
    Result,
    ZeroShot,
    settings_of,
    version_of,
)
from ns2.train.evaluation.zero_shot.sentences import Sentences
from ns2.train.evaluation.zero_shot.speakers import check_unheard
from ns2.train.evaluation.zero_shot.spoilt import NOISE_DB
from ns2.train.evaluation.zero_shot.spoilt import TELEPHONE as BAND
from ns2.train.evaluation.zero_shot.tables import latex, markdown, tables

JSON, MARKDOWN, LATEX, LIST = "zero-shot.json", "zero-shot.md", "zero-shot.tex", "wavs.tsv"
NORMALISER = (
    "ns2 spoken_words: small letters, numbers and abbreviations written out as spoken, no "
    "punctuation, apostrophes or accents; words that are joined or parted alike"
)


def follow(protocol: ZeroShot, out: Path, progress: Progress) -> dict[str, Any]:
    """Follow the protocol, and write its files into a folder.

    Returns:
        the content of zero-shot.json.

    Raises:
        UserError: a speaker was trained on, none has enough speech, or the corpus can't be used.
    """
    config = protocol.config
    notes = check_unheard(protocol.run, protocol.dataset, config.split)
    chosen = protocol.sentences()
    out.mkdir(parents=True, exist_ok=True)

    # Waves are written as they come, since all of them would not fit into memory.
    progress.phase("speaking and measuring", len(chosen.chosen))
    results, lines = [], [_LIST_HEADER]
    for result in protocol.results(chosen.chosen):
        utterance = result.sentence.utterance
        write_waves(out, utterance.key, result.waves, protocol.rate)
        lines += _lines(result)
        result.waves.clear()
        results.append(result)
        progress.advance(utterances=1, seconds=utterance.samples / protocol.rate)

    found = {
        "protocol": "zero-shot",
        "settings": {**settings_of(protocol), **judges_of(config)},
        **_summary(protocol, results),
        "left_out": chosen.left_out,
        "notes": [*notes, *_notes(results, chosen)],
        "utterances": [_row(result) for result in results],
    }
    made = tables(found)
    texts = {
        JSON: json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False) + "\n",
        MARKDOWN: markdown(made, found["notes"]),
        LATEX: latex(made),
        LIST: "".join(f"{line}\n" for line in lines),
    }
    for name, text in texts.items():
        write_if_changed(out / name, text.encode())
    return found


def judges_of(config: EvaluateConfig) -> dict[str, Any]:
    """The judges, the versions of their libraries, and how intervals and prompts are made."""
    whisper = ("faster-whisper", "ctranslate2", "transformers", "pocketsphinx")
    return {
        "recogniser": config.recogniser,
        "recogniser_libraries": _versions((*whisper, "jiwer")) if config.recogniser else {},
        "normaliser": f"{NORMALISER} (ns2 {version('ns2')})" if config.recogniser else "",
        "phone_classifier": f"ns2 {version('ns2')}",
        "speaker_model": config.speaker_model,
        "speaker_libraries": (
            _versions(("resemblyzer", "transformers")) if config.speaker_model else {}
        ),
        "similarity": "cosine to the clean prompt of the sentence's own speaker",
        "mos": "DNSMOS P.835 and P.808" if config.mos else "",
        "mos_libraries": _versions(("speechmos", "onnxruntime")) if config.mos else {},
        "noise": f"white, {NOISE_DB:g} dB below the prompt's mean power",
        "telephone": f"{BAND[0]:g} to {BAND[1]:g} Hz",
        "interval": {
            "share": 0.95,
            "resampled": "speakers",
            "draws": DRAWS,
            "seed": config.seed,
            "fewest_speakers": FEWEST_SPEAKERS,
        },
        "prosody": "absolute differences of moments of phones' mean F0 (Hz) and durations (ms)",
    }


def _versions(names: Sequence[str]) -> dict[str, str]:
    """The versions of the libraries that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _summary(protocol: ZeroShot, results: Sequence[Result]) -> dict[str, Any]:
    """The figures of all versions over all sentences."""
    versions: dict[str, dict[str, Any]] = {}
    for name, title in protocol.titles().items():
        there = [result for result in results if name in result.heard]
        if not there:
            continue
        speakers = [result.sentence.utterance.speaker for result in there]
        shares = [result.heard[name].shares for result in there]
        made = figures(speakers, shares, protocol.config.seed)
        versions[name] = {
            "title": title,
            "seconds": sum(result.heard[name].seconds for result in there),
            "figures": {one: asdict(figure) for one, figure in made.items()},
        }
        kinds = [result.heard[name].words for result in there]
        if all(kinds):
            versions[name]["words"] = {kind: sum(one[kind] for one in kinds) for kind in kinds[0]}
    return {
        "sentences": len(results),
        "speakers": sorted({result.sentence.utterance.speaker for result in results}),
        "versions": versions,
    }


def _notes(results: Sequence[Result], chosen: Sentences) -> list[str]:
    """What a reader has to know to judge the figures."""
    notes = []
    speakers = {result.sentence.utterance.speaker for result in results}
    if len(speakers) < FEWEST_SPEAKERS:
        few = "1 speaker" if len(speakers) == 1 else f"{len(speakers)} speakers"
        notes.append(
            f"{few}: an interval by resampling speakers takes {FEWEST_SPEAKERS} at least, so none "
            "is given"
        )
    if len(speakers) == 1:
        notes.append("no other speaker is there to exchange prompts with: the control is missing")
    if chosen.left_out:
        notes.append(
            f"{len(chosen.left_out)} utterances are left out, since their speakers have not "
            "enough other speech for a prompt"
        )
    lengths = [parts for result in results for parts in result.sentence.prompts.values()]
    most = max((len(parts) for parts in lengths), default=1)
    if most > 1:
        count = sum(len(parts) > 1 for parts in lengths)
        notes.append(f"{count} of {len(lengths)} prompts are joined of 2 to {most} utterances")
    return notes


def _row(result: Result) -> dict[str, Any]:
    """The figures of a sentence, as values for JSON."""
    utterance = result.sentence.utterance
    versions = {}
    for name, heard in result.heard.items():
        values = {one: above / below for one, (above, below) in heard.shares.items() if below}
        row: dict[str, Any] = {"seconds": heard.seconds, **values}
        if heard.text is not None:
            row |= {"heard_text": heard.text, "words": dict(heard.words)}
        versions[name] = row
    return {
        "key": utterance.key,
        "speaker": utterance.speaker,
        "text": utterance.text,
        "prompts": {
            f"{seconds:g}": [
                {"key": part.giver.key, "first_frame": part.first, "end_frame": part.end}
                for part in parts
            ]
            for seconds, parts in result.sentence.prompts.items()
        },
        "exchanged_with": result.other,
        "versions": versions,
    }


_LIST_HEADER = "version\tkey\tspeaker\twav\tprompt_wav\ttext"


def _lines(result: Result) -> list[str]:
    """Lines of wavs.tsv: the wavs of a sentence, each with the wav of the prompt it was given."""
    utterance = result.sentence.utterance
    first = version_of(next(iter(result.sentence.prompts)))
    lines = []
    for name in result.heard:
        given = {NOISE: f"prompt-{NOISE}", TELEPHONE: f"prompt-{TELEPHONE}"}.get(name)
        key = result.other if name == EXCHANGED else utterance.key
        if given is None:
            own = name if f"prompt-{name}" in result.waves else first
            given = f"prompt-{own}"
        text = " ".join(utterance.text.split())
        wav, prompt = f"{WAVES}/{utterance.key}-{name}.wav", f"{WAVES}/{key}-{given}.wav"
        lines.append("\t".join((name, utterance.key, utterance.speaker, wav, prompt, text)))
    return lines


def shown(found: Mapping[str, Any]) -> str:
    """What the command prints: the tables and notes."""
    head = f"{found['sentences']} sentences of {len(found['speakers'])} speakers\n\n"
    return head + markdown(tables(dict(found)), found["notes"])
