"""Both versions of the codec `mini` behind the interface of codecs, and their file format.

Letters for shapes: D latent width, T frames, Q quantisers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from torch import Tensor, nn

from ns2.model.codec.interface import Codec, CodecError
from ns2.model.codec.mini.blocks import quantise
from ns2.model.codec.mini.decoder import Decoder
from ns2.model.codec.mini.mini_config import CREDITS, FORMAT, check_room, mini_spec, read_config
from ns2.model.codec.mini.network import MiniNetwork
from ns2.model.codec.mini_1.mini_1_config import Mini1Config, read_any_config
from ns2.model.codec.mini_1.mini_1_network import Mini1Network


class MiniCodec(Codec):
    """A codec that is a trained network of either version."""

    def __init__(self, network: MiniNetwork | Mini1Network, quantizers: int | None = None) -> None:
        """Wrap a network with its weights.

        Args:
            network: the trained network.
            quantizers: Q; None for all quantisers of the network.

        Raises:
            CodecError: the network has fewer quantisers.
        """
        spec = mini_spec(network.config, quantizers)
        codebooks = network.codebooks[: spec.quantizers]
        encoding = {f"encoder.{key}": value for key, value in network.encoder.state_dict().items()}
        super().__init__(spec, codebooks, {**encoding, "codebooks": codebooks})
        self._network = network.eval().requires_grad_(False)

    def to(self, device: str) -> None:
        """Move the network and its codebooks to a torch device."""
        self._network.to(device)
        self._codebooks = self._network.codebooks[: self._spec.quantizers]

    def quantise(self, waves: Tensor) -> Tensor:
        """See `Codec.quantise`."""
        latents = self._network.encode(waves.to(self._codebooks.device))
        return quantise(latents, self._codebooks).transpose(1, 2)

    def decode_latents(self, latents: Tensor) -> Tensor:
        """Decode latents (D, T) to audio (320 T,) float32."""
        wave: Tensor = self._network.decoder(latents.T[None])
        return wave[0]

    def decoder(self) -> nn.Module:
        """See `Codec.decoder`; the noise is that of `torch.Generator().manual_seed(0)`."""
        return _GivenNoise(self._network.decoder)


class _GivenNoise(nn.Module):
    """A decoder whose noise is given."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, latents: Tensor, noise: Tensor) -> Tensor:
        """Map latents (1, D, T) and noise (1, S) to audio (1, S)."""
        latents = latents.transpose(1, 2)
        if isinstance(self.network, Decoder):
            return self.network.sound(self.network.controls(latents, crisp=True), noise)
        wave: Tensor = self.network(latents)
        return wave


def load_mini(path: Path, quantizers: int | None = None) -> MiniCodec:
    """Open a codec of either version from its file.

    Raises:
        CodecError: the file is broken or another one, or has fewer quantisers.
    """
    config = read_any_config(path)
    check_room(config, path)
    network = Mini1Network(config) if isinstance(config, Mini1Config) else MiniNetwork(config)
    _load_weights(network, path)
    return MiniCodec(network, quantizers)


def load_network(path: Path) -> MiniNetwork:
    """Load the network of a codec of the second version, with all its quantisers, for training.

    Raises:
        CodecError: the file is broken or another one.
    """
    config = read_config(path)
    check_room(config, path)
    network = MiniNetwork(config)
    _load_weights(network, path)
    return network


def pack_mini(network: MiniNetwork, credits: str = "") -> bytes:
    """Return the bytes of a safetensors file in half precision, with the sizes in its header.

    Args:
        credits: names the recordings that the codec learned from, with their licences.
    """
    from safetensors.torch import save

    state: Mapping[str, Tensor] = network.state_dict()
    return save(
        {key: value.detach().cpu().half().contiguous() for key, value in state.items()},
        metadata={
            FORMAT: json.dumps(asdict(network.config), sort_keys=True),
            **({CREDITS: credits} if credits else {}),
        },
    )


def _load_weights(network: MiniNetwork | Mini1Network, path: Path) -> None:
    from safetensors.torch import load_file

    try:
        state = {key: value.float() for key, value in load_file(path).items()}
        network.load_state_dict(state)
    except Exception as error:  # safetensors has no common type of error for a truncated file
        raise CodecError(
            f"{path}: its tensors do not fit its header; the file may be broken"
        ) from error
