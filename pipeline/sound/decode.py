"""Audio in: decode any format to mono float32, resample, cut outer silence."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import Reason
from ns2.pipeline.sound.containers import check_container, counted_mp3

SILENCE_DB = -80.0
"""A recording whose loudest sample lies below this (dBFS) is silent."""

RESAMPLER = "soxr VHQ"
_RATES = range(4_000, 768_001)


def read_audio(path: str | Path) -> tuple[np.ndarray, int]:
    """Decode a recording; several channels are mixed down by their mean.

    Reads what libsndfile reads: wav with 8 to 32 bit, float and double, flac, mp3, ogg vorbis,
    opus and more. Encoder delay and padding of vorbis, opus and mp3 are removed, so the same
    recording has the same samples in time and number in each; see `counted_mp3` for the mp3 that
    do not tell. Values beyond full scale stay. Messages never hold the path.

    Returns:
        (S,) float32, nominally in [-1, 1], and the sampling rate in Hz.

    Raises:
        UtteranceError: with a reason AUDIO_...: MISSING, UNREADABLE, EMPTY (no samples), TRUNCATED
            (shorter than the file declares), NOT_FINITE, SILENT (see `SILENCE_DB`).
    """
    path = Path(path)
    if not path.is_file():
        raise UtteranceError(Reason.AUDIO_MISSING, "there is no such file")
    try:
        if path.stat().st_size == 0:
            raise UtteranceError(Reason.AUDIO_EMPTY, "the file has 0 bytes")
        check_container(path)
        channels, rate = _decode(path)
    except OSError as error:
        message = f"can't be read: {error.strerror or type(error).__name__}"
        raise UtteranceError(Reason.AUDIO_UNREADABLE, message) from error
    if len(channels) == 0:
        raise UtteranceError(Reason.AUDIO_EMPTY, "it holds no samples")
    if rate not in _RATES:
        message = f"its header claims a sampling rate of {rate} Hz"
        raise UtteranceError(Reason.AUDIO_UNREADABLE, message)
    if channels.shape[1] == 1:
        wave = channels[:, 0]
    else:
        with np.errstate(invalid="ignore"):  # infinities of both signs; refused below
            wave = channels.mean(axis=1, dtype=np.float64).astype(np.float32)
    check_samples(wave, channels.shape[1])
    return wave, rate


def check_declared_length(path: str | Path, seconds: float) -> None:
    """Raise UtteranceError TOO_LONG for a file whose header declares more than some seconds.

    What can't be opened passes: `read_audio` tells why.
    """
    import soundfile

    try:
        declared = soundfile.info(path).duration
    except (OSError, RuntimeError):
        return
    if declared > seconds:
        raise UtteranceError(
            Reason.TOO_LONG,
            f"{declared:.0f} s; utterances of more than {seconds:g} s can't be used",
        )


def _decode(path: Path) -> tuple[np.ndarray, int]:
    """All channels, (S, channels) float32, and the rate."""
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            counted = counted_mp3(path.read_bytes()) if file.format == "MP3" else None
            if counted is None:
                return _read_all(file), file.samplerate
        with soundfile.SoundFile(io.BytesIO(counted)) as file:
            return _read_all(file), file.samplerate
    except soundfile.LibsndfileError as error:
        raise _unreadable(path, error) from error
    except TypeError as error:  # .raw: soundfile wants to be told rate and channels
        message = "not an audio file that says its own format"
        raise UtteranceError(Reason.AUDIO_UNREADABLE, message) from error


def _read_all(file) -> np.ndarray:  # type: ignore[no-untyped-def] # soundfile has no types
    """Read to the end in one go.

    Not block by block: soundfile seeks after every read, which breaks the decoding of mp3.
    """
    declared = file.frames
    try:
        out = np.empty((declared, file.channels), np.float32)
    except (MemoryError, ValueError, OverflowError) as error:
        # A flac that was written to a pipe does not know its length either.
        message = (
            f"its header does not say how many samples it holds ({declared}); write it anew, "
            "for example: ffmpeg -i OLD NEW"
        )
        raise UtteranceError(Reason.AUDIO_UNREADABLE, message) from error
    samples = file.read(out=out)
    if len(samples) < declared:
        message = f"cut off or damaged: {declared} samples declared, {len(samples)} there"
        raise UtteranceError(Reason.AUDIO_TRUNCATED, message)
    return samples


def _unreadable(path: Path, error: Exception) -> UtteranceError:
    """What an error of libsndfile means: a flac that ends early, or anything else."""
    import soundfile

    said = str(getattr(error, "error_string", error)).removeprefix("Error : ").rstrip(".")
    if getattr(error, "code", None) == 7:  # mp3: it speaks of pipes, and means this
        said = "Format not recognised"
    reason = Reason.AUDIO_UNREADABLE
    try:
        with soundfile.SoundFile(path) as file:
            if file.format == "FLAC":
                # Damage in the middle leaves the end readable; a cut does not.
                try:
                    file.seek(file.frames - 1)
                    file.read(1)
                except soundfile.LibsndfileError:
                    reason = Reason.AUDIO_TRUNCATED
                    said = f"cut off: {file.frames} samples declared, the last is not there"
    except soundfile.LibsndfileError:
        pass
    return UtteranceError(reason, f"libsndfile can't decode it: {said}")


def check_samples(wave: np.ndarray, channels: int = 1) -> None:
    """Refuse a wave that is not finite, or silent.

    Args:
        wave: (S,) float32, S at least 1.
        channels: how many it was mixed from.

    Raises:
        UtteranceError: AUDIO_NOT_FINITE or AUDIO_SILENT.
    """
    peak = float(np.abs(wave).max())
    if not np.isfinite(peak):  # NaN and infinity both come through the maximum
        count = int((~np.isfinite(wave)).sum())
        message = f"{count} of {len(wave)} samples are NaN or infinite"
        raise UtteranceError(Reason.AUDIO_NOT_FINITE, message)
    if peak < 10 ** (SILENCE_DB / 20):
        mixed = f" (after the mean of {channels} channels)" if channels > 1 else ""
        message = f"silent: its loudest sample lies below {SILENCE_DB:g} dBFS{mixed}"
        raise UtteranceError(Reason.AUDIO_SILENT, message)


def resampled_length(samples: int, rate: int, target: int) -> int:
    """Samples after resampling: samples * target / rate, halves rounded up, at least 1."""
    return max(1, (2 * samples * target + rate) // (2 * rate))


def resample(wave: np.ndarray, rate: int, target: int) -> np.ndarray:
    """Resample with soxr's very high quality: linear phase, no delay.

    Args:
        wave: (S,) float32.
        rate: its sampling rate, Hz.
        target: the rate wanted, Hz.

    Returns:
        (S',) float32, S' as `resampled_length` gives; the wave itself where the rates are equal.
    """
    import soxr

    if rate == target:
        return np.asarray(wave, np.float32)
    out = soxr.resample(np.asarray(wave, np.float32), rate, target, quality="VHQ")
    length = resampled_length(len(wave), rate, target)
    if len(out) < length:
        out = np.pad(out, (0, length - len(out)))
    return np.ascontiguousarray(out[:length], np.float32)


@dataclass(frozen=True, kw_only=True)
class TrimConfig:
    """What outer silence is.

    Attributes:
        threshold_db: level of a window below that of the loudest one, where silence begins.
        window_seconds: length of a window.
        margin_seconds: what stays of the silence on both sides.
    """

    threshold_db: float = 40.0
    window_seconds: float = 0.01
    margin_seconds: float = 0.1

    def __post_init__(self) -> None:
        if self.threshold_db <= 0 or self.window_seconds <= 0 or self.margin_seconds < 0:
            raise ValueError(f"threshold and window have to be positive: {self}")


def trim_silence(wave: np.ndarray, rate: int, config: TrimConfig | None = None) -> np.ndarray:
    """Cut silence from both ends, by the energy of windows relative to the loudest one.

    Args:
        wave: (S,) float32.
        rate: its sampling rate, Hz.

    Returns:
        (S',) a part of the wave, never empty where the wave is not.
    """
    config = config or TrimConfig()
    if len(wave) == 0:
        return wave
    window = max(1, round(config.window_seconds * rate))
    margin = round(config.margin_seconds * rate)
    starts = np.arange(0, len(wave), window)
    energy = np.add.reduceat(np.square(wave, dtype=np.float64), starts)
    energy /= np.minimum(window, len(wave) - starts)  # the last window may be short
    loud = np.flatnonzero(energy >= energy.max() * 10 ** (-config.threshold_db / 10))
    start = max(0, int(starts[loud[0]]) - margin)
    end = min(len(wave), int(starts[loud[-1]]) + window + margin)
    return wave[start:end]


def level_db(wave: np.ndarray) -> float:
    """RMS level of a wave in dBFS (full scale is 1); -inf where it is all zeros."""
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(np.mean(np.square(wave, dtype=np.float64))))
