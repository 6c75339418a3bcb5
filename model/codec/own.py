"""Codecs of a user's own, which come from other packages: found, and checked before any work."""

from __future__ import annotations

import re
from abc import abstractmethod
from typing import ClassVar

from ns2.model.codec.interface import Codec, CodecError, CodecSpec
from ns2.model.named_objects import given_names, named_object

GROUP = "ns2.codecs"
"""The entry points by which installed packages give codecs."""
NAME = re.compile(r"[a-z][a-z0-9._-]{0,59}")
"""What a codec may be called in a dataset."""


class OwnCodec(Codec):
    """A codec from another package: what `Codec` asks for, and how it is opened.

    Class attributes:
        version: raised whenever its codes change for the same weights.
        libraries: distributions whose versions decide its codes.
    """

    version: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ()

    @classmethod
    @abstractmethod
    def describe(cls, quantizers: int | None) -> CodecSpec:
        """The rates and sizes; nothing heavy is loaded for it.

        Args:
            quantizers: Q; None for all.

        Raises:
            ValueError: the codec has fewer quantisers.
        """

    @classmethod
    @abstractmethod
    def load(cls, weights: str | None, quantizers: int) -> OwnCodec:
        """Open the codec on the CPU.

        Args:
            weights: the file that `--codec-weights` names; None where it is not given.
            quantizers: Q.

        Raises:
            OSError, ValueError: its weights can't be found or read.
        """


def is_own(name: str) -> bool:
    """Whether a name is that of a class, or one that an installed package gives."""
    return ":" in name or name in given_names(GROUP)


def own_codec(name: str) -> type[OwnCodec]:
    """The class of a codec.

    Args:
        name: as `--codec` takes it.

    Raises:
        CodecError: it is not there, can't be imported, or is no codec; the message says why.
    """
    try:
        kind = named_object(name, GROUP)
    except LookupError as error:
        raise CodecError(f"--codec {name}: {error.args[0]}") from error
    if not (isinstance(kind, type) and issubclass(kind, OwnCodec)):
        raise CodecError(
            f"--codec {name}: it is no codec: expected a subclass of ns2.model.codec.own.OwnCodec"
        )
    if lacks := sorted(getattr(kind, "__abstractmethods__", ())):
        raise CodecError(f"--codec {name}: the class has no {', '.join(lacks)}")
    return kind


def own_spec(name: str, quantizers: int | None) -> CodecSpec:
    """The rates and sizes of a codec.

    Raises:
        CodecError: there is no such codec, or it has fewer quantisers.
    """
    try:
        spec = own_codec(name).describe(quantizers)
    except ValueError as error:
        raise CodecError(f"--codec {name}: {error}") from error
    if not isinstance(spec, CodecSpec) or not NAME.fullmatch(spec.name):
        raise CodecError(
            f"--codec {name}: describe() gave {spec!r:.200}; expected a CodecSpec whose name has "
            "lower-case letters, digits, '.', '_' and '-', with a letter first"
        )
    if spec.entries > 1 << 16:
        raise CodecError(f"--codec {name}: {spec.entries:,} entries do not fit uint16")
    return spec


def load_own(name: str, weights: str | None, spec: CodecSpec) -> OwnCodec:
    """Open a codec, and see that it is what it says.

    Raises:
        CodecError: it can't be opened, or has other rates or codebooks.
    """
    try:
        codec = own_codec(name).load(weights, spec.quantizers)
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        raise CodecError(f"--codec {name}: {error}") from error
    shape = (spec.quantizers, spec.entries, spec.latent_dim)
    if codec.spec != spec or tuple(codec.codebooks.shape) != shape:
        raise CodecError(
            f"--codec {name}: it is not what describe() says: {codec.spec} with codebooks "
            f"{tuple(codec.codebooks.shape)}, not {spec} with {shape}"
        )
    return codec
