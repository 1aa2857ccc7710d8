"""Feeds spoiled files to every reader: each must give a value, or one sentence that names the file.

    python tests/tools/fuzz_readers.py --seconds 600 --seed 0
    python tests/tools/fuzz_readers.py --only badja_clips --cases 5000 --findings /tmp/findings

Anything else is a finding: another exception, a sentence of several lines, a crash of the process, more than 20 s or 2 GiB of
memory for one file. Its bytes and what happened are written to a folder, and the script exits with 1. Cases run in forked
processes, so that a crash of a decoder is seen and told from others; seed, reader and number repeat a case.
"""

import argparse
import faulthandler
import multiprocessing
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

import cv2
import torch
from fuzz_targets import READERS, Reader
from mutations import spoiled

from stt_core.errors import InputError, in_words

BATCH = 50  # cases of one process
PATIENCE = 20.0  # s for one case
MEMORY = 2 << 30  # bytes for one case
GUARD = 4 << 30  # bytes of address space beyond which an allocation fails, before the machine suffers
LONGEST = 1000  # letters of a sentence, beside the name of its file
SAMPLES = 3  # files kept of each kind of finding


@dataclass
class Tally:
    """What became of a reader's cases. Of findings: what happened, in a line -> how often."""

    cases: int = 0
    values: int = 0
    refusals: int = 0
    findings: Counter = field(default_factory=Counter)
    seconds: float = 0.0


class Cases:
    """All cases of a reader: its valid files, and what they are spoiled to."""

    def __init__(self, reader: Reader, folder: Path) -> None:
        folder.mkdir()
        self.reader, self.folder = reader, folder
        self.spoilt = [path.relative_to(folder) for path in reader.write(folder)]
        self.contents = {path: (folder / path).read_bytes() for path in self.spoilt}

    def spoil(self, seed: int, number: int) -> tuple[Path, bytes]:
        """The file that case `number` spoils, and with what."""
        rng = random.Random(f"{seed} {self.reader.name} {number}")
        path = rng.choice(self.spoilt)
        other = self.contents[rng.choice(self.spoilt)]
        return path, spoiled(rng, self.contents[path], other, path.suffix)

    def run(self, root: Path, path: Path, content: bytes) -> tuple[str, str]:
        """What becomes of a file among the valid ones in `root`.

        Returns:
            "values" and "", "refusals" and the sentence, or "findings" and what happened, beginning with a line about it.
        """
        (root / path).write_bytes(content)
        try:
            self.reader.read(root, root / path)
            return "values", ""
        except (InputError, OSError) as error:
            if isinstance(error, OSError) and not (error.errno and error.filename):
                return "findings", _told(error)
            sentence = in_words(error) if isinstance(error, OSError) else str(error)
            told = _told(error)
        except BaseException as error:
            return "findings", _told(error)
        finally:
            (root / path).write_bytes(self.contents[path])
            shutil.rmtree(root / "place", ignore_errors=True)
        for problem, found in (
            ("no name of a file", str(root) not in sentence),
            ("more than one line", not sentence.isprintable()),
            (f"more than {LONGEST} letters", len(sentence.replace(str(root), "")) > LONGEST),
        ):
            if found:
                return "findings", f"{problem} in {told}"
        return "refusals", sentence


def fuzz(
    readers: tuple[Reader, ...],
    seed: int,
    *,
    cases: int | None = None,
    seconds: float = 0.0,
    kept: Path | None = None,
    patience: float = PATIENCE,
) -> dict[str, Tally]:
    """Give every reader so many cases, or an equal share of the time.

    Args:
        kept: a folder for findings.
        patience: s for one case.

    Returns:
        A tally for each reader.
    """
    tallies = {reader.name: Tally() for reader in readers}
    with tempfile.TemporaryDirectory() as name:
        made = {reader.name: Cases(reader, Path(name) / str(i)) for i, reader in enumerate(readers)}
        end = time.monotonic() + seconds
        while True:
            left = [
                n for n, tally in tallies.items() if (time.monotonic() < end if cases is None else tally.cases < cases)
            ]
            if not left:
                return tallies
            chosen = min(left, key=lambda n: tallies[n].seconds)  # whose share is used up least
            tally, begun = tallies[chosen], time.monotonic()
            stop = tally.cases + BATCH if cases is None else min(cases, tally.cases + BATCH)
            for number, kind, text in _batch(made[chosen], seed, range(tally.cases, stop), patience):
                tally.cases += 1
                if kind != "findings":
                    setattr(tally, kind, getattr(tally, kind) + 1)
                    continue
                gist = text.partition("\n")[0]
                tally.findings[gist] += 1
                if kept and tally.findings[gist] <= SAMPLES:
                    path, content = made[chosen].spoil(seed, number)
                    folder = kept / f"{re.sub('[^a-z._]+', '-', chosen)}-{seed}-{number}"
                    folder.mkdir(parents=True, exist_ok=True)
                    (folder / path.name).write_bytes(content)
                    (folder / "what.txt").write_text(f"{path}: {text}\n", errors="backslashreplace")
            tally.seconds += time.monotonic() - begun


