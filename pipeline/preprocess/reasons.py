"""Why targets of a column are missing, in words, for `ns2 preprocess --plan`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ns2.pipeline.dataset.card import Card, StageEntry, read_card
from ns2.pipeline.preprocess.plan.sources import Source
from ns2.pipeline.preprocess.recipe import describe, lexicon_of
from ns2.pipeline.stages.graph import Graph


@dataclass(frozen=True, kw_only=True)
class Counted:
    """How many utterances there are, and were.

    Attributes:
        utterances: that can be read.
        new: of these, that were not planned before.
        planned: that were planned before.
    """

    utterances: int
    new: int
    planned: int

    @classmethod
    def of(cls, sources: Sequence[Source], previous: Mapping[str, int]) -> Counted:
        """Count the utterances of a whole corpus.

        Args:
            previous: the shard of each key that was planned before.
        """
        new = sum(source.key not in previous for source in sources)
        return cls(utterances=len(sources), new=new, planned=len(previous))


def reason_of(
    graph: Graph,
    column: str,
    out: Path,
    counted: Counted,
    train: bool,
    compute: int,
) -> str:
    """Why targets of a column are missing.

    Args:
        counted: utterances, by what was planned before.
        compute: how many arrays of the column are to be computed.
    """
    card = read_card(out)
    there = card.columns.get(column) if card is not None else None
    if card is None or there is None:
        return "interrupted run" if card is None and counted.planned else "new column"
    if graph.missing_assets(column) or graph.folder(column) != there.folder:
        changed = _changes(graph, column, card)
        if changed:
            return "changed: " + ", ".join(changed)
        return "the aligner is trained anew" if train else "another aligner, or changed inputs"
    parts = []
    new = counted.new
    if new:
        parts.append(f"{new} new utterances")
    if gone := counted.planned - (counted.utterances - new):
        parts.append(f"{gone} removed utterances")
    reads = " or ".join(s.removesuffix("_file") for s in graph.sources(column))
    if "text" in graph.sources(column) and (words := _lexicon_change(graph, card)):
        parts.append(words)
    elif parts and compute > new:
        parts.append(f"changed {reads} of {compute - new} utterances, or lost tars")
    return " and ".join(parts) or f"changed {reads} of some utterances, other limits, or lost tars"


def _lexicon_change(graph: Graph, card: Card) -> str:
    """That the entries of a lexicon differ from those of a card, if they do."""
    lexicon = lexicon_of(graph)
    then, now = card.options.get("lexicon"), lexicon.digest if lexicon is not None else None
    if then == now:
        return ""
    if then is None:
        return "a new lexicon, for the utterances that have its words"
    if now is None:
        return "no lexicon any more, for the utterances that have its words"
    return "a changed lexicon, for the utterances that have changed words"


def _changes(graph: Graph, column: str, card: Card) -> list[str]:
    """Settings of a column and of what it reads that differ from a card's: "f0.f0_max"."""
    changed: list[str] = []
    entries: dict[str, StageEntry] = {**card.columns, **card.stages}
    for name in sorted(graph.closure([column]) & entries.keys()):
        then, now = entries[name], describe(graph, name)
        aligners = [entry.config.get("aligner") or "builtin" for entry in (then, now)]
        if aligners[0] != aligners[1]:  # another stage altogether: its settings say no more
            changed.append(f"{name}.aligner ({aligners[0]} -> {aligners[1]})")
            continue
        if then.version != now.version:
            changed.append(f"{name}.version ({then.version} -> {now.version})")
        for before, after in ((then.config, now.config), (then.libraries, now.libraries)):
            after = json.loads(json.dumps(after))  # as a card holds them
            changed += [
                f"{name}.{key} ({before.get(key)} -> {after.get(key)})"
                for key in sorted(before.keys() | after.keys())
                if before.get(key) != after.get(key)
            ]
    return changed
