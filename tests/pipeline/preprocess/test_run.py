"""`ns2 preprocess` from end to end: real speech, real stages, the inline executor."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import torch

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.schema import COLUMNS, META_FIELDS
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.tools.verify.check import verify
from tests.support.preprocessing import contents, identities, run_inline


def faults(root: Path) -> list[str]:
    return [str(fault) for fault in verify(root).faults]


def test_every_array_is_on_the_frame_grid(spoken: Path, dataset: Path) -> None:
    opened = Dataset(dataset)
    assert len(opened) == 10
    for utterance in opened:
        info = soundfile.info(spoken / "wavs" / f"{utterance['key']}.wav")
        seconds = utterance["meta"]["samples"] / 24_000
        assert seconds == pytest.approx(info.duration, abs=1e-4)
        frames = -(-utterance["meta"]["samples"] // 320)
        assert utterance["codes"].shape == (4, frames)
        assert utterance["mel"].shape == (80, frames)
        assert utterance["f0"].shape == (frames,)
        assert utterance["durations"].sum() == frames
        tokens = utterance["meta"]["phonemes"]
        assert len(tokens) == len(utterance["phonemes"]) == len(utterance["durations"])
        for token, duration in zip(tokens, utterance["durations"], strict=True):
            assert duration > 0 or token in ("<sil>", "|") or not token.isalpha()
        assert set(utterance["meta"]) == set(META_FIELDS)


def test_it_verifies(dataset: Path) -> None:
    assert faults(dataset) == []


def test_twice_gives_the_same_bytes_whatever_the_threads(
    spoken: Path, weights: Path, dataset: Path, tmp_path: Path
) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2 if threads == 1 else 1)
    try:
        run_inline(spoken, tmp_path / "again", weights)
    finally:
        torch.set_num_threads(threads)
    first, second = contents(dataset), contents(tmp_path / "again")
    assert sorted(first) == sorted(second)
    assert [name for name in first if first[name] != second[name]] == []


def test_nothing_of_the_machine_is_in_it(spoken: Path, dataset: Path) -> None:
    for name, data in contents(dataset).items():
        assert str(spoken).encode() not in data, name
        assert str(dataset.parent).encode() not in data, name


def test_running_again_touches_nothing(spoken: Path, weights: Path, shards: Path) -> None:
    before = identities(shards)
    summary = run_inline(spoken, shards, weights)
    assert not summary.made and not summary.stage_seconds
    assert identities(shards) == before


def test_another_pitch_range_makes_one_column_anew(
    spoken: Path, weights: Path, shards: Path
) -> None:
    before = identities(shards)
    summary = run_inline(spoken, shards, weights, f0_max=900.0)
    after = identities(shards)
    new = [name for name in after if name not in before]
    assert len(new) == 6 and all(name.startswith("f0-") for name in new)  # 3 tars, 3 markers
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"dataset.json", "index.parquet", "SHA256SUMS", "README.md"}
    assert set(summary.stage_seconds) == {"audio", "f0"}
    assert faults(shards) == []


def test_a_changed_transcript_costs_its_utterance(
    corpus: Path, weights: Path, shards: Path
) -> None:
    table = corpus / "metadata.csv"
    lines = table.read_text("utf-8").splitlines()
    key = lines[0].split("|")[0]
    table.write_text("\n".join([f"{key}|Quite another text.|Quite another text.", *lines[1:]]))
    before, old = identities(shards), Dataset(shards)
    others = {k: old[k] for k in old.keys if k != key}
    summary = run_inline(corpus, shards, weights)
    assert dict(summary.made) == dict.fromkeys(("phonemes", "durations", "trust", "meta"), 1)
    assert {name: before[name] for name in before if name.endswith((".tar", ".safetensors"))} == {
        name: at for name, at in identities(shards).items() if name in before and
        name.endswith((".tar", ".safetensors"))
    }  # fmt: skip
    new = Dataset(shards)
    assert new[key]["meta"]["text"] == "Quite another text."
    for other, arrays in others.items():
        np.testing.assert_array_equal(new[other]["durations"], arrays["durations"])
    assert faults(shards) == []


def test_a_removed_utterance_costs_a_copy(corpus: Path, weights: Path, shards: Path) -> None:
    table = corpus / "metadata.csv"
    lines = table.read_text("utf-8").splitlines()
    gone = lines.pop().split("|")[0]
    table.write_text("\n".join(lines))
    summary = run_inline(corpus, shards, weights)
    assert not summary.stage_seconds
    assert dict(summary.made) == dict.fromkeys((*COLUMNS, "trust"), 1)
    assert gone not in Dataset(shards).keys
    assert faults(shards) == []


def test_added_utterances_form_new_shards(corpus: Path, weights: Path, tmp_path: Path) -> None:
    table = corpus / "metadata.csv"
    lines = table.read_text("utf-8").splitlines()
    table.write_text("\n".join(lines[::2]))
    run_inline(corpus, tmp_path / "out", weights)
    before = identities(tmp_path / "out")
    table.write_text("\n".join(lines))
    summary = run_inline(corpus, tmp_path / "out", weights)
    after = identities(tmp_path / "out")
    stays = [n for n in before if n.endswith((".tar", ".safetensors", ".json")) and "-" in n]
    assert all(before[name] == after[name] for name in stays)
    assert dict(summary.made) == dict.fromkeys((*COLUMNS, "trust"), 2)
    assert faults(tmp_path / "out") == []


def test_the_aligner_is_trained_again_only_on_demand(
    corpus: Path, weights: Path, tmp_path: Path
) -> None:
    out, table = tmp_path / "out", corpus / "metadata.csv"
    lines = table.read_text("utf-8").splitlines()
    table.write_text("\n".join(lines[:8]))
    columns = ("durations",)
    run_inline(corpus, out, weights, columns=columns)
    table.write_text("\n".join(lines))
    run_inline(corpus, out, weights, columns=columns)
    assert len(list(out.glob("assets/aligner-*.safetensors"))) == 1
    old = Dataset(out).asset("aligner")
    summary = run_inline(corpus, out, weights, columns=columns, retrain_aligner=True)
    assert dict(summary.made) == {"durations": 3}
    new = Dataset(out).asset("aligner")
    assert new != old and faults(out) == []
    for again in (True, False):  # the same sample: nothing to do; the last one stays
        summary = run_inline(corpus, out, weights, columns=columns, retrain_aligner=again)
        assert not summary.made and Dataset(out).asset("aligner") == new


def test_limits_filter_without_decoding_again(spoken: Path, weights: Path, shards: Path) -> None:
    seconds = Dataset(shards).index["seconds"].to_pylist()
    longest = max(seconds)
    summary = run_inline(spoken, shards, weights, max_seconds=longest - 1e-3)
    assert not summary.stage_seconds
    (rejected,) = pq.read_table(shards / "rejected.parquet").to_pylist()
    assert (rejected["kind"], rejected["reason"]) == ("filtered", "too_long")
    assert summary.rejected_share == 0.0
    assert summary.written == 9 and faults(shards) == []


def test_bad_utterances_cost_themselves_only(
    corpus: Path, weights: Path, dataset: Path, tmp_path: Path
) -> None:
    rows = (corpus / "metadata.csv").read_text("utf-8").splitlines()
    wavs = corpus / "wavs"
    soundfile.write(wavs / "silent.wav", np.zeros(24_000), 24_000)
    soundfile.write(wavs / "short.wav", 0.1 * np.sin(np.arange(240)), 24_000)
    (wavs / "noise.wav").write_bytes(bytes(range(256)) * 40)
    good = rows[0].split("|")[0]
    for name in ("emoji", "script", "fast", "empty"):
        shutil.copy(wavs / f"{good}.wav", wavs / f"{name}.wav")
    texts = {
        "silent": "Hello.",
        "short": "Hello.",
        "noise": "Hello.",
        "gone": "Hello.",
        "emoji": "🙂🙂",
        "script": "Привет, мир.",
        "fast": "many words " * 100,
        "empty": " ",
        good: "Again.",
    }
    rows += [f"{key}|{text}|{text}" for key, text in texts.items()]
    (corpus / "metadata.csv").write_text("\n".join(rows), encoding="utf-8")
    summary = run_inline(corpus, tmp_path / "out", weights)
    table = pq.read_table(tmp_path / "out" / "rejected.parquet").to_pylist()
    assert {row["id"]: row["reason"] for row in table} == {
        "silent": "audio_silent",
        "short": "too_short",
        "noise": "audio_unreadable",
        "gone": "audio_missing",
        "emoji": "nothing_speakable",
        "script": "wrong_script",
        "fast": "more_phones_than_frames",
        "empty": "empty_transcript",
        good: "duplicate_id",
    }
    assert summary.found == 19 and summary.written == 10
    counts = json.loads((tmp_path / "out" / "dataset.json").read_text("utf-8"))["counts"]
    assert counts["found"] == counts["written"] + counts["rejected"] + counts["filtered"]
    old, new = Dataset(dataset), Dataset(tmp_path / "out")
    for key in old.keys:
        for column in ("codes", "mel", "f0", "phonemes"):
            np.testing.assert_array_equal(old[key][column], new[key][column])
    assert faults(tmp_path / "out") == []


def test_a_stage_that_fails_late_takes_its_utterance_out(
    spoken: Path, weights: Path, shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ns2.pipeline.stages.f0 import F0Stage
    from ns2.pipeline.stages.stage import Item, Product

    compute = F0Stage.compute

    def broken(self: F0Stage, item: Item) -> Product:
        if item.key.endswith("5"):
            raise RuntimeError("boom")
        return compute(self, item)

    monkeypatch.setattr(F0Stage, "compute", broken)
    summary = run_inline(spoken, shards, weights, f0_max=800.0)
    (rejected,) = summary.rejected
    assert (rejected.stage, str(rejected.reason)) == ("f0", "stage_failed")
    assert "boom" in rejected.message
    assert summary.written == 9 and faults(shards) == []


def test_many_failures_are_tried_again_and_stop_nothing(
    spoken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ns2.pipeline.stages.f0 import F0Stage
    from ns2.pipeline.stages.stage import Item, Product

    compute = F0Stage.compute

    def broken(self: F0Stage, item: Item) -> Product:
        if int(item.key[-1]) < 6:
            raise RuntimeError("boom")
        return compute(self, item)

    out, chosen = tmp_path / "out", {"columns": ("f0",), "shard_utterances": 16}
    with monkeypatch.context() as patch:
        patch.setattr(F0Stage, "compute", broken)
        for _ in range(2):
            assert run_inline(spoken, out, None, **chosen).written == 4
    assert run_inline(spoken, out, None, **chosen).written == 10
    assert faults(out) == []


def test_columns_can_be_made_one_after_the_other(
    spoken: Path, weights: Path, dataset: Path, tmp_path: Path
) -> None:
    run_inline(spoken, tmp_path / "out", None, columns=("mel", "f0"))
    assert set(Dataset(tmp_path / "out")[0]) == {"key", "mel", "f0"}
    assert faults(tmp_path / "out") == []
    run_inline(spoken, tmp_path / "out", weights)
    assert contents(tmp_path / "out") == contents(dataset)


def test_a_cut_off_run_goes_on_to_the_same_bytes(
    spoken: Path, weights: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ns2.pipeline.dataset.shards import TarWriter

    commit, left = TarWriter.commit, [7]

    def counted(self: TarWriter, summary: dict) -> object:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return commit(self, summary)

    with monkeypatch.context() as patch:
        patch.setattr(TarWriter, "commit", counted)
        with pytest.raises(KeyboardInterrupt):
            run_inline(spoken, tmp_path / "out", weights)
    assert not (tmp_path / "out" / "dataset.json").exists()
    there = identities(tmp_path / "out")
    run_inline(spoken, tmp_path / "out", weights)
    assert contents(tmp_path / "out") == contents(dataset)
    after = identities(tmp_path / "out")
    assert {name: after[name] for name in there} == there


def test_a_folder_of_others_is_refused(spoken: Path, weights: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match=r"thesis\.tex"):
        run_inline(spoken, tmp_path, weights)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_dataset_of_other_utterances_is_refused(
    corpus: Path, weights: Path, shards: Path
) -> None:
    table = corpus / "metadata.csv"
    for wav in (corpus / "wavs").iterdir():
        wav.rename(wav.with_name(f"other-{wav.name}"))
    lines = table.read_text("utf-8").splitlines()
    table.write_text("\n".join(f"other-{line}" for line in lines))
    before = identities(shards)
    with pytest.raises(UserError, match="other utterances"):
        run_inline(corpus, shards, weights)
    assert identities(shards) == before


def test_two_runs_at_once_are_refused(spoken: Path, weights: Path, shards: Path) -> None:
    from ns2.pipeline.dataset.layout import lock

    with lock(shards / ".state" / "lock", shards), pytest.raises(UserError, match="at work"):
        run_inline(spoken, shards, weights)


def test_the_card_holds_statistics_of_the_latents(dataset: Path) -> None:
    from safetensors.numpy import load_file

    opened = Dataset(dataset)
    books = load_file(opened.asset("codebooks"))["codebooks"].astype(np.float64)
    latents = np.concatenate(
        [sum(books[q][codes] for q, codes in enumerate(utterance["codes"])) for utterance in opened]
    )
    statistics = opened.card["statistics"]["latents"]
    np.testing.assert_allclose(statistics["mean"], latents.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(statistics["std"], latents.std(0), rtol=1e-4)


def test_missing_weights_say_where_they_were_looked_for(
    spoken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    with pytest.raises(UserError, match="--codec-weights"):
        run_inline(spoken, tmp_path / "out", None)
    assert not (tmp_path / "out").exists()


def test_audio_that_changes_after_it_was_hashed_stops_the_run(
    corpus: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ns2.pipeline.preprocess import run as run_module

    place, wav = run_module.place, next(iter(sorted((corpus / "wavs").iterdir())))
    whole = wav.read_bytes()

    def meanwhile(*args: object) -> object:
        wav.write_bytes(whole[:44] + whole[44 : 44 + (len(whole) - 44) // 4 * 2])
        return place(*args)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "place", meanwhile)
        with pytest.raises(UserError, match="has changed"):
            run_inline(corpus, tmp_path / "out", weights)
    wav.unlink()
    wav.write_bytes(whole)
    assert run_inline(corpus, tmp_path / "out", weights).written == 10


def test_recordings_that_vanish_stop_the_run_and_lose_nothing(
    corpus: Path, weights: Path, shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ns2.pipeline.preprocess import run as run_module

    run_inline(corpus, shards, weights)
    before, place = identities(shards), run_module.place

    def meanwhile(*args: object) -> object:
        (corpus / "wavs").rename(corpus / "unmounted")
        return place(*args)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "place", meanwhile)
        with pytest.raises(UserError, match="vanished"):
            run_inline(corpus, shards, weights, f0_max=900.0)
    assert before.items() <= identities(shards).items()
    (corpus / "wavs").mkdir()  # where the disk would be mounted
    with pytest.raises(UserError, match="is the corpus's disk there"):
        run_inline(corpus, shards, weights)
    (corpus / "wavs").rmdir()
    (corpus / "unmounted").rename(corpus / "wavs")
    assert run_inline(corpus, shards, weights, f0_max=900.0).written == 10


def test_the_machines_faults_are_not_the_utterances(
    spoken: Path, weights: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ns2.pipeline.stages.tokens import TokensStage

    def full(self: object, item: object) -> None:
        raise OSError(28, "No space left on device")

    def broken(self: object, item: object) -> None:
        raise RuntimeError("/usr/lib/thing.so at 0x7f3012 is gone")

    for fault, message in ((full, "No space left"), (broken, "fails on every")):
        with monkeypatch.context() as patch:
            patch.setattr(TokensStage, "compute", fault)
            with pytest.raises(UserError, match=message) as error:
                run_inline(spoken, tmp_path / "out", weights)
            assert "0x7f3012" not in str(error.value)
    run_inline(spoken, tmp_path / "out", weights)
    assert contents(tmp_path / "out") == contents(dataset)


def test_a_dataset_that_lost_its_state_is_recognised(
    spoken: Path, weights: Path, shards: Path
) -> None:
    before = identities(shards)
    shutil.rmtree(shards / ".state")
    summary = run_inline(spoken, shards, weights)
    assert not summary.made and not summary.stage_seconds
    assert identities(shards) == before


def test_damage_is_not_certified_anew(spoken: Path, weights: Path, shards: Path) -> None:
    (aligner,) = (shards / "assets").glob("aligner-*.safetensors")
    marker = sorted(shards.glob("f0-*/*.parquet"))[1]
    tar = sorted(shards.glob("mel-*/*.tar"))[0]
    for path, cut in ((aligner, False), (marker, False), (tar, True)):
        whole = path.read_bytes()
        spot = len(whole) // 2
        path.write_bytes(
            whole[:-512] if cut else whole[:spot] + bytes([whole[spot] ^ 1]) + whole[spot + 1 :]
        )
        with pytest.raises(UserError, match="run again"):
            run_inline(spoken, shards, weights)
        path.write_bytes(whole)
    assert faults(shards) == []


def test_a_damaged_aligner_makes_nothing(corpus: Path, spoken: Path, tmp_path: Path) -> None:
    """Its durations would stay, of the same name as right ones, when the aligner is made anew."""
    out = tmp_path / "out"
    columns = ("durations",)
    run_inline(spoken, out, None, columns=columns, limit=6)
    (aligner,) = (out / "assets").glob("aligner-*.safetensors")
    whole = aligner.read_bytes()
    aligner.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    before = contents(out)
    with pytest.raises(UserError, match="is damaged"):
        run_inline(spoken, out, None, columns=columns)
    assert {name: data for name, data in contents(out).items() if "durations" in name} == {
        name: data for name, data in before.items() if "durations" in name
    }
    aligner.unlink()
    run_inline(spoken, out, None, columns=columns)
    assert aligner.read_bytes() == whole and faults(out) == []


def test_another_shard_size_is_refused(spoken: Path, weights: Path, shards: Path) -> None:
    for _ in range(2):
        with pytest.raises(UserError, match="--shard-utterances 4"):
            run_inline(spoken, shards, weights, shard_utterances=3)
        shutil.rmtree(shards / ".state", ignore_errors=True)


def test_what_a_dataset_loses_is_said(spoken: Path, weights: Path, shards: Path) -> None:
    from ns2.pipeline.core.progress import Progress
    from ns2.pipeline.preprocess.executors.inline import InlineExecutor
    from ns2.pipeline.preprocess.options import Options
    from ns2.pipeline.preprocess.run import preprocess

    class Listening(Progress):
        def __init__(self) -> None:
            super().__init__()
            self.notes: list[str] = []

        def note(self, message: str) -> None:
            self.notes.append(message)

    heard = Listening()
    chosen = Options(columns=("f0",), shard_utterances=4, limit=8)
    preprocess(spoken, shards, chosen, InlineExecutor(), heard)
    assert "codes, mel, phonemes, durations, meta" in heard.notes[0]
    assert "2 utterances less" in heard.notes[1]


def test_a_limit_counts_all_that_is_found(corpus: Path, tmp_path: Path) -> None:
    rows = (corpus / "metadata.csv").read_text("utf-8").splitlines()
    rows += [f"zz{i}|Hello.|Hello." for i in range(8)]  # no audio
    (corpus / "metadata.csv").write_text("\n".join(rows), encoding="utf-8")
    summary = run_inline(corpus, tmp_path / "out", None, columns=("mel",), limit=11)
    assert (summary.found, summary.written, len(summary.rejected)) == (11, 10, 1)
