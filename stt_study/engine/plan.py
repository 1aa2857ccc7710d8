"""The jobs of a run, one a page and one a training that pages need, and the key that says whether a job is stale."""

import ast
import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stt_core.errors import InputError
from stt_core.files import read_json
from stt_core.provenance import versions
from stt_study.parameters import merged, read_mapping
from stt_study.store import code_fingerprint, folder_fingerprint, hash_of
from stt_study.variants import HEADLINE, ROWS, VARIANTS

PATTERN = "[0-9][0-9]_*"  # names of pages, without suffix
PARAMETERS = re.compile(r'^# %% tags=\["parameters"\]\n(.*?)(?=^# %%|\Z)', re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Job:
    """A job. Its files start with `out`, such as runs/laptop/notebooks/03_temporal_step; `needs` are other jobs."""

    name: str
    out: str
    parameters: dict[str, Any]  # of a page, or of a `Study` and "source", a variant or "baselines"
    needs: tuple[str, ...]
    key: str  # hash of code, parameters, versions, data and of the keys of `needs`
    threads: int
    page: str = ""  # its text; "" = a training

    def path(self, suffix: str) -> Path:
        return Path(self.out + suffix)

    def text(self, suffix: str) -> str:
        """Of one of its files; empty if there is none."""
        return _text(self.path(suffix))

    @property
    def error(self) -> str:
        """The last line of its traceback, if it failed."""
        return self.text(".traceback.txt").strip().rpartition("\n")[2].removeprefix("stt_core.errors.")

    @property
    def done(self) -> Path:
        """What Snakemake knows of it: a file that holds the key, written last."""
        return Path(self.out).parents[1] / ".done" / self.name

    @property
    def fresh(self) -> bool:
        in_place = not self.page or self.path(".ipynb").exists()
        return in_place and _text(self.done) == self.key

    @property
    def seconds(self) -> float | None:
        """Of the last good run, if there was any."""
        path = self.path(".json")
        return read_json(path)["seconds"] if path.exists() else None


def _text(path: Path) -> str:
    """A file's; empty if there is none, which isn't asked before: a job that begins or ends just then takes it away."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def read_parameters(root: Path, profile: str, overrides: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The profile's YAML with overrides; the name "a.b" sets field b of the dict a."""
    parameters = read_mapping(root / "notebooks" / "profiles" / f"{profile}.yaml")
    for name, value in overrides:
        for part in reversed(name.split(".")):
            value = {part: value}
        parameters = merged(parameters, value)
    return parameters


def declared_parameters(page: Path) -> set[str]:
    """Names that a page's cell tagged `parameters` assigns."""
    cell = PARAMETERS.search(page.read_text(encoding="utf-8"))
    if not cell:
        raise InputError(f"{page.stem} has no cell tagged `parameters`: add one that assigns the defaults.")
    nodes = ast.walk(ast.parse(cell[1]))
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def plan(
    root: Path,
    profile: str,
    overrides: Sequence[tuple[str, Any]] = (),
    *,
    only: Collection[str] = (),
    lanes: int = 1,
    gpus: int = 0,
) -> dict[str, Job]:
    """Pages that begin with one of `only` (empty: all) and trainings they need, by name, each after those it needs."""
    parameters = read_parameters(root, profile, overrides)
    settings = parameters.get("settings") or {}
    first, count = parameters.get("seed", 0), settings.get("seeds", 1)
    if not (isinstance(first, int) and isinstance(count, int)):
        raise InputError(f"seed is {first!r} and settings.seeds {count!r}; give whole numbers.")
    rows = ROWS.get(str(settings.get("rows")), HEADLINE)

    paths = {path.stem: path for path in sorted((root / "notebooks").glob(f"{PATTERN}.py"))}
    path = root / "notebooks" / "order.yaml"
    order = read_mapping(path)
    last, wanted = order.get("alone") or [], order.get("needs") or {}
    wanted = {page: {one for name in names for one in ROWS.get(name, (name,))} for page, names in wanted.items()}
    unknown = {*wanted, *last} - set(paths) or set().union(*wanted.values()) - {*VARIANTS, "baselines"}
    if unknown:
        raise InputError(f"{path} names {min(unknown)}, but there is no such notebook or variant.")
    for start in only:
        if not any(name.startswith(start) for name in paths):
            raise InputError(f"no notebook starts with {start}; there are {', '.join(paths)}.")
    pages = [name for name in paths if name.startswith(tuple(only) or "")]
    declared = {name: declared_parameters(paths[name]) for name in pages}
    known = set().union(*declared.values())
    if unknown := parameters.keys() - known:
        raise InputError(f"no page that runs has a parameter {min(unknown)}; they have {', '.join(sorted(known))}.")

    # Without a data folder the pages make their own, which follows from code and parameters.
    folders = [parameters.get("data") or settings.get("data"), *settings.get("real", [])]
    common = [versions(), [folder_fingerprint(root / folder) for folder in folders if folder]]
    out, jobs = Path("runs", profile), {}
    cores = 8 * gpus or os.cpu_count() or 1  # 8 a GPU
    beside = 8 * gpus or max(1, cores // lanes)
    alone = 8 * gpus or beside * lanes

    # How many variants and seeds a page compares makes no training stale.
    own = {k: v for k, v in parameters.items() if k in ("profile", "settings", "seed", "data", "runs")}
    own["settings"] = {k: v for k, v in settings.items() if k not in ("rows", "seeds")}
    named = set().union(*(wanted.get(page, ()) for page in pages)) & {*rows, "baselines"}
    for seed in range(first, first + count if named else first):
        start = f"step_one-seed{seed}"
        for source in ["step_one", *sorted(named - {"step_one"})]:
            needs = () if source == "step_one" else (start,)
            given, name = own | {"source": source, "seed": seed}, f"{source}-seed{seed}"
            key = hash_of([given, common, code_fingerprint("stt_study.study"), [jobs[need].key for need in needs]])
            # Step one has all cores, since all else waits for it; a training of several processes, all GPUs.
            shared = source == "step_one" or (settings.get("scale") or {}).get("processes", 1) != 1
            threads = min(alone, cores) if shared else beside
            jobs[name] = Job(name, str(out / "trainings" / name), given, needs, key, threads)

    common += [(root / "book" / "published.csv").read_text(encoding="utf-8")]  # the tables show it beside the run's own
    common += [folder_fingerprint(root / "results" / "reference")]
    for name in sorted(pages, key=lambda name: name in last):
        needs = tuple(need for need, job in jobs.items() if job.parameters.get("source") in wanted.get(name, ()))
        needs += tuple(page for page in pages if page not in last) if name in last else ()
        content = [paths[name].read_text(encoding="utf-8"), code_fingerprint(paths[name])]
        given = {k: v for k, v in parameters.items() if k in declared[name]}
        key = hash_of([*content, given, common, [jobs[need].key for need in needs if need not in pages]])
        threads, page = alone if name in last else beside, str(paths[name].relative_to(root))
        jobs[name] = Job(name, str(out / "notebooks" / name), given, needs, key, threads, page)
    return jobs
