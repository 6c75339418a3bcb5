"""From a corpus to a dataset: stages, shards and their bookkeeping."""

from __future__ import annotations

from ns2.model.moved import moved

moved(
    __name__,
    {
        "phone_classifier": "ns2.train.evaluation.judges.phones",
    },
)
