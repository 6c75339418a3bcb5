"""Copies of utterances by the dataset's codec, as audio that a page holds in itself."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ns2.model.codec.interface import CodecError
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.dataset.reader import Dataset

if TYPE_CHECKING:
    from ns2.model.codec.interface import Codec

_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""The sampling rates that MP3 has."""


def open_codec(dataset: Dataset, name: str | None, weights: Path | None) -> Codec:
    """The codec of a dataset.

    Args:
        name: its name or file, where ns2 does not find it by itself.
        weights: a file with EnCodec's weights.

    Raises:
        UserError: the dataset has no codes, or their codec can't be opened.
    """
    from ns2.model.codec.loading import load_codec_of

    config = dataset.card.config("codes")
    try:
        called, digest, quantizers = config["codec"], config["weights"], config["quantizers"]
    except KeyError as error:
        raise UserError(f"{dataset.root} has no codes") from error
    try:
        return load_codec_of(str(called), str(digest), int(quantizers), name=name, weights=weights)
    except CodecError as error:
        raise UserError(str(error)) from error


def player(codec: Codec, dataset: Dataset, position: int) -> str:
    """A codec copy of an utterance as a data URI: an MP3, or a WAV of another rate than MP3 has.

    Raises:
        DamageError: its codes are damaged.
    """
    import soundfile
    import torch

    codes = dataset.read("codes", position, check=True)
    with torch.inference_mode():
        wave = codec.decode(torch.from_numpy(codes.astype(np.int64))).numpy()
    rate = codec.spec.sample_rate
    kind, mime = ("MP3", "mpeg") if rate in _RATES else ("WAV", "wav")
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(wave, -1, 1), rate, format=kind)
    return f"data:audio/{mime};base64,{base64.b64encode(buffer.getvalue()).decode()}"
