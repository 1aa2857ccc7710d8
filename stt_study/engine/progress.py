"""One line that says which notebooks run, how far and how long to go; plain lines where there's no terminal."""

import shutil
import sys
import time
from collections.abc import Mapping
from typing import TextIO


def clock(seconds: float) -> str:
    """4:05 or 1:02:09."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


class Progress:
    """Progress of a run.

    Args:
        expected: for each notebook to run the seconds that it took last time, None if it never ran.
        jobs: how many run at a time.
        fresh: how many needn't run.
        stream: where to write; a line that changes if that is a terminal.
    """

    def __init__(
        self, expected: Mapping[str, float | None], jobs: int, fresh: int, stream: TextIO | None = None
    ) -> None:
        self.expected = dict(expected)
        self.measured: list[float] = []  # seconds of those that ended well
        self.jobs = jobs
        self.stream = stream or sys.stdout
        self.begun = time.monotonic()
        self.total, self.done = len(expected), 0
        if fresh:
            self._line(f"{fresh} notebooks are fresh" if fresh > 1 else "1 notebook is fresh")

    def started(self, name: str) -> None:
        if not self.stream.isatty():
            self._line(f"{name}: started")

    def finished(self, name: str, seconds: float, error: str) -> None:
        self.done += 1
        self.expected.pop(name, None)
        if not error:
            self.measured.append(seconds)
        how = f"failed after {clock(seconds)}: {error}" if error else f"done in {clock(seconds)}"
        self._line(f"{name}: {how} ({self.done} of {self.total})")

    def skipped(self, name: str, needs: str) -> None:
        self.done += 1
        self.expected.pop(name, None)
        self._line(f"{name}: skipped, it needs {needs} ({self.done} of {self.total})")

    def show(self, running: Mapping[str, tuple[str, float]]) -> None:
        """Rewrite the line; `running` maps names to (cells done "7/12", seconds so far)."""
        if not self.stream.isatty() or not running:
            return
        parts = [f"{self.done}/{self.total} done, {clock(time.monotonic() - self.begun)}"]
        left = self.left({name: seconds for name, (_, seconds) in running.items()})
        if left is not None:
            parts[0] += f", about {clock(left)} to go"
        parts += [f"{name} {cells or 'starts'} ({clock(seconds)})" for name, (cells, seconds) in running.items()]
        text = " | ".join(parts)[: shutil.get_terminal_size().columns - 1]
        self.stream.write(f"\r\x1b[K{text}")
        self.stream.flush()

    def left(self, running: Mapping[str, float]) -> float | None:
        """Seconds to go, by the last run's times; one that never ran counts as the mean. None if none ever ran."""
        known = self.measured + [seconds for seconds in self.expected.values() if seconds is not None]
        if not known:
            return None
        mean = sum(known) / len(known)
        each = [max(0.0, (s if s is not None else mean) - running.get(n, 0.0)) for n, s in self.expected.items()]
        return max(sum(each) / self.jobs, *each)

    def _line(self, text: str) -> None:
        clear = "\r\x1b[K" if self.stream.isatty() else ""
        self.stream.write(f"{clear}{text}\n")
        self.stream.flush()

    def close(self) -> None:
        if self.stream.isatty():
            self.stream.write("\r\x1b[K")
            self.stream.flush()
