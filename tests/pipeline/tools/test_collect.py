"""`ns2 gc`: what is current stays and verifies, what is not goes, what is not ours stays too."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from ns2.cli import main
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.dataset.card import card_text, sealed
from ns2.pipeline.dataset.layout import lock
from ns2.pipeline.dataset.reader import Dataset
from ns2.pipeline.tools.collect import collect
from ns2.pipeline.tools.verify.check import verify
from tests.support.dataset_factories import Recipe, folder, make_dataset
from tests.support.preprocessing import contents, identities, run_inline

OTHER = "0123456789ab"  # a fingerprint that nothing has
SUMS = "SHA256SUMS"


def listed(root: Path) -> set[str]:
    """Every file that belongs to a dataset."""
    lines = (root / SUMS).read_text("utf-8").splitlines()
    readme = {name for name in ("README.md",) if (root / name).is_file()}  # old ones have none
    return {line.split("  ")[1] for line in lines} | {SUMS, "dataset.json"} | readme


def files_of(root: Path) -> set[str]:
    return set(contents(root, state=True))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of made-up arrays with one of everything that is no longer current."""
    root = make_dataset(
        tmp_path_factory.mktemp("gc") / "shards",
        Recipe(shards=2, change_card=lambda card: {**card, "screen": f"screen-{'a' * 12}"}),
    )
    shutil.copytree(root / folder("mel"), root / f"mel-{OTHER}")
    for path in list((root / folder("f0")).iterdir()):
        shutil.copy(path, path.with_name(f"{path.name[:6]}{OTHER}0000{path.suffix}"))
    (root / "assets" / f"aligner-{OTHER}.json").write_text("{}")
    (root / "assets" / f"aligner-{OTHER}.safetensors").write_text("")
    (root / "assets" / f"phonemes-{OTHER}.json").write_text("{}")
    for screen in ("a" * 12, OTHER):
        (root / ".state" / f"screen-{screen}").mkdir(parents=True)
        (root / ".state" / f"screen-{screen}" / "00000.parquet").write_text("made up")
        (root / ".state" / f"screen-{screen}" / ".tmp-1-00001.parquet").write_text("half")
    for name in ("lock", "plan.parquet", "sources.parquet"):
        (root / ".state" / name).write_text("")
    for name in ("", "assets/", ".state/", f"{folder('codes')}/", f"mel-{OTHER}/"):
        (root / f"{name}.tmp-77-x.tar").write_text("half a file")
    return root


@pytest.fixture
def root(tiny: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "shards", symlinks=True))


STATE = {
    f".state/{name}"
    for name in ("lock", "plan.parquet", "sources.parquet", f"screen-{'a' * 12}/00000.parquet")
}


def test_after_changes_only_what_is_current_stays(
    spoken: Path, weights: Path, shards: Path, tmp_path: Path
) -> None:
    corpus = Path(shutil.copytree(spoken, tmp_path / "corpus"))
    table = corpus / "metadata.csv"
    first, *lines = table.read_text("utf-8").splitlines()
    key = first.split("|")[0]
    table.write_text("\n".join([f"{key}|Quite another text.|Quite another text.", *lines]))
    run_inline(corpus, shards, weights, f0_max=900.0)
    (screen,) = (shards / ".state").glob("screen-*")
    assert Dataset(shards).card["screen"] == screen.name
    shutil.copytree(screen, screen.with_name(f"screen-{OTHER}"))
    before, current = identities(shards), listed(shards)
    sizes = {path: path.stat().st_size for path in shards.rglob("*") if path.is_file()}

    planned = collect(shards, dry_run=True)
    assert identities(shards) == before
    removed = collect(shards)
    assert planned == removed

    assert set(identities(shards)) == current
    assert identities(shards) == {name: before[name] for name in current}
    gone = {path: size for path, size in sizes.items() if not path.exists()}
    assert (removed.files, removed.bytes) == (len(gone), sum(gone.values()))
    # All of F0's old folder, a shard of what is made from the text, and the screening.
    assert removed.folders == 2 and removed.foreign == []
    files = {place: files for place, (files, _) in removed.places.items()}
    assert sorted(files.values()) == [2, 2, 2, 2, 3, 6] and f".state/screen-{OTHER}" in files
    assert screen.is_dir() and not screen.with_name(f"screen-{OTHER}").exists()
    assert verify(shards).faults == []

    kept = identities(shards)
    summary = run_inline(corpus, shards, weights, f0_max=900.0)
    assert not summary.made and not summary.stage_seconds
    assert identities(shards) == kept
    again = collect(shards)
    assert (again.files, again.bytes, again.folders, again.places) == (0, 0, 0, {})


