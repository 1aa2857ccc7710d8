"""Feeds spoiled files to every reader: each must give a value, or one sentence that names the file.

    python tests/tools/fuzz_readers.py --seconds 600 --seed 0
    python tests/tools/fuzz_readers.py --only badja_clips --cases 5000 --findings /tmp/findings

Anything else is a finding: another exception, a crash of the process, more than a minute or 4 GiB of memory for one
file. The file and what happened are written to a folder, and the script exits with 1. Cases run in forked processes, so
that a crash of a decoder is seen; seed, reader and number repeat a case.
"""

import argparse
import faulthandler
import json
import multiprocessing
import os
import random
import re
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from copy import deepcopy
from pathlib import Path

import cv2
import torch
from fuzz_targets import READERS, Reader

from stt_core.errors import InputError
from stt_study.exit_codes import in_words

BATCH = 50  # cases of one process
PATIENCE = 60.0  # s for one case
MEMORY = 4 << 30  # bytes of address space beyond which an allocation fails, before the machine suffers
VALUE, REFUSAL = "a value", "a refusal"
CHUNKS = [b"\xff" * 4, b"\0" * 64, b"\x7f\xff\xff\xff", b"PK\x03\x04", b"\xff\xd8\xff", b"IEND", b"\n"]
WORDS = ["NaN", "1e999", "-1", "0", "-0.0", "256", "18446744073709551616", "null", "[]", "{}", "..", "../../x", "é"]
WORDS += [",", ":", "", "x" * 300, "\0", "\ufeff", "\x1b[2J", '"', "a\nb", "\t", "- ", "!!python/name:os.system"]
LEAVES = [None, True, -1, 3.7, 2**63, float("nan"), "", "../../x", "a\0b", "x" * 300, [], {}, [[]], {"a": 0}]
TENSORS = [
    lambda x: x[..., :0],
    lambda x: x.to(torch.int8),
    lambda x: x.double() * 1e300,
    lambda x: torch.full_like(x, torch.nan) if x.is_floating_point() else x - 1,
    lambda x: x.to_sparse() if x.ndim else x,
    lambda x: x.to("meta"),
]


def spoiled(rng: random.Random, content: bytes, other: bytes, ending: str) -> bytes:
    """Another content for a file with this ending, out of its own and another file's."""
    how = rng.random()
    if ending == ".json" and how < 0.4:
        return json.dumps(spoiled_value(rng, json.loads(content))).encode()
    if ending in (".txt", ".csv", ".json", ".yaml") and how < 0.8:
        return spoiled_text(rng, content)
    if ending in (".pt", ".pth") and how < 0.6:
        with tempfile.NamedTemporaryFile() as file:
            Path(file.name).write_bytes(content)
            torch.save(spoiled_value(rng, torch.load(file.name, weights_only=False)), file.name)
            return Path(file.name).read_bytes()
    return spoiled_bytes(rng, content, other)


def spoiled_bytes(rng: random.Random, content: bytes, other: bytes) -> bytes:
    """Overwritten, inserted, deleted and cut bytes; or the beginning of one file and the end of the other."""
    content = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        # Sizes and tables stand near the beginning or the end.
        start = rng.choice([rng.randrange(len(content) + 1), min(rng.randrange(64), len(content)), len(content) - 9])
        start, chunk = max(start, 0), rng.choice([*CHUNKS, rng.randbytes(1), rng.randbytes(4)])
        rest = other[rng.randrange(len(other) + 1) :]
        # Overwritten, inserted, deleted, cut off, or gone on with another file.
        end, new = rng.choice(
            [(len(chunk), chunk), (0, chunk), (rng.choice([1, 4, 100]), b""), (len(content), b""), (len(content), rest)]
        )
        content[start : start + end] = new
    return bytes(content)


