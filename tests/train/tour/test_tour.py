"""What `ns2 demo` learns from, and how it goes on. The whole of it is `make demo`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ns2.pipeline.core.errors import UserError
from ns2.pipeline.corpora.spoken.cast import Speaker, cast, speak_spoken
from ns2.pipeline.corpora.spoken.sentences import sentences
from ns2.pipeline.text.pronunciation import pronounce
from ns2.train.tour.demo_config import Demo
from ns2.train.tour.shown_command import command
from ns2.train.tour.spoken_recordings import HELLO, SpokenRecordings
from ns2.train.tour.tour import begin, finished, speaking, steps_in


def test_what_is_evaluated_was_never_learned(tmp_path: Path) -> None:
    said = SpokenRecordings(Demo(root=tmp_path, utterances=300)).what_is_said()
    by_split = {split: [one for one in said if one.split == split] for split in ("train", "val")}
    learned, held = by_split["train"], by_split["val"]
    assert len(held) == 20 and len(learned) >= 300
    assert not {one.text for one in held} & {one.text for one in learned}
    assert not {one.speaker.voice for one in held} & {one.speaker.voice for one in learned}
    # a prompt is another utterance of the speaker
    for names in ([one.speaker.name for one in part] for part in (learned, held)):
        assert min(names.count(name) for name in set(names)) >= 2
    assert len({one.id for one in said}) == len(said)


def test_sentences_differ_and_hold_all_phones_of_the_held_out_ones(tmp_path: Path) -> None:
    made = sentences(600, seed=5)
    assert len(set(made)) == 600 and made[:50] == sentences(50, seed=5)
    assert made != sentences(600, seed=6)
    said = SpokenRecordings(Demo(root=tmp_path, utterances=600)).what_is_said()

    def phones(split: str) -> set[str]:
        texts = [one.text for one in said if one.split == split]
        return {t.lstrip("ˈˌ") for text in texts for t in pronounce(text, "en-us").tokens}

    assert phones("val") <= phones("train")


def test_a_corpus_that_was_stopped_goes_on(tmp_path: Path) -> None:
    speakers = [Speaker(voice="en-us"), Speaker(voice="en-us+f1", pitch=70)]
    said = cast(["One.", "Two.", "Three."], speakers, "train", 0)
    manifest = speak_spoken(tmp_path, said[:2])
    first = {path: path.stat().st_mtime_ns for path in (tmp_path / "wavs").iterdir()}
    told: list[tuple[int, int]] = []
    speak_spoken(tmp_path, said, tell=lambda done, total: told.append((done, total)))
    assert told == [(2, 3), (3, 3)]
    assert all(path.stat().st_mtime_ns == before for path, before in first.items())
    rows = [json.loads(line) for line in manifest.read_text("utf-8").splitlines()]
    assert [row["text"] for row in rows] == ["One.", "Two.", "Three."]
    assert {row["speaker"] for row in rows} == {"en-us-50-160", "en-us-f1-70-160"}
    assert sorted(path.name for path in (tmp_path / "wavs").iterdir()) == sorted(
        Path(row["audio"]).name for row in rows
    )


def test_a_run_that_has_begun_keeps_its_number_of_steps(tmp_path: Path) -> None:
    demo = Demo(root=tmp_path, utterances=40)
    demo.run.mkdir()
    (demo.run / "config.json").write_text('{"steps": 77}')
    assert steps_in(demo) == 77


def test_commands_are_shown_and_their_failure_stops_the_demo(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shown: list[str] = []
    with pytest.raises(UserError, match="exit code 2"):
        command("verify", tmp_path / "no such folder", show=shown.append)
    assert shown == [f"\n$ ns2 verify '{tmp_path / 'no such folder'}'"]
    assert "does not exist" in capfd.readouterr().err
    demo = Demo(root=tmp_path)
    words = [" ".join(map(str, one)) for one in speaking(demo, SpokenRecordings(demo))]
    assert HELLO in words[1] and "val-" in words[1]
    with pytest.raises(UserError, match="minutes"):
        Demo(root=tmp_path, minutes=0)


def test_a_training_that_was_stopped_is_not_finished(tmp_path: Path) -> None:
    demo = Demo(root=tmp_path)
    demo.run.mkdir()
    (demo.run / "config.json").write_text('{"steps": 3}')
    for lines, done in (
        ("", False),
        ('{"step": 2}\n', False),
        ('{"step": 2}\n{"step": 3}\n', True),
    ):
        (demo.run / "metrics.jsonl").write_text(lines)
        assert finished(demo) is done


def test_ctrl_c_ends_a_command_in_its_own_way(tmp_path: Path) -> None:
    """The command hears it once, from the terminal's group; the demo waits, then stops."""
    code = f"""
import os, signal, subprocess, sys, threading
from pathlib import Path
from ns2.train.tour import shown_command
script = "trap 'sleep 0.3; echo ended > {tmp_path}/said; exit 0' INT; sleep 9 & wait"
shown_command.subprocess.run = lambda words, **how: subprocess.Popen(["bash", "-c", script]).wait()
threading.Timer(1.0, lambda: os.killpg(0, signal.SIGINT)).start()
try:
    shown_command.command("verify", show=print)
except shown_command.UserError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, start_new_session=True
    )
    assert "stopped; the same `ns2 demo` goes on" in done.stdout, done.stderr
    assert (tmp_path / "said").read_text() == "ended\n"


def test_a_folder_keeps_what_it_began_with(tmp_path: Path) -> None:
    begin(Demo(root=tmp_path / "demo", minutes=3))
    begin(Demo(root=tmp_path / "demo", minutes=3))
    with pytest.raises(UserError, match=r"--minutes \(3\)"):
        begin(Demo(root=tmp_path / "demo", minutes=30))


def test_another_text_never_takes_a_recording_that_is_there(tmp_path: Path) -> None:
    one, other = (
        {
            said.id: said.text
            for said in SpokenRecordings(
                Demo(root=tmp_path, utterances=60, seed=seed)
            ).what_is_said()
        }
        for seed in (0, 1)
    )
    shared = one.keys() & other.keys()
    assert all(one[key] == other[key] for key in shared) and len(shared) < len(one)
