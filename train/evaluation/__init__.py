"""How well a run speaks: its judges, figures and the page to listen to."""

from __future__ import annotations

from ns2.model.moved import moved

moved(
    __name__,
    {
        "phones": "ns2.train.evaluation.judges.phones",
        "words": "ns2.train.evaluation.judges.words",
    },
)
