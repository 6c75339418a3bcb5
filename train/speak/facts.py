"""What a run keeps of its dataset, so that it can speak without it.

    run/speech/phonemes.json    the phoneme table
    run/speech/speech.json      the codec, the frame grid, languages, the longest utterance
    run/speech/lexicon.json     pronunciations of the user's own, where there are some

The codebooks and the statistics of latents are among the model's weights. The codec is kept by its
name and the digest of its weights, since its file may lie anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ns2.model.codec.own import NAME
from ns2.model.codec.registry import MAX_QUANTIZERS
from ns2.model.config_values import from_values
from ns2.model.log_mel import MelConfig
from ns2.pipeline.core.atomic import member_folder, write_if_changed
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.reading import read_json
from ns2.pipeline.dataset.layout import ASSETS
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.sound.pitch import PitchConfig
from ns2.pipeline.text.lexicon import Lexicon, Tokens
from ns2.pipeline.text.reading import readings
from ns2.train.data.alike import longest_table
from ns2.train.run.names import SPEECH

if TYPE_CHECKING:
    import numpy as np

    from ns2.model.codec.interface import Codec
    from ns2.pipeline.dataset.reader import Dataset


_TABLE, _SPEECH, _LEXICON = "phonemes.json", "speech.json", "lexicon.json"
_MOST = {
    "quantizers": MAX_QUANTIZERS,
    "sample_rate": 768_000,
    "hop_length": 768_000,
    "longest": 1 << 20,
}
_MOST_BINS = 1024


@dataclass(frozen=True, kw_only=True)
class SpeechFacts:
    """The facts about a run's dataset that speaking needs beside the weights.

    Attributes:
        codec: the codec's name.
        codec_digest: the digest of the codec's weights, see `Codec.digest`.
        quantizers: Q, the number of quantisers.
        sample_rate: in Hz.
        hop_length: the number of samples in a frame.
        language: the language of most utterances.
        languages: all languages.
        aligner: "textgrid" where phones came from TextGrids and not from espeak-ng.
        longest: the number of tokens in the longest utterance.
        mel: the configuration of the mel column; empty where there was none.
        f0: the configuration of the F0 column; empty where there was none.
        g2p: the readings that go before espeak-ng, by name.
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
    g2p: tuple[str, ...] = ()

    def mel_config(self) -> MelConfig:
        """How the dataset's log-mels were made; the defaults where it has none."""
        defaults = {**self._rates, "fmax": min(MelConfig.fmax, self.sample_rate / 2)}
        return MelConfig(**{**defaults, **self.mel})

    def pitch_config(self) -> PitchConfig:
        """How the dataset's F0 was extracted."""
        return PitchConfig(**{**self._rates, **self.f0})

    @property
    def _rates(self) -> dict[str, Any]:
        return {"sample_rate": self.sample_rate, "hop_length": self.hop_length}


def facts_of(
    datasets: Sequence[Dataset], chosen: Sequence[np.ndarray] | None = None
) -> SpeechFacts:
    """The facts about datasets that one run is trained on; they are alike.

    Args:
        chosen: for each dataset the positions in its index that are trained on; None for all.
    """
    first = datasets[0]
    codes = first.card.config("codes")
    totals: dict[str, int] = {}
    for dataset in datasets:
        for language, count in dataset.card.counts.languages.items():
            totals[language] = totals.get(language, 0) + count
    return SpeechFacts(
        codec=codes["codec"],
        codec_digest=codes["weights"],
        quantizers=codes["quantizers"],
        sample_rate=first.grid.sample_rate,
        hop_length=first.grid.hop_length,
        language=max(sorted(totals), key=lambda name: totals[name]),
        languages=tuple(sorted(totals)),
        aligner=first.card.options.get("aligner", "builtin"),
        longest=max(
            _most_tokens(d, None if chosen is None else chosen[i]) for i, d in enumerate(datasets)
        ),
        mel=dict(first.card.config("mel")),
        f0=dict(first.card.config("f0")),
        g2p=tuple(dict.fromkeys(name for d in datasets for name in _g2p_of(d))),
    )


def _g2p_of(dataset: Dataset) -> list[str]:
    """The readings that a dataset's texts were pronounced with."""
    tokens = dataset.card.stages.get("tokens")
    found = tokens.config.get("g2p") if tokens is not None else None
    return found if isinstance(found, list) else []


def _most_tokens(dataset: Dataset, chosen: np.ndarray | None) -> int:
    """The number of tokens in the longest utterance at some positions; 0 where there are none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    shapes = dataset.fields(["phonemes_shape"])["phonemes_shape"]
    if chosen is not None:
        shapes = shapes.take(pa.array(chosen))
    return int(pc.max(pc.list_flatten(shapes)).as_py() or 0)


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What a run that is there can speak, which a run that begins with its weights can, too."""

    facts: SpeechFacts
    table: PhonemeTable
    lexicon: Lexicon | None

    @staticmethod
    def of(run: Path) -> Learned:
        """What a run has kept.

        Raises:
            UserError: a file is missing or damaged.
        """
        facts, table = read_speech(run)
        return Learned(facts=facts, table=table, lexicon=read_lexicon(run, table))


