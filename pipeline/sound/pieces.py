"""Pieces of recordings: which samples they are, and whether they are all of a recording."""

from __future__ import annotations

from ns2.pipeline.core.errors import UtteranceError
from ns2.pipeline.core.schema import Piece, Reason
from ns2.pipeline.sound.containers import opened
from ns2.pipeline.sound.held.recordings import Place

TOLERANCE = 0.025
"""Seconds by which an end may lie beyond that of the recording, or before it in a piece that is
meant to be all of it: manifests round durations, and decoders pad."""


def is_whole(piece: Piece, seconds: float) -> bool:
    """Whether a piece is all of a recording.

    Args:
        seconds: the length of the recording.
    """
    if piece.offset or piece.channel is not None:
        return False
    if piece.duration is None or (piece.at_most and piece.duration > seconds):
        return True
    return abs(piece.duration - seconds) <= TOLERANCE


def span(piece: Piece, rate: int, samples: int) -> tuple[int, int]:
    """The first sample of a piece, and the one behind its last.

    Args:
        rate: of the recording, in Hz.
        samples: the length of the recording.

    Raises:
        UtteranceError: PIECE_BEYOND_END, or AUDIO_EMPTY if it has no sample.
    """
    start, end = piece.samples(rate)
    end = samples if end is None or (piece.at_most and end > samples) else end
    if start >= samples or end > samples + round(TOLERANCE * rate):
        until = "" if piece.duration is None else f" to {piece.offset + piece.duration:g}"
        raise UtteranceError(
            Reason.PIECE_BEYOND_END,
            f"the piece from {piece.offset:g}{until} s ends beyond the recording, which has "
            f"{samples / rate:.3f} s; offset and duration are in seconds",
        )
    end = min(end, samples)
    if start >= end:
        raise UtteranceError(Reason.AUDIO_EMPTY, "the piece has no sample")
    return start, end


def recording_seconds(place: Place) -> float | None:
    """The length of a recording by its header, in seconds, or None if it can't be opened."""
    try:
        with opened(place) as file:
            return float(file.frames / file.samplerate)
    except (OSError, RuntimeError, TypeError, ZeroDivisionError, UtteranceError):
        return None
