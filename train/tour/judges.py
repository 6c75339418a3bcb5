"""The judges of real voices that are installed: options of `ns2 evaluate`, and what is left out.

They are made elsewhere and come with an extra of the package, so a demo uses those that are there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from ns2.pipeline.core.errors import UserError
from ns2.train.evaluation.judges.speakers import RESEMBLYZER
from ns2.train.evaluation.judges.whisper_base import PACKAGES


@dataclass(frozen=True, kw_only=True)
class Judge:
    """A judge of `ns2 evaluate`.

    Attributes:
        title: what it measures, for people.
        options: that ask for it.
        modules: that it needs.
        extras: of ns2, with which pip installs them.
    """

    title: str
    options: tuple[str, ...]
    modules: tuple[str, ...]
    extras: tuple[str, ...] = ("eval",)

    @property
    def installed(self) -> bool:
        """Whether all modules are there; none of them is loaded."""
        return all(find_spec(name) is not None for name in self.modules)


_WORDS = Judge(
    title="wrong words by Whisper base (--wer)",
    options=("--wer",),
    modules=("faster_whisper", "jiwer", *(name.replace("-", "_") for name in PACKAGES)),
    extras=("eval", "whisper-base"),
)
JUDGES = (
    Judge(title="DNSMOS (--mos)", options=("--mos",), modules=("speechmos", "onnxruntime")),
    _WORDS,
    Judge(
        title="likeness of voices (--speaker-model)",
        options=("--speaker-model", RESEMBLYZER),
        modules=("resemblyzer",),
    ),
)
"""The judges that a demo with a corpus asks."""


def judging(
    languages: Collection[str], show: Callable[[str], None], judges: Sequence[Judge] = JUDGES
) -> tuple[str, ...]:
    """The options of `ns2 evaluate` for the judges that are there.

    Args:
        languages: the espeak-ng voices of what is spoken; words are counted if Whisper knows all.
        show: prints a line about what is left out, and how to have it.
        judges: those to choose from.
    """
    there = [judge for judge in judges if judge.installed]
    missing = [judge for judge in judges if not judge.installed]
    if missing:
        extras = dict.fromkeys(name for judge in missing for name in judge.extras)
        show(
            f"\nnot measured: {', '.join(judge.title for judge in missing)}; "
            f"pip install 'ns2[{','.join(extras)}]' adds what is missing"
        )
    if _WORDS in there and (problem := _unknown(languages)):
        there.remove(_WORDS)
        show(f"\nnot measured: {_WORDS.title}: {problem}")
    return tuple(word for judge in there for word in judge.options)


def _unknown(languages: Collection[str]) -> str:
    """Why the recogniser can't hear a language, or ""."""
    from ns2.train.evaluation.judges.recognisers import open_recogniser

    try:
        recogniser = open_recogniser()
        for language in sorted(languages):
            recogniser.check(language)
    except UserError as error:
        return str(error)
    return ""
