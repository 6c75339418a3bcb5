"""The aligner as an asset: its sample is fixed at first use and recorded.

`assets/aligner-<fingerprint>.json` records configuration and sample before training begins;
`assets/aligner-<fingerprint>.safetensors` appears when it is trained. The fingerprint hashes
configuration and sample, not weights, so it is known before training. A corpus that grows or
changes later finds the record and trains nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ns2.pipeline.align.aligner_file import aligner_config, train_and_save
from ns2.pipeline.core.atomic import delete, member_folder, write_if_changed
from ns2.pipeline.core.hashing import canonical_json, sha256_file, short_hash, unit_interval
from ns2.pipeline.core.reading import read_json
from ns2.pipeline.dataset import layout
from ns2.pipeline.dataset.layout import FINGERPRINT_DIGITS
from ns2.pipeline.dataset.shards import Stored, decode_value
from ns2.pipeline.dataset.sums import check_vouched, vouched_sums
from ns2.pipeline.preprocess.options import Options
from ns2.pipeline.preprocess.plan.placement import Shard
from ns2.pipeline.preprocess.plan.sources import Source
from ns2.pipeline.preprocess.recipe import phoneme_table
from ns2.pipeline.preprocess.work.targets import Targets
from ns2.pipeline.stages.graph import Graph
from ns2.pipeline.stages.stage import Stage

ALIGNER_HOURS = 2.0
"""Cap on the aligner's sample: what bounds its cost on any corpus."""


SAMPLE_SALT = "aligner-sample"
INPUTS = ("mel", "phonemes")
SAMPLE_SOURCES = ("audio_file", "text")


@dataclass(frozen=True, kw_only=True)
class AlignerRecord:
    """What an aligner is trained on and how.

    Attributes:
        config: of network and training, seed included.
        inputs: fingerprints of the columns it reads.
        sample: (key, state of its sources) of each utterance it is trained on.
        generation: how many were chosen for this configuration before; the last one is current.
    """

    config: Mapping[str, Any]
    inputs: Mapping[str, str]
    sample: tuple[tuple[str, str], ...]
    generation: int = 0

    @property
    def fingerprint(self) -> str:
        """Names the aligner."""
        return short_hash(
            {"config": self.config, "inputs": self.inputs, "sample": self.sample},
            FINGERPRINT_DIGITS,
        )


