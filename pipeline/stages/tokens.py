"""Tokens: the pronunciation of a transcript, which the columns `phonemes` and `meta` share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ns2.pipeline.core.atomic import write_if_changed
from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.hashing import canonical_json
from ns2.pipeline.core.schema import Reason
from ns2.pipeline.core.versions import version
from ns2.pipeline.dataset.layout import FINGERPRINT_DIGITS
from ns2.pipeline.dataset.phoneme_table import PAD, PhonemeTable, with_silence
from ns2.pipeline.stages.stage import Item, Product, Stage, StageSettings

if TYPE_CHECKING:
    from ns2.pipeline.text.lexicon import Lexicon
    from ns2.pipeline.text.pronunciation import Pronunciation


class TokensStage(Stage):
    """Text to a `Pronunciation`: IPA tokens and the spans of the words.

    The lexicon is no part of the configuration: the entries for the words of a text are a part of
    the state of its source (`preprocess.plan.sources`), so that an entry that is changed remakes
    the utterances that have its word, and no others.
    """

    name: ClassVar[str] = "tokens"
    version: ClassVar[int] = 4  # raise it with every change of the normaliser or the clauses
    requires: ClassVar[tuple[str, ...]] = ("text",)
    scalars: ClassVar[tuple[str, ...]] = ("tokens", "phones")
    libraries: ClassVar[tuple[str, ...]] = ("espeakng-loader", "phonemizer", "num2words")
    order: ClassVar[int] = 1

    def __init__(self, lexicon: Lexicon | None = None, g2p: tuple[str, ...] = ()) -> None:
        """Take pronunciations of the user's own and the names of readings."""
        self.lexicon, self.g2p = lexicon, g2p

    @classmethod
    def of(cls, settings: StageSettings) -> Self | None:
        """The text is pronounced unless TextGrids tell the phones."""
        from ns2.pipeline.text.lexicon import Lexicon
        from ns2.pipeline.text.reading import readings

        options = settings.options
        if options.aligner != "builtin":
            return None
        for reading in readings(options.g2p):
            reading.check()
        given = options.lexicon
        return cls(None if given is None else Lexicon.read(given, settings.table), options.g2p)

    @property
    def config(self) -> Mapping[str, Any]:
        """The table decides how phones are taken apart that espeak-ng ran together."""
        return {
            "table": PhonemeTable.default().digest,
            **({"g2p": list(self.g2p)} if self.g2p else {}),
        }

    def library_versions(self) -> dict[str, str]:
        """Versions of the libraries that decide its values, those of readings among them."""
        return {**super().library_versions(), **{name: version(name) for name in self.g2p}}

    def write_asset(self, folder: Path, fingerprint: str) -> Path | None:
        """Write the lexicon, by which a run that learns from the dataset pronounces texts."""
        if self.lexicon is None:
            return None
        path = folder / f"lexicon-{self.lexicon.digest[:FINGERPRINT_DIGITS]}.json"
        write_if_changed(path, canonical_json(self.lexicon.to_json()).encode())
        return path

    def compute(self, item: Item) -> Product:
        """Speak `item.inputs["text"]` in `item.record["language"]`, or take given phonemes.

        Raises:
            UtteranceError: see `ns2.pipeline.text.pronunciation.pronounce`; NOTHING_SPEAKABLE if
                no phone is given.
        """
        from ns2.pipeline.text.pronunciation import TextSettings, pronounce

        given = item.record.get("phonemes")
        if given:
            spoken = given_pronunciation(given, item.inputs["text"])
        else:
            settings = TextSettings(lexicon=self.lexicon, g2p=self.g2p)
            spoken = pronounce(item.inputs["text"], item.record["language"], settings)
        optional = PhonemeTable.default().optional
        phones = sum(token not in optional for token in spoken.tokens)
        return Product(value=spoken, scalars={"tokens": len(spoken.tokens), "phones": phones})


def given_pronunciation(phonemes: Sequence[str], text: str) -> Pronunciation:
    """The pronunciation that a corpus gives, with `<sil>` at both ends.

    Its words are the phones between borders, marks and `<sil>`; they are named by the words of the
    text if there are as many of these, else by their phones.

    Raises:
        UtteranceError: NOTHING_SPEAKABLE, there is no phone among the phonemes.
    """
    from ns2.pipeline.text.pronunciation import Pronunciation

    tokens = with_silence(phonemes)
    between = PhonemeTable.default().optional
    phones = [token not in between and token != PAD for token in tokens]
    spans: list[list[int]] = []
    for at, phone in enumerate(phones):
        if phone and at and phones[at - 1]:
            spans[-1][1] = at + 1
        elif phone:
            spans.append([at, at + 1])
    if not spans or PAD in tokens:
        what = f"{PAD} is no phoneme" if PAD in tokens else "no phone is given"
        raise UtteranceError(Reason.NOTHING_SPEAKABLE, f"{what}: {' '.join(phonemes)[:60]!r}")
    written = text.split()
    names = written if len(written) == len(spans) else ["".join(tokens[a:b]) for a, b in spans]
    words = [(name, first, end) for name, (first, end) in zip(names, spans, strict=True)]
    return Pronunciation(tuple(tokens), tuple(words))
