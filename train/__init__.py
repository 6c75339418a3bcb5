"""From a dataset to a run: data, loop, checkpoints."""

from __future__ import annotations

from ns2.model.moved import moved

moved(
    __name__,
    {
        "build": "ns2.train.step.build",
        "reader": "ns2.train.data.prefetch",
        "synthesis": "ns2.train.speak.synthesizer",
    },
)
