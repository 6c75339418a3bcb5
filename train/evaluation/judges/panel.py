"""All judges of an evaluation, opened together: of phones, and of what is asked for.

Letters for shapes: S samples, E width of an embedding.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ns2.pipeline.sound.quality.dnsmos import Dnsmos
from ns2.train.evaluation.evaluate_config import EvaluateConfig
from ns2.train.evaluation.judges.phones import PhoneClassifier, load_phone_classifier
from ns2.train.evaluation.judges.recognisers import Recogniser, open_recogniser
from ns2.train.evaluation.judges.speakers import SpeakerModel, open_speaker_model


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The judges of an evaluation.

    Attributes:
        phones: hears phones.
        words: hears words; None where it was not asked for.
        voices: compares voices; the same.
        opinions: predicts what listeners say; the same.
    """

    phones: PhoneClassifier
    words: Recogniser | None
    voices: SpeakerModel | None
    opinions: Dnsmos | None

    @staticmethod
    def open(config: EvaluateConfig) -> Panel:
        """Open the judges that are asked for.

        Raises:
            UserError: one can't be loaded.
        """
        return Panel(
            phones=load_phone_classifier(),
            words=open_recogniser(config.recogniser) if config.recogniser else None,
            voices=open_speaker_model(config.speaker_model) if config.speaker_model else None,
            opinions=Dnsmos() if config.mos else None,
        )

    def check(self, languages: Iterable[str]) -> None:
        """See that the recogniser knows languages, by the names of espeak-ng voices.

        Raises:
            UserError: it does not know one.
        """
        if self.words is not None:
            for language in sorted(set(languages)):
                self.words.check(language)
