"""What the terminal gets: nothing that it would obey."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from click.testing import CliRunner

from ns2.cli import main
from ns2.pipeline.core.progress import Lines
from ns2.pipeline.core.terminal import printable, say


def test_all_that_a_terminal_obeys_is_escaped() -> None:
    for code in range(0x11_0000):
        char = chr(code)
        kind = unicodedata.category(char)
        obeyed = kind in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(char) in (
            "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI",
        )  # fmt: skip
        if code in (0x61C, 0x200E, 0x200F):  # marks that turn what follows, too
            obeyed = True
        assert (printable(char) != char) == (obeyed and char not in "\n\t"), hex(code)


def test_json_says_the_same() -> None:
    value = {"text": "a\x1b[2J \u202eb\u2028 \x9bc é 中"}
    text = json.dumps(value, ensure_ascii=False)
    assert json.loads(printable(text)) == value


def test_what_is_no_text_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\udcff.wav")  # a name that is not UTF-8, as Python gives it
    Lines().note("\x1b]0;mine\x07")
    done = capsys.readouterr()
    assert done.out == "a\\udcff.wav\n" and done.err == "\\u001b]0;mine\\u0007\n"


def test_errors_are_printable_and_not_endless(tmp_path: Path) -> None:
    name = tmp_path / "a\x1b[31m\u202eb"
    done = CliRunner().invoke(main, ["inspect", str(name)])
    assert done.exit_code == 2
    name.mkdir()
    done = CliRunner().invoke(main, ["inspect", str(name)])
    assert done.exit_code == 1 and "\\u001b[31m\\u202eb" in done.output
    assert "\x1b" not in done.output
    done = CliRunner().invoke(main, ["train", "x", "-o", "y", "--set", "a" * 100_000 + "=1"])
    assert done.exit_code in (1, 2) and len(done.output) < 10_000
