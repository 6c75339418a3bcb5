"""The `codes` column: what a neural codec makes of the audio.

Letters for shapes: S samples, T frames, Q quantizers, E entries, D latent width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ns2.model.codec.interface import CodecError, CodecSpec
from ns2.model.codec.loading import load_codec
from ns2.model.codec.own import own_codec
from ns2.model.codec.registry import CODECS, codec_file, codec_spec
from ns2.pipeline.core.atomic import atomic_write
from ns2.pipeline.core.errors import UserError
from ns2.pipeline.core.hashing import canonical_json
from ns2.pipeline.core.schema import ColumnSpec
from ns2.pipeline.core.versions import version
from ns2.pipeline.stages.stage import Item, Product, Stage, StageSettings

if TYPE_CHECKING:
    from torch import Tensor

    from ns2.model.codec.interface import Codec


class CodesStage(Stage):
    """Audio to codes uint16 (Q, T), by the codec's canonical encode.

    Requires `audio`: (S,) float32 at the codec's sample rate. Nothing heavy is loaded before
    `config` is asked for, which needs the digest of the weights.
    """

    name: ClassVar[str] = "codes"
    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("audio",)
    accelerated: ClassVar[bool] = True
    order: ClassVar[int] = 6

    def __init__(
        self,
        codec_name: str = "encodec_24khz",
        weights: Path | None = None,
        quantizers: int | None = None,
    ) -> None:
        """Name a codec; it is loaded later.

        Args:
            codec_name: one of `ns2.model.codec.CODECS`, a file that `ns2 codec train` made, or a
                codec of a user's own.
            weights: a file with its weights, or None for those it finds by itself.
            quantizers: Q; None for all quantisers of the codec, or 16 of EnCodec.

        Raises:
            UserError: no such codec, or it has fewer quantisers, or weights of its own.
        """
        try:
            self._spec = codec_spec(codec_name, quantizers)
            own = codec_file(codec_name)
            self._own = None if own or codec_name in CODECS else own_codec(codec_name)
        except CodecError as error:
            raise UserError(str(error)) from error
        if own is not None and weights is not None:
            raise UserError(
                f"--codec-weights is for encodec_24khz and codecs of your own; --codec "
                f"{codec_name} has its weights"
            )
        # workers may have another working directory
        self._weights = None if weights is None else Path(weights).absolute()
        self._name = codec_name if own is None or codec_name in CODECS else str(own.absolute())
        self._digest: str | None = None

    @classmethod
    def of(cls, settings: StageSettings) -> Self | None:
        """Codes by the run's codec, where they are asked for: its weights may not be there.

        Raises:
            UserError: there is no such codec.
        """
        options = settings.options
        stage = cls(options.codec, options.codec_weights, options.quantizers)
        return stage if not options.columns or cls.name in options.columns else None

    def prepare(self) -> None:
        """Find the codec's weights.

        Raises:
            UserError: they are not there, or damaged.
        """
        _ = self.config

    @property
    def spec(self) -> CodecSpec:
        """The codec's rates and sizes; nothing is loaded."""
        return self._spec

    @property
    def config(self) -> Mapping[str, Any]:
        """The codec's name, Q, and the digest of its weights, which are loaded once for it.

        Raises:
            UserError: the weights are not there, or damaged.
        """
        if self._digest is None:
            self._digest = self._codec.digest
        return {
            "codec": self._spec.name,
            "quantizers": self._spec.quantizers,
            "weights": self._digest,
            **({"version": self._own.version} if self._own else {}),
        }

    @property
    def column(self) -> ColumnSpec:
        """Codes uint16 (Q, T)."""
        return ColumnSpec(name="codes", dtype="uint16", dims=(self._spec.quantizers, "T"))

    def setup(self) -> None:
        """Load the codec.

        Raises:
            UserError: the weights are not there, or are not those that the plan was made for.
        """
        if self._digest not in (None, self._codec.digest):
            raise UserError(
                f"the codec's weights changed while ns2 ran, or differ between machines: their "
                f"digest was {str(self._digest)[:16]} and is {self._codec.digest[:16]} now "
                f"({self._weights or self._name})"
            )
        try:
            self._codec.to(self.device)
        except RuntimeError as error:
            raise UserError(
                f"torch can't use the GPU ({error}); put that right, or run with --gpus 0"
            ) from error

    def compute(self, item: Item) -> Product:
        """Codes uint16 (Q, T) of `audio` (S,) float32."""
        return Product(value=_codes(self._codec.encode(_wave(item))))

    def compute_batch(self, items: Sequence[Item]) -> list[Product | Exception]:
        """Products in order: one by one on the CPU, by length on a GPU.

        A batch that fails there, as where memory runs out, is encoded in halves.
        """
        if self.device == "cpu":
            return super().compute_batch(items)
        try:
            found = self._codec.encode_many([_wave(item) for item in items])
        except Exception as error:
            if len(items) == 1:
                return [error]
            self._free(error)
        else:
            return [Product(value=_codes(codes)) for codes in found]
        # too much for the GPU's memory, or one of them can't be encoded: the others can
        half = len(items) // 2
        return [*self.compute_batch(items[:half]), *self.compute_batch(items[half:])]

    def _free(self, error: Exception) -> None:
        """Let go of what a failed batch took of the GPU's memory."""
        import torch

        error.__traceback__ = None  # its frames hold the batch's tensors
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def library_versions(self) -> dict[str, str]:
        """Versions of the libraries that the codec is made with."""
        more = ("encodec",) if self._spec.name == "encodec_24khz" else ()
        libraries = ("torch", *(self._own.libraries if self._own else more))
        return {name: version(name) for name in libraries}

    def summarise(self, arrays: Sequence[np.ndarray]) -> dict[str, Any]:
        """Float64 sums of the latents of a shard's codes.

        Utterance by utterance, in order; the number alone decides the result, not how the arrays
        lie in memory.

        Args:
            arrays: codes (Q, T).

        Returns:
            frames (how many), sum and sum_squares (lists of D numbers, over all frames).
        """
        frames = 0
        total = np.zeros(self._spec.latent_dim)
        squares = np.zeros(self._spec.latent_dim)
        for codes in arrays:
            latents = np.zeros((codes.shape[1], self._spec.latent_dim))
            for row, codebook in zip(codes, self._codebooks, strict=True):
                latents += codebook[row]
            frames += len(latents)
            total += latents.sum(axis=0)
            squares += np.square(latents).sum(axis=0)
        return {"frames": frames, "sum": total.tolist(), "sum_squares": squares.tolist()}

    def write_asset(self, folder: Path, fingerprint: str) -> Path:
        """Write the codebooks, unless they are there: `codebooks` (Q, E, D) float32 in safetensors.

        Its metadata has one field, `codec`: JSON with the codec's rates, sizes and the digest of
        its weights. With that and the codes a reader has the latents, without the codec.
        """
        path = folder / f"codebooks-{fingerprint}.safetensors"
        if not path.is_file():
            with atomic_write(path) as file:
                file.write(self._codebooks_file())
        return path

    def _codebooks_file(self) -> bytes:
        from safetensors.numpy import save

        spec = self._spec
        about = {
            "name": spec.name,
            "sample_rate": spec.sample_rate,
            "hop_length": spec.hop_length,
            "quantizers": spec.quantizers,
            "entries": spec.entries,
            "latent_dim": spec.latent_dim,
            "weights": self.config["weights"],
        }
        # one field, since safetensors writes several in any order
        return save(
            {"codebooks": self._codec.codebooks.cpu().numpy()},
            metadata={"codec": canonical_json(about)},
        )

    @cached_property
    def _codec(self) -> Codec:
        try:
            return load_codec(self._name, self._weights, self._spec.quantizers)
        except CodecError as error:
            raise UserError(str(error)) from error

    @cached_property
    def _codebooks(self) -> np.ndarray:
        return self._codec.codebooks.cpu().numpy().astype(np.float64)

    def __getstate__(self) -> dict[str, Any]:
        """What travels to a worker: not the network, but the digest it must have there."""
        return {k: v for k, v in self.__dict__.items() if k not in ("_codec", "_codebooks")}


def _wave(item: Item) -> Tensor:
    import torch

    return torch.tensor(np.asarray(item.inputs["audio"], dtype=np.float32))


def _codes(codes: Tensor) -> np.ndarray:
    return codes.cpu().numpy().astype(np.uint16)
