"""Takes the punctuation of an utterance with a TextGrid from its transcript."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.text.clauses import clauses
from ns2.pipeline.text.scripts import in_script


def marks_behind(labels: Sequence[str], text: str, language: str) -> list[str]:
    """The punctuation mark that the transcript has behind each word, or "".

    Words are matched in order, in any case. Words that only the transcript or only the TextGrid
    has get no mark, and neither do all words of a transcript that cannot be split into clauses, or
    that has a letter of another script.

    Args:
        labels: labels of the words of the TextGrid; a label may hold several words.
        text: the transcript.
        language: the name of an espeak-ng voice.
    """
    try:
        cut = clauses(text, language)
    except UtteranceError:
        return [""] * len(labels)
    if not in_script([word for clause in cut for word in clause.words], language):
        return [""] * len(labels)
    written: list[str] = []
    marks: list[str] = []
    for clause in cut:
        for word in clause.words:
            parts = word.surface.split()  # "1 000" is one word
            written += map(_bare, parts)
            marks += [""] * len(parts)
        if marks:
            marks[-1] = marks[-1] or clause.mark
    parts = [_bare(part) for label in labels for part in label.split()]
    place: dict[int, int] = {}  # position in the transcript by position in the TextGrid
    for block in SequenceMatcher(None, written, parts, autojunk=False).get_matching_blocks():
        place.update((block.b + i, block.a + i) for i in range(block.size))
    place[len(parts)] = len(written)  # the ends match
    behind: list[str] = []
    part = 0
    for label in labels:
        part += len(label.split())
        first, last = place.get(part - 1), place.get(part)
        between = [] if first is None or last is None else marks[first:last]
        behind.append(next((mark for mark in between if mark), ""))
    return behind


def _bare(word: str) -> str:
    return word.strip("".join(PhonemeTable.default().marks)).casefold()
