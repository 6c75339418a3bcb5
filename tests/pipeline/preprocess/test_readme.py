"""The README.md of a dataset: what it says, that its code runs, and what of it stays."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ns2.pipeline.core.hashing import sha256_file
from ns2.pipeline.dataset import Dataset
from ns2.pipeline.dataset.layout import README, README_END
from ns2.pipeline.tools.collect import collect
from ns2.pipeline.tools.verify.check import verify
from ns2.train.data.identity import content_digest
from tests.support.factories import ROOT
from tests.support.preprocessing import contents, identities, run_inline


def read(shards: Path) -> str:
    return (shards / README).read_text("utf-8")


def test_it_says_what_the_card_says(shards: Path) -> None:
    text, card = read(shards), Dataset(shards).card
    front = yaml.safe_load(text.split("---\n")[1])
    assert front == {
        "language": ["en"],
        "task_categories": ["text-to-speech"],
        "tags": ["ns2", "webdataset"],
        "size_categories": ["n<1K"],
    }
    assert f"{card.counts.written} utterances, {card.counts.hours:.2f} hours" in text
    assert all(f"| {name} | {entry.dtype} |" in text for name, entry in card.columns.items())
    assert f"SHA-256 of dataset.json: `{sha256_file(shards / 'dataset.json')}`" in text
    assert str(shards) not in text and "- shard_utterances: 4" in text


def test_its_code_runs_where_it_lies(shards: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", read(shards), re.DOTALL)
    assert len(blocks) == 2
    code = "\n".join([*blocks, "assert sample['__key__'] == dataset.keys[-1]"])
    paths = {"PYTHONPATH": f"{ROOT / '.types'}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=shards, env=paths, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_licence_is_named_and_is_no_other_data(shards: Path, spoken: Path, weights: Path) -> None:
    before, card = identities(shards), Dataset(shards).card
    run_inline(spoken, shards, weights, licence="CC-BY-4.0")
    changed = {name for name, one in identities(shards).items() if before.get(name) != one}
    assert changed == {"dataset.json", README}
    named = Dataset(shards).card
    assert named.options["licence"] == "CC-BY-4.0" and "licence" not in card.options
    assert content_digest(named) == content_digest(card) and named.digest != card.digest
    assert 'license: "cc-by-4.0"' in read(shards) and "Licence: CC-BY-4.0" in read(shards)
    assert verify(shards).ok


def test_what_a_user_adds_stays(shards: Path, spoken: Path, weights: Path) -> None:
    ours = contents(shards)
    path = shards / README
    path.write_text(read(shards) + "\nWe thank the readers.\n")
    run_inline(spoken, shards, weights, licence="CC0")
    assert read(shards).endswith(f"{README_END}\n\nWe thank the readers.\n")
    path.write_text("# Ours alone\n")  # as it comes with a new repository of a hub
    run_inline(spoken, shards, weights)
    assert read(shards) == f"{ours[README].decode()}\n# Ours alone\n"
    assert collect(shards, dry_run=True).foreign == []


def test_verify_knows_datasets_without_it_and_of_another_card(shards: Path) -> None:
    path = shards / README
    text = read(shards)
    digest = sha256_file(shards / "dataset.json")
    path.write_text(text.replace(digest, hashlib.sha256(b"").hexdigest()))
    assert [(fault.place, fault.message) for fault in verify(shards).faults] == [
        (README, "tells of another dataset.json: run `ns2 preprocess` again")
    ]
    path.unlink()
    assert verify(shards).ok


@pytest.mark.parametrize("licence", ["a | b\n# c", "<script>", "[x](y)"])
def test_a_licence_stays_on_its_line(
    shards: Path, spoken: Path, weights: Path, licence: str
) -> None:
    run_inline(spoken, shards, weights, licence=licence)
    (line,) = [line for line in read(shards).splitlines() if line.startswith("Licence: ")]
    assert not re.search(r"(?<!\\)[<|#\[]", line)
    assert yaml.safe_load(read(shards).split("---\n")[1])["license"] == licence