def _joined(facts: SpeechFacts, before: SpeechFacts) -> SpeechFacts:
    """The facts of a run that learned other things before."""
    return replace(
        facts,
        languages=tuple(sorted({*facts.languages, *before.languages})),
        longest=max(facts.longest, before.longest),
        g2p=tuple(dict.fromkeys((*facts.g2p, *before.g2p))),
    )


def keep_speech(
    run: Path,
    datasets: Sequence[Dataset],
    chosen: Sequence[np.ndarray] | None = None,
    before: Learned | None = None,
) -> None:
    """Write the facts, the phoneme table and the lexicon into a run's folder.

    Args:
        chosen: see `facts_of`.
        before: what the weights could speak that the run began with; None where it began anew.
    """
    folder = member_folder(run, SPEECH)
    tables = [dataset.phoneme_table for dataset in datasets]
    table = longest_table([*tables, before.table] if before else tables)
    found = facts_of(datasets, chosen)
    facts = asdict(_joined(found, before.facts) if before else found)
    if not facts["g2p"]:
        del facts["g2p"]
    values = {_TABLE: table.to_json(), _SPEECH: facts}
    lexicon = _lexicon_of(datasets, table, before.lexicon if before else None)
    if lexicon is not None:
        values[_LEXICON] = lexicon.to_json()
    for name, value in values.items():
        text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        write_if_changed(folder / name, text.encode())


def _lexicon_of(
    datasets: Sequence[Dataset], table: PhonemeTable, before: Lexicon | None
) -> Lexicon | None:
    """The entries of the lexicons of all datasets; of a word in several, that of the first.

    Args:
        before: the entries that were learned before.
    """
    entries: dict[str, Tokens] = {}
    for dataset in datasets:
        if any(name.startswith(f"{ASSETS}/lexicon-") for name in dataset.card.assets):
            path = dataset.asset("lexicon")
            try:
                found = Lexicon.from_json(read_json(path), table)
            except (UserError, ValueError, OSError) as error:
                raise UserError(f"{path}: {error}; `ns2 verify` says more") from error
            entries = {**found.entries, **entries}
    if before is not None:
        entries = {**before.entries, **entries}
    return Lexicon(entries) if entries else None


def read_lexicon(run: Path, table: PhonemeTable) -> Lexicon | None:
    """The lexicon that `keep_speech` wrote; None where it wrote none.

    Raises:
        UserError: the file is damaged.
    """
    path = run / SPEECH / _LEXICON
    try:
        return Lexicon.from_json(read_json(path), table)
    except FileNotFoundError:
        return None
    except (UserError, ValueError, OSError) as error:
        raise UserError(f"{path} is damaged ({error}); train the run again") from error


def read_speech(run: Path) -> tuple[SpeechFacts, PhonemeTable]:
    """The facts and the phoneme table that `keep_speech` wrote.

    Raises:
        UserError: a file is missing or damaged.
    """
    folder = run / SPEECH
    try:
        facts = read_json(folder / _SPEECH)
        table = read_json(folder / _TABLE)
        facts["languages"] = tuple(facts["languages"])
        facts["g2p"] = tuple(facts.get("g2p", ()))
        read = SpeechFacts(**facts)
        _check(read)
        return read, PhonemeTable.from_json(table)
    except FileNotFoundError as error:
        raise UserError(
            f"{run} is no run of `ns2 train`: {Path(error.filename).name} is missing"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{folder} is damaged ({error}); train the run again") from error


def _check(facts: SpeechFacts) -> None:
    """See that facts are such as `facts_of` gives: a run may come from anywhere.

    Raises:
        ValueError: one is not, and its name.
    """
    if not (isinstance(facts.codec, str) and NAME.fullmatch(facts.codec)):  # no path, no class
        raise ValueError(f"there is no codec {facts.codec!r:.60}")
    for name in ("codec_digest", "language", "aligner"):
        if not isinstance(getattr(facts, name), str):
            raise ValueError(f"{name} is no text")
    if not all(isinstance(name, str) for name in facts.languages):
        raise ValueError("languages are no texts")
    readings(facts.g2p)
    for name, most in _MOST.items():
        value = getattr(facts, name)
        if type(value) is not int or not 1 <= value <= most:
            raise ValueError(f"{name} is {value!r:.40}, expected 1 to {most:,}")
    from_values(MelConfig, facts.mel)
    from_values(PitchConfig, facts.f0)
    if facts.mel_config().bins > _MOST_BINS:
        raise ValueError(f"mel has more than {_MOST_BINS:,} bins")
    facts.pitch_config()


def open_codec_of(
    facts: SpeechFacts, name: str | None = None, weights: Path | None = None
) -> Codec:
    """The codec whose codes a run was trained on.

    Args:
        name: the name or file of the codec, where ns2 does not find it by itself.
        weights: a file with EnCodec's weights, where ns2 does not find them by itself.

    Raises:
        UserError: the codec can't be opened, or its weights are not those of the run.
    """
    from ns2.train.codec.opened import open_codec_of_codes

    return open_codec_of_codes(
        facts.codec, facts.codec_digest, facts.quantizers, name=name, weights=weights
    )
