"""Shards, fingerprints and statistics: names say everything, and nobody moves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.schema import ColumnSpec, FrameGrid, Utterance, make_key
from ns2.pipeline.preprocess.finish.statistics import add_sums, latent_statistics
from ns2.pipeline.preprocess.plan.placement import load_plan, plan_shards, save_plan
from ns2.pipeline.preprocess.plan.sources import Source, read_sources
from ns2.pipeline.preprocess.plan.states import SourceStates
from ns2.pipeline.stages.graph import Graph
from ns2.pipeline.stages.stage import Item, Product, Stage


def sources(keys: list[str]) -> list[Source]:
    return [
        Source(Utterance(id=key, source=key, text="", speaker=""), key, "a", "t", "r")
        for key in sorted(keys)
    ]


def placed(shards: Any) -> dict[str, int]:
    return {source.key: shard.number for shard in shards for source in shard.sources}


def test_shards_are_cut_from_sorted_keys() -> None:
    shards = plan_shards(sources([f"u{i:02d}" for i in range(10)]), {}, 4)
    assert [[s.key for s in shard.sources] for shard in shards] == [
        ["u00", "u01", "u02", "u03"],
        ["u04", "u05", "u06", "u07"],
        ["u08", "u09"],
    ]


def test_added_utterances_form_new_shards_and_nobody_moves(tmp_path: Path) -> None:
    before = placed(plan_shards(sources([f"u{i}" for i in range(6)]), {}, 4))
    save_plan(tmp_path / "plan", before, 4)
    previous, size = load_plan(tmp_path / "plan", tmp_path / "none")
    assert (previous, size) == (before, 4)
    keys = [f"u{i}" for i in range(1, 6)] + ["u0a", "u3b", "u9"]
    after = placed(plan_shards(sources(keys), previous, 4))
    assert {key: after[key] for key in before if key in after} == {
        key: number for key, number in before.items() if key != "u0"
    }
    assert {after["u0a"], after["u3b"], after["u9"]} == {2}


@pytest.mark.parametrize(
    ("name", "key"), [("LJ001-0001", "LJ001-0001"), ("a_b-C9", "a_b-C9"), ("x" * 80, "x" * 80)]
)
def test_ids_that_fit_are_keys(name: str, key: str) -> None:
    assert make_key(name) == key


def test_odd_ids_get_distinct_legal_keys() -> None:
    odd = ["a.b", "a b", "a/b", "a-b.", "ä", "é", "", "...", "日本", "x" * 81, "x" * 82, "a\nb"]
    keys = [make_key(name) for name in odd]
    assert len(set(keys)) == len(odd)
    for key in keys:
        assert key and len(key) <= 80 and "." not in key
        assert set(key) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


class Toy(Stage):
    name: ClassVar[str] = "mel"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("audio",)

    def __init__(self, setting: int = 0) -> None:
        self.setting = setting

    @property
    def config(self) -> Mapping[str, Any]:
        return {"setting": self.setting}

    @property
    def column(self) -> ColumnSpec:
        return ColumnSpec(name="mel", dtype="float16", dims=(80, "T"))

    def compute(self, item: Item) -> Product:
        return Product(value=np.zeros((80, 1), np.float16))


class Decoder(Toy):
    name: ClassVar[str] = "audio"
    requires: ClassVar[tuple[str, ...]] = ("audio_file",)
    column = None  # type: ignore[assignment]


class Durations(Toy):
    name: ClassVar[str] = "durations"
    requires: ClassVar[tuple[str, ...]] = ("mel", "text")
    assets: ClassVar[tuple[str, ...]] = ("aligner",)


def graph(decoder: int = 0, mel: int = 0) -> Graph:
    stages: dict[str, Stage] = {
        "audio": Decoder(decoder),
        "mel": Toy(mel),
        "durations": Durations(),
    }
    return Graph(grid=FrameGrid(), stages=stages, assets={})


def test_a_fingerprint_changes_with_all_that_decides_the_values() -> None:
    same = graph().fingerprint("mel")
    assert graph().fingerprint("mel") == same
    assert graph(mel=1).fingerprint("mel") != same
    assert graph(decoder=1).fingerprint("mel") != same
    assert graph(mel=1).fingerprint("audio") == graph().fingerprint("audio")
    settled = graph().with_asset("aligner", "a", Durations())
    other = graph().with_asset("aligner", "b", Durations())
    assert settled.fingerprint("durations") != other.fingerprint("durations")
    assert settled.fingerprint("mel") == same


def test_sources_and_assets_are_found_through_the_graph() -> None:
    assert graph().sources("mel") == ("audio_file",)
    assert graph().sources("durations") == ("audio_file", "text")
    assert graph().missing_assets("durations") == {"aligner"}
    assert graph().missing_assets("mel") == set()


def test_a_stage_before_what_it_requires_is_refused() -> None:
    with pytest.raises(ValueError, match="comes before what it requires"):
        Graph(grid=FrameGrid(), stages={"mel": Toy()}, assets={})


def test_hashes_follow_content_and_are_remembered(tmp_path: Path) -> None:
    file, state = tmp_path / "a.wav", tmp_path / "state"
    file.write_bytes(b"one")
    states = SourceStates(state)
    first, _ = states.look(file)
    states.save()
    assert SourceStates(state).look(file)[0] == first
    file.write_bytes(b"two!")
    assert SourceStates(state).look(file)[0] != first
    state.write_bytes(state.read_bytes()[:-9] + b"nonsense.")
    assert not SourceStates(state).seen(file)  # lost, so hashed again


def test_same_size_and_mtime_are_believed_unless_checksums_are_asked_for(tmp_path: Path) -> None:
    import os
    import shutil

    file, state = tmp_path / "a.wav", tmp_path / "state"
    file.write_bytes(b"one")
    states = SourceStates(state)
    first, _ = states.look(file)
    states.save()
    stat = file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert SourceStates(state).look(file)[0] == first
    assert SourceStates(state, checksum=True).look(file)[0] != first
    shutil.copytree(tmp_path, tmp_path / "other", copy_function=shutil.copy2)
    assert not SourceStates(state).seen(tmp_path / "other" / "a.wav")


def test_audio_that_cannot_be_read_costs_its_utterance(tmp_path: Path) -> None:
    (tmp_path / "good.wav").write_bytes(b"x")
    (tmp_path / "folder.wav").mkdir()
    names = ["good.wav", "folder.wav", "gone.wav"]
    utterances = [Utterance(id=n, source=n, text="t", speaker="s") for n in names]
    found, rejected = read_sources(
        utterances,
        SourceStates(tmp_path / "state"),
        locate=lambda u: tmp_path / u.source,
        language="en-us",
    )
    assert [source.utterance.id for source in found] == ["good.wav"]
    assert {(r.id, str(r.reason)) for r in rejected} == {
        ("folder.wav", "audio_missing"),
        ("gone.wav", "audio_missing"),
    }


def test_statistics_from_sums_equal_those_of_all_values() -> None:
    rng = np.random.default_rng(0)
    parts = [rng.normal(3, [[1], [5]], size=(2, n)) for n in (10, 1, 200)]
    total: dict[str, Any] = {}
    for part in parts:
        sums = {"sum": part.sum(1).tolist(), "sum_squares": (part**2).sum(1).tolist()}
        add_sums(total, {"frames": part.shape[1], **sums})
    joined = np.concatenate(parts, axis=1)
    found = latent_statistics(total)
    np.testing.assert_allclose(found["mean"], joined.mean(1), rtol=1e-12)
    np.testing.assert_allclose(found["std"], joined.std(1), rtol=1e-9)


def test_a_lost_plan_is_told_by_the_index(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    plan, index = tmp_path / "plan", tmp_path / "index"
    plan.write_bytes(b"nonsense")
    assert load_plan(plan, index) == ({}, None)
    pq.write_table(pa.table({"key": ["a", "b"], "shard": [0, 3]}), index)
    assert load_plan(plan, index) == ({"a": 0, "b": 3}, None)
    index.write_bytes(b"nonsense")
    with pytest.raises(UserError, match="to plan anew"):
        load_plan(plan, index)