def test_columns_that_are_no_longer_wanted_go(spoken: Path, weights: Path, shards: Path) -> None:
    run_inline(spoken, shards, None, columns=("mel",))
    removed = collect(shards)
    assert removed.folders == 6
    assert {path.name.split("-")[0] for path in shards.iterdir() if "-" in path.name} == {"mel"}
    assert {path.name.split("-")[0] for path in (shards / "assets").iterdir()} == {"phonemes"}
    assert verify(shards).faults == []
    summary = run_inline(spoken, shards, None, columns=("mel",))
    assert not summary.made and not summary.stage_seconds


def test_one_of_everything(root: Path) -> None:
    stale = files_of(root) - listed(root) - STATE
    planned = collect(root, dry_run=True)
    assert stale == files_of(root) - listed(root) - STATE
    size = sum((root / name).stat().st_size for name in stale)
    removed = collect(root)
    assert removed == planned
    assert files_of(root) == listed(root) | STATE
    assert (removed.files, removed.bytes, removed.folders) == (len(stale), size, 2)
    assert removed.foreign == []
    assert not (root / f"mel-{OTHER}").exists()
    assert verify(root).ok


def test_what_is_not_ours_is_left_and_named(root: Path) -> None:
    foreign = [
        "notes.txt",
        "mel-notes/00000-0123456789abcdef.tar",
        f"wav-{OTHER}/00000-0123456789abcdef.tar",
        "mel-0123/00000-0123456789abcdef.tar",
        f"mel-{OTHER}/README",
        f"mel-{OTHER}/00000-0123456789abcdef.tar.bak",
        f"mel-{OTHER}/sub/00000-0123456789abcdef.tar",
        f"{folder('f0')}/00000-mine.tar",
        "assets/aligner-mine.json",
        "assets/voices.safetensors",
        ".state/mine",
        f".state/screen-{OTHER}/notes.txt",
        ".tmp-folder/x",
    ]
    for name in foreign:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("precious")
    removed = collect(root)
    assert files_of(root) == listed(root) | STATE | set(foreign)
    assert removed.folders == 0
    # Folders are named completely; the other files in .state serve later runs and are not named.
    whole = {"mel-notes", f"wav-{OTHER}", "mel-0123", f"mel-{OTHER}/sub", ".tmp-folder"}
    single = {n for n in foreign if str(Path(n).parent) not in whole and n != ".state/mine"}
    assert set(removed.foreign) == whole | single
    assert verify(root).ok


