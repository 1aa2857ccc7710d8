"""One line that says which jobs run, how far and how long to go; plain lines where there's no terminal."""

import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from stt_study.engine.plan import Job
from stt_study.times import step_times

clock = tqdm.format_interval  # 04:05 or 1:02:09


class Progress:
    """Progress of a run, read from files of its jobs, wherever they run; `kept` has `times` of an earlier run."""

    def __init__(
        self, jobs: Mapping[str, Job], lanes: int, kept: Mapping[str, float], stream: TextIO | None = None
    ) -> None:
        self.waiting, self.lanes, self.stream = dict(jobs), lanes, stream or sys.stdout
        self.kept, self.since = kept, time.time()
        self.out = Path(next(iter(jobs.values())).out).parents[1]
        self.expected = {name: job.seconds for name, job in jobs.items() if job.seconds}  # s that it took last time
        least = min(job.threads for job in jobs.values())
        self.wide = {name: job.threads // least for name, job in jobs.items()}  # lanes that it takes
        self.running: dict[str, float] = {}  # since when
        self.begun, self.total = time.monotonic(), len(jobs)

    def look(self) -> None:
        """Read the files, and say what is new."""
        now = time.monotonic()
        for name, job in list(self.waiting.items()):
            ended, cells = job.fresh or job.error, job.text(".progress")
            if name not in self.running and (ended or cells):
                self.running[name] = now
                self.line(f"{name}: started" if not self.stream.isatty() else "")
            if ended:
                took = now - self.running.pop(name)
                del self.waiting[name]
                if job.fresh:
                    self.expected[name] = job.seconds
                how = f"done in {clock(job.seconds)}" if job.fresh else f"failed after {clock(took)}: {job.error}"
                self.line(f"{name}: {how} ({self.total - len(self.waiting)} of {self.total})")
        if self.stream.isatty() and self.running:
            left = self.left()
            parts = [f"{self.total - len(self.waiting)}/{self.total} done, {clock(now - self.begun)}"]
            parts[0] += f", about {clock(left)} to go" if left else ""
            parts += [f"{n} {self.waiting[n].text('.progress')} ({clock(now - t)})" for n, t in self.running.items()]
            self.stream.write("\r\x1b[K" + " | ".join(parts)[: shutil.get_terminal_size().columns - 1])
            self.stream.flush()

    def left(self) -> float:
        """Seconds to go, by the last run's times or kept ones at the pace of what trains or ran here; else a mean."""
        now = time.monotonic()
        plain = {name: name.partition("-seed")[0] for name in self.waiting.keys() | self.expected}
        here = step_times(self.out, self.since) or {plain[name]: took for name, took in self.expected.items()}
        ratios = [here[name] / self.kept[name] for name in here.keys() & self.kept]
        pace = sum(ratios) / len(ratios) if ratios else 1.0
        known = {name: pace * self.kept[own] for name, own in plain.items() if own in self.kept} | self.expected
        mean = sum(known.values()) / max(1, len(known))
        each = {name: max(0.0, known.get(name, mean) - now + self.running.get(name, now)) for name in self.waiting}
        work = sum(seconds * min(self.lanes, self.wide[name]) for name, seconds in each.items())
        return max(work / self.lanes, *each.values(), 0.0)

    def line(self, text: str = "") -> None:
        """Write a line in place of the one that changes, or just wipe that."""
        self.stream.write(("\r\x1b[K" if self.stream.isatty() else "") + (f"{text}\n" if text else ""))
        self.stream.flush()
