"""The code in docs/model.md runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ns2.model.tts.parameters import count_parts
from ns2.model.tts.presets import PRESETS, preset
from ns2.train.step.build import usual_sizes
from tests.docs.pages import blocks, read

TEXT = read("docs/model.md")


def test_the_example_runs(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shards.parent)
    (code,) = blocks(TEXT, "python")
    names: dict[str, object] = {}
    exec(code.replace('preset("small")', 'preset("tiny")'), names)
    losses = names["losses"]
    assert isinstance(losses, dict)
    comment = re.search(r"losses = model\(batch\)  # (.*)", code)
    assert comment is not None and set(comment[1].split(", ")) == set(losses)


@pytest.mark.parametrize("name", PRESETS)
def test_parameters_of_presets_are_those_of_the_table(name: str) -> None:
    millions = sum(p.parameters for p in count_parts(preset(name), usual_sizes())) / 1e6
    assert f"| {name} | {millions:.0f} M |" in TEXT
