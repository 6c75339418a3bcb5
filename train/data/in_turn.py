"""Threads that work in turn: results come in the order in which they were asked for.

Order n goes to thread n modulo their number, and its result is taken from the same thread. Plain
queues do for that; the futures of a pool take longer than fetching a step.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

Order = TypeVar("Order")
Result = TypeVar("Result")

_LOOK_UP = 1.0
"""Seconds after which the thread that waits looks whether it was interrupted."""


class _Phase(Enum):
    """How far the threads are: each phase only follows the one above it."""

    NEW = auto()
    """No thread has been started."""
    RUNNING = auto()
    """Orders are carried out."""
    CLOSED = auto()
    """Orders that are left are dropped, and the threads end."""


class InTurn(Generic[Order, Result]):
    """Threads that carry out orders in turn."""

    def __init__(self, work: Callable[[Order], Result], threads: int, name: str) -> None:
        """Get ready; threads start with the first order.

        Args:
            work: carries out an order, in a thread.
            threads: how many there are, at least 1.
            name: of the threads, which are numbered.
        """
        self._work, self._name, self._phase = work, name, _Phase.NEW
        self._orders = [SimpleQueue[Order | None]() for _ in range(threads)]
        self._results = [SimpleQueue[Result | BaseException]() for _ in range(threads)]
        self._threads: list[Thread] = []
        self._ordered = self._taken = 0

    @property
    def waiting(self) -> int:
        """The number of orders whose results have not been taken."""
        return self._ordered - self._taken

    def order(self, order: Order) -> None:
        """Hand an order to the thread whose turn it is."""
        if self._phase is _Phase.NEW:
            self._start()
        self._orders[self._ordered % len(self._orders)].put(order)
        self._ordered += 1

    def take(self, look_up: Callable[[], None] | None = None) -> Result:
        """The result of the oldest order that is waiting; blocks until it is there.

        Args:
            look_up: is called once in a while until then.

        Raises:
            BaseException: whatever the work raised.
        """
        results = self._results[self._taken % len(self._results)]
        while True:
            try:
                result = results.get(timeout=_LOOK_UP)
                break
            except Empty:  # a Ctrl-C just before a wait without an end would be seen at its end
                if look_up is not None:
                    look_up()
        self._taken += 1
        if isinstance(result, BaseException):
            raise result
        return result

    def close(self) -> None:
        """End the threads; results that were not taken are dropped."""
        self._phase, self._taken = _Phase.CLOSED, self._ordered
        for orders in self._orders:
            orders.put(None)
        for thread in self._threads:
            thread.join()

    def _start(self) -> None:
        self._phase = _Phase.RUNNING
        for number in range(len(self._orders)):
            thread = Thread(
                target=self._serve, args=(number,), name=f"{self._name}-{number}", daemon=True
            )
            thread.start()
            self._threads.append(thread)

    def _serve(self, number: int) -> None:
        """Carry out the orders of one thread, until there is a None."""
        orders, results = self._orders[number], self._results[number]
        while (order := orders.get()) is not None:
            if self._phase is _Phase.CLOSED:
                continue
            try:
                results.put(self._work(order))
            except BaseException as error:
                results.put(error)
