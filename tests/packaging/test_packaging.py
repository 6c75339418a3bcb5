"""The package as it is built and installed, outside the repository."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.support.factories import ROOT

PACKAGES = ("model", "pipeline", "train")


def test_the_package_list_names_every_folder() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    listed = set(config["tool"]["setuptools"]["packages"])
    folders = {
        ".".join(("ns2", *init.parent.relative_to(ROOT).parts))
        for name in PACKAGES
        for init in (ROOT / name).rglob("__init__.py")
    }
    with_code = {
        ".".join(("ns2", *path.parent.relative_to(ROOT).parts))
        for name in PACKAGES
        for path in (ROOT / name).rglob("*.py")
    }
    assert listed == {"ns2", *folders}
    assert with_code <= folders  # no folder of modules without an __init__.py


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with the built wheel in it and this environment's dependencies."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    source = folder / "source"
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    for name in tracked:
        path = ROOT / name
        if path.is_file() and not name.startswith(".types"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(path.read_bytes())
    subprocess.run([*build, "--wheel-dir", str(folder), str(source)], check=True)
    (wheel,) = folder.glob("ns2-*.whl")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    run = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip()
    own = subprocess.run(
        [sys.executable, *run[1:]], capture_output=True, text=True, check=True
    ).stdout.strip()
    # a path in a .pth file is added, but .pth files found there (the editable ns2) are not read
    (Path(site) / "dependencies.pth").write_text(own + "\n")
    subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", "--no-deps", str(wheel)], check=True
    )
    return python


def run(python: Path, code: str, cwd: Path) -> str:
    return subprocess.run(
        [str(python), "-c", code], capture_output=True, text=True, check=True, cwd=cwd
    ).stdout


def test_the_wheel_holds_the_package_and_nothing_else(installed: Path) -> None:
    (wheel,) = installed.parent.parent.parent.glob("ns2-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    wanted = {"ns2/cli.py"} | {
        f"ns2/{path.relative_to(ROOT).as_posix()}"
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted <= set(names)
    assert any(name.endswith(".safetensors") for name in wanted)
    tops = {name.split("/")[1] for name in names if name.startswith("ns2/")}
    assert tops == {"cli.py", *PACKAGES}


def test_the_wheel_works_outside_the_repository(installed: Path, tmp_path: Path) -> None:
    where = run(installed, "import ns2.cli; print(ns2.cli.__file__)", tmp_path)
    assert str(ROOT) not in where
    script = subprocess.run(
        [str(installed.parent / "ns2"), "--help"], capture_output=True, text=True, check=True
    )
    assert "preprocess" in script.stdout
    spoken = run(
        installed,
        "from ns2.pipeline.text.pronunciation import pronounce\n"
        "from ns2.pipeline.dataset.phoneme_table import PhonemeTable\n"
        "print(len(PhonemeTable.default().ids(pronounce('Hello there.', 'en-us').tokens)))",
        tmp_path,
    )
    assert int(spoken) > 5


LIGHT = ("torch", "ray", "pyarrow")
SOUNDING = ("ray", "pyarrow", "numba", "scipy", "torchaudio")
"""What speech does not wait for before anything of it is known."""


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("ns2.cli", LIGHT),
        ("ns2.pipeline.core.schema", LIGHT),
        ("ns2.train.speak.jobs", SOUNDING),
        ("ns2.train.speak.voice_file", SOUNDING),
    ],
)
def test_importing_is_light(module: str, heavy: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print(sorted(set(sys.modules) & set({heavy})))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert result.stdout.strip() == "[]"


def test_the_folder_of_types_holds_links_alone() -> None:
    found = (ROOT / ".types" / "ns2").iterdir()
    entries = {path.name: path for path in found if path.name != "__pycache__"}
    assert entries.keys() == {"cli.py", *PACKAGES}
    for name, path in entries.items():
        assert path.is_symlink() and path.resolve() == ROOT / name
