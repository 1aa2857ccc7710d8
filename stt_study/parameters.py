"""A profile as its YAML file has it, unchecked: read without PyTorch, which the engine never loads."""

from pathlib import Path

import yaml

from stt_core.errors import InputError

PROFILES = Path(__file__).resolve().parents[1] / "notebooks" / "profiles"


def read_mapping(path: Path) -> dict:
    """A YAML file that holds a mapping, or nothing; else InputError."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml")))
        raise InputError(f"there is no profile {path}; the profiles are {known or 'none'}.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # no UTF-8, a date that is none, a tower of lists
        raise InputError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} must be a mapping.")
    return content


def merged(base: dict, extra: dict) -> dict:
    """`base` with `extra` laid over it; a nested dict changes only the fields it names."""
    result = dict(base)
    for name, value in extra.items():
        nested = isinstance(value, dict) and isinstance(base.get(name), dict)
        result[name] = merged(base[name], value) if nested else value
    return result
