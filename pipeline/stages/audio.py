"""audio: the decoded recording at the grid's rate, for the stages that listen to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any, ClassVar, Self

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.held import Recording
from ns2.pipeline.core.schema import LONGEST_SECONDS
from ns2.pipeline.core.versions import version
from ns2.pipeline.sound.decode import (
    RESAMPLER,
    TrimConfig,
    check_declared_length,
    check_samples,
    level_db,
    read_audio,
    resample,
    trim_silence,
)
from ns2.pipeline.sound.quality.lufs import at_loudness
from ns2.pipeline.stages.stage import Item, Product, Stage, StageSettings


@dataclass(frozen=True, kw_only=True)
class AudioStage(Stage):
    """Decode, mix down, resample, and where asked cut outer silence and set the loudness.

    Takes the path of the file, or where a file holds the recording; gives (S,) float32, which is
    never stored, and the scalars `samples` (S) and `level_db` (RMS in dBFS).
    """

    name: ClassVar[str] = "audio"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("audio_file",)
    libraries: ClassVar[tuple[str, ...]] = ("soundfile", "soxr")
    scalars: ClassVar[tuple[str, ...]] = ("samples", "level_db")
    order: ClassVar[int] = 0

    sample_rate: int = 24_000
    trim: bool = False
    loudness: float | None = None

    @classmethod
    def of(cls, settings: StageSettings) -> Self:
        """Every run decodes audio, to the grid's rate."""
        options, rate = settings.options, settings.grid.sample_rate
        return cls(sample_rate=rate, trim=options.trim, loudness=options.loudness)

    def prepare(self) -> None:
        """See that loudness can be measured, where it is needed.

        Raises:
            UserError: pyloudnorm is not installed.
        """
        if self.loudness is not None and find_spec("pyloudnorm") is None:
            raise UserError(
                "--loudness needs pyloudnorm, which is not installed: pip install 'ns2[quality]'"
            )

    @property
    def config(self) -> Mapping[str, Any]:
        """The rate, the resampler, what is cut, and the loudness, where recordings get one."""
        return {
            "sample_rate": self.sample_rate,
            "resampler": RESAMPLER,
            "trim": asdict(TrimConfig()) if self.trim else None,
            **({} if self.loudness is None else {"loudness": self.loudness}),
        }

    def library_versions(self) -> dict[str, str]:
        """Versions of the wrappers and of the libraries inside, which do the work."""
        import soundfile
        import soxr

        measured = () if self.loudness is None else ("pyloudnorm", "scipy")
        return {
            **super().library_versions(),
            **{name: version(name) for name in measured},
            "libsndfile": str(soundfile.__libsndfile_version__),
            "libsoxr": str(soxr.__libsoxr_version__),
        }

    def compute_batch(self, items: Sequence[Item]) -> list[Product | Exception]:
        """Products in the order of the items; recordings are read as they lie in their files.

        So a file that holds many, or must be decoded whole for a piece of it, is read once.
        """
        order = sorted(range(len(items)), key=lambda i: _place(items[i]))
        made = super().compute_batch([items[i] for i in order])
        found = dict(zip(order, made, strict=True))
        return [found[i] for i in range(len(items))]

    def compute(self, item: Item) -> Product:
        """Decode the file at `item.inputs["audio_file"]`, or the `piece` of it in the record.

        Raises:
            UtteranceError: as `read_audio` does; TOO_LONG for what no option would admit, before
                it is decoded, so that memory stays bounded.
        """
        piece = item.record.get("piece")
        check_declared_length(item.inputs["audio_file"], LONGEST_SECONDS, piece)
        wave, rate = read_audio(item.inputs["audio_file"], piece)
        wave = resample(wave, rate, self.sample_rate)
        check_samples(wave)  # all that was there may lie above what the rate can hold
        if self.trim:
            wave = trim_silence(wave, self.sample_rate)
        if self.loudness is not None:
            wave = at_loudness(wave, self.sample_rate, self.loudness)
        return Product(value=wave, scalars={"samples": len(wave), "level_db": level_db(wave)})


def _place(item: Item) -> tuple[tuple[str, tuple[int, int]], float]:
    piece = item.record.get("piece")
    order = Recording.of(item.inputs["audio_file"]).order
    return order, 0.0 if piece is None else piece.offset
