"""What a process of `benchmarks.copies` measures: recordings, and the copies of them.

What judges say of a wave is kept under the wave's hash, so that neither a recording nor a copy that
stays the same to the last bit is ever judged twice.

Letters for shapes: S samples, T frames.
"""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from benchmarks.codecs.copy_groups import Clip
from ns2.model.codec.interface import Codec
from ns2.model.codec.loading import load_codec
from ns2.pipeline.core.errors import UserError, UtteranceError
from ns2.pipeline.sound.decode import read_audio, resample
from ns2.pipeline.sound.measures import log_mel, mel_distance
from ns2.pipeline.sound.quality.dnsmos import Dnsmos
from ns2.train.codec import measure
from ns2.train.evaluation.judges.recognisers import open_recogniser

RECORDING = "recordings"
"""The name of the recordings among the codecs."""
F0_MIN, F0_MAX = 60.0, 600.0
"""The range of F0 in Hz that is looked for."""

Values = dict[str, Any]
"""Figures by name, as JSON holds them."""


@dataclass(frozen=True, kw_only=True)
class Judges:
    """Which judges are asked."""

    mos: bool
    """Whether DNSMOS says how good a recording or copy sounds."""

    words: bool
    """Whether Whisper base recognises words."""


@dataclass(frozen=True, kw_only=True)
class Copied:
    """A recording and its copies, measured: keys of values, and the values that are new.

    Attributes:
        clip: the recording.
        seconds: its length.
        cpu_seconds: the CPU time that it took.
        waves: the key of the recording (see `RECORDING`) and of each codec's copy.
        pairs: the key of each copy compared with its recording, by codec.
        originals: the key of the recording at each codec's sample rate.
        new: values by key that were not known before.
    """

    clip: Clip
    seconds: float
    cpu_seconds: float = 0.0
    waves: dict[str, str] = field(default_factory=dict)
    pairs: dict[str, str] = field(default_factory=dict)
    originals: dict[str, str] = field(default_factory=dict)
    new: dict[str, Values] = field(default_factory=dict)


class Measurer:
    """Copies recordings by codecs and measures them, on one thread."""

    def __init__(
        self, codecs: Mapping[str, str], known: Mapping[str, Values], judges: Judges
    ) -> None:
        """Open codecs and judges.

        Args:
            codecs: names or files of codecs by their names in the table.
            known: values of earlier runs by key.
            judges: the judges that are asked.

        Raises:
            UserError: a judge is not installed.
            CodecError: a codec can't be opened.
        """
        torch.set_num_threads(1)
        self._codecs = {name: load_codec(which, None, None) for name, which in codecs.items()}
        self._known = known
        self._judges = judges
        self._mos = Dnsmos() if judges.mos else None
        self._recogniser = open_recogniser() if judges.words else None

    def measure(self, clip: Clip) -> Copied:
        """Measure a recording and its copies by all codecs.

        Raises:
            UserError: the recording can't be used.
        """
        began = time.process_time()
        try:
            sound, rate = read_audio(clip.path)
        except UtteranceError as error:
            raise UserError(f"{clip.path}: {error}") from error
        done = Copied(clip=clip, seconds=len(sound) / rate)
        for name, codec in self._codecs.items():
            wave = resample(sound, rate, codec.spec.sample_rate)
            original = done.originals[name] = self._judged(done, wave, codec, clip.language)
            done.waves.setdefault(RECORDING, original)
            copy = copied(codec, wave)
            done.waves[name] = self._judged(done, copy, codec, clip.language)
            done.pairs[name] = self._compared(done, copy, wave, codec)
        return replace(done, cpu_seconds=time.process_time() - began)

    def _judged(self, done: Copied, wave: np.ndarray, codec: Codec, language: str) -> str:
        """Return the key of what judges say of a wave (S,)."""
        grid = (codec.spec.sample_rate, codec.spec.hop_length)
        key = _key("wave", [wave], *grid, language, self._judges)
        if key not in self._known and key not in done.new:
            done.new[key] = self._judge(wave, codec, language)
        return key

    def _judge(self, wave: np.ndarray, codec: Codec, language: str) -> Values:
        rate = codec.spec.sample_rate
        values: Values = {"f0": f0_of(wave, codec)}
        if self._mos is not None:
            mos = self._mos.scores(wave, rate)
            values |= {"signal": mos.signal, "p808": mos.p808}
        if self._recogniser is not None:
            values["heard"] = self._recogniser.text(wave, rate, language)
        return values

    def _compared(self, done: Copied, copy: np.ndarray, wave: np.ndarray, codec: Codec) -> str:
        """Return the key of what tells a copy (S,) from its recording (S,)."""
        rate = codec.spec.sample_rate
        key = _key("pair", [copy, wave], rate)
        if key not in self._known and key not in done.new:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of pystoi, where little is louder than silence
                done.new[key] = {
                    "stoi": measure.speech_stoi(copy, wave, rate),
                    "pesq": measure.speech_pesq(copy, wave, rate),
                    "log_mel": mel_distance(log_mel(copy), log_mel(wave)),
                }
        return key


def copied(codec: Codec, wave: np.ndarray) -> np.ndarray:
    """Return a codec's copy (S,) of a wave (S,) at its sample rate."""
    with torch.inference_mode():
        made = codec.decode(codec.encode(torch.from_numpy(wave)))
    return np.asarray(made[: len(wave)].float().numpy())


def f0_of(wave: np.ndarray, codec: Codec) -> list[float]:
    """Return the F0 in Hz of each frame by Harvest (Morise 2017), to 0.01 Hz, 0 where unvoiced.

    It is Harvest with its own verdict on voicing, as others would use it to compare two waves, and
    not `ns2.pipeline.sound.pitch`, which codecs of ns2 may have been trained with.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyworld imports the deprecated pkg_resources
        import pyworld
    rate = codec.spec.sample_rate
    f0, _ = pyworld.harvest(
        wave.astype(np.float64),
        rate,
        f0_floor=F0_MIN,
        f0_ceil=F0_MAX,
        frame_period=1000 * codec.spec.hop_length / rate,
    )
    return [round(float(value), 2) for value in f0]


def _key(kind: str, waves: Sequence[np.ndarray], *also: object) -> str:
    digest = hashlib.sha256(repr((kind, *also)).encode())
    for wave in waves:
        digest.update(np.ascontiguousarray(wave, "<f4").tobytes())
    return digest.hexdigest()[:32]
