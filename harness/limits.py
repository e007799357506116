"""The limits that a build must keep: `gates.toml`, read strictly."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from harness.measures import behaviour

DEFAULT_PATH = Path(__file__).with_name("gates.toml")

LATENCIES = ("ttfa_s", "first_byte_s")
SHARES = ("cut_ins", "no_answers")
WORDS = ("heard", "spoken", "echoed")
CLIPPING = ("clipping",)
BEHAVIOUR: tuple[str, ...] = get_args(behaviour.Measure)
"""Shares too, of what scenarios put to the test."""
MEASURES = (*LATENCIES, *SHARES, *WORDS, *CLIPPING, *BEHAVIOUR)

ALL = "all"
"""The turns of all languages together."""
EACH = "each"
"""Every language by itself, where it has no limit of its own."""
SCOPES = (ALL, EACH, "en", "fr", "es", "zh", "ja", "ko")

_QUANTILE = re.compile(r"p(\d{1,2}(?:_\d+)?)")


class GatesError(ValueError):
    """A gates file that cannot be used: names the file, the key, the reason."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit: of a quantile `p` of a measure, or of the measure itself."""

    measure: str
    value: float
    p: float | None = None

    @property
    def name(self) -> str:
        return self.measure if self.p is None else f"{self.measure} p{100 * self.p:g}"


@dataclass(frozen=True, slots=True)
class Gates:
    """A gates file.

    Attributes:
        valid_share: with fewer valid turns than this share, a run is invalid.
        absent: target to the measures that are not gated there.
        profiles: profile to scope to its limits.
    """

    valid_share: float
    absent: dict[str, frozenset[str]]
    profiles: dict[str, dict[str, tuple[Limit, ...]]]

    def limits(self, profile: str, target: str, scope: str) -> list[Limit]:
        """What holds for a language (or `all`) of a profile on a target."""
        scopes = self.profiles.get(profile, {})
        found = {limit.name: limit for limit in scopes.get(EACH, ())} if scope != ALL else {}
        found |= {limit.name: limit for limit in scopes.get(scope, ())}
        return [limit for limit in found.values() if limit.measure not in self.absent.get(target, frozenset())]


def load(path: Path = DEFAULT_PATH) -> Gates:
    """Read a gates file.

    Raises:
        GatesError: it cannot be read, or has a key or a value that means nothing.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        return _gates(data)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise GatesError(f"the gates file {path} cannot be read: {error}") from None
    except GatesError as error:
        raise GatesError(f"the gates file {path}: {error}") from None


def _gates(data: dict[str, Any]) -> Gates:
    _known(data, ("run", "targets", "profiles"), "the top level")
    run = _table(data.get("run", {}), "run")
    _known(run, ("valid_share",), "run")
    targets = _table(data.get("targets", {}), "targets")
    profiles = _table(data.get("profiles", {}), "profiles")
    return Gates(
        valid_share=_number(run.get("valid_share", 0.8), "run.valid_share", highest=1.0),
        absent={name: _absent(table, f"targets.{name}") for name, table in targets.items()},
        profiles={name: _profile(table, f"profiles.{name}") for name, table in profiles.items()},
    )


def _absent(value: object, where: str) -> frozenset[str]:
    table = _table(value, where)
    _known(table, ("absent",), where)
    names = table.get("absent", [])
    if not isinstance(names, list) or not set(map(str, names)) <= set(MEASURES):
        raise GatesError(f"{where}.absent is a list of {', '.join(MEASURES)}, not {names!r:.80}")
    return frozenset(names)


def _profile(value: object, where: str) -> dict[str, tuple[Limit, ...]]:
    table = _table(value, where)
    _known(table, SCOPES, where)
    return {scope: _limits(limits, f"{where}.{scope}") for scope, limits in table.items()}


def _limits(value: object, where: str) -> tuple[Limit, ...]:
    table = _table(value, where)
    _known(table, MEASURES, where)
    limits: list[Limit] = []
    for measure, given in table.items():
        key = f"{where}.{measure}"
        if measure in LATENCIES:
            limits += (
                Limit(measure, _number(v, f"{key}.{p}"), _quantile(p, key)) for p, v in _table(given, key).items()
            )
        elif measure in WORDS and where.endswith(f".{ALL}"):
            raise GatesError(f"{key}: words and characters do not add up over languages; set it for each language")
        elif measure in (*SHARES, *BEHAVIOUR):
            limits.append(Limit(measure, _number(given, key, highest=1.0)))
        else:
            limits.append(Limit(measure, _number(given, key)))
    return tuple(limits)


def _quantile(key: str, where: str) -> float:
    match = _QUANTILE.fullmatch(key)
    p = float(match[1].replace("_", ".")) / 100 if match else 0.0
    if not 0 < p < 1:
        raise GatesError(f"{where}: unknown key {key!r}; a quantile is p50, p95, p99_9 and the like")
    return p


def _number(value: object, where: str, *, highest: float = 1e6) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= highest:
        raise GatesError(f"{where} is a number from 0 to {highest:g}, not {value!r:.60}")
    return float(value)


def _table(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise GatesError(f"{where} is a table, not {value!r:.60}")
    return value


def _known(table: dict[str, Any], names: tuple[str, ...], where: str) -> None:
    if unknown := [key for key in table if key not in names]:
        raise GatesError(f"{where}: unknown key {', '.join(map(repr, unknown))}; it knows {', '.join(names)}")
