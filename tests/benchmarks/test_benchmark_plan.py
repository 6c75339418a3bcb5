"""At most 15 % of the work is padding, at lengths like those of three corpora."""

from __future__ import annotations

import pytest

from benchmarks.reading.wasted import CORPORA, corpus, wasted


@pytest.mark.parametrize("name", CORPORA)
def test_at_most_fifteen_percent_is_padding(name: str) -> None:
    made = corpus(name, 60_000 if name != "like LJSpeech" else None)
    settings = {"rank_frames": 6_000, "looked_at": 1500}
    for ranks in (1, 8, 64):
        found = wasted(made, plan=2, ranks=ranks, multiple=16, **settings)
        assert found.padding <= found.idle
        assert found.padding <= 0.15, ranks
        assert found.largest <= 1
    before = wasted(made, plan=1, ranks=8, multiple=64, **settings)
    assert before.padding > 0.15
