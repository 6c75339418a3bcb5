"""The pages for people, and what can be read out of them: code blocks, commands, links, paths."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click

from ns2.cli import main
from tests.support.factories import ROOT

PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))),
)
"""All pages, as paths from the root."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_ANNOTATION_COLUMN = 20  # lines of a tree that begin farther right go on with the line above
_ASSIGNMENT = re.compile(r"(\w+)=(.*)", re.DOTALL)


def read(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def blocks(text: str, kind: str) -> list[str]:
    """The fenced blocks of a kind, such as "sh"."""
    return [content for found, content in _FENCE.findall(text) if found == kind]


def prose(text: str) -> str:
    """A page without its fenced and indented blocks."""
    lines = _FENCE.sub("", text).splitlines()
    return "\n".join(line for line in lines if not line.startswith("    "))


def inline(text: str) -> list[str]:
    """What stands between single backticks, each on one line."""
    return [" ".join(code.split()) for code in _INLINE.findall(prose(text))]


def _shell_lines(block: str, variables: dict[str, str]) -> Iterator[list[str]]:
    """The words of each command of a shell block; takes and keeps the shell's variables."""
    pending = ""
    for line in block.replace("\\\n", " ").splitlines():
        pending += line + "\n"
        text = re.sub(r"\$(\w+)", lambda found: variables.get(found[1], found[0]), pending)
        try:
            words = shlex.split(text, comments=True)
        except ValueError:
            continue  # a quotation that goes on in the next line
        pending = ""
        while words and (assignment := _ASSIGNMENT.fullmatch(words[0])):
            variables[assignment[1]] = assignment[2]
            words = words[1:]
        if words:
            yield words
    assert not pending, pending


def commands(text: str) -> list[list[str]]:
    """The words of each shell command of a page, with the page's own variables put in."""
    variables: dict[str, str] = {}
    return [words for block in blocks(text, "sh") for words in _shell_lines(block, variables)]


def ns2_words(words: list[str]) -> list[str] | None:
    """What `ns2` is called with by a command, if it calls ns2 at all."""
    if words[0] == "ns2":
        return words[1:]
    if words[0] == "torchrun" and "ns2.cli" in words:
        return words[words.index("ns2.cli") + 1 :]
    return None


def resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that some words name, and the words behind its name."""
    command: click.Command = main
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(click.Context(command), rest[0])
        assert found is not None, f"there is no command {rest[0]}"
        command, rest = found, rest[1:]
    return command, rest


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", _FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(text: str) -> list[str]:
    """The targets of a page's links."""
    return re.findall(r"\]\(([^)\s]+)\)", _FENCE.sub("", text))


def entries(tree: str, root: Path) -> Iterator[tuple[Path, str]]:
    """Files and folders that an annotated tree names, each with the line that names it.

    A folder ends with a slash; what is deeper by indentation lies in it. Modules that the
    annotation of a folder names lie in that folder.
    """
    parents: list[tuple[int, Path]] = [(-1, root)]
    for line in tree.splitlines():
        indent = len(line) - len(line.lstrip())
        note = line
        if indent < _ANNOTATION_COLUMN:
            name, _, note = line.strip().partition(" ")
            while parents[-1][0] >= indent:
                parents.pop()
            path = parents[-1][1] / name
            yield path, line
            if name.endswith("/"):
                parents.append((indent, path))
        for module in re.findall(r"(?<![\w./])\w+\.py\b", note):
            yield parents[-1][1] / module, line
