"""docs/corpora.md: its folders are read as it says, and its commands exist."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from ns2.cli import main
from ns2.model.tts.presets import PRESETS
from ns2.pipeline.core.hashing import unit_interval
from ns2.pipeline.core.schema import COLUMNS
from ns2.pipeline.corpora.fields import FIELDS
from ns2.pipeline.corpora.layouts.commonvoice import CommonVoice
from ns2.pipeline.corpora.layouts.mls import VOICES
from ns2.pipeline.corpora.reading import AUDIO_SUFFIXES, LAYOUTS, read_corpus
from ns2.pipeline.dataset.index import index_schema
from ns2.pipeline.dataset.phoneme_table import PhonemeTable
from ns2.pipeline.dataset.where import parse_where
from ns2.pipeline.preprocess.finish.splits import assign_split
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.preview import preview
from ns2.pipeline.text.lexicon import Lexicon
from ns2.train.run.recipes import ADAPT
from tests.docs.pages import blocks, resolve
from tests.docs.pages import commands as page_commands
from tests.support.corpora_factories import make_clips, write_audio, write_ljspeech
from tests.support.dataset_factories import Recipe, make_dataset
from tests.support.factories import ROOT, tone
from tests.support.held_factories import write_table

TEXT = (ROOT / "docs" / "corpora.md").read_text("utf-8")
CONTENT_COLUMN = 14  # lines of a tree that begin farther right go on with the file above
WEIGHTS = "encodec_24khz-d7cc33bc.th"
MADE = ("shards", "trial", "run", "voice.wav", "words.txt", WEIGHTS)
"""What commands of the guide take besides corpora: other commands make it, or the reader has it."""


def sections() -> dict[str, str]:
    """The text of each section by its heading's layout; "" for what comes before all."""
    parts = re.split(r"^## .*?(?:`(\w+)`)?$", TEXT, flags=re.MULTILINE)
    return {name or "": text for name, text in zip(parts[1::2], parts[2::2], strict=True)}


SECTIONS = sections()
(LEXICON,) = (text.replace("⇥", "\t") for text in blocks(SECTIONS[""], "text"))


def commands(text: str) -> list[list[str]]:
    """The words of each command of `ns2` in a section, with the guide's variable put in."""
    lines = page_commands(text.replace("$W", WEIGHTS))
    return [words[1:] for words in lines if words[0] == "ns2"]


class Audio:
    """A short recording in each format, written once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bytes: dict[str, bytes] = {}

    def of(self, suffix: str) -> bytes:
        if suffix not in self._bytes:
            path = write_audio(self._folder / f"tone{suffix}", tone(0.5, 150), 24_000)
            self._bytes[suffix] = path.read_bytes()
        return self._bytes[suffix]


def build(tree: str, root: Path, audio: Audio) -> Path:
    """Make the files of a tree of the guide; gives its first folder."""
    folders: list[tuple[int, Path]] = [(-1, root)]
    texts: dict[Path, str] = {}
    newest = root
    for line in tree.splitlines():
        indent = len(line) - len(line.lstrip())
        if indent >= CONTENT_COLUMN:
            more = line.strip()
            texts[newest] += "\n" + more[1:].strip() if more[0] == "⏎" else " " + more
            continue
        name, _, content = line.strip().partition(" ")
        while folders[-1][0] >= indent:
            folders.pop()
        path = folders[-1][1] / name
        if name.endswith("/"):
            assert not content, line
            path.mkdir(parents=True)
            folders.append((indent, path))
            continue
        newest = path
        if path.suffix in AUDIO_SUFFIXES:
            assert not content, line
            path.write_bytes(audio.of(path.suffix))
        else:
            texts[path] = content.strip()
    for path, text in texts.items():
        _write(path, text.replace("⇥", "\t") + "\n", audio)
    return root / tree.split("/", 1)[0]


def _write(path: Path, text: str, audio: Audio) -> None:
    """A file of a tree: a table of parquet from JSON lines, a tar from names and texts."""
    if path.suffix == ".parquet":
        rows = [json.loads(line) for line in text.splitlines()]
        for row in rows:
            row["audio"]["bytes"] = audio.of(Path(row["audio"]["path"]).suffix)
        write_table(path, rows)
    elif path.suffix == ".tar":
        with tarfile.open(path, "w") as tar:
            for line in text.splitlines():
                name, _, content = line.strip().partition(" ")
                info = tarfile.TarInfo(name)
                data = content.encode() or audio.of(Path(name).suffix)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, "utf-8")


Become = dict[str, tuple[str, str, str] | str]
"""By id: speaker, split and language, or the reason that it is rejected for."""


def told(lines: str) -> Become:
    """What the lines under a tree say."""
    found: Become = {}
    for line in lines.splitlines():
        words = line.split()
        if words[2] == "rejected":
            assert len(words) == 4, line
            found[words[1]] = words[3]
        else:
            assert words[::2] == ["id", "speaker", "split", "language"], line
            split = words[5].replace("drawn", "")
            found[words[1]] = (words[3], split, words[7].replace("--language", ""))
    return found


def with_a_score(row: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**row, "align_score": -unit_interval(row["key"], "score")}]


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The working folder of somebody who follows the guide, with all its corpora."""
    root = tmp_path_factory.mktemp("guide")
    audio = Audio(tmp_path_factory.mktemp("audio"))
    for layout in LAYOUTS:
        (tree,) = blocks(SECTIONS[layout], "text")
        build(tree.split("\n\n")[0], root, audio)
    (root / "voice.wav").write_bytes(audio.of(".wav"))
    (root / "words.txt").write_text(LEXICON, "utf-8")
    (root / WEIGHTS).touch()
    make_dataset(root / "shards", Recipe(shards=5, per_shard=5, change_row=with_a_score))
    for name in ("trial", "run"):
        (root / name).mkdir()
    links = root / "clean"  # as the guide makes it
    links.mkdir()
    for name in ("train-clean-100", "dev-clean"):
        (links / name).symlink_to(root / "LibriTTS" / name)
    with contextlib.chdir(root):
        yield root


