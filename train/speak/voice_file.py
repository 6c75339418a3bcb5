"""A voice that is kept in a file: the codes of a prompt, its pitch, and the digest of its codec."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ns2.pipeline.core.atomic import atomic_write
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.reading import check_regular
from ns2.train.speak.lines import VoicePitch

SUFFIX = ".safetensors"
_CODES, _PITCH, _DIGEST, _FORM = "codes", "voice_pitch", "codec", "form"
_AWAY = "pitch"
"""What earlier versions kept: F0, and the semitones that speech may be away from it."""
_FIRST_FORM = "ns2 voice 1"
_HIGHEST = 1e5


def save_voice(path: Path, codes: np.ndarray, digest: str, pitch: VoicePitch | None = None) -> None:
    """Write the codes (Q, P) of a prompt.

    Args:
        pitch: of the voice; None where it is not known.
        digest: of the codec that made them, see `Codec.digest`.
    """
    from safetensors.numpy import save

    values = {_CODES: np.ascontiguousarray(codes, dtype=np.int32)}
    if pitch is not None:
        values[_PITCH] = np.array(pitch, np.float64)
    with atomic_write(path) as file:
        file.write(save(values, {_FORM: _FIRST_FORM, _DIGEST: digest}))


def load_voice(
    path: Path, digest: str, quantizers: int, entries: int
) -> tuple[np.ndarray, VoicePitch | None]:
    """Read the codes (Q, P) int32 and the pitch that `save_voice` wrote.

    Args:
        digest: of the codec that they are for.
        quantizers: Q.
        entries: the number of entries of each of its codebooks.

    Raises:
        UserError: the file is no voice, it is damaged, or its codec is another one.
    """
    from safetensors import SafetensorError, safe_open

    try:
        check_regular(path)
        with safe_open(path, "np") as file:
            about = file.metadata() or {}
            ours = about.get(_FORM) == _FIRST_FORM
            found = {name: file.get_tensor(name) for name in file.keys()} if ours else {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(f"the voice {path} can't be read: {error}") from error
    codes = found.get(_CODES)
    if codes is None:
        raise UserError(f"{path} is no voice that `ns2 synthesize --save-voice` wrote")
    if about.get(_DIGEST) != digest:
        raise UserError(
            f"the voice {path} was made by another codec (weights {about.get(_DIGEST, '')[:12]}) "
            f"than this run's ({digest[:12]}): give the recordings with --prompt instead"
        )
    fits = codes.ndim == 2 and codes.shape[0] == quantizers and codes.shape[1] > 0
    if not fits or codes.dtype != np.int32 or codes.min() < 0 or codes.max() >= entries:
        raise UserError(f"the voice {path} is damaged: its codes are not those of a prompt")
    return np.asarray(codes), _pitch_in(found, path)


def _pitch_in(found: dict[str, np.ndarray], path: Path) -> VoicePitch | None:
    """The pitch among the arrays of a voice; None for one that was kept before voices had one."""
    pitch = found.get(_PITCH, found.get(_AWAY))
    if pitch is None:
        return None
    most = 1.0 if _PITCH in found else _HIGHEST
    known = pitch.shape == (2,) and pitch.dtype == np.float64
    if not known or not (0 < pitch[0] < _HIGHEST and 0 < pitch[1] <= most):
        raise UserError(f"the voice {path} is damaged: its pitch is none")
    f0, second = pitch.tolist()
    return VoicePitch(f0, second) if _PITCH in found else _of_earlier(f0, second)


def _of_earlier(f0: float, away: float) -> VoicePitch:
    """The pitch of a voice that was kept with the semitones that speech may be away from it."""
    seconds = (0.25 / away) ** (2 / 3)  # as they were made of the seconds, 1 at most
    return VoicePitch.of(np.array([f0]), seconds)
