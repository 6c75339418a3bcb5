"""README, CONTRIBUTING and docs/: their commands parse; what they name and link to exists."""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import re
from collections import Counter
from pathlib import Path
from typing import Any

import click
import pytest

from ns2.model.codec.own import GROUP as CODECS
from ns2.model.tts.presets import PRESETS
from ns2.pipeline.core.schema import COLUMNS, Reason
from ns2.pipeline.dataset.index import index_schema
from ns2.pipeline.dataset.losses import LOSS
from ns2.pipeline.dataset.where import parse_where
from ns2.pipeline.stages.measured.recording import MEASURES
from ns2.pipeline.stages.own import GROUP as STAGES
from ns2.train.run.recipes import ADAPT
from tests.docs.pages import (
    PAGES,
    anchors,
    blocks,
    commands,
    entries,
    inline,
    links,
    ns2_words,
    prose,
    read,
    resolve,
)
from tests.support.command_line import commands as all_commands
from tests.support.factories import ROOT
from tests.support.preprocessing import run_inline

TOP = ("model", "pipeline", "train", "tests", "benchmarks", "docs", ".types", ".ci")
PROGRAMS = {
    "ns2", "python", "python3", "pip", "make", ".", "mkdir", "ln", "ray", "torchrun",
    "tensorboard", "export", ".venv/bin/pytest", ".venv/bin/pre-commit", ".venv/bin/pip",
}  # fmt: skip
"""What the pages ask a reader to run."""
SCALARS = [
    "quiet_share",
    LOSS,
    *(name for kind in MEASURES for name in (*kind.scalars, *kind.surveyed)),
]
"""Fields of the index that columns on the pages bring along."""

every_page = pytest.mark.parametrize("page", PAGES)
NS2 = [
    pytest.param(rest, id=f"{page}: ns2 {' '.join(rest)}"[:90])
    for page in PAGES
    for words in commands(read(page))
    if (rest := ns2_words(words)) is not None
]


