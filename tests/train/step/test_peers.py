"""Connections by which processes notice that another one has ended."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest
from torch.distributed import HashStore

from ns2.pipeline.core.errors import UserError
from ns2.train.step.peers import Peers


def within(seconds: float, met: Callable[[], bool]) -> bool:
    """Whether a condition is met within some seconds."""
    until = time.monotonic() + seconds
    while not met() and time.monotonic() < until:
        time.sleep(0.02)
    return met()


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")


@pytest.mark.usefixtures("local")
def test_all_are_told_of_one_that_has_ended() -> None:
    store = HashStore()
    first, second, third = (Peers(rank, 3, store) for rank in range(3))
    for one in (first, second, third):
        one.check()
    with first.busy(), third.busy():
        second.leave(well=False)  # as where its process ends
        assert within(10, lambda: first.ended == 1 and third.ended == 1)
        for one in (first, third):
            with pytest.raises(UserError, match=r"process 1 of 3 .* has ended"):
                one.check()
        third.leave(well=False)
        first.leave(well=False)
    assert (first.ended, third.ended) == (1, 1)  # the first news is what is told


@pytest.mark.usefixtures("local")
def test_one_that_leaves_in_peace_is_not_missed() -> None:
    store = HashStore()
    first, second = (Peers(rank, 2, store) for rank in range(2))
    assert within(10, lambda: 1 in first._joined)
    second.leave(well=True)
    assert within(10, lambda: 1 in first._gone)
    time.sleep(0.5)
    assert first.ended is None
    first.leave(well=True)


@pytest.mark.usefixtures("local")
def test_a_stranger_is_not_taken_for_a_process() -> None:
    store = HashStore()
    first = Peers(0, 2, store)
    port = int(store.get("ns2-peers").split()[0])
    for said in (b"x" * 42, b"f" * 32 + b"        1\n", b"\xff" * 42):
        with socket.create_connection(("127.0.0.1", port)) as stranger:
            stranger.sendall(said)
            assert stranger.recv(10) == b""  # it was hung up
    assert not first._joined and first.ended is None
    first.leave(well=True)


@pytest.mark.usefixtures("local")
def test_where_the_first_process_can_not_be_reached_a_run_goes_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    store = HashStore()
    store.set("ns2-peers", f"{port} token")
    second = Peers(1, 2, store)
    assert f"can't reach process 0 at port {port}" in capsys.readouterr().err
    second.check()
    second.leave(well=True)
