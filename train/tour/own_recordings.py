"""The recordings of a user, for `ns2 demo DIR --corpus CORPUS`.

Sentences are held out to be spoken in the end: those of the corpus's own split val where it has
one, else some that `ns2 preprocess` draws; of a small corpus it draws a larger share than usual.
Silence at both ends is cut off, since a step that learns silence is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.schema import Piece
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.sound.decode import read_audio
from ns2.pipeline.sound.wav import save_wav
from ns2.pipeline.text.clauses import base_language
from ns2.train.tour.demo_config import Demo
from ns2.train.tour.judges import judging
from ns2.train.tour.recordings import Hello

FEWEST_TRAINED, FEWEST_HELD_OUT = 20, 3
"""The fewest utterances that a demo learns from, and that it speaks in the end."""
_WANTED = 10
"""The number of drawn utterances that is enough, however small their share."""
_SHARES = (Options.val_share, *(percent / 100 for percent in range(3, 21)))
_SHORTEST_PROMPT = 2.0
"""Seconds of a voice that say enough about it."""
HELLO = {
    "en": "Hello there. Not long ago I could not speak at all.",
    "de": "Guten Tag. Vor kurzem konnte ich noch gar nicht sprechen.",
    "es": "Hola. Hace poco todavía no sabía hablar.",
    "fr": "Bonjour. Il y a peu de temps, je ne savais pas encore parler.",
    "it": "Buongiorno. Poco tempo fa non sapevo ancora parlare.",
    "nl": "Goedendag. Kort geleden kon ik nog helemaal niet praten.",
    "pl": "Dzień dobry. Jeszcze niedawno mowa była mi zupełnie obca.",
    "pt": "Olá. Há pouco tempo eu ainda não sabia falar.",
}
"""A new sentence in each language that it is known in; in others a held-out one is spoken."""


class OwnRecordings:
    """The recordings of `--corpus`; see `Recordings`."""

    def __init__(self, demo: Demo, corpus: Path) -> None:
        self._demo, self.place = demo, corpus

    def prepare(self) -> None:
        """Choose how many are held out.

        Raises:
            UserError: the corpus can't be read, or has too few utterances.
        """
        self._check(self._planned[1], "")

    def making(self) -> Sequence[str]:
        """See `Recordings.making`."""
        demo = self._demo
        layout = () if demo.layout is None else ("--layout", demo.layout)
        fields = () if demo.fields is None else ("--fields", demo.fields)
        language = () if demo.language == Options.language else ("--language", demo.language)
        return ("--trim", "--val-share", f"{self._planned[0]:g}", *layout, *fields, *language)

    def check(self) -> None:
        """See that enough utterances are left in the dataset.

        Raises:
            UserError: there are too few; the message says what to do.
        """
        rejected = self._demo.shards / "rejected.parquet"
        self._check(self._counts, f" are left, and {rejected} says why others are not")

    def judging(self, show: Callable[[str], None]) -> Sequence[str]:
        """See `Recordings.judging`."""
        return judging({row["language"] for row in self._held_out}, show)

    def hello(self) -> Hello:
        """The sentence of `HELLO`, in the voice of the first held-out recording of some length.

        Raises:
            UserError: the dataset can't be read.
        """
        from ns2.train.evaluation.held_out import find_recording

        held = self._held_out
        first = next((row for row in held if row["seconds"] >= _SHORTEST_PROMPT), held[0])
        other = next(row for row in held if row is not first)
        meta = self._dataset.read("meta", first["key"])
        place = find_recording(self._dataset, self.place, first["key"], meta["source"])
        prompt, piece = place.path, Piece.from_json(meta.get("piece"))
        if piece is not None or place.held is not None:  # the rest may be other voices
            wave, rate = read_audio(place, piece)
            prompt = self._demo.root / "prompt.wav"
            save_wav(prompt, wave, rate)
        return Hello(
            text=HELLO.get(base_language(first["language"]), other["text"]),
            prompt=prompt,
            language=first["language"],
        )

    def learned(self) -> str:
        """See `Recordings.learned`."""
        held, counts = self._held_out, self._counts
        trained = {row["speaker"] for row in self._rows if row["split"] == "train"}
        minutes = sum(row["seconds"] for row in self._rows if row["split"] == "train") / 60
        new = {row["speaker"] for row in held} - trained
        voices = "in voices that it has never heard" if new else "in a voice that it has learned"
        return (
            f"The model was trained for {self._demo.minutes:g} minutes on {counts['train']} "
            f"utterances ({minutes:.0f} minutes) of {len(trained)} "
            f"speaker{'' if len(trained) == 1 else 's'}, and reads sentences that it has never "
            f"seen {voices}.\nMore training makes it better: `--minutes` says how much, in another "
            "folder."
        )

    def voice(self) -> str:
        """The recording whose voice speaks the sentence of the demo."""
        import shlex

        return shlex.quote(str(self.hello().prompt))

    # -- what there is ---------------------------------------------------------------------------

    @cached_property
    def _planned(self) -> tuple[float, Mapping[str, int]]:
        """The share of `--val-share`, and how many utterances then are in each split.

        Raises:
            UserError: the corpus can't be read.
        """
        from ns2.pipeline.corpora.reading import read_corpus
        from ns2.pipeline.preprocess.preview import split_counts

        utterances = read_corpus(self.place, self._demo.layout, self._demo.fields).utterances
        splits = {utterance.split for utterance in utterances}
        if "val" in splits:
            return 0.0, split_counts(utterances, Options(val_share=0.0))
        for share in _SHARES:
            counts = split_counts(utterances, Options(val_share=share))
            if counts.get("val", 0) >= _WANTED or "" not in splits:
                break
        return share, counts

    def _check(self, counts: Mapping[str, int], found: str) -> None:
        """See that there is enough to learn from and to hold out.

        Args:
            found: the end of a sentence on how many utterances were found.

        Raises:
            UserError: there is not.
        """
        trained, held = counts.get("train", 0), counts.get("val", 0)
        told = f"{self.place}: {trained} utterances to learn from and {held} to hold out{found}"
        if trained < FEWEST_TRAINED:
            raise UserError(
                f"{told}. A demo needs at least {FEWEST_TRAINED} to learn from, and some ten "
                "minutes of speech to learn to speak: record more, or cut long recordings at "
                "pauses, so that each is a sentence or two (30 s at most)."
            )
        if held < FEWEST_HELD_OUT:
            raise UserError(
                f"{told}. A demo holds out at least {FEWEST_HELD_OUT}, which it does not learn "
                "from: give more of them the split val (in a manifest), name the folder with the "
                "corpus's dev set too, or record more where splits are drawn."
            )

    @cached_property
    def _dataset(self) -> Any:
        from ns2.pipeline.dataset.reader import Dataset

        return Dataset(self._demo.shards)

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        """Rows of the dataset's index."""
        names = ["key", "id", "split", "speaker", "language", "text", "seconds"]
        rows: list[dict[str, Any]] = self._dataset.fields(names).to_pylist()
        return rows

    @property
    def _held_out(self) -> list[dict[str, Any]]:
        """The rows of held-out utterances, by id."""
        return sorted((row for row in self._rows if row["split"] == "val"), key=lambda r: r["id"])

    @property
    def _counts(self) -> dict[str, int]:
        """The number of utterances in each split of the dataset."""
        counts: dict[str, int] = {}
        for row in self._rows:
            counts[row["split"]] = counts.get(row["split"], 0) + 1
        return counts
