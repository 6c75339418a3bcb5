"""The folder and the environment that a command is started in change nothing, or are named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from ns2.pipeline.core.cores import cgroup_quota, usable_cores
from ns2.pipeline.preprocess.executors.ray_start import RayFolder
from tests.support.factories import ROOT
from tests.support.preprocessing import contents

COMMAND = [sys.executable, "-P", "-c", "from ns2.cli import main; main()"]
"""`ns2`, whose script lies elsewhere than in the folder where it is started."""


def environment(**changed: str) -> dict[str, str]:
    path = str(ROOT / ".types")
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **changed}


def preprocess(
    corpus: Path, out: Path, *more: str, cwd: Path, **changed: str
) -> subprocess.CompletedProcess[str]:
    words = ["preprocess", str(corpus), "-o", str(out), "--codec", "mini"]
    words += ["--columns", "mel,f0,phonemes"]
    return subprocess.run(
        [*COMMAND, *words, *more],
        cwd=cwd, env=environment(**changed), capture_output=True, text=True, timeout=300,
    )  # fmt: skip


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with modules of the names of libraries, which end whatever imports them."""
    folder = tmp_path_factory.mktemp("planted")
    for name in ("soxr", "soundfile", "pyworld", "torch", "numpy", "phonemizer", "ns2/__init__"):
        path = folder / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"raise SystemExit('{name} of this folder was imported')\n")
    return folder


@pytest.fixture(scope="module")
def inline(spoken: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the inline executor makes, started in a folder that holds nothing."""
    out = tmp_path_factory.mktemp("inline")
    done = preprocess(spoken, out / "out", "--executor", "inline", cwd=out)
    assert done.returncode == 0, done.stderr
    return contents(out / "out")


@pytest.mark.parametrize("executor", ["--workers=1", "--executor=inline"])
def test_modules_in_the_folder_of_the_start_are_not_imported(
    executor: str, spoken: Path, planted: Path, inline: dict[str, bytes], tmp_path: Path
) -> None:
    done = preprocess(spoken, tmp_path / "out", executor, cwd=planted)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "out") == inline


@pytest.mark.parametrize(
    "kind", ["home", *(pytest.param(kind, marks=pytest.mark.large) for kind in ("long", "other"))]
)
def test_ray_works_where_its_usual_folders_do_not(
    kind: str, spoken: Path, inline: dict[str, bytes], tmp_path: Path
) -> None:
    # a path of modules that is relative holds for workers, too
    changed = {"HOME": "/proc/nowhere", "PYTHONPATH": os.path.relpath(ROOT / ".types", tmp_path)}
    if kind == "long":  # paths of sockets would be too long
        long = tmp_path / ("long-" * 20) / "tmp"
        long.mkdir(parents=True)
        changed = {"TMPDIR": str(long)}
    elif kind == "other":  # what another user's would be: a file can't be made in it
        (tmp_path / "ray").write_text("in the way")
        changed = {"RAY_TMPDIR": str(tmp_path)}
    done = preprocess(spoken, tmp_path / "out", "--workers=1", cwd=tmp_path, **changed)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "out") == inline


def test_no_place_for_ray_is_an_error_that_names_the_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from ns2.pipeline.core.errors import UserError
    from ns2.pipeline.preprocess.executors import ray_start

    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / ("long-" * 20)))
    monkeypatch.setattr(ray_start, "_PLACES", ("/proc",))
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/proc")
    with pytest.raises(UserError, match="--executor inline"):
        RayFolder().choose()


def test_the_neutral_folder_is_left_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "a::/b")
    monkeypatch.setattr(sys, "path", ["a", "", "/b", "/b"])
    folder = RayFolder()
    with folder.neutral():
        assert Path.cwd() != tmp_path and not list(Path.cwd().iterdir())
        assert os.environ["PYTHONPATH"] == f"{tmp_path}/a:{tmp_path}:/b"
        inside = Path.cwd()
    assert Path.cwd() == tmp_path and inside.is_dir()
    folder.remove()
    assert not inside.exists()
    assert os.environ["PYTHONPATH"] == "a::/b"


# --- cores ----------------------------------------------------------------------------------------


def test_cores_are_those_of_the_affinity() -> None:
    one = {min(os.sched_getaffinity(0))}
    code = "from ns2.pipeline.core.cores import usable_cores as n; print(n())"
    words = [sys.executable, "-c", f"import os; os.sched_setaffinity(0, {one}); {code}"]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
    assert 1 <= usable_cores() <= len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("files", "own", "quota"),
    [
        ({"cpu.max": "max 100000"}, {"": "/"}, None),
        ({"cpu.max": "150000 100000"}, {"": "/"}, 1.5),
        ({"a/b/cpu.max": "400000 100000", "a/cpu.max": "200000 100000"}, {"": "/a/b"}, 2.0),
        ({"cpu.max": "300000 100000"}, {"": "/of/the/host"}, 3.0),
        ({"cpu,cpuacct/cpu.cfs_quota_us": "50000", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
         {"cpu,cpuacct": "/"}, 0.5),
        ({"cpu,cpuacct/cpu.cfs_quota_us": "-1", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
         {"cpu,cpuacct": "/"}, None),
        ({"cpu.max": "nonsense"}, {"": "/"}, None),
        ({}, {}, None),
    ],
)  # fmt: skip
def test_quotas_of_cgroups(
    files: dict[str, str], own: dict[str, str], quota: float | None, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert cgroup_quota(tmp_path, own) == quota


# --- output ---------------------------------------------------------------------------------------


def test_a_broken_pipe_ends_quietly(spoken: Path, tmp_path: Path) -> None:
    words = [
        *COMMAND,
        "preprocess",
        str(spoken),
        "-o",
        str(tmp_path / "out"),
        "--plan",
        "--codec=mini",
        "--trial-seconds=0",
    ]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        words, stdout=write, stderr=subprocess.PIPE, env=environment(), text=True, timeout=300
    )
    os.close(write)
    assert done.stderr == "" and done.returncode == 141


def test_what_libraries_write_is_counted_and_not_shown(tmp_path: Path) -> None:
    code = (
        "import os, sys, click\n"
        "from ns2.pipeline.core.terminal import quiet_libraries\n"
        "with quiet_libraries():\n"
        "    for i in range(300): os.write(2, b'[src/id3.c] error: no comment\\n')\n"
        "    print('of python', file=sys.stderr)\n"
        "    click.echo('of click', err=True)\n"
        "os.write(2, b'behind\\n')\n"
    )
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == [
        "of python",
        "of click",
        "note: 300 messages of libraries are not shown; the first: [src/id3.c] error: no comment",
        "behind",
    ]


def test_warnings_of_a_decoder_do_not_fill_the_terminal(tmp_path: Path) -> None:
    """libmpg123 writes a line for each comment in an ID3 tag that it does not understand."""
    from ns2.pipeline.corpora.spoken.espeak import SENTENCES, speak

    frame = b"COMM" + (4).to_bytes(4, "big") + b"\0\0" + b"\0eng"
    tag = b"ID3\x03\0\0" + bytes([0, 0, 0, len(frame) + 20]) + frame + bytes(20)
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for i, text in enumerate(SENTENCES[:3]):
        wave, rate, _ = speak(text)
        path = corpus / f"{i}.mp3"
        soundfile.write(path, wave, rate)
        path.write_bytes(tag + path.read_bytes())
        path.with_suffix(".txt").write_text(text)
    done = preprocess(corpus, tmp_path / "out", "--executor", "inline", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "libmpg123" in line]
    assert len(said) == 1 and said[0].startswith("note: "), done.stderr
    assert "3 written" in done.stdout
