"""`ns2 demo --corpus`: what is held out, what too small a corpus gets, and the whole way."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from ns2.cli import main
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.corpora.spoken.espeak import speak_corpus
from ns2.pipeline.dataset.reader import Dataset
from ns2.train.tour.demo_config import Demo
from ns2.train.tour.own_recordings import HELLO, OwnRecordings
from ns2.train.tour.tour import begin, making_shards, recordings_of, speaking
from tests.support.preprocessing import run_inline


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of 40 utterances of one speaker in LJSpeech's layout."""
    return speak_corpus(tmp_path_factory.mktemp("recorded"), utterances=40, seed=1)


def manifest(corpus: Path, path: Path, held: int = 0, **fields: str) -> Path:
    """A manifest of a corpus, which lies elsewhere and holds its last utterances out."""
    lines = (corpus / "metadata.csv").read_text("utf-8").splitlines()
    rows = []
    for number, line in enumerate(lines):
        name, text, _ = line.split("|")
        row = {"audio": str(corpus / "wavs" / f"{name}.wav"), "text": text, "id": name, **fields}
        if held:
            row["split"] = "val" if number >= len(lines) - held else "train"
        rows.append(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def options(words: object) -> dict[str, str]:
    """The options of a command, by name."""
    assert isinstance(words, tuple | list)
    said = [str(word) for word in words]
    return {a: b for a, b in zip(said, [*said[1:], ""], strict=True) if a.startswith("--")}


def test_a_split_of_the_corpus_is_kept(recorded: Path, tmp_path: Path) -> None:
    corpus = manifest(recorded, tmp_path / "mine.jsonl", held=4, language="de")
    demo = Demo(root=tmp_path / "demo", corpus=corpus)
    own = OwnRecordings(demo, corpus)
    own.prepare()
    assert own.making() == ("--trim", "--val-share", "0")
    run_inline(corpus, demo.shards, None, codec="mini", val_share=0.0, columns=("meta",))
    own.check()
    rows = Dataset(demo.shards).fields(["id", "split"]).to_pylist()
    held = sorted(row["id"] for row in rows if row["split"] == "val")
    names = [json.loads(line)["id"] for line in corpus.read_text("utf-8").splitlines()[-4:]]
    assert held == sorted(names)
    hello = own.hello()
    assert hello.prompt.is_file() and hello.prompt.stem in held
    assert (hello.text, hello.language) == (HELLO["de"], "de")
    _, synthesize = speaking(demo, own)
    assert options(synthesize)["--language"] == "de"
    assert "36 utterances" in own.learned() and "1 speaker," in own.learned()


def test_enough_is_held_out_of_a_corpus_without_splits(recorded: Path, tmp_path: Path) -> None:
    demo = Demo(root=tmp_path / "demo", corpus=recorded, language="en-gb", layout="ljspeech")
    own = recordings_of(demo)
    own.prepare()
    plan, made, verified = making_shards(demo, own)
    assert plan[-1] == "--plan" and plan[:-1] == made[: len(plan) - 1] and verified[0] == "verify"
    chosen = options(made)
    assert (chosen["--language"], chosen["--layout"]) == ("en-gb", "ljspeech")
    told = CliRunner().invoke(main, [str(word) for word in plan])
    assert told.exit_code == 0, told.output
    (split,) = [line for line in told.output.splitlines() if line.startswith("split train: ")]
    trained, held = (int(part.rpartition(" ")[2]) for part in split.split(", "))
    assert trained + held == 40 and trained >= 20 and held >= 3


def test_a_corpus_that_is_too_small_is_refused(recorded: Path, tmp_path: Path) -> None:
    small = manifest(recorded, tmp_path / "small.jsonl")
    small.write_text("".join(small.read_text().splitlines(keepends=True)[:12]))
    with pytest.raises(UserError, match=r"at least 20 to learn from.*record more, or cut long"):
        OwnRecordings(Demo(root=tmp_path / "a", corpus=small), small).prepare()
    few = manifest(recorded, tmp_path / "few.jsonl", held=1)
    with pytest.raises(
        UserError, match=r"39 utterances to learn from and 1 to hold out.*split val"
    ):
        OwnRecordings(Demo(root=tmp_path / "b", corpus=few), few).prepare()
    none = manifest(recorded, tmp_path / "none.jsonl", split="train")
    with pytest.raises(UserError, match="0 to hold out"):
        OwnRecordings(Demo(root=tmp_path / "c", corpus=none), none).prepare()


def test_utterances_that_preprocessing_leaves_out_count_too(recorded: Path, tmp_path: Path) -> None:
    corpus = manifest(recorded, tmp_path / "mine.jsonl", held=4)
    demo = Demo(root=tmp_path / "demo", corpus=corpus)
    run_inline(corpus, demo.shards, None, codec="mini", max_seconds=1.5, columns=("meta",))
    with pytest.raises(UserError, match=r"rejected\.parquet says why others"):
        OwnRecordings(demo, corpus).check()


def test_a_folder_keeps_its_corpus(recorded: Path, tmp_path: Path) -> None:
    root, other = tmp_path / "demo", manifest(recorded, tmp_path / "mine.jsonl")
    begin(Demo(root=root, corpus=recorded))
    begin(Demo(root=root, corpus=recorded))
    for changed in (Demo(root=root, corpus=other), Demo(root=root)):
        with pytest.raises(UserError, match=r"other --corpus \(.*\): choose another folder"):
            begin(changed)
    with pytest.raises(UserError, match=r"other --language \(en-us\)"):
        begin(Demo(root=root, corpus=recorded, language="de"))
    begin(Demo(root=tmp_path / "spoken"))
    with pytest.raises(UserError, match=r"other --corpus \(none\)"):
        begin(Demo(root=tmp_path / "spoken", corpus=recorded))


def test_options_that_do_not_go_together(recorded: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--corpus"):
        Demo(root=tmp_path, language="de")
    with pytest.raises(UserError, match="--utterances"):
        Demo(root=tmp_path, corpus=recorded, utterances=500)
    with pytest.raises(UserError, match="lies in the corpus"):
        Demo(root=recorded / "demo", corpus=recorded)


def test_the_whole_way(recorded: Path, tmp_path: Path) -> None:
    """Three seconds of training, after which all is there, although nobody understands it."""
    corpus = tmp_path / "corpus"
    shutil.copytree(recorded, corpus)
    root = tmp_path / "demo"
    words = ["demo", str(root), "--corpus", str(corpus), "--minutes", "0.05", "--cores", "1"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    for command in ("--plan", "$ ns2 verify", "$ ns2 train", "$ ns2 evaluate", "$ ns2 synthesize"):
        assert command in done.output
    assert (root / "hello.wav").is_file() and (root / "run/evaluation/index.html").is_file()
    found = json.loads((root / "run/evaluation/evaluation.json").read_text("utf-8"))
    dataset = Dataset(root / "shards")
    held = {row["key"] for row in dataset.fields(["key", "split"]).to_pylist()
            if row["split"] == "val"}  # fmt: skip
    assert {one["key"] for one in found["utterances"]} == held
    assert "recording" in found["all"]["versions"]
