"""Which notebooks there are, with which parameters they run, in which order, and which are fresh."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stt_core.errors import InputError
from stt_core.files import read_json
from stt_core.provenance import versions
from stt_study.engine.pairing import PATTERN, declared_parameters, read_source
from stt_study.engine.progress import clock
from stt_study.store import code_fingerprint, folder_fingerprint, hash_of

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Notebook:
    """One notebook, ready to run. Files of the run start with `out`, e.g. `runs/laptop/notebooks/03_temporal_step`."""

    name: str
    source: Path
    out: Path
    parameters: dict[str, Any]
    after: tuple[str, ...]
    alone: bool
    key: str  # hash of source, parameters, library, data, and of the keys of `after`

    def path(self, suffix: str) -> Path:
        return self.out.with_name(self.out.name + suffix)

    def record(self) -> dict:
        """Profile, key, parameters, seconds, finished, versions and cores of the last good run; empty if none."""
        try:
            return read_json(self.path(".json"))
        except InputError:
            return {}

    @property
    def fresh(self) -> bool:
        return self.path(".ipynb").exists() and self.record().get("key") == self.key


def read_parameters(root: Path, profile: str, overrides: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The profile's YAML with overrides; the name "a.b" sets field b of the dict a.

    Raises:
        InputError: there is no such profile, or it isn't a mapping.
    """
    path = root / "notebooks" / "profiles" / f"{profile}.yaml"
    parameters = _read_yaml(path)
    if parameters is None:
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml")))
        raise InputError(f"there is no profile {path}; the profiles are {known or 'none'}.")
    for name, value in overrides:
        place, *nested = name.split(".")[::-1]
        target = parameters
        for part in nested[::-1]:
            target = target.setdefault(part, {})
            if not isinstance(target, dict):
                raise InputError(f"-p {name}: {part} isn't a mapping in profile {profile}.")
        target[place] = value
    return parameters


def _read_yaml(path: Path) -> dict | None:
    """None if there is no such file."""
    if not path.exists():
        return None
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} must be a mapping.")
    return values


def plan(root: Path, profile: str, overrides: Sequence[tuple[str, Any]] = ()) -> list[Notebook]:
    """Every notebook of the repository, in an order in which each comes after those it waits for.

    Args:
        root: the repository.
        overrides: (name, value) of parameters.

    Raises:
        InputError: an unknown profile, a parameter that a notebook doesn't declare, an impossible order.
    """
    parameters = read_parameters(root, profile, overrides)
    sources = {path.stem: path for path in sorted((root / "notebooks").glob(f"{PATTERN}.py"))}
    order = _read_yaml(root / "notebooks" / "order.yaml") or {}
    after, alone = order.get("after") or {}, order.get("alone") or []
    named = {*after, *alone, *(name for names in after.values() for name in names)}
    if unknown := sorted(named - set(sources)):
        raise InputError(f"notebooks/order.yaml names {unknown[0]}, but there is no such notebook.")

    figures = root / "book" / "published.csv"  # the tables show it beside the run's own
    shown = figures.read_text(encoding="utf-8") if figures.exists() else ""
    common = [*_common(root, parameters), shown, folder_fingerprint(root / "results" / "reference")]
    planned: dict[str, Notebook] = {}
    while len(planned) < len(sources):
        ready = [n for n in sources if n not in planned and all(a in planned for a in after.get(n, []))]
        if not ready:
            raise InputError(f"notebooks/order.yaml goes in a circle: {', '.join(set(sources) - set(planned))}.")
        name, source = ready[0], sources[ready[0]]
        known = declared_parameters(read_source(source), name)
        if unknown := sorted(set(parameters) - known):
            raise InputError(f"{name} has no parameter {unknown[0]}; it has {', '.join(sorted(known))}.")
        before = tuple(after.get(name, []))
        key = hash_of([*_written(source), common, [planned[b].key for b in before]])
        out = root / "runs" / profile / "notebooks" / name
        planned[name] = Notebook(name, source, out, parameters, before, name in alone, key)
    return list(planned.values())


