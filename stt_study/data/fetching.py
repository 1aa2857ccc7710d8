"""One file fetched over HTTP with pooch: goes on where it was cut off, and is checked before it is used."""

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pooch
import requests
from tqdm import tqdm

from stt_core.errors import InputError
from stt_core.files import read_json, write_json, write_text

SUMS = "SHA256SUMS"
PAUSES = (1.0, 3.0, 10.0, 30.0)  # seconds before the second, third … try
MUCH = 1 << 20  # bytes; a try that brought as much starts the pauses over
PIECE = 1 << 16  # bytes read at once, and lost at most where a connection is cut
TIMEOUT = (20, 60)  # seconds: to connect, to wait for bytes
AGAIN = (408, 425, 429, 500, 502, 503, 504)  # statuses that pass


class Cut(Exception):
    """A try that ended early; the next may go on."""


class Resuming:
    """A downloader for pooch that keeps what came in `<file>.part` and asks the server for the rest.

    `<file>.part.json` says which url, and which state of the file there, the part belongs to: half of an old file and
    half of a new one are never put together.

    Args:
        path: where the file will be.
        most_bytes: a larger file is refused.
        pauses: seconds before each further try.
    """

    def __init__(
        self,
        path: Path,
        most_bytes: int,
        pauses: tuple[float, ...] = PAUSES,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.path, self.most_bytes, self.pauses, self.sleep = path, most_bytes, pauses, sleep
        self.part, self.state = (path.with_name(path.name + ending) for ending in (".part", ".part.json"))

    def __call__(self, url: str, output_file: str, pooch: object, check_only: bool = False) -> None:
        """Fetch `url`; called by pooch.

        Raises:
            InputError: the server refuses, is not there, or cut the connection too often.
        """
        pauses = list(self.pauses)
        while True:
            before = self._size()
            try:
                self._attempt(url)
                break
            except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
                raise InputError(f"{url} is not an address that can be fetched ({error}); mend --mirror.") from None
            except requests.exceptions.MissingSchema:
                raise InputError(f"{url} does not begin with http:// or https://; mend --mirror.") from None
            except (Cut, requests.RequestException) as error:
                if self._size() - before >= MUCH:
                    pauses = list(self.pauses)
                if not pauses:
                    raise InputError(
                        f"{url} could not be fetched whole ({_reason(error)}); {self._size():,} bytes of it are kept, "
                        "and the same command goes on from there."
                    ) from None
                self.sleep(pauses.pop(0))
        self.part.replace(output_file)
        self.state.unlink(missing_ok=True)

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _discard(self) -> None:
        self.part.unlink(missing_ok=True)
        self.state.unlink(missing_ok=True)

    def _attempt(self, url: str) -> None:
        state = read_json(self.state) if self.part.is_file() and self.state.is_file() else {}
        have = self._size() if state.get("url") == url else 0
        if have and have == state["total"]:
            return  # all that was missing is the new name
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if state["validator"]:
                headers["If-Range"] = state["validator"]  # if the file has changed, all of it comes
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            status = response.status_code
            if status == 416:  # the file has become shorter than what is here
                self._discard()
                raise Cut("it has changed")
            if status in AGAIN:
                raise Cut(f"the server says {status}")
            if status not in (200, 206):
                raise InputError(f"{url} can't be fetched: the server says {status}; see its page, or give a --mirror.")
            total = self._total(response, have, state)
            if status == 200:
                have = 0
                self._discard()  # first, so that a killed run can't leave an old part with a new state
                write_json(self.state, {"url": url, "validator": _validator(response), "total": total})
            self._room(url, total, have)
            with (
                self.part.open("ab" if have else "wb") as file,
                tqdm(total=total, initial=have, desc=self.path.name, unit="B", unit_scale=True, disable=None) as bar,
            ):
                for chunk in response.iter_content(PIECE):
                    have += len(chunk)
                    if have > self.most_bytes:
                        break
                    file.write(chunk)
                    bar.update(len(chunk))
            self._room(url, have, have)
            if total is not None and have != total:
                raise Cut(f"{have:,} of {total:,} bytes came")

    def _total(self, response: requests.Response, have: int, state: dict) -> int | None:
        """The whole file's bytes, if the server says so. A 206 that is not what was asked for discards the part."""
        if response.status_code == 200:
            length = response.headers.get("Content-Length", "")
            return int(length) if length.isdigit() else None
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        if not match or int(match[1]) != have or state.get("total") not in (None, int(match[2])):
            self._discard()
            raise Cut("the server sent another part than was asked for")
        return int(match[2])

    def _room(self, url: str, total: int | None, have: int) -> None:
        if total and total > self.most_bytes:
            self._discard()
            raise InputError(f"{url} is larger than {self.most_bytes:,} bytes, so it is not what it should be.")
        free = shutil.disk_usage(self.path.parent).free
        if total and total - have > free:
            raise InputError(
                f"{url} needs {total - have:,} bytes, but {self.path.parent} has {free:,}; make room there."
            )


def fetch(url: str, path: Path, known: str | None, downloader: Resuming) -> None:
    """Fetch `url` to `path`; a file of another hash than `known` ("md5:…", "sha256:…") never gets there.

    Raises:
        InputError: it could not be fetched, or has another hash.
    """
    pooch.get_logger().setLevel("WARNING")
    try:
        pooch.retrieve(url, known, fname=path.name, path=path.parent, downloader=downloader)
    except InputError:
        raise
    except ValueError as error:
        hashes = re.findall(r"\b[0-9a-f]{32,}\b", str(error))
        if len(hashes) != 2:
            raise
        raise InputError(f"{url} {_hashes(hashes[1], hashes[0])}, so it was deleted; {_mend(path, known)}.") from None


def verify(path: Path, known: str) -> None:
    """Check a file that is there already.

    Raises:
        InputError: it has another hash.
    """
    algorithm, expected = known.split(":")
    got = pooch.file_hash(str(path), alg=algorithm)
    if got != expected.lower():
        raise InputError(f"{path} {_hashes(got, expected)}; delete it to get it anew, or {_mend(path, known)}.")


def recorded(folder: Path) -> dict[str, str]:
    """SHA-256 by file name, out of `SHA256SUMS` in sha256sum's format.

    Raises:
        InputError: a line that is not.
    """
    path = folder / SUMS
    sums = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        match = re.fullmatch(r"([0-9a-fA-F]{64}) [ *](.+)", line)
        if not match:
            raise InputError(f"{path}: '{line}' is not '<SHA-256>  <file>'; mend or delete the line.")
        sums[match[2]] = match[1].lower()
    return sums


def record(path: Path) -> None:
    """Write the SHA-256 of a file beside it, for ever after."""
    sums = recorded(path.parent) | {path.name: pooch.file_hash(str(path))}
    write_text(path.parent / SUMS, "".join(f"{value}  {name}\n" for name, value in sorted(sums.items())))


def _hashes(got: str, expected: str) -> str:
    return f"has the hash {got[:12]}…, not {expected[:12]}…"


def _mend(path: Path, known: str) -> str:
    if not known.startswith("sha256:"):
        return "try another --mirror"
    return f"take {path.name} off {path.parent / SUMS} if it was published anew"


def _validator(response: requests.Response) -> str:
    """What tells this state of the file from another: a strong ETag, or the time of its last change."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _reason(error: Exception) -> str:
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    return str(error) if isinstance(error, Cut) else "the connection was cut or refused"
