"""Decodes long recordings block by block, so that memory does not grow with their length."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import Reason
from ns2.pipeline.sound.containers import check_container, opened

_BLOCK_SECONDS = 30
_RATES = range(4_000, 768_001)


def streamed(path: Path, target: int) -> Iterator[np.ndarray]:
    """Decode and resample a recording to one channel, the mean of its channels, block by block.

    The blocks together are what `read_audio` and `resample` give, up to rounding.

    Args:
        path: of the recording.
        target: the sample rate of the blocks, in Hz.

    Yields:
        samples (S,) float32; blocks are of about 30 s, and none is empty.

    Raises:
        UtteranceError: AUDIO_UNREADABLE, AUDIO_TRUNCATED, AUDIO_NOT_FINITE or AUDIO_EMPTY.
    """
    import soundfile
    import soxr

    try:
        check_container(path)
        with opened(path) as file:
            rate = file.samplerate
            if rate not in _RATES:
                message = f"its header declares an impossible sample rate of {rate} Hz"
                raise UtteranceError(Reason.AUDIO_UNREADABLE, message)
            resampler = soxr.ResampleStream(rate, target, 1, dtype="float32", quality="VHQ")
            for block, last in _with_last(_blocks(file, path)):
                out = block if rate == target else resampler.resample_chunk(block, last=last)
                if len(out):
                    yield np.asarray(out, np.float32)
    except (soundfile.LibsndfileError, TypeError) as error:
        message = f"the audio file can't be decoded: {error}".replace(str(path), path.name)
        raise UtteranceError(Reason.AUDIO_UNREADABLE, message) from error


def _blocks(file, path: Path) -> Iterator[np.ndarray]:  # type: ignore[no-untyped-def] # no types
    """Blocks (S,) float32 of an open file, the mean of its channels."""
    # soundfile would seek behind every block, which breaks the decoding of MP3
    file.seekable = lambda: False
    done = 0
    while True:
        channels = file.read(_BLOCK_SECONDS * file.samplerate, dtype="float32", always_2d=True)
        if not len(channels):
            break
        done += len(channels)
        wave = channels[:, 0] if channels.shape[1] == 1 else channels.mean(axis=1)
        if not np.isfinite(wave).all():
            message = f"{int((~np.isfinite(wave)).sum())} samples are NaN or infinite"
            raise UtteranceError(Reason.AUDIO_NOT_FINITE, message)
        yield np.ascontiguousarray(wave, np.float32)
    if not done:
        raise UtteranceError(Reason.AUDIO_EMPTY, "the audio file has no samples")
    if done < file.frames < 1 << 62:
        raise UtteranceError(
            Reason.AUDIO_TRUNCATED,
            f"the file is cut off or damaged: it declares {file.frames} samples and has {done}",
        )


def _with_last(blocks: Iterator[np.ndarray]) -> Iterator[tuple[np.ndarray, bool]]:
    """Each block, and whether it is the last."""
    before = None
    for block in blocks:
        if before is not None:
            yield before, False
        before = block
    if before is not None:
        yield before, True
