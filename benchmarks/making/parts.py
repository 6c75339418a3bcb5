"""The computations that `ns2 preprocess` is compared with, each in its own process, on one thread.

    python -m benchmarks.parts kernels --corpus DIR --weights FILE [--aligner FILE] --seconds 180
    python -m benchmarks.parts measures --corpus DIR --seconds 60
    python -m benchmarks.parts serial --corpus DIR --weights FILE --out DIR
    python -m benchmarks.parts ray --workers N

Each command prints one JSON object.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.support.command import arguments
from benchmarks.support.corpus import QUANTIZERS, Spoken

RATE = 24_000
PASSES = 3


class Kernels:
    """The bare functions that compute each column, without stages, batches or tars."""

    def __init__(self, weights: Path, aligner: Path | None = None) -> None:
        import torch

        from ns2.model.aligner.alignment import align
        from ns2.model.codec.encodec import load_encodec
        from ns2.model.log_mel import LogMel, MelConfig
        from ns2.pipeline.align.aligner_file import load_aligner
        from ns2.pipeline.dataset.phoneme_table import PhonemeTable
        from ns2.pipeline.sound.decode import read_audio, resample
        from ns2.pipeline.sound.pitch import PitchConfig, extract_f0
        from ns2.pipeline.text.pronunciation import pronounce

        torch.set_num_threads(1)
        codec, transform = load_encodec(weights, QUANTIZERS), LogMel(MelConfig())
        pitch, table = PitchConfig(method="dio"), PhonemeTable.default()

        def audio(path: Path) -> np.ndarray:
            wave, rate = read_audio(path)
            return resample(wave, rate, RATE)

        def phonemes(text: str) -> np.ndarray:
            return table.ids(pronounce(text, "en-us").tokens)

        def mel(wave: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                return transform(torch.from_numpy(wave)).numpy().astype(np.float16)

        def f0(wave: np.ndarray) -> np.ndarray:
            return extract_f0(wave, pitch)

        def codes(wave: np.ndarray) -> np.ndarray:
            return codec.encode(torch.from_numpy(wave)).numpy().astype(np.uint16)

        self.audio, self.phonemes, self.mel, self.f0, self.codes = audio, phonemes, mel, f0, codes
        self.alignment: Callable[[np.ndarray, np.ndarray], Any] | None = None
        if aligner is not None:
            trained = load_aligner(aligner)

            def alignment(mel: np.ndarray, ids: np.ndarray) -> Any:
                tokens = torch.from_numpy(ids.astype(np.int64))
                return align(trained, torch.from_numpy(mel), tokens).durations

            self.alignment = alignment


def kernels(corpus: Spoken, weights: Path, aligner: Path | None, seconds: float) -> dict[str, Any]:
    """Measure each kernel's speed in multiples of real time: the median of three passes.

    Each pass goes over the whole sample, the first utterances of the corpus. Files are in the page
    cache; the first utterance is processed once before the clock starts.
    """
    begin = time.perf_counter()
    made = Kernels(weights, aligner)
    set_up = time.perf_counter() - begin
    files, texts, waves, left = [], [], [], seconds
    for _, path, text in corpus.rows():
        if left <= 0:
            break
        files.append((path,))
        texts.append((text,))
        waves.append((made.audio(path),))
        left -= len(waves[-1][0]) / RATE
    inputs: dict[str, tuple[Callable[..., Any], list[Any]]] = {
        "audio": (made.audio, files),
        "phonemes": (made.phonemes, texts),
        "mel": (made.mel, waves),
        "f0": (made.f0, waves),
        "codes": (made.codes, waves),
    }
    if made.alignment is not None:
        pairs = [(made.mel(*w), made.phonemes(*t)) for w, t in zip(waves, texts, strict=True)]
        inputs["alignment"] = (made.alignment, pairs)
    sample = sum(len(wave) for (wave,) in waves) / RATE
    speeds = {}
    for name, (kernel, cases) in inputs.items():
        kernel(*cases[0])
        times = []
        for _ in range(PASSES):
            begin = time.perf_counter()
            for given in cases:
                kernel(*given)
            times.append(time.perf_counter() - begin)
        speeds[name] = sample / statistics.median(times)
    return {
        "sample_seconds": sample,
        "utterances": len(waves),
        "set_up_seconds": set_up,
        "speeds": speeds,
    }


def measures(corpus: Spoken, seconds: float) -> dict[str, Any]:
    """Measure the speed of each stage of `--quality`, in multiples of real time.

    It is that of one core: CPU seconds count, so other work on the machine does not.
    """
    import torch

    from ns2.pipeline.stages.measured.recording import MEASURES, RecordingStage
    from ns2.pipeline.stages.stage import Item

    torch.set_num_threads(1)
    items, left = [], seconds
    for key, path, _ in corpus.rows():
        if left <= 0:
            break
        item = Item(key=key, record={}, inputs={"audio_file": path})
        recording = RecordingStage().compute(item).value
        items.append(Item(key=key, record={}, inputs={"recording": recording}))
        left -= len(recording[0]) / recording[1]
    speeds = {}
    for kind in MEASURES:
        if kind.missing():
            continue
        stage = kind()
        stage.setup()
        stage.compute(items[0])
        begin = time.process_time()
        for item in items:
            stage.compute(item)
        speeds[kind.name] = (seconds - left) / (time.process_time() - begin)
    return {"sample_seconds": seconds - left, "utterances": len(items), "speeds": speeds}


def serial(corpus: Spoken, weights: Path, out: Path) -> dict[str, Any]:
    """Time a plain loop: one process, one file per array, no alignment."""
    begin = time.perf_counter()
    made = Kernels(weights)
    set_up = time.perf_counter() - begin
    begin = time.perf_counter()
    for key, path, text in corpus.rows():
        wave = made.audio(path)
        arrays = {
            "phonemes": made.phonemes(text),
            "mel": made.mel(wave),
            "f0": made.f0(wave),
            "codes": made.codes(wave),
        }
        for name, array in arrays.items():
            np.save(out / f"{key}.{name}.npy", array)
    return {"set_up_seconds": set_up, "loop_seconds": time.perf_counter() - begin}


def ray_start(workers: int) -> dict[str, float]:
    """Time the start of Ray, as the executor starts it, and that of an idle actor."""
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    begin = time.perf_counter()
    import ray

    from ns2.pipeline.preprocess.executors.ray_executor import OBJECT_STORE

    imported = time.perf_counter()
    ray.init(
        address="local",
        num_cpus=workers + 1,
        object_store_memory=OBJECT_STORE,
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
    )
    started = time.perf_counter()
    idle: Any = ray.remote(_Idle)
    actor = idle.options(num_cpus=1).remote()
    ray.get(actor.answer.remote())
    answered = time.perf_counter()
    ray.shutdown()
    return {
        "import": imported - begin,
        "init": started - imported,
        "actor": answered - started,
        "all": answered - begin,
    }


class _Idle:
    def answer(self) -> None:
        """Answer, so that the caller knows that the actor has started."""


def main() -> None:
    parser = arguments("benchmarks.parts", __doc__)
    add = parser.add_argument
    add(
        "part",
        choices=("kernels", "measures", "serial", "ray"),
        help="The computation that is measured.",
    )
    add("--corpus", type=Path, help="The folder of a spoken corpus.")
    add("--weights", type=Path, help="The file with EnCodec's weights.")
    add("--aligner", type=Path, help="The file of a trained aligner, to measure alignment too.")
    add("--out", type=Path, help="The folder that the plain loop writes to.")
    add(
        "--seconds",
        type=float,
        default=180.0,
        help="The seconds of audio for the kernels.  [default: %(default)g]",
    )
    add("--workers", type=int, default=1, help="The workers that Ray has.  [default: %(default)s]")
    args = parser.parse_args()
    if args.part == "ray":
        result = ray_start(args.workers)
    else:
        corpus = Spoken(root=args.corpus, **json.loads((args.corpus / "spoken.json").read_text()))
        if args.part == "kernels":
            result = kernels(corpus, args.weights, args.aligner, args.seconds)
        elif args.part == "measures":
            result = measures(corpus, args.seconds)
        else:
            result = serial(corpus, args.weights, args.out)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
