"""Being stopped well: SIGTERM (a cluster's time is up) and Ctrl-C let the step in hand end, so that it can be saved."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

LAST = 20  # s for the last step
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """A signal ended the work in good order; `number` is the signal's. A shell's exit code is 128 and that."""

    def __init__(self, number: int, text: str = "stopped before the end") -> None:
        super().__init__(text)
        self.number, self.code = number, 128 + number


class Asked:
    """Whether a signal asked to stop: its number, or 0."""

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
    """For a process that decodes: the one it helps ends it. SIGTERM does, too, once the step in hand had its time."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(LAST))
