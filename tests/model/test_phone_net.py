"""The network that hears phones: what it sees, and what it must not see."""

from __future__ import annotations

import pytest
import torch

from ns2.model.phone_net import BLANK, REACH, STRIDE, PhoneNet, network_from_tensors, spoken_classes

MELS, PHONES = 20, 7


@pytest.fixture(scope="module")
def network() -> PhoneNet:
    torch.manual_seed(0)
    return PhoneNet(MELS, 16, PHONES).eval()


def mel(frames: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(MELS, frames, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("frames", [1, 2, 3, 40, 41])
def test_it_hears_every_second_frame(network: PhoneNet, frames: int) -> None:
    (heard,) = network.hear([mel(frames)])
    assert heard.shape == (-(-frames // STRIDE), 1 + PHONES)
    assert torch.allclose(heard.exp().sum(1), torch.ones(len(heard)))


def test_what_is_heard_does_not_depend_on_the_batch(network: PhoneNet) -> None:
    mels = [mel(31, 1), mel(80, 2), mel(4, 3)]
    for one, together in zip(mels, network.hear(mels), strict=True):
        (alone,) = network.hear([one])
        assert torch.allclose(alone, together, atol=1e-5)
    assert network.hear([]) == []


def test_it_sees_so_far_and_no_farther(network: PhoneNet) -> None:
    padded = torch.randn(1, MELS, 120, generator=torch.Generator().manual_seed(5))
    padded.requires_grad_(True)
    heard = network(padded)
    place = 20
    heard[0, place].square().sum().backward()
    assert padded.grad is not None
    seen = torch.nonzero(padded.grad[0].abs().sum(0)).flatten().tolist()
    first = STRIDE * place  # of the padded mel, REACH before the frame that is heard
    assert seen == list(range(first, first + 2 * REACH + 1))


def test_level_and_colour_make_no_difference(network: PhoneNet) -> None:
    louder = mel(50) + 1.5 + torch.linspace(-1, 1, MELS)[:, None]
    # nothing here lies so deep that it is cut off
    assert torch.allclose(network.hear([louder])[0], network.hear([mel(50)])[0], atol=1e-4)


def test_the_best_path_without_repetitions_and_blanks() -> None:
    best = [0, 0, 2, 2, 0, 2, 1, 1, 3, 0]
    scores = torch.nn.functional.one_hot(torch.tensor(best), 4).float()
    assert spoken_classes(scores) == [2, 2, 1, 3] and BLANK == 0


def test_weights_travel_and_others_are_told(network: PhoneNet) -> None:
    tensors = {name: value.double() for name, value in network.state_dict().items()}
    again = network_from_tensors(tensors)
    assert torch.equal(again.hear([mel(9)])[0], network.hear([mel(9)])[0])
    del tensors["head.bias"]
    with pytest.raises(ValueError, match="not the weights"):
        network_from_tensors(tensors)
