"""Tensors in, tensors out: networks, losses and codecs; imports nothing else of ns2."""

from __future__ import annotations

from ns2.model.moved import moved

moved(
    __name__,
    {
        "batch": "ns2.model.tts.batch",
        "presets": "ns2.model.tts.presets",
    },
)
