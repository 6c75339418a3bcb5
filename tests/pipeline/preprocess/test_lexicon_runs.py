"""`ns2 preprocess --lexicon` costs the utterances that have its words, and the dataset has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ns2.pipeline.core.errors import OptionError
from ns2.pipeline.core.reading import read_json
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.preview import Preview, preview
from ns2.pipeline.tools.verify.check import verify
from ns2.train.speak.facts import keep_speech, read_lexicon
from tests.support.preprocessing import identities, run_inline

PHONES = "ʒ ˈɔø ʒ"


def plan(corpus: Path, out: Path, weights: Path, lexicon: Path | None) -> Preview:
    options = {"codec_weights": weights, "quantizers": 4, "shard_utterances": 4}
    return preview(corpus, out, Options(**options, lexicon=lexicon))


def reasons(found: Preview) -> dict[str, str]:
    return {column.column: column.reason for column in found.columns if column.missing}


def test_a_lexicon_costs_the_utterances_with_its_words(
    spoken: Path, weights: Path, shards: Path, tmp_path: Path
) -> None:
    before, at = Dataset(shards), identities(shards)
    old = {key: before[key] for key in before.keys}
    key = before.keys[0]
    word = next(w for w, _, _ in old[key]["meta"]["words"] if len(w) > 3 and w.isalpha())
    having = [k for k in old if word.lower() in old[k]["meta"]["text"].lower().split()]
    file = tmp_path / "lexicon.txt"
    file.write_text(f"{word.lower()}\t{PHONES}\nnosuchword\tʒ\n", "utf-8")

    found = plan(spoken, shards, weights, file)
    made = {"phonemes", "durations", "trust", "meta"}
    assert set(reasons(found)) == made and not found.train_aligner
    assert set(reasons(found).values()) == {"a new lexicon, for the utterances that have its words"}
    summary = run_inline(spoken, shards, weights, lexicon=file)
    assert set(summary.made) == made
    assert summary.stage_seconds.keys() >= {"tokens", "durations"}

    new = Dataset(shards)
    for k in old:
        had = " ".join(new[k]["meta"]["phonemes"])
        assert (PHONES in had) is (k in having)
        if k not in having:
            np.testing.assert_array_equal(new[k]["durations"], old[k]["durations"])
    assert {
        name: now for name, now in identities(shards).items() if name[:3] in ("mel", "f0-")
    } == {name: then for name, then in at.items() if name[:3] in ("mel", "f0-")}
    assert not verify(shards).faults

    # The dataset keeps it, and a run without change does nothing.
    assert read_json(new.asset("lexicon")) == {"entries": {word.lower(): PHONES, "nosuchword": "ʒ"}}
    assert not run_inline(spoken, shards, weights, lexicon=file).made
    keep_speech(tmp_path / "run", [new])
    run_has = read_lexicon(tmp_path / "run", new.phoneme_table)
    assert run_has is not None and run_has.entries[word.lower()] == tuple(PHONES.split())

    # An entry for a word that no text has costs nothing; a dropped lexicon gives the old bytes.
    file.write_text(f"{word.lower()}\t{PHONES}\nother\tʒ\n", "utf-8")
    assert reasons(plan(spoken, shards, weights, file)) == {}
    file.write_text(f"{word.lower()}\tʒ ˈa ʒ\n", "utf-8")
    assert set(reasons(plan(spoken, shards, weights, file)).values()) == {
        "a changed lexicon, for the utterances that have changed words"
    }
    assert not run_inline(spoken, shards, weights).made
    assert {k: Dataset(shards)[k]["meta"] for k in old} == {k: old[k]["meta"] for k in old}


def test_a_wrong_lexicon_stops_the_run_before_any_work(
    spoken: Path, weights: Path, tmp_path: Path
) -> None:
    file = tmp_path / "lexicon.txt"
    file.write_text("word\tqq\n", "utf-8")
    with pytest.raises(OptionError, match="line 1: 'qq'"):
        run_inline(spoken, tmp_path / "out", weights, lexicon=file)
    assert not (tmp_path / "out").exists()
    extra = tmp_path / "extra.txt"
    extra.write_text("qq\n", "utf-8")
    Options(lexicon=file, extra_phonemes=extra)
    with pytest.raises(OptionError, match="TextGrids have phones"):
        Options(aligner="textgrid", textgrids=tmp_path, lexicon=file)


def test_readings_are_known_and_for_texts(spoken: Path, weights: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="there is pypinyin, pyopenjtalk-plus"):
        run_inline(spoken, tmp_path / "out", weights, g2p=("nothing",))