class AlignerAsset:
    """Finds, chooses, trains and applies the aligner of a dataset."""

    def __init__(self, out: Path, graph: Graph, options: Options) -> None:
        """Take the folder of a dataset, its graph and the options of the run."""
        self._folder, self._options = out / layout.ASSETS, options
        self._config: dict[str, Any] = aligner_config(init=options.aligner_init)
        self._config |= {"seed": options.seed, "hours": ALIGNER_HOURS}
        self._inputs = {name: graph.fingerprint(name) for name in INPUTS}

    def weights(self, record: AlignerRecord) -> Path:
        """The file of a trained aligner."""
        return self._folder / f"aligner-{record.fingerprint}.safetensors"

    def description(self, record: AlignerRecord) -> Path:
        """The file that records configuration and sample."""
        return self._folder / f"aligner-{record.fingerprint}.json"

    def is_trained(self, record: AlignerRecord) -> bool:
        """Whether the aligner's weights are there."""
        return self.weights(record).is_file()

    def check(self, record: AlignerRecord) -> None:
        """See that a trained aligner is what an earlier run wrote, before it makes anything.

        Raises:
            UserError: it is damaged.
        """
        root, weights = self._folder.parent, self.weights(record)
        name = weights.relative_to(root).as_posix()
        check_vouched(root, [(name, sha256_file(weights))], vouched_sums(root))

    def recorded(self) -> AlignerRecord | None:
        """The aligner that was last chosen for this configuration, trained or not."""
        found = [*self._all()]
        return max(found, key=lambda record: record.generation, default=None)

    def _all(self) -> Iterator[AlignerRecord]:
        for path in sorted(self._folder.glob("aligner-*.json")):
            try:
                found = read_json(path)
                record = AlignerRecord(
                    config=found["config"],
                    inputs=found["inputs"],
                    sample=tuple((key, state) for key, state in found["sample"]),
                    generation=int(found["generation"]),
                )
            except (OSError, ValueError, KeyError, TypeError):
                continue  # not whole: a new one is chosen, `ns2 verify` names this one
            if (
                record.config == self._config
                and record.inputs == self._inputs
                and self.description(record) == path
            ):
                yield record

    def choose(self, members: Iterable[tuple[Source, float]]) -> AlignerRecord:
        """Fix a sample: the lowest hashes of keys, up to `ALIGNER_HOURS`.

        The same sample as an earlier one is that one: nothing would come out differently.

        Args:
            members: utterances of the dataset and their seconds.
        """
        ordered = sorted(members, key=lambda m: (unit_interval(m[0].key, SAMPLE_SALT), m[0].key))
        sample: list[tuple[str, str]] = []
        seconds = 0.0
        for source, length in ordered:
            if sample and seconds + length > 3600 * ALIGNER_HOURS:
                break
            sample.append((source.key, source.state(SAMPLE_SOURCES)))
            seconds += length
        last = self.recorded()
        record = AlignerRecord(
            config=self._config,
            inputs=self._inputs,
            sample=tuple(sorted(sample)),
            generation=0 if last is None else last.generation + 1,
        )
        if last is not None and last.fingerprint == record.fingerprint:
            return last
        member_folder(self._folder.parent, self._folder.name)
        text = canonical_json(
            {
                "config": record.config,
                "inputs": record.inputs,
                "sample": record.sample,
                "generation": record.generation,
            }
        )
        write_if_changed(self.description(record), text.encode())
        return record

    def forget(self, record: AlignerRecord) -> None:
        """Remove the record of an aligner whose sample is gone, so that another is chosen."""
        delete(self.description(record))

    def train(
        self,
        record: AlignerRecord,
        examples: Sequence[tuple[np.ndarray, np.ndarray]],
        progress: Callable[[int, int, float], None],
    ) -> None:
        """Train a recorded aligner on its sample: (mel (M, T), ids (N,)) of each utterance."""
        train_and_save(
            examples,
            self.weights(record),
            init=self._options.aligner_init,
            seed=self._options.seed,
            table=phoneme_table(self._options),
            progress=progress,
        )

    def apply(self, graph: Graph, record: AlignerRecord) -> Graph:
        """A graph whose durations are made by a recorded aligner, trained or not."""
        from ns2.pipeline.stages.durations import DurationsStage
        from ns2.pipeline.stages.trust import TrustStage

        weights = self.weights(record)
        stages: list[Stage] = [DurationsStage(phoneme_table(self._options), weights)]
        trust = graph.stages.get("trust")
        if isinstance(trust, TrustStage):
            stages.append(trust.with_aligner(weights))
        return graph.with_asset("aligner", record.fingerprint, *stages)


class StoredSample(Sequence[Any]):
    """An aligner's sample where it lies: (mel, phonemes) are read when they are asked for."""

    def __init__(self, graph: Graph, stored: Sequence[Mapping[str, Stored]]) -> None:
        """Name arrays.

        Args:
            stored: where mel and phonemes of each utterance lie.
        """
        self._specs = {column: graph.spec(column) for column in INPUTS}
        self._stored = stored

    def __len__(self) -> int:
        return len(self._stored)

    def __getitem__(self, number: Any) -> Any:
        """Mel (M, T) and ids (N,) of one utterance.

        Raises:
            UserError: they can't be read, or are damaged.
        """
        found = self._stored[number]
        return tuple(decode_value(self._specs[c], found[c].read()) for c in INPUTS)


def find_sample(
    record: AlignerRecord, targets: Targets, graph: Graph, shards: Sequence[Shard]
) -> StoredSample | None:
    """Mel and phonemes of an aligner's sample, in its order; None if some of it is gone."""
    wanted = dict(record.sample)
    found: dict[str, dict[str, Stored]] = {}
    for shard in shards:
        chosen = [s for s in shard.sources if wanted.get(s.key) == s.state(SAMPLE_SOURCES)]
        for column in INPUTS if chosen else ():
            existing = targets.existing(column, shard.number)
            for source in chosen:
                stored = existing.get((source.key, targets.state(column, source)))
                if stored is not None:
                    found.setdefault(source.key, {})[column] = stored
    if any(len(found.get(key, ())) < len(INPUTS) for key in wanted):
        return None
    return StoredSample(graph, [found[key] for key, _ in record.sample])
