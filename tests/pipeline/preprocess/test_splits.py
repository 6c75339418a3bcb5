"""Splits: the corpus's own, else by a hash that nothing else moves."""

import pytest

from ns2.pipeline.core.schema import Utterance
from ns2.pipeline.preprocess.finish.splits import assign_split


def utterances(count: int, speakers: int = 200) -> list[Utterance]:
    return [
        Utterance(id=f"u{i}", source=f"u{i}.wav", text="x", speaker=f"s{i % speakers}")
        for i in range(count)
    ]


def val(items, **options) -> set[str]:
    return {u.id for u in items if assign_split(u, **options) == "val"}


def test_the_corpus_decides_where_it_has_splits():
    for split in ("train", "val", "test"):
        utterance = Utterance(id="a", source="a.wav", text="x", speaker="s", split=split)
        for share in (0.0, 1.0):
            assert assign_split(utterance, val_share=share) == split


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 1.0])
def test_the_share_is_kept(share):
    count = 20_000
    deviation = (share * (1 - share) / count) ** 0.5
    got = len(val(utterances(count), val_share=share)) / count
    assert abs(got - share) <= 4 * deviation


def test_a_larger_share_only_adds():
    items = utterances(5_000)
    assert val(items, val_share=0.02) < val(items, val_share=0.1)


def test_speakers_stay_together():
    items = utterances(4_000)
    chosen = val(items, val_share=0.1, val_by="speaker")
    by_speaker: dict[str, set[bool]] = {}
    for utterance in items:
        by_speaker.setdefault(utterance.speaker, set()).add(utterance.id in chosen)
    assert all(len(sides) == 1 for sides in by_speaker.values())
    assert {True} in by_speaker.values() and {False} in by_speaker.values()


def test_it_is_pinned():
    # These must never change: an old utterance would move between train and val.
    chosen = ["u106", "u119", "u187", "u21", "u30", "u51", "u63", "u80", "u9"]
    assert sorted(val(utterances(200), val_share=0.02)) == chosen
    speakers = ["u0", "u12", "u15", "u2", "u23", "u26", "u38", "u5", "u6"]
    assert sorted(val(utterances(40, 40), val_share=0.2, val_by="speaker")) == speakers


def test_wrong_options():
    (utterance,) = utterances(1)
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="val_share"):
            assign_split(utterance, val_share=share)
    with pytest.raises(ValueError, match="val_by"):
        assign_split(utterance, val_share=0.1, val_by="sentence")