def test_each_layout_has_a_section() -> None:
    assert list(SECTIONS) == ["", *LAYOUTS]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_trees_are_read_as_the_guide_says(layout: str, guide: Path) -> None:
    (tree,) = blocks(SECTIONS[layout], "text")
    _, under = tree.split("\n\n")
    paths = {
        words[1]
        for words in commands(SECTIONS[layout])
        if words[0] == "preprocess" and words[1] != "clean"
    }
    assert len(paths) == 1  # the folder that the section names
    corpus = read_corpus(Path(paths.pop()))
    assert corpus.layout == layout
    found: Become = {u.id: (u.speaker, u.split, u.language) for u in corpus.utterances}
    assert len({u.key for u in corpus.utterances}) == len(found) > 0
    found |= {one.id: str(one.reason) for one in corpus.rejected}
    expected = told(under)
    assert found == expected
    assert corpus.warnings == ()


def test_linked_subsets_of_libritts_are_one_corpus(guide: Path) -> None:
    whole, linked = read_corpus(guide / "LibriTTS"), read_corpus(guide / "clean")
    assert linked.utterances == whole.utterances and linked.layout == "libritts"


def test_the_whole_release_of_common_voice_will_do_too(guide: Path) -> None:
    corpus = read_corpus(guide / "cv-corpus-27.0-2026-09-11")
    assert corpus.layout == CommonVoice.name and len(corpus.utterances) == 3


def test_the_one_speaker_of_ljspeech_would_leave_nothing_for_validation(guide: Path) -> None:
    (utterance,) = read_corpus(guide / "LJSpeech-1.1").utterances
    assert assign_split(utterance, val_share=0.02, val_by="speaker") == "train"


ALL = [pytest.param(words, id=" ".join(words)[:70]) for words in commands(TEXT)]


@pytest.mark.parametrize("words", ALL)
def test_commands_exist_with_their_options(words: list[str], guide: Path) -> None:
    command, rest = resolve(words)
    context = command.make_context(command.name, rest)  # checks values and paths
    if context.params.get("preset"):
        assert context.params["preset"] in (*PRESETS, ADAPT)
    if context.params.get("where"):
        parse_where(context.params["where"], index_schema(list(COLUMNS)))


def test_the_lexicon_is_read(guide: Path) -> None:
    read = Lexicon.read(guide / "words.txt", PhonemeTable.default())
    assert list(read.entries) == ["Reading", "don't", "银行"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_planned_for_each_corpus(layout: str, guide: Path, tmp_path: Path) -> None:
    """The section's own command, with `mini` in place of weights that are a download."""
    words = next(w for w in commands(SECTIONS[layout]) if w[0] == "preprocess")
    if "--codec-weights" in words:
        at = words.index("--codec-weights")
        words[at : at + 2] = ["--codec", "mini"]
    words[words.index("-o") + 1] = str(tmp_path / "out")
    result = CliRunner().invoke(
        main, [*words, "--plan", "--json", "--trial-seconds", "0"], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    plan = json.loads(result.output)
    (tree,) = blocks(SECTIONS[layout], "text")
    become = told(tree.split("\n\n")[1])
    rejected = sum(isinstance(one, str) for one in become.values())
    assert (plan["utterances"], plan["unusable"]) == (len(become) - rejected, rejected)
    assert plan["train_aligner"] and not (tmp_path / "out").exists()


def test_the_worst_alignments_come_first(guide: Path) -> None:
    (code,) = blocks(TEXT, "python")
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, {})
    scores = [float(score) for score in re.findall(r"'align_score': ([-\d.e]+)", out.getvalue())]
    index = pq.read_table(guide / "shards" / "index.parquet")
    assert scores == sorted(index["align_score"].to_pylist())[:20]


def test_voices_of_mls_are_those_of_the_table() -> None:
    rows = re.findall(r"^\| `mls_(\w+)` \|.*\| ([\w-]+) \|$", TEXT, re.MULTILINE)
    assert dict(rows) == VOICES


def test_names_of_a_manifest_are_those_of_the_table() -> None:
    rows = re.findall(r"^\| `(\w+)` \|(.*?)\|", SECTIONS["manifest"], re.MULTILINE)
    table = {field: (field, *re.findall(r"`(\w+)`", also)) for field, also in rows}
    assert table == FIELDS


def test_space_for_an_hour_of_speech(tmp_path: Path) -> None:
    """What the page says is what --plan says, of utterances as long as LJSpeech's."""
    (claimed,) = re.findall(r"takes about (\d+) MB for an hour", TEXT)
    (saved,) = re.findall(r"8 instead of 16 saves only (\d+) %", TEXT)
    corpus = write_ljspeech(tmp_path / "corpus", make_clips(4, seconds=6.5))
    takes = {
        quantizers: preview(
            corpus, tmp_path / "out", Options(codec="mini-1", quantizers=quantizers)
        ).bytes
        for quantizers in (16, 8)
    }
    assert takes[16] / 1e6 * 3600 / (4 * 6.5) == pytest.approx(int(claimed), rel=0.03)
    assert 100 * (1 - takes[8] / takes[16]) == pytest.approx(int(saved), abs=0.5)