def spoiled_text(rng: random.Random, content: bytes) -> bytes:
    """Other numbers, words and lines, another encoding."""
    parts = re.findall(r"[+-]?\d[\d.eE]*|\w+|\s+|.", content.decode())
    for _ in range(rng.choice([1, 1, 2, 5])):
        place = rng.randrange(len(parts) + 1)
        new = rng.choice([[], [rng.choice(WORDS)], parts[: len(parts) // 2]])
        parts[place : place + rng.choice([0, 1, 1, 3])] = new
    text = "".join(parts).replace("\n", rng.choice(["\n"] * 9 + ["\r\n"]))
    return text.encode(rng.choice(["utf-8"] * 9 + ["utf-16", "latin-1"]), "replace")


def spoiled_value(rng: random.Random, value: dict | list) -> dict | list:
    """Nested dicts and lists with an item removed, put elsewhere, or of another type."""

    def holders(of: dict | list) -> list:
        inner = of.values() if isinstance(of, dict) else of
        return [of, *(deeper for each in inner if isinstance(each, dict | list) and each for deeper in holders(each))]

    for _ in range(rng.choice([1, 1, 2, 4])):
        holder = rng.choice(holders(value))
        if not holder:
            break
        key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        old = holder[key]
        new = rng.choice(TENSORS)(old) if isinstance(old, torch.Tensor) else deepcopy(rng.choice(LEAVES))
        if rng.random() < 0.3:
            del holder[key]
        else:
            holder[key] = new
    return value


class Cases:
    """All cases of a reader: its valid files in a folder, and what they are spoiled to."""

    def __init__(self, reader: Reader, folder: Path, seed: int) -> None:
        (folder / "data").mkdir()
        self.reader, self.root, self.log, self.seed = reader, folder / "data", folder / "log", seed
        self.contents = {path: path.read_bytes() for path in reader.write(self.root)}

    def spoil(self, number: int) -> tuple[Path, bytes]:
        rng = random.Random(f"{self.seed} {self.reader.name} {number}")
        path, other = (rng.choice(list(self.contents)) for _ in range(2))
        return path, spoiled(rng, self.contents[path], self.contents[other], path.suffix)

    def run(self, numbers: range) -> list[str]:
        """Of each, up to one that ends it: `VALUE`, `REFUSAL` or what happened instead, beginning with a line on it."""
        for path, content in self.contents.items():
            path.write_bytes(content)
        process = multiprocessing.get_context("fork").Process(target=self._work, args=(numbers,))
        process.start()
        process.join()
        done = [json.loads(line) for line in self.log.read_text().splitlines()]
        if process.exitcode:
            dump = self.log.with_suffix(".dump").read_text()
            done.append(f"the process ended with {process.exitcode}: {dump}")
        return done

    def _work(self, numbers: range) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what libraries complain about
        with self.log.open("w") as log, self.log.with_suffix(".dump").open("w") as dump:
            faulthandler.enable(dump)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            if sys.platform == "linux":
                size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
                resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, resource.RLIM_INFINITY))
            for number in numbers:
                path, content = self.spoil(number)
                path.write_bytes(content)
                faulthandler.dump_traceback_later(PATIENCE, exit=True, file=dump)
                print(json.dumps(self._outcome(path)), file=log, flush=True)
                path.write_bytes(self.contents[path])
            faulthandler.cancel_dump_traceback_later()

    def _outcome(self, path: Path) -> str:
        try:
            self.reader.read(self.root, path)
            return VALUE
        except (InputError, OSError) as error:
            sentence = in_words(error) if isinstance(error, OSError) else str(error)
            return REFUSAL if str(self.root) in sentence else f"no name of a file in: {sentence}"
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            return f"{type(error).__name__} in {Path(place.filename).name}:{place.name}\n{traceback.format_exc()}"


def fuzz(reader: Reader, seed: int, cases: int | None, seconds: float, kept: Path) -> Counter:
    """Give a reader so many cases, or some time: what became of them -> how often. `kept`: a folder for findings."""
    found, number, end = Counter(), 0, time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as name:
        made = Cases(reader, Path(name), seed)
        while time.monotonic() < end if cases is None else number < cases:
            for outcome in made.run(range(number, min(number + BATCH, cases or sys.maxsize))):
                gist = outcome.partition("\n")[0]
                found[gist] += 1
                if gist not in (VALUE, REFUSAL) and found[gist] <= 3:
                    path, content = made.spoil(number)
                    folder = kept / f"{reader.name}-{seed}-{number}"
                    folder.mkdir(parents=True, exist_ok=True)
                    (folder / path.name).write_bytes(content)
                    (folder / "what.txt").write_text(f"{path}: {outcome}\n", errors="backslashreplace")
                number += 1
    return found


def main(readers: tuple[Reader, ...] = READERS) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--cases", type=int, help="of each reader, instead of a time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=[reader.name for reader in readers])
    parser.add_argument("--findings", type=Path, default=Path("runs/findings"), help="folder to write them to")
    asked = parser.parse_args()
    torch.set_num_threads(1)  # what is forked from a process with threads may wait for them for ever
    cv2.setNumThreads(1)
    chosen = [reader for reader in readers if not asked.only or reader.name in asked.only]
    failed = False
    for reader in chosen:
        found = fuzz(reader, asked.seed, asked.cases, asked.seconds / len(chosen), asked.findings)
        print(f"{reader.name}:", ", ".join(f"{count} x {what}" for what, count in found.most_common()), flush=True)
        failed |= bool(found.keys() - {VALUE, REFUSAL})
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
