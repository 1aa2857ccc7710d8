"""Short hashes that say whether code, settings or data changed, so that only what is stale is made again."""

import ast
import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, is_dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stt_core.errors import InputError

PACKAGES = ("torch", "torchvision", "kornia", "numpy", "opencv-python-headless")
ROOT = Path(__file__).resolve().parents[1]
OURS = ("stt_core", "stt_study")
SMALL = 64 * 1024  # bytes; below this a file's content counts, above it its time stamp
MANY = 100_000  # files; in a folder of more (ImageNet) no content is read
DEFINITIONS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def hash_of(value: Any) -> str:
    """16 hex digits for nested dicts, lists, tuples, dataclasses, paths, numbers and strings.

    The order of a dict's keys doesn't count; a tuple and a list of the same values are the same.

    Raises:
        TypeError: a value of another kind, whose text might differ from run to run.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"cannot hash {value!r}")


def code_fingerprint(*modules: str | Path, root: Path = ROOT) -> str:
    """Hash of what the named modules do, and all that they import from us, followed through.

    Imports inside functions count; comments, docstrings and layout don't.

    Args:
        modules: dotted names, such as "stt_core.losses", usually a module's own `__name__`; or the path of a page's text.
        root: the folder that our packages lie in.

    Raises:
        InputError: there is no such module, or it isn't Python.
    """
    found: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        name = str(module)
        if name not in found:
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
    """A module's syntax tree as text, without docstrings, and its imports from us: (a.b, a.b.c) for `from a.b import c`."""
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
    """Hash of a folder of data: every file's relative path and size, and the content of files below 64 KB.

    A larger file counts with its modification time instead of its content, and so does every file of a folder of more
    than `MANY`, so that a data set of any size takes seconds. Hidden files and folders don't count. A missing folder has a
    fingerprint, too: an empty one's. Links are followed, but not into a folder that they lie in; of a link to nothing, and of
    what is neither file nor folder, the name counts.
    """
    root = str(path)
    digest = hashlib.sha256()
    files = sorted(_files(root), key=lambda item: item[0])
    small = SMALL if len(files) <= MANY else 0
    for relative, entry in files:
        if not _is(entry.is_file):
            digest.update(f"{relative}\0link\0".encode(errors="surrogateescape"))
            continue
        status = entry.stat()
        digest.update(f"{relative}\0{status.st_size}\0".encode(errors="surrogateescape"))
        if status.st_size < small:
            with open(entry.path, "rb", buffering=0) as stream:
                digest.update(stream.read())
        else:
            digest.update(str(status.st_mtime_ns).encode())
    return digest.hexdigest()[:16]


def _files(folder: str, prefix: str = "", above: frozenset[str] = frozenset()) -> Iterator[tuple[str, os.DirEntry]]:
    """(Path relative to the first folder, entry) of every file below `folder`; `above`: real paths of those it lies in."""
    if not os.path.isdir(folder):
        return
    above |= {os.path.realpath(folder)}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if not _is(entry.is_dir):
                yield f"{prefix}{entry.name}", entry
            elif not (entry.is_symlink() and os.path.realpath(entry.path) in above):
                yield from _files(entry.path, f"{prefix}{entry.name}/", above)


def _is(kind: Callable[[], bool]) -> bool:
    """What `os.DirEntry.is_dir` or `.is_file` says; links that lead to themselves are neither."""
    try:
        return kind()
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return False
