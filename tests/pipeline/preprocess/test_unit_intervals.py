"""Numbers drawn of many texts are those that are drawn of each."""

from __future__ import annotations

import pyarrow as pa
import pytest

from ns2.pipeline.core.hashing import unit_interval
from ns2.pipeline.preprocess.plan.unit_intervals import unit_intervals


@pytest.mark.parametrize("salt", ["", "preview", "split by utterance"])
def test_they_are_those_of_each_text(salt: str) -> None:
    texts = ["", "a", "ä", "x" * 36, "x" * 37, "x" * 38, "y" * 60, "z" * 80, "utt-0001"]
    found = unit_intervals(pa.array(["before", *texts]).slice(1), salt)
    assert found.tolist() == [unit_interval(text, salt) for text in texts]


def test_texts_that_are_too_long_are_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        unit_intervals(pa.array(["x" * 120]), "")
