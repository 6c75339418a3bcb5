"""The recordings that `benchmarks.copies` copies, in groups of people or corpora.

The real corpora are folders with a manifest each: `english-reader`, `german-reader`,
`librispeech-250` and `accents-40`. What is held out of them was agreed on, so that figures can be
compared; rows are counted in the order of their ids, which is the order of these manifests.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.schema import Utterance
from ns2.pipeline.corpora.reading import audio_path, read_corpus
from ns2.pipeline.text.clauses import base_language
from ns2.train.bundled.make_mini import SPEAKERS

ACCENTS = "accents-40"
LJ = "LJSpeech"
LJ_IDS = tuple(f"LJ001-{number:04d}" for number in range(29, 33))
LANGUAGE = "en-us"
"""The language of an utterance whose corpus names none."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A recording with its text."""

    group: str
    """The name of its group."""

    id: str
    """Its id in the corpus."""

    path: Path
    """The file of the recording."""

    text: str
    """What is said."""

    language: str
    """The language, as espeak-ng names it."""

    @property
    def english(self) -> bool:
        """Whether the text is English."""
        return base_language(self.language) == "en"


def last_fifteen(found: Sequence[Utterance]) -> Sequence[Utterance]:
    """Return the last 15 utterances."""
    return found[-15:]


def every_tenth(found: Sequence[Utterance]) -> Sequence[Utterance]:
    """Return the utterances 10, 20, 30 and so on, counted from 1."""
    return found[9::10]


def five_of_each(found: Sequence[Utterance]) -> Sequence[Utterance]:
    """Return the first five utterances of each speaker that is held out of `ACCENTS`."""
    return [u for name in SPEAKERS for u in [u for u in found if u.speaker == name][:5]]


AGREED: dict[str, Callable[[Sequence[Utterance]], Sequence[Utterance]]] = {
    "english-reader": last_fifteen,
    "german-reader": every_tenth,
    "librispeech-250": every_tenth,
    ACCENTS: five_of_each,
}
"""The corpora of real people, and what is held out of each."""


def add_groups(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which recordings are taken."""
    add = parser.add_argument
    add("--real", type=Path, metavar="DIR", help="The folder of the corpora of real people.")
    add("--lj", type=Path, metavar="DIR", help="The folder of LJSpeech, or of a part of it.")
    add(
        "--corpus",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="Another corpus, and the name of its group; may be repeated.",
    )


def real_groups(folder: Path) -> dict[str, list[Clip]]:
    """Return what is held out of the corpora of real people that a folder has.

    Raises:
        UserError: the folder has none of them, or one lacks what should be held out.
    """
    there = [name for name in AGREED if (folder / name).is_dir()]
    if not there:
        raise UserError(f"{folder} has none of the folders {', '.join(AGREED)}")
    return {name: corpus_group(name, folder / name, AGREED[name]) for name in there}


def lj_group(folder: Path) -> list[Clip]:
    """Return the four recordings of LJSpeech that no codec of ns2 was trained on."""
    return corpus_group(LJ, folder, lambda found: [u for u in found if u.id in LJ_IDS])


def corpus_group(
    name: str,
    path: Path,
    chosen: Callable[[Sequence[Utterance]], Sequence[Utterance]] = lambda found: found,
) -> list[Clip]:
    """Return recordings of a corpus as a group.

    Args:
        name: the name of the group.
        path: the folder of the corpus, or its manifest.
        chosen: chooses among the utterances, which are sorted by id.

    Raises:
        UserError: the corpus can't be read, or nothing is chosen.
    """
    corpus = read_corpus(path)
    clips = [
        Clip(
            group=name,
            id=utterance.id,
            path=audio_path(corpus.root, utterance),
            text=utterance.text,
            language=utterance.language or LANGUAGE,
        )
        for utterance in chosen(corpus.utterances)
    ]
    if not clips:
        raise UserError(f"{path} has none of the recordings that make the group {name}")
    return clips


def pooled(groups: dict[str, list[Clip]]) -> list[str]:
    """Return the English groups without accents, whose wrong words are counted together."""
    return [
        name
        for name, clips in groups.items()
        if name != ACCENTS and all(clip.english for clip in clips)
    ]
