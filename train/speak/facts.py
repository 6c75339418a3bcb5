"""What a run keeps so that it can speak without its dataset.

    run/speech/phonemes.json    the phoneme table
    run/speech/speech.json      the codec, the grid, languages, the longest utterance

The model's own weights hold codebooks and the statistics of latents. The codec is kept by name and
by the digest of its weights: its file may lie anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ns2.model.log_mel import MelConfig
from ns2.pipeline.core.atomic import write_if_changed
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.sound.pitch import PitchConfig
from ns2.train.run.names import SPEECH

if TYPE_CHECKING:
    from ns2.model.codec.interface import Codec
    from ns2.pipeline.dataset.reader import Dataset


_TABLE, _SPEECH = "phonemes.json", "speech.json"


@dataclass(frozen=True, kw_only=True)
class SpeechFacts:
    """What speaking needs to know beside the weights.

    Attributes:
        codec: its name.
        codec_digest: of the weights that encode, see `Codec.digest`.
        quantizers: Q.
        sample_rate: Hz.
        hop_length: samples a frame.
        language: most utterances of the dataset are in it.
        languages: all of them.
        aligner: "textgrid" where phones came from TextGrids and not from espeak-ng.
        longest: tokens of the utterance with the most of them.
        mel: the configuration of the mel column; empty where there was none.
        f0: of the pitch column.
    """

    codec: str
    codec_digest: str
    quantizers: int
    sample_rate: int
    hop_length: int
    language: str
    languages: tuple[str, ...]
    aligner: str
    longest: int
    mel: dict[str, Any]
    f0: dict[str, Any]

    def mel_config(self) -> MelConfig:
        """How the dataset's log-mels were made; the usual way where it has none."""
        usual = {**self._rates, "fmax": min(MelConfig.fmax, self.sample_rate / 2)}
        return MelConfig(**{**usual, **self.mel})

    def pitch_config(self) -> PitchConfig:
        """How the dataset's F0 was found."""
        return PitchConfig(**{**self._rates, **self.f0})

    @property
    def _rates(self) -> dict[str, Any]:
        return {"sample_rate": self.sample_rate, "hop_length": self.hop_length}


def facts_of(datasets: Sequence[Dataset]) -> SpeechFacts:
    """Those of datasets that are learned together."""
    first = datasets[0]
    codes = first.card["columns"]["codes"]["config"]
    columns, counts = first.card["columns"], [d.card["counts"]["languages"] for d in datasets]
    totals: dict[str, int] = {}
    for one in counts:
        for language, count in one.items():
            totals[language] = totals.get(language, 0) + count
    return SpeechFacts(
        codec=codes["codec"],
        codec_digest=codes["weights"],
        quantizers=codes["quantizers"],
        sample_rate=first.grid.sample_rate,
        hop_length=first.grid.hop_length,
        language=max(sorted(totals), key=lambda name: totals[name]),
        languages=tuple(sorted(totals)),
        aligner=first.card["options"].get("aligner", "builtin"),
        longest=max(_most_tokens(d) for d in datasets),
        mel=dict(columns.get("mel", {}).get("config", {})),
        f0=dict(columns.get("f0", {}).get("config", {})),
    )


def _most_tokens(dataset: Dataset) -> int:
    """N of the utterance with the most tokens."""
    import pyarrow.compute as pc

    shapes = dataset.fields(["phonemes_shape"])["phonemes_shape"]
    return int(pc.max(pc.list_flatten(shapes)).as_py())


def keep_speech(run: Path, datasets: Sequence[Dataset]) -> None:
    """Write into a run's folder what speaking needs."""
    folder = run / SPEECH
    folder.mkdir(parents=True, exist_ok=True)
    table = datasets[0].phoneme_table.to_json()
    for name, value in ((_TABLE, table), (_SPEECH, asdict(facts_of(datasets)))):
        text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        write_if_changed(folder / name, text.encode())


def read_speech(run: Path) -> tuple[SpeechFacts, PhonemeTable]:
    """What `keep_speech` wrote.

    Raises:
        UserError: it is not there, or damaged.
    """
    folder = run / SPEECH
    try:
        facts = json.loads((folder / _SPEECH).read_text("utf-8"))
        table = json.loads((folder / _TABLE).read_text("utf-8"))
        facts["languages"] = tuple(facts["languages"])
        return SpeechFacts(**facts), PhonemeTable.from_json(table)
    except FileNotFoundError as error:
        raise UserError(
            f"{run} is no run of `ns2 train`: {Path(error.filename).name} is missing"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder} is damaged ({error}); train the run again") from error


def open_codec_of(
    facts: SpeechFacts, name: str | None = None, weights: Path | None = None
) -> Codec:
    """The codec that a model's latents belong to.

    Args:
        name: a codec or its file, where it is not one that ns2 finds by name.
        weights: EnCodec's, where ns2 does not find them.

    Raises:
        UserError: it can't be had, or is another one.
    """
    from ns2.train.codec.opened import open_codec

    codec = open_codec(name or facts.codec, weights, facts.quantizers)
    if codec.digest != facts.codec_digest:
        raise UserError(
            f"the model learned the codec {facts.codec} with weights {facts.codec_digest[:12]}, "
            f"and {name or facts.codec} has {codec.digest[:12]}: name the file with --codec or "
            "--codec-weights"
        )
    return codec