@pytest.mark.parametrize("words", NS2)
def test_commands_parse(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Names, arguments and options are right; whether files exist is another matter."""
    monkeypatch.setattr(click.Path, "convert", lambda self, value, *_: Path(value))
    command, rest = resolve(words)
    assert not isinstance(command, click.Group)
    context = command.make_context(command.name, rest)
    if context.params.get("preset"):
        assert context.params["preset"] in (*PRESETS, ADAPT)
    if context.params.get("where"):
        parse_where(context.params["where"], index_schema(list(COLUMNS), SCALARS))


@every_page
def test_programs_are_those_that_the_reader_has(page: str) -> None:
    assert {words[0] for words in commands(read(page))} <= PROGRAMS


@every_page
def test_commands_in_the_text_exist_with_their_options(page: str) -> None:
    for code in inline(read(page)):
        words = code.split()
        if words[0] != "ns2" or words[1:2] in ([], ["COMMAND"]) or words[1].startswith("-"):
            continue
        command, rest = resolve(words[1:])
        known = {name for one in command.params for name in one.opts}
        assert {word for word in rest if word.startswith("-") and word != "-"} <= known, code


def _options_of_scripts() -> set[str]:
    """Options of `python -m` modules: benchmarks, and what makes the shipped files."""
    scripts = [*(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "train/bundled").glob("*.py")]
    scripts.append(ROOT / "pipeline/corpora/spoken/espeak.py")
    text = "\n".join(path.read_text("utf-8") for path in scripts)
    return set(re.findall(r"\"(--[a-z][\w-]*)\"", text))


@every_page
def test_options_in_the_text_exist(page: str) -> None:
    known = {name for _, command in all_commands() for one in command.params for name in one.opts}
    named = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", prose(read(page))))
    assert named - {"--help"} <= known | _options_of_scripts()


@every_page
def test_targets_of_make_exist(page: str) -> None:
    (targets,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    told = [words for words in commands(read(page)) if words[0] == "make"]
    told += [words for code in inline(read(page)) if (words := code.split())[0] == "make"]
    asked = {word for words in told for word in words[1:] if "=" not in word}
    assert asked <= set(targets.split())


@every_page
def test_paths_of_files_exist(page: str) -> None:
    for code in inline(read(page)):
        if "NAME" in code:  # it stands for any
            continue
        if re.fullmatch(rf"(?:{'|'.join(map(re.escape, TOP))})/[\w./-]*", code):
            assert (ROOT / code).exists(), code
        if re.fullmatch(r"[\w.-]+\.(?:toml|yaml|md)", code) and "/" not in code:
            assert (ROOT / code).exists() or code.startswith("mine"), code


def _exists(name: str) -> bool:
    """Whether a dotted name is a module, or is in one."""
    with contextlib.suppress(ModuleNotFoundError):
        importlib.import_module(name)
        return True
    module, _, attribute = name.rpartition(".")
    return hasattr(importlib.import_module(module), attribute)


@every_page
def test_modules_exist(page: str) -> None:
    text = read(page)
    names = set(re.findall(r"(?<![\w./])((?:ns2|benchmarks)(?:\.\w+)+)", text))
    called = set(re.findall(r"python -m\s+([\w.]+)", text))
    for name in sorted(names | called):
        if name.endswith(".py"):  # the model's file
            continue
        if name in (STAGES, CODECS):  # groups of entry points
            continue
        if name.rpartition(".")[2].isupper():  # NAME stands for any
            name = name.rpartition(".")[0]
        assert _exists(name), name


@every_page
def test_links_lead_somewhere(page: str) -> None:
    folder = (ROOT / page).parent
    for link in links(read(page)):
        if re.match(r"https?://", link):
            continue
        target, _, anchor = link.partition("#")
        path = folder / target if target else ROOT / page
        assert path.exists(), link
        if anchor:
            assert anchor in anchors(path.read_text("utf-8")), link


@every_page
def test_headings_of_a_page_differ(page: str) -> None:
    if page != "CHANGELOG.md":
        headings = re.findall(r"^#+ .*$", prose(read(page)), re.MULTILINE)
        assert not [heading for heading, count in Counter(headings).items() if count > 1]


def test_each_page_can_be_reached_from_the_readme() -> None:
    assert set(PAGES) - {"README.md"} <= set(links(read("README.md")))


@every_page
def test_imports_of_the_code_work(page: str) -> None:
    for block in blocks(read(page), "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                if node.module == "dac":  # the example's package, which ns2 does not need
                    continue
                module = importlib.import_module(str(node.module))
                assert all(hasattr(module, alias.name) for alias in node.names)
            elif isinstance(node, ast.Import):
                assert all(importlib.util.find_spec(alias.name) for alias in node.names)


def test_the_readme_says_what_an_utterance_holds(spoken: Path, tmp_path: Path) -> None:
    run_inline(spoken, tmp_path / "shards", None, codec="mini-1", quantizers=16, limit=2)
    code = blocks(read("README.md"), "python")[0]
    names: dict[str, Any] = {}
    with contextlib.chdir(tmp_path):
        exec(code, names)
    utterance = names["utterance"]
    frames = utterance["f0"].shape[0]
    arrays = re.findall(r'^utterance\["(\w+)"\]\.shape  # \((.*?),?\) (\w+)', code, re.MULTILINE)
    assert [name for name, *_ in arrays] == ["codes", "mel", "f0"]
    for name, shape, dtype in arrays:
        sizes = tuple(frames if size == "T" else int(size) for size in shape.split(", "))
        assert (utterance[name].shape, str(utterance[name].dtype)) == (sizes, dtype)
    assert utterance["durations"].sum() == frames
    assert len(utterance["meta"]["phonemes"]) == len(utterance["phonemes"])


def test_the_tree_is_the_one_there_is() -> None:
    tree = blocks(read("docs/architecture.md"), "text")[0]
    found = list(entries(tree, ROOT))
    assert not [line for path, line in found if not path.exists()]
    packages = {
        init.parent
        for top in ("model", "pipeline", "train", "benchmarks")
        for init in (ROOT / top).rglob("__init__.py")
    }
    assert not packages - {path for path, _ in found}


def test_the_page_on_the_format_has_all_reasons() -> None:
    text = read("docs/format.md")
    rows = re.findall(r"^\| ([a-z_, ]+) \| .* \|$", text, re.MULTILINE)
    named = {reason for row in rows for reason in row.split(", ")}
    assert {str(reason) for reason in Reason} <= named