def grid(root: Path, profile: str, seeds: int, overrides: Sequence[tuple[str, Any]] = ()) -> list[Notebook]:
    """`notebooks/grid_cell.py` once for every way to train and every seed; step one's cells come first, the others wait.

    Args:
        root: the repository.
        seeds: how many, from the parameter `seed` on.
        overrides: (name, value) of parameters.
    """
    from stt_study.variants import VARIANTS  # seconds to import, and the runner of notebooks needn't

    parameters = read_parameters(root, profile, overrides)
    source = root / "notebooks" / "grid_cell.py"
    content, common = _written(source), _common(root, parameters)
    first = int(parameters.get("seed", 0))
    cells = []
    for seed in range(first, first + seeds):
        for variant in sorted(VARIANTS, key=lambda name: name != "step_one"):
            own = {**parameters, "seed": seed, "variant": variant}
            name = f"{variant}-seed{seed}"
            after = () if variant == "step_one" else (f"step_one-seed{seed}",)
            out = root / "runs" / profile / "grid" / name
            cells.append(Notebook(name, source, out, own, after, False, hash_of([*content, own, common])))
    return cells


def _written(source: Path) -> list[str]:
    """A notebook's text, and what all that it imports from us does."""
    return [source.read_text(encoding="utf-8"), code_fingerprint(source)]


def _common(root: Path, parameters: dict[str, Any]) -> list:
    """What every notebook's output depends on, besides its own source and what it shows beside this run."""
    # Without a data folder the notebooks make their own, which follows from code and parameters.
    settings = parameters.get("settings") or {}
    folders = [parameters.get("data") or settings.get("data"), *settings.get("real", [])]
    data = [folder_fingerprint(root / folder) for folder in folders if folder]
    return [parameters, versions(), data]


def select(notebooks: list[Notebook], only: list[str]) -> list[Notebook]:
    """Those whose names start with one of `only`, such as "06"; all if `only` is empty."""
    for start in only:
        if not any(n.name.startswith(start) for n in notebooks):
            raise InputError(f"no notebook starts with {start}; there are {', '.join(n.name for n in notebooks)}.")
    exact = {n.name for n in notebooks} & set(only)  # full-seed1 isn't full-seed10, too
    starts = tuple(start for start in only if start not in exact)
    return [n for n in notebooks if not only or n.name in exact or (starts and n.name.startswith(starts))]


def forecast(root: Path, cells: list[Notebook], jobs: int) -> str:
    """One line on how long the stale cells of a grid will take: by their last run or the reference's, whichever was longer.

    A cell's last run may have found everything stored, and so may the next: the line says "at most".
    """
    stale = [cell for cell in cells if not cell.fresh]
    seconds, unknown = 0.0, 0
    for cell in stale:
        took = known_seconds(root, cell)
        seconds, unknown = seconds + took, unknown + (not took)
    text = f"{len(stale)} of {len(cells)} cells to run, {jobs} at a time"
    if len(stale) > unknown:
        text += f": at most about {clock(seconds / jobs)}, by the times of their last run or of the reference's machine"
    return text + (f"; nothing is known of {unknown}" if unknown else "")


def known_seconds(root: Path, cell: Notebook) -> float:
    """Seconds of a cell's last run or of the reference's, whichever was longer; 0 if there is neither."""
    profile, variant = cell.out.parent.parent.name, cell.parameters["variant"]
    return max(cell.record().get("seconds", 0), _reference_seconds(root, profile, variant))


def _reference_seconds(root: Path, profile: str, variant: str) -> float:
    path = root / "results" / "reference" / profile / f"{variant}.json"
    if not path.is_file():
        return 0.0
    seeds = read_json(path)["seeds"].values()
    took = [(seed["training seconds"] or 0) + sum(seed["measuring seconds"].values()) for seed in seeds]
    return sum(took) / len(took)
