"""The store: what is made is kept under a hash of all that it depends on (code, settings, data), and made once."""

import ast
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from stt_core.errors import InputError
from stt_core.files import read_json, write_json

PACKAGES = ("torch", "torchvision", "kornia", "numpy", "opencv-python-headless")
ROOT = Path(__file__).resolve().parents[1]
OURS = ("stt_core", "stt_study")
RECORDS = "stt_core.provenance"  # says where a result comes from, and changes none
SMALL = 64 * 1024  # bytes; below this a file's content counts, above it its time stamp
MANY = 100_000  # files; in a folder of more (ImageNet) no content is read
DEFINITIONS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def made(place: Path, key: Any, build: Callable[[Path], Any], ending: str = ".json") -> Path:
    """`<place>-<hash of key><ending>`, built once if missing; `build` gets the path, and writes it last and whole."""
    path = Path(f"{place}-{hash_of(key)}{ending}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.parent / f".{path.name}.lock"):
        if not path.exists():
            build(path)
    return path


def computed(place: Path, key: Any, compute: Callable[[], Any]) -> Any:
    """What `compute` returns, kept as JSON; see `made`."""
    return read_json(made(place, key, lambda path: write_json(path, compute())))


@contextmanager
def only_writer(folder: str | Path, patience: float = 10.0) -> Iterator[None]:
    """Make a folder, and be the only one to write there until the block ends; InputError after `patience` s."""
    folder = Path(folder)
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:  # the helpers of a killed process, such as those that decode, hold its lock up to 5 s
        with FileLock(folder / ".lock", timeout=patience):
            try:
                yield
            finally:
                if new and [entry.name for entry in folder.iterdir()] == [".lock"]:  # an input was refused
                    shutil.rmtree(folder, ignore_errors=True)
    except Timeout:
        raise InputError(f"{folder}: another process is at work there; wait for it to end or choose another.") from None


def hash_of(value: Any) -> str:
    """16 hex digits for nested dicts (in any order), lists, dataclasses, paths, numbers, strings; else TypeError."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"cannot hash {value!r}")


def code_fingerprint(*modules: str | Path, root: Path = ROOT) -> str:
    """Hash of modules (names, a page's path) and all that they import from us, without comments and docstrings."""
    found: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        name = str(module)
        if name not in found and name != RECORDS:
            path = module if isinstance(module, Path) else _file(name, root)
            if path is None:
                raise InputError(f"{name} is no module below {root}, so its code has no fingerprint.")
            try:
                found[name], imported = _tree(path.read_text(encoding="utf-8"))
            except SyntaxError as error:
                raise InputError(f"{path}, line {error.lineno}, is not valid Python: {error.msg}.") from None
            # What a statement names is a module, or something in one.
            waiting += {inner if _file(inner, root) else outer for outer, inner in imported}
    return hash_of(sorted(found.items()))


def code_key(*modules: str | Path) -> list[str]:
    """What computed an artefact: `code_fingerprint` of the modules, and the packages under them."""
    return [code_fingerprint(*modules), *(version(name) for name in PACKAGES)]


def _file(module: str, root: Path) -> Path | None:
    path = root / module.replace(".", "/")
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


@cache  # a page of many results asks hundreds of times
def _tree(source: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """A module's syntax tree as text without docstrings, and imports from us: (a.b, a.b.c) for `from a.b import c`."""
    tree = ast.parse(source)
    imported = []
    for node in ast.walk(tree):
        if isinstance(node, DEFINITIONS) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in OURS:
            imported += [(node.module, f"{node.module}.{alias.name}") for alias in node.names]
        if isinstance(node, ast.Import):
            imported += [(alias.name, alias.name) for alias in node.names if alias.name.split(".")[0] in OURS]
    return ast.dump(tree), tuple(imported)


def folder_fingerprint(path: str | Path) -> str:
    """Hash of a folder of data: every file's relative path and size, and the content of files below `SMALL`.

    Others, and all of more than `MANY` files, count with time stamps. Links are followed, hidden files don't count.
    """
    digest, root, files = hashlib.sha256(), str(Path(path)), []
    for folder, below, names in os.walk(root, followlinks=True):
        below[:] = [name for name in below if not name.startswith(".")]
        files += [f"{folder}/{name}" for name in names if not name.startswith(".")]
    small = SMALL if len(files) <= MANY else 0
    for file in filter(os.path.isfile, sorted(files)):
        status = os.stat(file)
        digest.update(f"{file[len(root) + 1 :]}\0{status.st_size}\0".encode(errors="surrogateescape"))
        if status.st_size < small:
            digest.update(Path(file).read_bytes())
        else:
            digest.update(str(status.st_mtime_ns).encode())
    return digest.hexdigest()[:16]
