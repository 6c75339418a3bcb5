"""Wrong values under right checksums: each costs its utterance, and the message names it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ns2.pipeline.core.errors import DamageError
from ns2.train.data.prefetch import _check_together
from ns2.train.data.selection import open_data
from tests.hostile.kinds import Place, all_kinds
from tests.support.dataset_factories import make_dataset

COLUMNS = ("codes", "phonemes", "durations", "f0")
DAMAGING = [
    "codes: codes beyond the codebook", "codes: a frame less", "codes: a quantiser less",
    "codes: signed", "codes: big-endian", "f0: not a number", "f0: negative", "f0: three axes",
    "f0: objects", "f0: a giant shape", "f0: a negative shape", "f0: a head that is no head",
    "f0: no .npy file", "f0: version 3", "f0: empty", "phonemes: ids beyond the table",
    "durations: no frames", "durations: too many frames", "durations: a token less",
    "index: an offset is null", "index: an offset is negative",
    "index: an offset is behind the end", "index: a size is negative", "index: a size is giant",
    "index: a CRC is null",
]  # fmt: skip


@pytest.mark.parametrize("name", DAMAGING)
def test_a_wrong_value_is_damage_of_its_utterance(name: str, tmp_path: Path) -> None:
    root = make_dataset(tmp_path / "data")
    victim = tmp_path / "victim"
    victim.mkdir()
    all_kinds()[name].make(Place(dataset=root, victim=victim))
    data = open_data([root], split="")
    damaged = []
    for number in range(len(data)):
        one = np.array([number])
        try:
            arrays = {column: data.read_many(column, one, check=True) for column in COLUMNS}
            _check_together(data, one, arrays)
        except DamageError as error:
            assert "utt0000" in str(error)
            damaged.append(data.key(number))
    assert damaged == ["utt0000"]
