"""Networks, losses, samplers and codecs: tensors in, tensors out; imports nothing else of ns2."""

from __future__ import annotations

from ns2.model.moved import moved

moved(
    __name__,
    {
        "batch": "ns2.model.tts.batch",
        "presets": "ns2.model.tts.presets",
    },
)
