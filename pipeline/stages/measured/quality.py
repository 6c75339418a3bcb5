"""The `quality` column: what the signal of a recording tells of its faults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ns2.pipeline.sound.quality import defects
from ns2.pipeline.stages.measured.measure import MeasureStage
from ns2.pipeline.stages.stage import Item, ScalarStage


class QualityStage(MeasureStage, ScalarStage):
    """A recording to numbers, see `ns2.pipeline.sound.quality.defects`.

    Requires `recording`: (S,) float32 and its rate in Hz.
    """

    name: ClassVar[str] = "quality"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("recording",)
    scalars: ClassVar[tuple[str, ...]] = (
        "true_peak", "bandwidth", "snr", "clipped_share", "leading_silence", "trailing_silence",
    )  # fmt: skip
    libraries: ClassVar[tuple[str, ...]] = ("soxr",)
    order: ClassVar[int] = 21

    @property
    def config(self) -> Mapping[str, Any]:
        """The constants that measures rest on."""
        return {
            "oversampling": defects.OVERSAMPLING,
            "band": [defects.BAND_WINDOW, defects.BAND_DEPTH, defects.BAND_SHARE],
            "noise": [defects.NOISE_WINDOW, defects.NOISE_SHARE, defects.SPEECH_SHARE],
            "silence": [defects.SILENCE_WINDOW, defects.SILENCE_DEPTH],
            "clipped": [defects.CLIPPED_RUN, defects.CLIPPED_NEAR],
        }

    def measure(self, item: Item) -> Mapping[str, float | None]:
        """Peak in dBTP, bandwidth in Hz, SNR in dB, a share of samples, and seconds of silence."""
        wave, rate = item.inputs["recording"]
        leading, trailing = defects.silences(wave, rate)
        return {
            "true_peak": defects.true_peak(wave, rate),
            "bandwidth": defects.bandwidth(wave, rate),
            "snr": defects.snr(wave, rate),
            "clipped_share": defects.clipped_share(wave),
            "leading_silence": leading,
            "trailing_silence": trailing,
        }
