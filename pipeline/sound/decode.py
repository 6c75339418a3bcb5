"""Decodes audio of any format to mono float32, resamples it, and trims silence at its ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.held import Recording
from ns2.pipeline.core.schema import Piece, Reason
from ns2.pipeline.sound.containers import check_container, opened
from ns2.pipeline.sound.held.recordings import Place, for_decoder, open_recording, size_of, stamp_of
from ns2.pipeline.sound.pieces import recording_seconds, span
from ns2.pipeline.sound.unknown import NO_AUDIO, what_it_is

SILENCE_DB = -80.0
"""A recording whose loudest sample lies below this level (dBFS) is silent."""

OFFSET_DB = -50.0
"""A mean (DC offset) below this level, from the loudest sample, is none."""

_MEAN_SAMPLES = 1000
"""The fewest samples whose mean says anything: two periods of a low voice at 24 kHz."""

LARGEST = 1 << 28
"""The most samples of all channels that are decoded: 1 GiB as float32, 93 minutes at 48,000 Hz."""

_SEEKABLE = ("WAV", "WAVEX", "RF64", "W64", "FLAC", "AIFF", "AU", "CAF")
"""Formats in which decoding can begin at any sample; others depend on what was decoded before."""
_UNKNOWN = 1 << 62
"""A header that declares so many samples does not know their number."""
_ENDLESS = 1e9  # seconds that no recording lasts: its length is not known
RESAMPLER = "soxr VHQ"
_RATES = range(4_000, 768_001)


def read_audio(place: Place, piece: Piece | None = None) -> tuple[np.ndarray, int]:
    """Decode a recording, or a piece of it, to one channel, the mean of its channels.

    All formats of libsndfile are read: WAV with 8 to 32 bits, float and double, FLAC, MP3, Ogg
    Vorbis, Opus and more. The delay and padding of the encoders of Vorbis, Opus and MP3 are
    removed, so a recording has as many samples, at the same times, in each format; for MP3 that do
    not tell their delay see `counted_mp3`. Values beyond full scale are kept. Messages of errors
    never hold the path.

    Args:
        place: where the recording lies.
        piece: the part that is read; None for all of it.

    Returns:
        samples (S,) float32, nominally in [-1, 1], and their sample rate in Hz.

    Raises:
        UtteranceError: PIECE_BEYOND_END, or with a reason AUDIO_...: MISSING, UNREADABLE, EMPTY (no
            samples), TRUNCATED (shorter than the file declares), NOT_FINITE, SILENT (see
            `SILENCE_DB`).
    """
    recording = Recording.of(place)
    if not recording.url and not recording.path.is_file():
        raise UtteranceError(Reason.AUDIO_MISSING, "the audio file does not exist")
    try:
        with open_recording(recording) as file:
            if size_of(file) == 0:
                raise UtteranceError(Reason.AUDIO_EMPTY, "the audio file is empty")
        channels, rate, count = _decode(recording, piece)
    except OSError as error:
        message = f"the audio file cannot be read: {error.strerror or type(error).__name__}"
        raise UtteranceError(Reason.AUDIO_UNREADABLE, message) from error
    if len(channels) == 0:
        raise UtteranceError(Reason.AUDIO_EMPTY, "the audio file has no samples")
    if rate not in _RATES:
        message = f"its header declares an impossible sample rate of {rate} Hz"
        raise UtteranceError(Reason.AUDIO_UNREADABLE, message)
    if piece is not None and piece.channel is not None and piece.channel >= count:
        message = f"there is no channel {piece.channel}: they are {count}, from 0"
        raise UtteranceError(Reason.AUDIO_UNREADABLE, message)
    wave = _mixed(channels, None if piece is None else piece.channel)
    check_samples(wave, count if piece is None or piece.channel is None else 1)
    return wave, rate


def _mixed(channels: np.ndarray, channel: int | None) -> np.ndarray:
    """One channel, or the mean of all; of one there is, that one.

    Args:
        channels: (S, channels) float32.

    Returns:
        (S,) float32.
    """
    if channels.shape[1] == 1:
        return channels[:, 0]
    if channel is not None:
        return channels[:, channel]
    wave = np.empty(len(channels), np.float32)
    with np.errstate(invalid="ignore"):  # infinities of both signs; refused by who asks
        for at in range(0, len(wave), _BLOCK):  # so that there is no copy of it all in float64
            block = channels[at : at + _BLOCK]
            wave[at : at + _BLOCK] = block.mean(axis=1, dtype=np.float64)
    return wave


def check_declared_length(place: Place, seconds: float, piece: Piece | None = None) -> None:
    """Check that a recording, or a piece of it, is not longer than some seconds, by its header.

    A file that cannot be opened passes: `read_audio` will say why.

    Raises:
        UtteranceError: TOO_LONG.
    """
    if piece is not None and piece.duration is not None and piece.duration <= seconds:
        return
    import soundfile

    offset = 0.0 if piece is None else piece.offset
    recording = Recording.of(place)
    try:
        if soundfile.info(for_decoder(recording)).duration - offset <= seconds:
            return
    except (OSError, RuntimeError, UtteranceError):
        return
    declared = (recording_seconds(recording) or 0.0) - offset
    if seconds < declared < _ENDLESS:
        raise UtteranceError(
            Reason.TOO_LONG,
            f"the recording lasts {declared:.0f} s, more than the {seconds:g} s that are allowed",
        )


def _decode(recording: Recording, piece: Piece | None) -> tuple[np.ndarray, int, int]:
    """All channels, or the one that is asked for, (S, channels) float32; Hz; how many there are."""
    import soundfile

    channel = None if piece is None else piece.channel
    at = (recording.name, *stamp_of(recording), channel)
    if piece is not None and _KEPT and _KEPT[0][0] == at:
        _, wave, rate, count = _KEPT[0]
        start, end = span(piece, rate, len(wave))
        return wave[start:end, None], rate, count
    _KEPT.clear()
    check_container(recording)
    try:
        with opened(recording) as file:
            rate, count = file.samplerate, file.channels
            if piece is None:
                return _read_all(file), rate, count
            if file.format in _SEEKABLE:
                return _read_piece(file, piece), rate, count
            channels = _read_all(file)
    except soundfile.LibsndfileError as error:
        raise _unreadable(recording, error) from error
    except TypeError as error:  # of .raw files, whose sample rate and channels are not known
        message = "the file does not declare its audio format"
        raise UtteranceError(Reason.AUDIO_UNREADABLE, message) from error
    start, end = span(piece, rate, len(channels))
    if len(channels) * 4 > _MOST_KEPT or (channel or 0) >= count:
        return channels[start:end], rate, count
    wave = np.ascontiguousarray(_mixed(channels, channel))
    _KEPT[:] = [(at, wave, rate, count)]
    return wave[start:end, None], rate, count


_BLOCK = 1 << 20
_KEPT: list[tuple[tuple[str, int, int, int | None], np.ndarray, int, int]] = []
"""One channel of the recording of the last piece that could not be decoded alone, since the next
piece is of it, too; with its sample rate, and how many channels it has."""
_MOST_KEPT = 1 << 29
"""The most bytes that are kept: 93 minutes at 24,000 Hz."""


def _read_piece(file, piece: Piece) -> np.ndarray:  # type: ignore[no-untyped-def] # no types
    """The samples of a piece, (S, channels) float32; nothing else is decoded."""
    if file.samplerate not in _RATES or not 0 < file.frames < _UNKNOWN:
        return _read_all(file)  # which says what is wrong
    start, end = span(piece, file.samplerate, file.frames)
    file.seek(start)
    return _read_all(file, end - start)


def _read_all(file, count: int | None = None) -> np.ndarray:  # type: ignore[no-untyped-def]
    """All samples, or some from where the file stands, read at once.

    Reading block by block is no choice: soundfile seeks after every block, which breaks the
    decoding of MP3.
    """
    declared = file.frames if count is None else count
    if declared * file.channels > LARGEST and 0 < declared < _UNKNOWN:
        message = (
            f"it decodes to {declared:,} samples of {file.channels} channels, more than "
            f"{LARGEST:,} in all; cut it into pieces, for example: ffmpeg -i OLD -t 600 NEW"
        )
        raise UtteranceError(Reason.TOO_LONG, message)
    try:
        out = np.empty((declared, file.channels), np.float32)
    except (MemoryError, ValueError, OverflowError) as error:
        # The header of a FLAC that was written to a pipe does not hold its length either.
        message = (
            f"its header does not hold the number of samples ({declared}); convert the file, "
            "for example: ffmpeg -i OLD NEW"
        )
        raise UtteranceError(Reason.AUDIO_UNREADABLE, message) from error
    samples = file.read(out=out)
    if len(samples) < declared:
        message = (
            f"the file is cut off or damaged: it declares {declared} samples and has {len(samples)}"
        )
        raise UtteranceError(Reason.AUDIO_TRUNCATED, message)
    return samples


def _unreadable(recording: Recording, error: Exception) -> UtteranceError:
    """The meaning of an error of libsndfile: a FLAC that is cut off, or any other fault."""
    import soundfile

    said = str(getattr(error, "error_string", error)).removeprefix("Error : ").rstrip(".")
    if getattr(error, "code", None) == 7:  # the text for MP3 is misleading: it is about pipes
        said = "Format not recognised"
    if found := what_it_is(recording):
        message = f"it is {found}, and no recording"
        if not found.startswith(NO_AUDIO):
            message = (
                f"it is {found}, which libsndfile does not decode; convert it, for example: ffmpeg "
                "-i OLD NEW.flac, and take the old file away; a manifest has to name the new one"
            )
        return UtteranceError(Reason.AUDIO_UNREADABLE, message)
    reason = Reason.AUDIO_UNREADABLE
    try:
        with opened(recording) as file:
            if file.format == "FLAC":
                # Damage in the middle leaves the end readable; a cut does not.
                try:
                    file.seek(file.frames - 1)
                    file.read(1)
                except soundfile.LibsndfileError:
                    reason = Reason.AUDIO_TRUNCATED
                    said = f"it is cut off: the last of {file.frames} samples is missing"
    except (soundfile.LibsndfileError, UtteranceError):
        pass
    return UtteranceError(reason, f"libsndfile cannot decode the file: {said}")


def check_samples(wave: np.ndarray, channels: int = 1) -> None:
    """Check that a wave is finite and not silent.

    Args:
        wave: (S,) float32, S at least 1.
        channels: the number of channels that it is the mean of.

    Raises:
        UtteranceError: AUDIO_NOT_FINITE or AUDIO_SILENT.
    """
    peak = float(np.abs(without_offset(wave)).max())
    if not np.isfinite(peak):  # the maximum is NaN or infinity if any sample is
        count = int((~np.isfinite(wave)).sum())
        message = f"{count} of {len(wave)} samples are NaN or infinite"
        raise UtteranceError(Reason.AUDIO_NOT_FINITE, message)
    if peak < 10 ** (SILENCE_DB / 20):
        mixed = f" in the mean of {channels} channels" if channels > 1 else ""
        message = f"silent: the loudest sample lies below {SILENCE_DB:g} dBFS{mixed}"
        raise UtteranceError(Reason.AUDIO_SILENT, message)


def resampled_length(samples: int, rate: int, target: int) -> int:
    """Number of samples after resampling: samples * target / rate, rounded half up, at least 1."""
    return max(1, (2 * samples * target + rate) // (2 * rate))


def resample(wave: np.ndarray, rate: int, target: int) -> np.ndarray:
    """Resample a wave with soxr's very high quality: linear phase, no delay.

    Args:
        wave: (S,) float32.
        rate: its sample rate in Hz.
        target: the new sample rate in Hz.

    Returns:
        (S',) float32, S' as `resampled_length` gives; the wave itself if the rates are equal.
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
    """Settings of `trim_silence`.

    Attributes:
        threshold_db: a window is silent if its level is this many dB below the loudest window's.
        window_seconds: length of a window, in seconds.
        margin_seconds: silence that is kept at both ends, in seconds.
    """

    threshold_db: float = 40.0
    window_seconds: float = 0.01
    margin_seconds: float = 0.1

    def __post_init__(self) -> None:
        if self.threshold_db <= 0 or self.window_seconds <= 0 or self.margin_seconds < 0:
            raise ValueError(
                f"threshold and window must be positive, and the margin not negative: {self}"
            )


def trim_silence(wave: np.ndarray, rate: int, config: TrimConfig | None = None) -> np.ndarray:
    """Trim silence from both ends, by the energy of windows relative to the loudest window.

    Args:
        wave: (S,) float32.
        rate: its sample rate in Hz.
        config: None for the defaults.

    Returns:
        (S',) a view of the wave, empty only if the wave is.
    """
    config = config or TrimConfig()
    if len(wave) == 0:
        return wave
    window = max(1, round(config.window_seconds * rate))
    margin = round(config.margin_seconds * rate)
    starts = np.arange(0, len(wave), window)
    energy = np.add.reduceat(np.square(without_offset(wave), dtype=np.float64), starts)
    energy /= np.minimum(window, len(wave) - starts)  # the last window may be short
    loud = np.flatnonzero(energy >= energy.max() * 10 ** (-config.threshold_db / 10))
    start = max(0, int(starts[loud[0]]) - margin)
    end = min(len(wave), int(starts[loud[-1]]) + window + margin)
    return wave[start:end]


def level_db(wave: np.ndarray) -> float:
    """RMS level of a wave in dBFS (full scale is 1), of its signal `without_offset`.

    It is -inf for a wave of zeros.
    """
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(np.mean(np.square(without_offset(wave), dtype=np.float64))))


def without_offset(wave: np.ndarray) -> np.ndarray:
    """The signal that is heard: a wave less its mean, where that is an offset worth the name.

    A mean more than `OFFSET_DB` below the loudest sample changes no level by 0.01 dB and hides no
    silence, so such a wave stays as it is, and so does one too short to have a mean of its own.

    Args:
        wave: (S,) float32.

    Returns:
        (S,) the wave itself, or float64.
    """
    if len(wave) < _MEAN_SAMPLES:
        return wave
    mean = float(wave.mean(dtype=np.float64))
    if not np.isfinite(mean) or abs(mean) < 10 ** (OFFSET_DB / 20) * float(np.abs(wave).max()):
        return wave
    return wave - mean
