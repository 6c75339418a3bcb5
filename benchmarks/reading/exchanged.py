"""Does `--set utterance_loss=true` find utterances whose codes are another's?

    python -m benchmarks.exchanged CORPUS... [--share 0.1] [--steps 2000] [--max-seconds 8]
        [--set A.B=C] [--work DIR] [--json FILE]

`ns2 preprocess` makes a dataset of each corpus, of utterances up to 8 s long, with the codec mini.
In a share of the utterances of each dataset the codes are exchanged for those of another of them,
repeated or cut to their length; mel, F0, phonemes and durations stay. `ns2 train --preset tiny`
learns all of them. Printed is the area under the curve of `utterance_loss`, which is the chance
that an exchanged utterance has a higher loss than another one, and, of the utterances that the page
of `ns2 report --run` lists with the highest loss in each dataset, how many are exchanged. All of it
lies in `exchanged` below the work folder, and a training that was stopped goes on. Limit: an area
of 0.8, below which the exit code is 1.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.making.faults import area
from benchmarks.support.command import ROOT, add_json, add_work, arguments, write_json
from benchmarks.support.machine import machine, show_machine, verdict
from ns2.pipeline.core.atomic import atomic_write
from ns2.pipeline.dataset import Dataset
from ns2.pipeline.dataset.index import row_crc
from ns2.pipeline.dataset.layout import INDEX
from ns2.pipeline.dataset.losses import losses_of
from ns2.pipeline.dataset.shards import encode_value

LIMIT = 0.8
HIGHEST = re.compile(r"Highest loss in training</caption>(.*?)</table>", re.DOTALL)
LISTED = re.compile(r'<td class="text">(?:<a[^>]*>)?([^<\s]+)')


def exchange(dataset: Dataset, share: float, seed: int) -> list[str]:
    """Exchange the codes of some utterances in a ring; return their keys.

    Their sizes in the tars stay, so only the bytes and the checksums in the index change.
    """
    rng = np.random.default_rng(seed)
    count = max(2, round(share * len(dataset)))
    chosen = np.sort(rng.choice(len(dataset), count, replace=False)).tolist()
    codes, rows = [dataset.read("codes", at) for at in chosen], dataset.index.to_pylist()
    for at, own, other in zip(chosen, codes, [*codes[1:], codes[0]], strict=True):
        frames = own.shape[1]
        repeated = np.tile(other, (1, -(-frames // other.shape[1])))[:, :frames]
        data, _ = encode_value(dataset.spec("codes"), repeated)
        row = rows[at]
        with (dataset.root / row["codes_file"]).open("r+b") as file:
            file.seek(row["codes_offset"])
            file.write(data)
        row["codes_crc32"] = zlib.crc32(data)
        row["row_crc"] = row_crc(row)
    with atomic_write(dataset.root / INDEX) as file:
        pq.write_table(
            pa.Table.from_pylist(rows, dataset.index.schema),
            file,
            compression="zstd",
            write_page_checksum=True,
        )
    return [rows[at]["key"] for at in chosen]


def made(
    corpora: Sequence[Path], work: Path, share: float, longest: float
) -> tuple[list[Path], list[set[str]]]:
    """The datasets of the corpora, and the keys of those that are exchanged in each."""
    options = ("--codec", "mini", "--executor", "inline", "--max-seconds", longest)
    shards, changed = [], []
    for number, corpus in enumerate(corpora):
        root, kept = work / f"shards-{number}", work / f"exchanged-{number}.txt"
        if not kept.is_file():
            ns2("preprocess", corpus, "-o", root, *options)
            kept.write_text("\n".join(exchange(Dataset(root), share, number)))
        shards.append(root)
        changed.append(set(kept.read_text().splitlines()))
    return shards, changed


def ns2(*words: object) -> None:
    """Run a command of ns2, which says itself what it does."""
    command = [sys.executable, "-m", "ns2.cli", *map(str, words)]
    subprocess.run(command, cwd=ROOT, check=True)


def found_by(run: Path, shards: Sequence[Path], changed: Sequence[set[str]]) -> dict[str, Any]:
    """How well the losses of a run tell exchanged utterances from the others."""
    values, bad = [], []
    for root, keys in zip(shards, changed, strict=True):
        dataset = Dataset(root)
        values.append(losses_of(run, dataset))
        bad.append(np.array([key in keys for key in dataset.keys]))
    losses, exchanged = np.concatenate(values), np.concatenate(bad)
    said = ~np.isnan(losses)
    return {
        "utterances": len(losses),
        "exchanged": int(exchanged.sum()),
        "without_loss": int((~said).sum()),
        "area": area(losses[said & exchanged], losses[said & ~exchanged]),
        "median_exchanged": float(np.median(losses[said & exchanged])),
        "median_others": float(np.median(losses[said & ~exchanged])),
    }


def listed(run: Path, root: Path, keys: set[str], page: Path) -> tuple[int, int]:
    """Of the utterances that the report lists with the highest loss, those exchanged, and all."""
    ns2("report", root, "--run", run, "-o", page, "--audio", 0)
    found = HIGHEST.search(page.read_text("utf-8"))
    names = LISTED.findall(found[1]) if found else []
    return sum(name in keys for name in names), len(names)


def main() -> None:
    """Run the command line, see the module's docstring."""
    parser = arguments("benchmarks.exchanged", __doc__)
    add = parser.add_argument
    add("corpora", type=Path, nargs="+", metavar="CORPUS")
    add("--share", type=float, default=0.1, help="The share that is exchanged.  [default: 0.1]")
    add("--steps", type=int, default=2000, help="The steps of the training.  [default: 2000]")
    add("--max-seconds", type=float, default=8.0, help="The longest utterances.  [default: 8]")
    add("--set", action="append", default=[], help="A setting of the training, as `ns2 train`.")
    add_work(parser)
    add_json(parser)
    options = parser.parse_args()
    show_machine(machine(), 1)
    work = options.work.absolute() / "exchanged"
    work.mkdir(parents=True, exist_ok=True)
    corpora = [corpus.absolute() for corpus in options.corpora]
    shards, changed = made(corpora, work, options.share, options.max_seconds)
    run, begin = work / "run", time.monotonic()
    sets = ["utterance_loss=true", "validate_every=0", "samples=0", *options.set]
    chosen = [word for one in sets for word in ("--set", one)]
    steps = ("--preset", "tiny", "--steps", options.steps, "--split", "")
    ns2("train", *shards, "-o", run, *steps, "--device", "cpu", *chosen)
    figures: dict[str, Any] = {"steps": options.steps, "seconds": time.monotonic() - begin}
    figures |= found_by(run, shards, changed)
    figures["listed"] = [
        listed(run, root, keys, work / f"report-{number}.html")
        for number, (root, keys) in enumerate(zip(shards, changed, strict=True))
    ]
    good = figures["area"] >= LIMIT
    print(
        f"{figures['exchanged']} of {figures['utterances']} utterances exchanged: after "
        f"{options.steps} steps the area is {figures['area']:.3f}; at least {LIMIT}: "
        f"{verdict(good)}"
    )
    print(
        f"  medians of utterance_loss: {figures['median_exchanged']:.2f} exchanged, "
        f"{figures['median_others']:.2f} others; {figures['without_loss']} have none"
    )
    for corpus, (bad, count) in zip(options.corpora, figures["listed"], strict=True):
        print(f"  {corpus.name}: of {count} listed with the highest loss {bad} are exchanged")
    write_json(options.json, figures)
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
