"""The options of the pytest plugin, each by the command line, by the environment and by the ini file, in this order."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest

from harness.fixtures import LANGUAGES, MANIFEST
from harness.limits import DEFAULT_PATH
from harness.run_settings import RunSettings, default_folder, parse_languages
from harness.sequential import parse_budget
from harness.targets import TARGET_NAMES, infer_target

INI_PREFIX = "s2s_"
ENVIRONMENT_PREFIX = "S2S_GATE_"
NO_JUDGE = "none"

_TARGET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class OptionError(ValueError):
    """A value that means nothing; the message names where it was given, and the remedy."""


@dataclass(frozen=True, slots=True)
class Option:
    """`--name`, `S2S_GATE_NAME` in the environment, `s2s_name` in the ini file.

    Attributes:
        metavar: what the help calls its value.
        meaning: for the help.
        choices: the values there are; empty for any.
    """

    name: str
    metavar: str
    meaning: str
    choices: tuple[str, ...] = ()

    @property
    def flag(self) -> str:
        return f"--{self.name}"

    @property
    def key(self) -> str:
        """In the ini file, and among the parsed options."""
        return INI_PREFIX + self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        return ENVIRONMENT_PREFIX + self.name.replace("-", "_").upper()


OPTIONS = (
    Option("endpoint", "URL", "a running server, ws:// or wss://; without it: the cascade in this process"),
    Option(
        "target",
        "NAME",
        f"how to reach it: {', '.join(TARGET_NAMES)}, or the name of what your own `target` fixture gives; "
        "default: /ws in the URL is endpoint, else realtime",
    ),
    Option("language", "CODES", f"separated by commas; default: {','.join(LANGUAGES)}"),
    Option(
        "tier",
        "TIER",
        "which clips: recorded, synthetic, or auto, a language's recordings where there are any; default: auto",
        ("auto", "recorded", "synthetic"),
    ),
    Option("limit", "N", "at most so many clips a language; default: all"),
    Option("budget", "TIME", "go on up to so long (90s, 10m, 1h) while a limit is undecided; default: each clip once"),
    Option("manifest", "FILE", "clips of your own, written down as docs/fixtures.md says; default: the gate's"),
    Option("audio", "DIR", "where the files of your own clips are; default: beside their manifest"),
    Option("report", "DIR", "folder of the report; default: reports/TIME-TARGET"),
    Option("gates", "FILE", "limits of your own; default: the gate's"),
    Option("profile", "NAME", "whose limits apply; default: what the server says it runs, else embedded"),
    Option(
        "judge",
        "NAME",
        "what listens to the replies: whisper-base or none; default: whisper-base",
        ("whisper-base", NO_JUDGE),
    ),
    Option("token-env", "NAME", "the environment variable that holds the server's token; default: S2S_TOKEN"),
)


def add(parser: pytest.Parser) -> None:
    """Register them; one whose flag is another plugin's already gets `--s2s-` before its name."""
    group = parser.getgroup(
        "s2s-gate",
        "the speech-to-speech gate, like: pytest -m latency --endpoint ws://127.0.0.1:8080/v1/realtime\n"
        "Each option may also stand in the environment (S2S_GATE_ENDPOINT) or in the ini file (s2s_endpoint)",
    )
    for option in OPTIONS:
        _add_flag(group, option)
        parser.addini(option.key, f"what {option.flag} is where neither it nor {option.variable} is given")


def _add_flag(group: pytest.OptionGroup, option: Option) -> None:
    settings: dict[str, object] = {"dest": option.key, "metavar": option.metavar, "help": option.meaning}
    try:
        group.addoption(option.flag, **settings)
    except (ValueError, argparse.ArgumentError):
        group.addoption(f"--s2s-{option.name}", **settings)


_Given: TypeAlias = "tuple[str, str, Path]"
"""A value, where it was given, and the folder from which a relative path in it is meant."""


def settings_of(config: pytest.Config, environment: Mapping[str, str] = os.environ) -> RunSettings:
    """The run that the options ask for; it is in no history.

    Raises:
        OptionError: a value means nothing.
        harness.fixtures.FixtureError: a language that no clip can have.
        harness.sequential.BudgetError: a budget that is no time.
        harness.targets.UnavailableError: an endpoint that is no address.
    """
    given = {option.name: found for option in OPTIONS if (found := _find(config, option, environment))}

    def text(name: str) -> str | None:
        return given[name][0] if name in given else None

    def path(name: str) -> Path | None:
        return given[name][2] / given[name][0] if name in given else None

    def parsed(name: str, accepts: Callable[[str], bool], remedy: str) -> str | None:
        value = text(name)
        if value is not None and not accepts(value):
            raise OptionError(f"{given[name][1]}: {value!r} is not right; {remedy}")
        return value

    for option in OPTIONS:
        if option.choices:
            parsed(option.name, option.choices.__contains__, f"choose {' or '.join(option.choices)}")
    limit = parsed("limit", lambda value: value.isdecimal() and int(value) > 0, "give a whole number above 0")
    named = parsed(
        "target",
        lambda value: _TARGET_NAME.fullmatch(value) is not None,
        f"give {', '.join(TARGET_NAMES)}, or the name of your own target, in letters, digits, dots and dashes",
    )
    endpoint, budget, languages = text("endpoint"), text("budget"), text("language")
    target = named or infer_target(endpoint)
    judge = text("judge") or "whisper-base"
    manifest = path("manifest")
    audio = path("audio") or (manifest.parent if manifest else None)
    return RunSettings(
        folder=path("report") or default_folder(target),
        target=target,
        endpoint=endpoint,
        token=environment.get(text("token-env") or "S2S_TOKEN"),
        languages=parse_languages(languages) if languages else LANGUAGES,
        tier=text("tier") or "auto",  # type: ignore[arg-type]  # held to the option's choices above
        limit=int(limit) if limit else None,
        manifest=manifest or MANIFEST,
        audio=audio,
        gates=path("gates") or DEFAULT_PATH,
        judge=None if judge == NO_JUDGE else judge,
        profile=text("profile"),
        budget_s=parse_budget(budget) if budget else None,
    )


def _find(config: pytest.Config, option: Option, environment: Mapping[str, str]) -> _Given | None:
    """What is given closest to the person at the terminal; an empty text is none."""
    beside_ini = config.inipath.parent if config.inipath else config.rootpath
    for value, where, folder in (
        (config.getoption(option.key), option.flag, Path()),
        (environment.get(option.variable), option.variable, Path()),
        (config.getini(option.key), f"{option.key} in {config.inipath}", beside_ini),
    ):
        if value:
            return str(value), where, folder
    return None
