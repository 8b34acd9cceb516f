"""What made predictions, as their files say it: what is recorded of it, what differs, what repeats.

An *origin* is the provenance of one run's predictions, or {} where a file has none.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

Origin = Mapping[str, Any]

# What may differ between runs that are compared, but should be known. `train_fingerprint` is of the
# training data; that of the data predicted on must agree.
WATCHED = (
    *("train_fingerprint", "step", "registered", "code_version", "versions"),
    *("platform", "topology", "machine", "settings"),
)
_SHOWN = 4  # values that one line has room for


def identity(origin: Origin) -> tuple[Any, ...] | None:
    """What two runs share only if one is the other again: config, seed and index.

    Every random stream is a function of these, so on another machine, too, the same identity is
    the same training and no independent one.
    """
    keys = ("config_hash", "seed", "run")
    return tuple(origin[key] for key in keys) if all(key in origin for key in keys) else None


def held(origin: Origin) -> bool:
    """Whether no random stream that matters differs between runs of this config."""
    varied = set(origin.get("vary", ("unknown",)))
    config = origin.get("config", {})
    data, own = config.get("data", {}), config.get("data", {}).get("augment", "none") != "none"
    draws = own or data.get("cutout") or data.get("mixup") or config.get("model", {}).get("dropout")
    if data and data.get("crop") == "none" and not data.get("flip") and not draws:
        varied -= {"augmentation"}  # there is nothing to draw
    if data.get("sample", "all") == "all":
        varied -= {"sample"}
    return not varied


def made_by(origins: Sequence[Origin]) -> dict[str, Any]:
    """What made a group of runs, for its report; lists have what differs between the runs once."""
    known = [origin for origin in origins if origin]
    if not known:
        return {}
    first = known[0]
    shared = ("config", "config_hash", "vary", "data_fingerprint")
    found = {key: first[key] for key in shared if key in first}
    found["runs"] = [origin.get("run") for origin in known]
    for key in ("seed", *WATCHED):
        found[key] = [json.loads(value) for value in _values(known, key)]
    return found


def differences(groups: Mapping[str, Sequence[Origin]]) -> list[str]:
    """One line for each thing that differs within a group of runs, or between groups.

    Args:
      groups: the origins of each group's runs, by its name.
    """
    lines = []
    for key in WATCHED:
        whole: dict[str, list[str]] = {}
        for name, origins in groups.items():
            values = _values(origins, key)
            if len(values) > 1:
                parts = {v: [_run(origins[i]) for i in at] for v, at in values.items()}
                lines.append(f"{name}: its runs differ in {_difference(key, parts, 'run')}")
            elif values:
                whole.setdefault(next(iter(values)), []).append(name)
        if len(whole) > 1:
            lines.append(f"the groups differ in {_difference(key, whole)}")
    versions = {origin.get("code_version", "") for runs in groups.values() for origin in runs}
    if dirty := sorted(version for version in versions if version.endswith("-dirty")):
        lines.append(
            f"code_version {', '.join(dirty)} had changes that were not committed: runs that share "
            "it may differ in code"
        )
    return lines


def changes(before: Origin, now: Origin, keys: Sequence[str]) -> list[str]:
    """What another machine or setting would change, as `settings: threads 64 -> 96`, a key each."""
    found = []
    for key in keys:
        if key not in before or before[key] == now[key]:
            continue
        old, new = (
            {key: origin[key]} if not isinstance(origin[key], dict) else origin[key]
            for origin in (before, now)
        )
        differing = sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k))
        found += [f"{k} {old.get(k, 'unset')} -> {new.get(k, 'unset')}" for k in differing]
    return found


def repeats(groups: Mapping[str, Sequence[Origin]]) -> list[str]:
    """One line for each two groups that share runs: the same training is in both."""
    found: dict[tuple[str, str], list[str]] = {}
    seen: dict[tuple[Any, ...], str] = {}
    for name, origins in groups.items():
        for origin in origins:
            own = identity(origin)
            if own is not None and seen.setdefault(own, name) != name:
                found.setdefault((seen[own], name), []).append(_run(origin))
    return [
        f"{a} and {b} hold the same training (run {', '.join(runs)}: same config, seed and "
        "streams): what differs between the two is no retraining"
        for (a, b), runs in found.items()
    ]


def _values(origins: Sequence[Origin], key: str) -> dict[str, list[int]]:
    """{value as JSON: which of the origins have it}; those that do not say are left out."""
    found: dict[str, list[int]] = {}
    for place, origin in enumerate(origins):
        if key in origin:
            found.setdefault(json.dumps(origin[key], sort_keys=True), []).append(place)
    return found


def _difference(key: str, having: Mapping[str, Sequence[str]], noun: str = "") -> str:
    """`platform: cpu (run 0, 1), gpu (run 2)`."""
    values = [json.loads(value) for value in having]
    if all(isinstance(value, dict) for value in values):
        # Only what differs, as {'jax': …} of all versions.
        keys = sorted({k for value in values for k in value})
        keys = [k for k in keys if len({json.dumps(value.get(k)) for value in values}) > 1]
        texts = [" ".join(f"{k} {value.get(k, 'unset')}" for k in keys) for value in values]
    else:
        texts = [str(value) for value in values]
    parts = [
        f"{text} ({noun}{' ' if noun else ''}{_listed(names)})"
        for text, names in zip(texts, having.values(), strict=True)
    ]
    more = f" and {len(parts) - _SHOWN} more" if len(parts) > _SHOWN else ""
    return f"{key}: {', '.join(parts[:_SHOWN])}{more}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 2 * _SHOWN} more" if len(names) > 2 * _SHOWN else ""
    return ", ".join(names[: 2 * _SHOWN]) + more


def _run(origin: Origin) -> str:
    return str(origin.get("run", "?"))