def test_links_are_not_followed(root: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.move(root / f"mel-{OTHER}", elsewhere)
    (root / f"mel-{OTHER}").symlink_to(elsewhere)
    link = root / folder("f0") / "00009-0123456789abcdef.tar"
    link.symlink_to(next(elsewhere.glob("*.tar")))
    before = contents(elsewhere)
    removed = collect(root)
    assert contents(elsewhere) == before and link.is_symlink()
    assert set(removed.foreign) == {f"mel-{OTHER}", link.relative_to(root).as_posix()}


def test_without_the_name_of_the_screening_all_screenings_stay(tmp_path: Path) -> None:
    root = make_dataset(tmp_path / "shards", Recipe(shards=1))
    cache = root / ".state" / f"screen-{OTHER}" / "00000.parquet"
    cache.parent.mkdir(parents=True)
    cache.write_text("made up")
    cache.with_name(".tmp-1-x").write_text("half")
    assert collect(root).files == 1
    assert cache.is_file() and not cache.with_name(".tmp-1-x").exists()


def test_broken_off_anywhere_it_can_be_called_again(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = Path.unlink
    total = collect(root, dry_run=True).files

    class Killed(BaseException):
        pass

    for most in range(total):
        copy = Path(shutil.copytree(root, tmp_path / f"copy{most}"))
        left = [most]

        def counted(path: Path, missing_ok: bool = False, left: list[int] = left) -> None:
            if path.exists():
                if not left[0]:
                    raise Killed
                left[0] -= 1
            unlink(path, missing_ok)

        with monkeypatch.context() as patched:
            patched.setattr(Path, "unlink", counted)
            with pytest.raises(Killed):
                collect(copy)
        for marker in copy.glob("*-*/*.parquet"):
            assert marker.with_suffix(".tar").is_file()
        assert listed(copy) <= files_of(copy)
        assert collect(copy).files == total - most
        assert files_of(copy) == listed(copy) | STATE


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def other_sums(root: Path) -> None:
    """SHA256SUMS that lists less, as a whole line that went missing would leave it."""
    lines = (root / SUMS).read_text("utf-8").splitlines(keepends=True)
    (root / SUMS).write_text("".join(lines[:-1]))


def other_card(root: Path) -> None:
    card = json.loads((root / "dataset.json").read_text("utf-8"))
    del card["columns"]["mel"]
    (root / "dataset.json").write_text(json.dumps(card))


def current(root: Path, column: str, suffix: str) -> Path:
    return next(p for p in (root / folder(column)).glob(f"*{suffix}") if OTHER not in p.name)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda root: (root / "dataset.json").unlink(), "ns2 preprocess"),
        (lambda root: flip(root / "dataset.json"), "damaged|digest|JSON"),
        (other_card, "digest"),
        (other_sums, "SHA256SUMS"),
        (lambda root: (root / SUMS).unlink(), "SHA256SUMS"),
        (lambda root: flip(root / "index.parquet"), "index.parquet"),
        (lambda root: flip(root / "rejected.parquet"), "rejected.parquet"),
        (lambda root: next((root / "assets").glob("codebooks-*")).unlink(), "codebooks"),
        (lambda root: current(root, "f0", ".tar").unlink(), "is missing"),
        (lambda root: current(root, "mel", ".parquet").unlink(), "is missing"),
        (lambda root: flip(current(root, "f0", ".parquet")), "marker"),
    ],
)
def test_a_dataset_that_is_not_sound_is_not_touched(
    root: Path, damage: Callable[[Path], None], says: str
) -> None:
    damage(root)
    before = contents(root, state=True)
    for dry_run in (True, False):
        with pytest.raises(UserError, match=says):
            collect(root, dry_run=dry_run)
    assert contents(root, state=True) == before


def test_an_index_that_names_more_than_the_sums_is_refused(tmp_path: Path) -> None:
    """The card vouches for both, yet they do not agree: no such dataset is collected."""
    root = make_dataset(tmp_path / "shards", Recipe(shards=2))
    tar = next((root / folder("mel")).glob("00001-*.tar"))
    name = tar.relative_to(root).as_posix()
    lines = (root / SUMS).read_text("utf-8").splitlines(keepends=True)
    text = "".join(line for line in lines if name not in line)
    (root / SUMS).write_text(text)
    card = json.loads((root / "dataset.json").read_text("utf-8"))
    card["sha256sums"] = hashlib.sha256(text.encode()).hexdigest()
    (root / "dataset.json").write_text(card_text(sealed(card)))
    with pytest.raises(UserError, match="does not list"):
        collect(root)
    assert tar.is_file()


def test_it_never_runs_beside_a_run(root: Path) -> None:
    before = files_of(root)
    with lock(root / ".state" / "lock", root), pytest.raises(UserError, match="at work"):
        collect(root)
    assert files_of(root) == before


def test_a_folder_that_is_no_dataset_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / f"mel-{OTHER}").mkdir()
    (tmp_path / f"mel-{OTHER}" / "00000-0123456789abcdef.tar").write_text("x")
    with pytest.raises(UserError, match=r"no dataset\.json"):
        collect(tmp_path)
    assert not (tmp_path / ".state").exists()
    assert files_of(tmp_path) == {f"mel-{OTHER}/00000-0123456789abcdef.tar"}


def test_the_command(root: Path) -> None:
    (root / "notes.txt").write_text("mine")
    stale = files_of(root) - listed(root) - STATE - {"notes.txt"}
    said = CliRunner().invoke(main, ["gc", str(root), "--dry-run"])
    assert said.exit_code == 0 and f"would remove {len(stale)} files and 2 folders" in said.output
    assert f"mel-{OTHER}" in said.output and "notes.txt is not of the dataset" in said.output
    assert stale <= files_of(root)
    said = CliRunner().invoke(main, ["gc", str(root)])
    assert said.exit_code == 0 and f": removed {len(stale)} files" in said.output
    assert files_of(root) == listed(root) | STATE | {"notes.txt"}
    (root / "dataset.json").unlink()
    said = CliRunner().invoke(main, ["gc", str(root)])
    assert said.exit_code == 1 and "ns2 preprocess" in said.output
