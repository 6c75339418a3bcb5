"""A voice that is kept in a file: the codes of a prompt and the digest of their codec."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ns2.pipeline.core.atomic import atomic_write
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.reading import check_regular

SUFFIX = ".safetensors"
_CODES, _DIGEST, _FORM = "codes", "codec", "form"
_FIRST_FORM = "ns2 voice 1"


def save_voice(path: Path, codes: np.ndarray, digest: str) -> None:
    """Write the codes (Q, P) of a prompt.

    Args:
        digest: of the codec that made them, see `Codec.digest`.
    """
    from safetensors.numpy import save

    with atomic_write(path) as file:
        file.write(
            save(
                {_CODES: np.ascontiguousarray(codes, dtype=np.int32)},
                {_FORM: _FIRST_FORM, _DIGEST: digest},
            )
        )


def load_voice(path: Path, digest: str, quantizers: int, entries: int) -> np.ndarray:
    """Read the codes (Q, P) int32 that `save_voice` wrote.

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
            codes = file.get_tensor(_CODES) if about.get(_FORM) == _FIRST_FORM else None
    except (SafetensorError, OSError) as error:
        raise UserError(f"the voice {path} can't be read: {error}") from error
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
    return np.asarray(codes)
