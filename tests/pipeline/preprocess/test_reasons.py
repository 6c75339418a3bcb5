"""The card counts reasons as the ledger has them, of both kinds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import soundfile

from ns2.pipeline.corpora.spoken.espeak import SENTENCES, speak
from ns2.pipeline.dataset.card import read_card
from ns2.pipeline.tools.verify.check import verify
from tests.support.preprocessing import run_inline


def test_too_long_in_two_ways(tmp_path: Path) -> None:
    """Over 800 s an utterance is rejected, over --max-seconds it is filtered."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    noise = np.random.default_rng(0).integers(-9000, 9000, 8000 * 801, np.int16)
    spoken, rate, _ = speak(SENTENCES[0])
    for name, wave, hertz in (
        ("endless", noise, 8000),
        ("long", noise[: 8000 * 31], 8000),
        ("right", spoken, rate),
    ):
        soundfile.write(corpus / f"{name}.wav", wave, hertz)
        (corpus / f"{name}.txt").write_text(SENTENCES[0])
    run_inline(corpus, tmp_path / "out", None, columns=("mel", "phonemes", "meta"))
    rows = pq.read_table(tmp_path / "out" / "rejected.parquet").to_pylist()
    assert {row["id"]: (row["kind"], row["reason"]) for row in rows} == {
        "endless": ("rejected", "too_long"),
        "long": ("filtered", "too_long"),
    }
    card = read_card(tmp_path / "out")
    assert card is not None and card.counts.reasons == {"too_long": 2}
    assert (card.counts.rejected, card.counts.filtered) == (1, 1)
    assert verify(tmp_path / "out").faults == []