def _batch(cases: Cases, seed: int, numbers: range, patience: float) -> Iterator[tuple[int, str, str]]:
    """Number of a case, and what `Cases.run` says of it, one after the other until one ends the process."""
    receiving, sending = multiprocessing.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as name, receiving:
        root, dump = Path(name) / "data", Path(name) / "dump.txt"
        shutil.copytree(cases.folder, root)
        child = os.fork()
        if not child:
            _work(cases, root, dump, seed, numbers, sending)
        sending.close()
        running, slow = None, False
        try:
            while not (slow := not receiving.poll(patience)):
                number, *ended = receiving.recv()
                running = None if ended else number
                if ended:
                    yield number, *ended
        except EOFError:
            pass
        finally:
            os.kill(child, signal.SIGABRT if slow else signal.SIGKILL)  # the one leaves a traceback
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if running is not None:
            text = dump.read_text()
            place = re.search(r'stt_\w+/((?:\w+/)*\w+\.py)", line \d+ in (\w+)', text)
            how = f"more than {patience:g} s" if slow else f"the process ended with {code}"
            yield running, "findings", f"{how} in {':'.join(place.groups()) if place else '?'}\n{text}"
        elif not slow and code not in (0, -signal.SIGKILL):  # slow without a case: the machine was busy, and it goes on
            raise RuntimeError(f"{cases.reader.name}: the process ended with {code} between two cases.")


def _work(cases: Cases, root: Path, dump: Path, seed: int, numbers: range, sending: Connection) -> NoReturn:
    """A batch's process: sends (number,) before a case and (number, kind, text) after it."""
    try:
        for stream in (1, 2):  # what libraries complain about
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        faulthandler.enable(dump.open("w"), all_threads=False)
        warnings.simplefilter("ignore")
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if sys.platform == "linux":
            size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (size + GUARD, resource.RLIM_INFINITY))
        for number in numbers:
            path, content = cases.spoil(seed, number)
            sending.send((number,))
            before = _peak()
            kind, text = cases.run(root, path, content)
            grown = _peak() - before
            if grown > MEMORY and kind != "findings":
                kind, text = "findings", f"more than {MEMORY >> 30} GiB ({kind})\n{grown} bytes; {text}"
            sending.send((number, kind, text))
            if grown > MEMORY / 2:
                break  # the next case would start from this peak
    except BaseException:  # of this script itself: the parent must hear of it
        traceback.print_exc(file=dump.open("a"))
        os._exit(3)
    os._exit(0)


def _peak() -> int:
    """The most bytes of memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _told(error: BaseException) -> str:
    """What was raised and where, in a line; then the traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{Path(frame.filename).name}:{frame.name}" for frame in frames]
    ours = [place for frame, place in zip(frames, places, strict=True) if "/stt_" in frame.filename]
    where = " > ".join(dict.fromkeys((ours or places)[-1:] + places[-1:]))
    text = "".join(traceback.format_exception(error, limit=-12))
    return f"{type(error).__name__} in {where}\n{text[-6000:]}"


def table(tallies: dict[str, Tally]) -> str:
    """One line a reader, and below the findings, the most frequent first."""
    lines = [f"{'reader':18}{'cases':>8}{'values':>8}{'refusals':>10}{'findings':>10}"]
    for name, tally in tallies.items():
        found = sum(tally.findings.values())
        lines.append(f"{name:18}{tally.cases:8}{tally.values:8}{tally.refusals:10}{found:10}")
    for name, tally in tallies.items():
        lines += [f"{name}: {count} x {gist}" for gist, count in tally.findings.most_common()]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--cases", type=int, help="of each reader, instead of a time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=[reader.name for reader in READERS])
    parser.add_argument("--findings", type=Path, default=Path("runs/findings"), help="folder to write them to")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    readers = tuple(reader for reader in READERS if not asked.only or reader.name in asked.only)
    tallies = fuzz(readers, asked.seed, cases=asked.cases, seconds=asked.seconds, kept=asked.findings)
    print(table(tallies))
    return int(any(tally.findings for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
