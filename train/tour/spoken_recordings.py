"""Recordings for lack of recordings: espeak-ng speaks made-up sentences in many voices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ns2.pipeline.core.progress import display
from ns2.pipeline.corpora.spoken.cast import Speaker, Spoken, cast, speak_spoken
from ns2.pipeline.corpora.spoken.espeak import SENTENCES
from ns2.pipeline.corpora.spoken.sentences import sentences
from ns2.train.tour.demo_config import Demo
from ns2.train.tour.recordings import Hello

HELLO = "Hello there. A few minutes ago I could not speak at all."
_VOICES = (
    "en-us",
    *(
        f"en-us+{variant}"
        for variant in (
            "m1", "m3", "m4", "m6", "m8", "Andy", "Lee", "sandro", "adam",
            "f2", "linda", "steph", "anika", "grandma",
        )
    ),
)  # fmt: skip
SPEAKERS = tuple(
    Speaker(voice=voice, pitch=pitch + 7 * number % spread, rate=rate + 5 * (number % 3))
    for number, voice in enumerate(_VOICES)
    for pitch, spread, rate in ((15, 30, 150), (50, 35, 165))
)
"""The speakers of the training split: each voice low and high."""
HELD_OUT = (
    Speaker(voice="en-us+m7", pitch=50, rate=160),
    Speaker(voice="en-us+f1", pitch=50, rate=160),
)
"""The speakers of the validation split, whose voices are not in the training split."""
_HELD_OUT_SENTENCES = SENTENCES[:20]
_OTHER_SENTENCES = SENTENCES[20:]


class SpokenRecordings:
    """The corpus that espeak-ng speaks, in the folder of the demo; see `Recordings`."""

    def __init__(self, demo: Demo) -> None:
        self._demo = demo

    @property
    def place(self) -> Path:
        """The folder of recordings with texts."""
        return self._demo.root / "corpus"

    def what_is_said(self) -> list[Spoken]:
        """The utterances of the corpus: made-up sentences, and twenty others in other voices.

        The twenty are the validation split.
        """
        demo = self._demo
        learned = sentences(demo.utterances, demo.seed) + list(_OTHER_SENTENCES)
        return cast(learned, SPEAKERS, "train", demo.seed) + cast(
            _HELD_OUT_SENTENCES, HELD_OUT, "val", demo.seed
        )

    def prepare(self) -> None:
        """Speak what is not there yet."""
        said = self.what_is_said()
        with display() as progress:
            progress.phase("espeak-ng speaks", len(said))
            speak_spoken(self.place, said, workers=self._demo.workers, tell=progress.reach)

    def making(self) -> Sequence[str]:
        """See `Recordings.making`: nothing, since the manifest tells all."""
        return ()

    def check(self) -> None:
        """See `Recordings.check`: it always suffices."""

    def judging(self, show: Callable[[str], None]) -> Sequence[str]:
        """See `Recordings.judging`: the others were made for people."""
        return ()

    def hello(self) -> Hello:
        """See `Recordings.hello`."""
        first = next(said for said in self.what_is_said() if said.split == "val")
        return Hello(text=HELLO, prompt=self.place / "wavs" / f"{first.id}.wav")

    def learned(self) -> str:
        """See `Recordings.learned`."""
        return (
            f"The model was trained for {self._demo.minutes:g} minutes, and reads sentences that "
            "it has never seen in a voice that it has never heard."
        )

    def voice(self) -> str:
        """See `Recordings.voice`."""
        return "your-voice.wav"
