"""Signals: on SIGTERM (such as a cluster sends at a time limit) and Ctrl-C the current step is finished and saved."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

LAST = 20  # s for the last step
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """A signal stopped the work and everything was saved; the exit code is 128 plus the signal's `number`."""

    def __init__(self, number: int, text: str = "stopped before the end") -> None:
        super().__init__(text)
        self.number, self.code = number, 128 + number


class Asked:
    """The number of the signal that asked to stop, or 0."""

    number = 0


@contextmanager
def asked_to_stop() -> Iterator[Asked]:
    """While the block runs, the first signal is only noted; a second Ctrl-C stops at once.

    Under `torchrun`, which hands on to its processes what the terminal sent them already, further ones are passed over.
    Signals reach the main thread alone, so in others nothing is noted.
    """
    asked = Asked()

    def note(number: int, frame: FrameType | None) -> None:
        if asked.number and number == signal.SIGINT and "WORLD_SIZE" not in os.environ:
            raise Stopped(number)
        asked.number = asked.number or number

    with _handled(note):
        yield asked


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """While the block runs, SIGTERM and Ctrl-C raise `Stopped`: files are closed, records kept."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    with _handled(stop):
        yield


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, signal.SIG_DFL if earlier is None else earlier)  # None: not set from Python


def pass_over_signals(*_: object) -> None:
    """For decoding processes: ignore Ctrl-C, and end on SIGTERM only after the current step had its time."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(LAST))
