"""Which judges of `ns2 evaluate` a demo with a corpus asks, and what it says of the others."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from ns2.cli import main
from ns2.train.tour.judges import JUDGES, Judge, judging


def test_what_is_not_installed_is_left_out_in_one_line() -> None:
    there = Judge(title="one", options=("--mos",), modules=("json",))
    absent = Judge(title="two (--x)", options=("--x",), modules=("json", "no_such_module_here"))
    other = Judge(title="three", options=("--y",), modules=("nor_this",), extras=("more",))
    shown: list[str] = []
    assert judging({"en-us"}, shown.append, (there, absent, other)) == ("--mos",)
    (line,) = shown
    assert "two (--x), three" in line and "pip install 'ns2[eval,more]'" in line
    assert judging({"en-us"}, shown.append, (there,)) == ("--mos",) and len(shown) == 1


def test_their_options_are_those_of_evaluate() -> None:
    options = {name for one in main.get_command(None, "evaluate").params for name in one.opts}  # type: ignore[arg-type,union-attr]
    assert {judge.options[0] for judge in JUDGES} <= options
    assert CliRunner().invoke(main, ["evaluate", "--help"]).exit_code == 0


@pytest.mark.skipif(not all(judge.installed for judge in JUDGES), reason="needs the extra eval")
def test_words_are_counted_in_languages_that_the_recogniser_knows() -> None:
    shown: list[str] = []
    everything = ("--mos", "--wer", "--speaker-model", "resemblyzer")
    assert judging({"en-us", "de"}, shown.append) == everything and not shown
    assert judging({"de", "eo"}, shown.append) == ("--mos", "--speaker-model", "resemblyzer")
    assert "'eo'" in shown[0]
