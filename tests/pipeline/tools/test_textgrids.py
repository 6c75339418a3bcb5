"""TextGrids of a dataset, and datasets from TextGrids: Praat in between, exact to the frame."""

from __future__ import annotations

import json
import re
import shutil
import wave
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from parselmouth.praat import call

from ns2.cli import main
from ns2.pipeline.core.errors import OptionError, UserError
from ns2.pipeline.core.schema import FrameGrid, Reason
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.preview import preview, render
from ns2.pipeline.tools.collect import collect
from ns2.pipeline.tools.diff.two_datasets import diff
from ns2.pipeline.tools.textgrids import write_textgrids
from ns2.pipeline.tools.tool_options import TextGridOptions
from ns2.pipeline.tools.verify.check import verify
from tests.support.factories import LJSPEECH, needs_ljspeech
from tests.support.preprocessing import contents, identities, run_inline
from tests.support.textgrid_factories import praat_read, praat_save, praat_textgrid, spans

OPTIONAL = PhonemeTable.default().optional
COLUMNS = ("phonemes", "durations", "meta")
GRID = FrameGrid()


@pytest.fixture(scope="module")
def grids(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The TextGrids of the spoken dataset. Tests copy them before they change them."""
    out = tmp_path_factory.mktemp("grids") / "textgrids"
    assert write_textgrids(Dataset(dataset), out) == 10
    return out


@pytest.fixture
def textgrids(grids: Path, tmp_path: Path) -> Path:
    shutil.copytree(grids, tmp_path / "textgrids")
    return tmp_path / "textgrids"


def read(corpus: Path, out: Path, textgrids: Path, **options: Any) -> Any:
    """A dataset from TextGrids, without codes."""
    chosen = {"columns": COLUMNS, **options}
    return run_inline(corpus, out, None, aligner="textgrid", textgrids=textgrids, **chosen)


def spoken_frames(utterance: Mapping[str, Any]) -> tuple[list[Any], list[Any], list[Any]]:
    """Phones, pauses and words of an utterance, each with its first frame and the one behind."""
    edges = np.concatenate([[0], np.cumsum(utterance["durations"], dtype=np.int64)]).tolist()
    phones: list[tuple[str, int, int]] = []
    pauses: list[tuple[int, int]] = []
    for i, token in enumerate(utterance["meta"]["phonemes"]):
        if token not in OPTIONAL:
            phones.append((token, edges[i], edges[i + 1]))
        elif edges[i] < edges[i + 1]:
            joined = bool(pauses) and pauses[-1][1] == edges[i]
            first = pauses.pop()[0] if joined else edges[i]
            pauses.append((first, edges[i + 1]))
    words = [(word, edges[first], edges[end]) for word, first, end in utterance["meta"]["words"]]
    return phones, pauses, words


def assert_same_frames(a: Path, b: Path) -> None:
    left, right = (Dataset(root, ("phonemes", "durations", "meta")) for root in (a, b))
    assert left.keys == right.keys and len(left) > 0
    for key in left.keys:
        assert spoken_frames(left[key]) == spoken_frames(right[key]), key


def assert_same_arrays(a: Path, b: Path, but: int = 0) -> None:
    """The same phonemes, durations and meta, except utterances with `|` of no frames in a word."""
    left, right = (Dataset(root, COLUMNS) for root in (a, b))
    assert left.keys == right.keys and len(left) > 0
    for one, other in zip(left, right, strict=True):
        inner = [
            one["meta"]["phonemes"][i] == "|" and one["durations"][i] == 0
            for _, first, end in one["meta"]["words"]
            for i in range(first, end)
        ]
        if any(inner):
            but -= 1
            continue
        assert np.array_equal(one["phonemes"], other["phonemes"])
        assert np.array_equal(one["durations"], other["durations"])
        assert one["meta"] == other["meta"]
    assert but == 0


def test_written_and_read_back(spoken: Path, dataset: Path, grids: Path, tmp_path: Path) -> None:
    summary = read(spoken, tmp_path / "back", grids)
    assert summary.written == 10 and not summary.rejected
    assert_same_frames(dataset, tmp_path / "back")
    assert_same_arrays(dataset, tmp_path / "back", but=1)
    assert any(spoken_frames(one)[1] for one in Dataset(dataset))  # there were pauses
    write_textgrids(Dataset(tmp_path / "back"), tmp_path / "again", TextGridOptions(short=True))
    read(spoken, tmp_path / "twice", tmp_path / "again")
    assert_same_arrays(tmp_path / "back", tmp_path / "twice")
    write_textgrids(Dataset(tmp_path / "twice"), tmp_path / "thrice")
    assert contents(tmp_path / "thrice") == contents(grids)


@needs_ljspeech
def test_real_recordings_through_praat(tmp_path: Path) -> None:
    run_inline(LJSPEECH, tmp_path / "lj", None, columns=("durations", "meta"), limit=6)
    write_textgrids(Dataset(tmp_path / "lj"), tmp_path / "written")
    for i, path in enumerate(sorted((tmp_path / "written").iterdir())):
        form = ("long", "short", "long-utf16", "short-utf16")[i % 4]
        praat_save(call("Read from file", str(path)), tmp_path / "saved" / path.name, form)
    summary = read(LJSPEECH, tmp_path / "back", tmp_path / "saved", limit=6)
    assert summary.written == 6
    assert_same_arrays(tmp_path / "lj", tmp_path / "back")


@pytest.mark.parametrize("short", [False, True])
def test_praat_opens_them(dataset: Path, tmp_path: Path, short: bool) -> None:
    write_textgrids(Dataset(dataset), tmp_path, TextGridOptions(limit=3, short=short))
    assert len(list(tmp_path.iterdir())) == 3
    for path in tmp_path.iterdir():
        utterance = Dataset(dataset)[path.stem]
        phones, pauses, words = spoken_frames(utterance)
        seconds = utterance["meta"]["samples"] / GRID.sample_rate

        def at(frame: int, seconds: float = seconds) -> float:
            return min(frame * GRID.hop_length / GRID.sample_rate, seconds)

        tiers = praat_read(path)
        assert list(tiers) == ["words", "phones"]
        assert all(tier[0][0] == 0.0 and tier[-1][1] == seconds for tier in tiers.values())
        assert [one for one in tiers["words"] if one[2]] == [
            (at(first), at(end), word) for word, first, end in words
        ]
        silent = [(first, end, "") for first, end in pauses]
        expected = sorted((at(first), at(end), label) for label, first, end in phones) + [
            (at(first), at(end), label) for first, end, label in silent
        ]
        assert tiers["phones"] == sorted(expected)


def test_switching_makes_only_what_comes_from_textgrids(
    spoken: Path, weights: Path, dataset: Path, shards: Path, grids: Path, tmp_path: Path
) -> None:
    before = identities(shards)
    options: dict[str, Any] = {"aligner": "textgrid", "textgrids": grids}
    found = preview(
        spoken, shards, Options(codec_weights=weights, quantizers=4, shard_utterances=4, **options)
    )
    assert {one.column: one.missing for one in found.columns if one.missing} == dict.fromkeys(
        COLUMNS, 3
    )
    assert not found.train_aligner
    assert "tokens.aligner (builtin -> textgrid)" in render(found)
    summary = run_inline(spoken, shards, weights, **options)
    assert dict(summary.made) == dict.fromkeys(COLUMNS, 3)
    assert set(summary.stage_seconds).isdisjoint({"codes", "mel", "f0"})
    after = identities(shards)
    kept = [name for name in before if name.split("-")[0] in ("codes", "mel", "f0")]
    assert kept and all(after[name] == before[name] for name in kept)
    assert verify(shards).ok
    assert not [name for name in Dataset(shards).card["assets"] if "aligner" in name]
    assert Dataset(shards).card["options"]["aligner"] == "textgrid"
    assert "textgrids" not in Dataset(shards).card["options"]
    differences = diff(dataset, shards)
    assert not differences["equal"] and not diff(shards, shards)["configuration"]
    collect(shards)
    assert not list((shards / "assets").glob("aligner-*")) and verify(shards).ok
    assert not run_inline(spoken, shards, weights, **options).made


def test_a_corrected_textgrid(spoken: Path, textgrids: Path, tmp_path: Path) -> None:
    """A border that is moved in Praat moves there, and nothing else is made anew."""
    out = tmp_path / "out"
    read(spoken, out, textgrids)
    key = Dataset(out).keys[5]
    before = Dataset(out)[key]
    path = textgrids / f"{key}.TextGrid"
    opened = call("Read from file", str(path))
    label = call(opened, "Get label of interval", 2, 4)
    border = call(opened, "Get start time of interval", 2, 4)
    call(opened, "Remove left boundary", 2, 4)
    call(opened, "Insert boundary", 2, border + 0.013)
    call(opened, "Set interval text", 2, 3, praat_read(path)["phones"][2][2])
    call(opened, "Set interval text", 2, 4, label)
    praat_save(opened, path, "short-utf16")
    options: dict[str, Any] = {"aligner": "textgrid", "textgrids": textgrids, "columns": COLUMNS}
    found = preview(spoken, out, Options(shard_utterances=4, **options))
    assert {one.column: (one.missing, one.utterances) for one in found.columns} == dict.fromkeys(
        COLUMNS, (1, 1)
    )
    assert dict(read(spoken, out, textgrids).made) == dict.fromkeys(COLUMNS, 1)
    after = Dataset(out)[key]
    moved = after["durations"].astype(int) - before["durations"].astype(int)
    assert sorted(moved[moved != 0].tolist()) == [-1, 1]
    assert after["meta"] == before["meta"]


def test_a_textgrid_that_comes_later(spoken: Path, textgrids: Path, tmp_path: Path) -> None:
    away = sorted(textgrids.iterdir())[3]
    held = away.read_bytes()
    away.unlink()
    summary = read(spoken, tmp_path / "out", textgrids)
    (missing,) = summary.rejected
    assert (missing.reason, missing.stage) == (Reason.TEXTGRID_MISSING, "textgrids")
    assert missing.key == away.stem and f"{away.stem}.TextGrid" in missing.message
    away.write_bytes(held)
    summary = read(spoken, tmp_path / "out", textgrids)
    assert summary.written == 10 and verify(tmp_path / "out").ok
    away.unlink()
    summary = read(spoken, tmp_path / "out", textgrids)
    assert summary.written == 9 and verify(tmp_path / "out").ok


Break = Callable[[Path], None]


def _rewrite(old: str, new: str) -> Break:
    def change(path: Path) -> None:
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), "utf-8")

    return change


def _relabel(label: str) -> Break:
    def change(path: Path) -> None:
        opened = call("Read from file", str(path))
        call(opened, "Set interval text", 2, 3, label)
        praat_save(opened, path)

    return change


def _shift(path: Path) -> None:
    opened = call("Read from file", str(path))
    call(opened, "Extend time", 0.5, "End")
    praat_save(opened, path)


def _silent(path: Path) -> None:
    opened = call("Read from file", str(path))
    call(opened, "Replace interval texts", 2, 1, 0, ".+", "sil", "Regular Expressions")
    praat_save(opened, path)


def _points(path: Path) -> None:
    tiers = praat_read(path)
    praat_save(praat_textgrid(tiers["words"][-1][1], {"words": tiers["words"]}, ["phones"]), path)


def _binary(path: Path) -> None:
    praat_save(call("Read from file", str(path)), path, "binary")


def _sound(path: Path) -> None:
    with wave.open(str(path), "wb") as audio:
        audio.setparams((1, 2, 16_000, 0, "NONE", ""))
        audio.writeframes(bytes(range(256)) * 40)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1500])


def _overlap(path: Path) -> None:
    text = path.read_text("utf-8")
    third = r'(?s)(name = "phones".*?intervals \[3\]:\s+xmin = )[\d.]+'
    assert re.search(third, text)
    path.write_text(re.sub(third, r"\g<1>0.001", text), "utf-8")


def _wordless(path: Path) -> None:
    opened = call("Read from file", str(path))
    call(opened, "Set interval text", 1, 2, "")
    praat_save(opened, path)


BREAKS: list[tuple[Break, Reason, str]] = [
    (lambda path: path.write_bytes(b"") and None, Reason.TEXTGRID_UNREADABLE, "is empty"),
    (_sound, Reason.TEXTGRID_UNREADABLE, "not a text file"),
    (_binary, Reason.TEXTGRID_UNREADABLE, "Praat's binary form"),
    (_cut, Reason.TEXTGRID_DAMAGED, "cut short"),
    (_rewrite('"phones"', '"Mary"'), Reason.TEXTGRID_NO_TIER, "'words', 'Mary'"),
    (_points, Reason.TEXTGRID_NO_TIER, "points"),
    (_silent, Reason.TEXTGRID_NO_PHONES, "silence"),
    (_rewrite("xmin = 0.", "xmin = -0."), Reason.TEXTGRID_BAD_TIMES, "negative"),
    (_rewrite("xmin = 0.", "xmin = --undefined--0."), Reason.TEXTGRID_BAD_TIMES, "not a time"),
    (_shift, Reason.TEXTGRID_LENGTH, "longer than its audio"),
    (_relabel("AH0"), Reason.UNKNOWN_PHONEME, "'AH0' that ends at"),
    (_relabel("spn"), Reason.UNKNOWN_PHONEME, "did not know the word"),
    (_wordless, Reason.TEXTGRID_WORDS, "lies in no word"),
    (_overlap, Reason.TEXTGRID_OVERLAP, "before"),
]  # fmt: skip


@pytest.mark.parametrize("part", [0, 1])
def test_broken_ones_are_rejected_each_with_its_reason(
    spoken: Path, textgrids: Path, tmp_path: Path, part: int
) -> None:
    breaks = BREAKS[7 * part : 7 * part + 7]
    broken = sorted(textgrids.iterdir())[:7]
    for path, (change, _, _) in zip(broken, breaks, strict=True):
        change(path)
    summary = read(spoken, tmp_path / "out", textgrids)
    assert summary.written == 3 and verify(tmp_path / "out").ok
    ledger = pq.read_table(tmp_path / "out" / "rejected.parquet").to_pylist()
    by_key = {row["key"]: row for row in ledger}
    assert len(by_key) == 7
    for path, (_, reason, message) in zip(broken, breaks, strict=True):
        row = by_key[path.stem]
        assert row["reason"] == reason and message in row["message"], row
        assert row["kind"] == "rejected" and str(tmp_path) not in row["message"]


def test_a_phone_set_of_its_own(spoken: Path, textgrids: Path, tmp_path: Path) -> None:
    """MFA's way: speaker folders, tiers with the speaker's name, ARPABET, silences."""
    key = sorted(path.stem for path in textgrids.iterdir())[0]
    with wave.open(str(spoken / "wavs" / f"{key}.wav")) as audio:
        end = audio.getnframes() / audio.getframerate()
    phones = spans((0.3, "sil"), (0.1, "HH"), (0.1, "AH0"), (0.2, "spn"), (0.1, "sp"), (0.2, "L"))
    words = spans((0.3, ""), (0.2, "hello"), (0.2, "<unk>"), (0.1, ""), (0.2, "l"))
    tiers = {"LJ - words": words, "LJ - phones": phones}
    praat_save(praat_textgrid(end, tiers), tmp_path / "mfa" / "LJ" / f"{key}.textgrid")
    extra = tmp_path / "extra.txt"
    extra.write_text("HH\nAH0\nL\nspn\n")
    read(spoken, tmp_path / "out", tmp_path / "mfa", extra_phonemes=extra)
    found = Dataset(tmp_path / "out")[key]
    assert found["meta"]["phonemes"] == [
        "<sil>", "HH", "AH0", "|", "spn", "|", "L", "<sil>",
    ]  # fmt: skip
    assert found["meta"]["words"] == [["hello", 1, 3], ["<unk>", 4, 5], ["l", 6, 7]]
    assert found["durations"][:-1].tolist() == [22, 8, 7, 0, 15, 8, 15]
    assert verify(tmp_path / "out").ok


def test_known_truth(spoken: Path, tmp_path: Path) -> None:
    """What espeak-ng says of its phones comes out as the frames whose centres lie in them."""
    rows = [json.loads(line) for line in (spoken / "truth.jsonl").open(encoding="utf-8")]
    expected: dict[str, list[tuple[int, int]]] = {}
    for row in rows:
        heard = [(start, ipa) for start, ipa in row["phones"] if ipa != "<word>"]
        ends = [*(start for start, _ in heard[1:]), row["samples"]]
        rate, samples = row["sample_rate"], row["samples"]
        parts = [
            (start, end, ipa)
            for (start, ipa), end in zip(heard, ends, strict=True)
            if ipa and end - start > 0.03 * rate  # all have a frame of their own
        ]
        tiers = {"phone": [(start / rate, end / rate, "a") for start, end, _ in parts]}
        made = praat_textgrid(samples / rate, tiers)
        praat_save(made, tmp_path / "truth" / f"{row['key']}.TextGrid", "short")
        twice = 2 * GRID.sample_rate  # all in whole numbers: some borders hit a centre
        centres = (2 * np.arange(2000) + 1) * GRID.hop_length * rate
        expected[row["key"]] = [
            (int(np.sum(centres < start * twice)), int(np.sum(centres < end * twice)))
            for start, end, _ in parts
        ]
    read(spoken, tmp_path / "out", tmp_path / "truth", phone_tier="phone")
    found = Dataset(tmp_path / "out")
    assert len(found) == 10
    for one in found:
        edges = [(first, end) for _, first, end in spoken_frames(one)[0]]
        assert edges == expected[one["key"]]


def test_options_that_do_not_go_together(spoken: Path, grids: Path, tmp_path: Path) -> None:
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("needs --textgrids", {"aligner": "textgrid"}),
        ("are for --aligner textgrid", {"textgrids": grids}),
        ("are for --aligner textgrid", {"phone_tier": "MAU"}),
        (
            "have no scores",
            {"aligner": "textgrid", "textgrids": grids, "min_align_score": -1.0},
        ),
        (
            "have no scores",
            {"aligner": "textgrid", "textgrids": grids, "max_border_error": 0.1},
        ),
        ("--trim", {"aligner": "textgrid", "textgrids": grids, "trim": True}),
        ("--aligner-init", {"aligner": "textgrid", "textgrids": grids, "aligner_init": "none"}),
        ("--retrain-aligner", {"aligner": "textgrid", "textgrids": grids, "retrain_aligner": True}),
    ]
    for message, options in wrong:
        with pytest.raises(OptionError, match=message):
            Options(**options)
    (tmp_path / "empty").mkdir()
    with pytest.raises(OptionError, match=r"none of its 0 TextGrids belongs to.*\.TextGrid or"):
        read(spoken, tmp_path / "out", tmp_path / "empty")


def test_one_textgrid_for_two_speakers(spoken: Path, grids: Path, tmp_path: Path) -> None:
    audio = sorted((spoken / "wavs").iterdir())[0]
    for speaker in ("ann", "bob"):
        folder = tmp_path / "pairs" / speaker
        folder.mkdir(parents=True)
        shutil.copy(audio, folder / "001.wav")
        (folder / "001.txt").write_text("So much light.")
    (tmp_path / "flat").mkdir()
    shutil.copy(grids / f"{audio.stem}.TextGrid", tmp_path / "flat" / "001.TextGrid")
    with pytest.raises(OptionError):
        read(tmp_path / "pairs", tmp_path / "out", tmp_path / "flat")
    (tmp_path / "flat" / "bob").mkdir()
    (tmp_path / "flat" / "001.TextGrid").rename(tmp_path / "flat" / "bob" / "001.TextGrid")
    summary = read(tmp_path / "pairs", tmp_path / "out", tmp_path / "flat")
    assert summary.written == 1 and Dataset(tmp_path / "out")[0]["meta"]["speaker"] == "bob"


def test_command_line(spoken: Path, dataset: Path, tmp_path: Path) -> None:
    def ns2(*arguments: str | Path, code: int = 0) -> str:
        result = CliRunner().invoke(main, [str(one) for one in arguments])
        assert result.exit_code == code, result.output
        return result.output

    keys = Dataset(dataset).keys
    out = tmp_path / "tg"
    assert "2 TextGrids" in ns2("textgrid", dataset, out, "--keys", f"{keys[4]},{keys[1]}")
    assert {path.stem for path in out.iterdir()} == {keys[1], keys[4]}
    before = contents(out)
    ns2("textgrid", dataset, out, "--limit", "2")  # what is the same stays
    assert before.items() <= contents(out).items() and len(contents(out)) == 3
    assert "exists and has other content" in ns2("textgrid", dataset, out, "--short", code=1)
    assert len(contents(out)) == 3 and before.items() <= contents(out).items()
    assert "has no utterance" in ns2("textgrid", dataset, out, "--keys", "nobody", code=1)
    assert "inside the dataset" in ns2("textgrid", dataset, dataset / "tg", code=1)
    common = ("preprocess", spoken, "-o", tmp_path / "new", "--columns", "durations,meta")
    ns2(*common, "--aligner", "textgrid", "--executor", "inline", code=2)
    ns2(*common, "--textgrids", out, "--executor", "inline", code=2)
    output = ns2(
        *common, "--aligner", "textgrid", "--textgrids", out, "--executor", "inline", code=3
    )
    assert "textgrid_missing" in output and "3 written" in output
    assert "nothing to do" in ns2(*common, "--aligner", "textgrid", "--textgrids", out, "--plan")


def test_columns_that_are_not_there(spoken: Path, tmp_path: Path) -> None:
    run_inline(spoken, tmp_path / "out", None, columns=("f0",), limit=2)
    with pytest.raises(UserError, match="durations"):
        write_textgrids(Dataset(tmp_path / "out"), tmp_path / "tg")
