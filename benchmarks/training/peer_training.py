"""A training step of `naturalspeech2-pytorch`, and the time of its parts.

These parts of its own code run: the model with its denoiser, phoneme encoder, prompt encoder,
predictors and aligner; mel by its `AudioToMel`; pitch by its function over pyworld; EnCodec by
`EncodecWrapper` of audiolm-pytorch over the package encodec; the moving averages (EMA) of
ema-pytorch. These do not:

- audiolm-pytorch as a whole requires fairseq, which Python 3.11 cannot load, so only its file with
  the wrapper is loaded. EnCodec's published weights are a download, so seeded weights of the same
  layout are used.
- Its trainer passes only audio to the model, with which a conditional model cannot be trained. So
  `Peer.step` does what one iteration of its loop does (loss, backward, clipping, Adam, EMA).
- Its tokenizer runs the program espeak-ng once per text. The model takes ids, which are given, and
  so are decoded recordings.

By default its prompt encoder and predictors alone have 270 million parameters. For other sizes the
predictors get fewer layers (none of theirs gets a gradient), and then the prompt encoder's
convolutions another width.

Letters for shapes: B batch, S samples, N phonemes.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.support.clock import now
from benchmarks.training.peer import plain_attention

PACKAGES = (
    "naturalspeech2-pytorch==0.1.8 audiolm-pytorch==2.4.0 vector-quantize-pytorch==1.32.0 "
    "ema-pytorch==0.8.3 einx torch-einops-utils frozendict loguru einops beartype tqdm"
)
INSTALL = "pip install --no-deps --target {} " + PACKAGES
EXTRACTION = ("codec", "pitch", "mel", "aligner")
LEARNING = ("forward", "backward", "optimiser, averages")
IDS = 150
"""The default number of its phonemes."""
_STUBS = {
    "audiolm_pytorch.data": ("SoundDataset", "get_dataloader"),
    "accelerate": ("Accelerator",),
    "naturalspeech2_pytorch.utils.tokenizer": ("Tokenizer", "ESpeak"),
}
_PREDICTORS_SHARE = 0.3
"""The largest share of the predictors in all parameters; by default it is 0.37."""


def load(folder: Path, weights: Path) -> tuple[Any, Any, Any]:
    """Load its package, its class of moving averages, and its codec.

    Args:
        folder: the folder that `INSTALL` filled.
        weights: EnCodec's weights, of the published layout.

    Raises:
        SystemExit: the packages are not there; the message says how to install them.
    """
    if not (folder / "naturalspeech2_pytorch").is_dir() or not (folder / "ema_pytorch").is_dir():
        raise SystemExit(f"{folder} does not contain the peer; {INSTALL.format(folder)}")
    sys.path.append(str(folder))
    from encodec.model import EncodecModel

    make = EncodecModel.encodec_model_24khz
    state = torch.load(weights, weights_only=True)

    def seeded(*_: object, **__: object) -> nn.Module:
        model: nn.Module = make(pretrained=False)
        model.load_state_dict(state)
        return model.eval()

    EncodecModel.encodec_model_24khz = staticmethod(seeded)
    whole = types.ModuleType("audiolm_pytorch")
    whole.__path__ = [str(folder / "audiolm_pytorch")]
    sys.modules["audiolm_pytorch"] = whole
    for name, classes in _STUBS.items():
        module = types.ModuleType(name)
        for stub in classes:
            setattr(module, stub, type(stub, (), {}))
        sys.modules[name] = module
    spec = importlib.util.spec_from_file_location(
        "audiolm_pytorch.encodec", folder / "audiolm_pytorch" / "encodec.py"
    )
    assert spec is not None and spec.loader is not None
    wrapper = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(wrapper)
    whole.EncodecWrapper = wrapper.EncodecWrapper  # type: ignore[attr-defined]
    whole.SoundStream = type("SoundStream", (), {})  # type: ignore[attr-defined]
    import naturalspeech2_pytorch
    from ema_pytorch import EMA

    return naturalspeech2_pytorch, EMA, wrapper.EncodecWrapper(bandwidth=12.0)


class Peer:
    """Its model in training.

    Attributes:
        parameters: the number of parameters without the codec.
        spent: the seconds of each part in all steps so far.
        flop: the operations of each part in the step that `count` has counted.
    """

    def __init__(self, folder: Path, weights: Path, parameters: int, device: str) -> None:
        """Build the model.

        Args:
            folder: the folder that `INSTALL` filled.
            weights: EnCodec's weights.
            parameters: the number of parameters that it should have.
            device: the torch device.
        """
        package, averages, codec = load(folder, weights)
        self._code = sys.modules["naturalspeech2_pytorch.naturalspeech2_pytorch"]
        denoiser = package.Model(
            dim=128, depth=6, dim_prompt=512, cond_drop_prob=0.25, condition_on_prompt=True
        )  # as its README has it
        model = package.NaturalSpeech2(model=denoiser, codec=codec, timesteps=1000)

        def predictors(depth: int) -> nn.Module:
            made: nn.Module = self._code.DurationPitchPredictor(dim=512, depth=depth)
            return made

        most = _PREDICTORS_SHARE * parameters
        a_layer = _count(predictors(2)) - _count(predictors(1))
        model.duration_pitch = predictors(max(1, min(10, int(most / a_layer))))
        left = parameters - (_count(model) - _count(codec) - _count(model.prompt_enc))
        model.prompt_enc = self._prompt_encoder(left)
        self.model = model.to(device).train()
        self.parameters = _count(model) - _count(codec)
        self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, betas=(0.9, 0.99))
        model.codec = None  # it cannot be copied; its trainer does the same
        self.ema = averages(model, beta=0.995, update_every=10, ignore_startswith_names={"codec."})
        model.codec = codec
        self._device = device
        self.spent = dict.fromkeys((*EXTRACTION, *LEARNING), 0.0)
        self.flop = dict.fromkeys((*EXTRACTION, *LEARNING), 0)
        self._counter: FlopCounterMode | None = None
        self._watch(codec)

    def _prompt_encoder(self, parameters: int) -> nn.Module:
        def encoder(width: int) -> nn.Module:
            dims = (256, *[width] * 4, 512, 512, 512)
            kind = self._code.SpeechPromptEncoder
            made: nn.Module = kind.__new__(kind)
            # Its annotation, which beartype checks, allows one width only; this call is unchecked.
            kind.__init__.__wrapped__(made, 128, dims)
            return made

        with torch.device("meta"):
            counts = {width: _count(encoder(width)) for width in range(64, 4096, 64)}
        return encoder(min(counts, key=lambda width: abs(counts[width] - parameters)))

    def _watch(self, codec: nn.Module) -> None:
        """Time the parts of its forward pass."""
        code, model = self._code, self.model
        for owner, name, part in (
            (codec, "forward", "codec"),
            (code, "compute_pitch_pyworld", "pitch"),
            (model.audio_to_mel, "forward", "mel"),
            (model.aligner, "forward", "aligner"),
            (model.aligner_loss, "forward", "aligner"),
        ):
            setattr(owner, name, self._noting(getattr(owner, name), part))

    def _noting(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        def noted(*arguments: Any, **named: Any) -> Any:
            with self._timed(part):
                return function(*arguments, **named)

        return noted

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        began = now(self._device)
        before = self._counter.get_total_flops() if self._counter else 0
        yield
        self.spent[part] += now(self._device) - began
        if self._counter:
            self.flop[part] += self._counter.get_total_flops() - before

    def count(self, *given: Tensor) -> None:
        """Count a step's operations, two for each multiply-add of products and convolutions."""
        plain_attention(self.model, True)
        try:
            with FlopCounterMode(display=False) as self._counter:
                self.step(*given)
                self.flop["forward"] = self._counter.get_total_flops() - sum(self.flop.values())
        finally:
            self._counter = None
            plain_attention(self.model, False)

    def step(self, audio: Tensor, prompt: Tensor, text: Tensor, text_lens: Tensor) -> float:
        """Run one iteration of its training loop; return the loss.

        Args:
            audio: (B, S) the target audio.
            prompt: (B, S') the audio of prompts.
            text: (B, N) phoneme ids, -1 where padded.
            text_lens: (B,) the number of phonemes.
        """
        features = sum(self.spent[part] for part in EXTRACTION)
        began = now(self._device)
        loss = self.model(audio=audio, text=text, text_lens=text_lens, prompt=prompt)
        value = float(loss.item())
        whole = now(self._device) - began
        self.spent["forward"] += whole - sum(self.spent[part] for part in EXTRACTION) + features
        with self._timed("backward"):
            loss.backward()
        with self._timed("optimiser, averages"):
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.ema.update()
        return value


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
