"""The manifest, the clips behind it and how they are brought here."""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from cli.fixtures import fixtures as command
from harness.fixtures import (
    LANGUAGES,
    Clip,
    Fixture,
    FixtureError,
    ManifestError,
    Use,
    available,
    describe,
    parse_manifest,
    read,
)
from harness.fixtures.manifest import load_manifest
from tests.harness.one_clip import COMMIT, entry, parse, sha, tone, wav

pytestmark = pytest.mark.usefixtures("own_cache")

_MIRROR = os.environ.get("S2S_FIXTURES_MIRROR")  # before the tests hide it


# The manifest in the repository


def test_manifest_is_valid_and_complete() -> None:
    clips = load_manifest()
    tiers = Counter((clip.tier, clip.language) for clip in clips if clip.use == "turn")
    assert sum(count for (tier, _), count in tiers.items() if tier == "recorded") == 97
    assert all(tiers["synthetic", language] == 2 for language in LANGUAGES)
    assert all(tiers["recorded", language] >= 8 for language in LANGUAGES)
    assert all(clip.source is not None for clip in clips if clip.tier == "recorded")
    overlaps = Counter((clip.use, clip.language) for clip in clips if clip.use != "turn")
    for use in ("backchannel", "interruption"):
        assert {language: overlaps[use, language] for language in LANGUAGES} == dict.fromkeys(LANGUAGES, 3) | {"en": 6}
    assert len({clip.file for clip in clips}) == len(clips)


def test_manifest_names_whom_the_licence_asks_to_name() -> None:
    for clip in load_manifest():
        assert clip.licence
        if clip.licence.startswith(("CC-BY", "BSD", "CMU ARCTIC", "MIT", "Apache")):
            assert clip.attribution, clip.id


def test_synthetic_clips_come_with_the_repository_and_say_so() -> None:
    chosen = available(limit=2)
    assert Counter(fixture.language for fixture in chosen) == dict.fromkeys(LANGUAGES, 2)
    assert {fixture.tier for fixture in chosen} == {"synthetic"}
    assert describe(chosen) == "synthetic: en 2, fr 2, es 2, zh 2, ja 2, ko 2"
    assert available("recorded") == []


# Parsing


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"language": "de"}, "'language'"),
        ({"tier": "made"}, "'tier'"),
        ({"use": "cough"}, "'use'"),
        ({"use": None}, "'use'"),
        ({"transcript": " "}, "'transcript'"),
        ({"licence": "CC-BY-4.0"}, "asks for a name"),
        ({"speech_end": 1601}, "up to 1600"),
        ({"speech_end": 160}, "after speech_start"),
        ({"speech_start": 0.5}, "'speech_start'"),
        ({"speech_start": True}, "'speech_start'"),
        ({"samples": 0}, "above 0"),
        ({"sha256": "B" * 64}, "'sha256'"),
        ({"file": "../../.ssh/x.wav"}, "'file'"),
        ({"file": "/etc/x.wav"}, "'file'"),
        ({"id": "a/b"}, "'id'"),
        ({"surprise": 1}, "'surprise'"),
        ({"source": {"repo": "owner", "commit": COMMIT, "path": "x", "sha256": "a" * 64}}, "'source.repo'"),
        ({"source": entry()["source"] | {"cut_s": [2, 1]}}, "'source.cut_s'"),
        ({"source": entry()["source"] | {"cut_s": [0, float("nan")]}}, "'source.cut_s'"),
        ({"source": []}, "'source'"),
        ({"language": "none", "transcript": ""}, "null"),
        ({"word_gaps": [700, 600]}, "'word_gaps'"),
        ({"word_gaps": [160]}, "'word_gaps'"),
        ({"word_gaps": [700, True]}, "'word_gaps'"),
        ({"word_gaps": 700}, "'word_gaps'"),
    ],
)
def test_a_wrong_field_is_named_with_its_line(changes: dict[str, Any], told: str) -> None:
    text = json.dumps(entry(id="first")) + "\n\n" + json.dumps(entry(**changes))
    with pytest.raises(ManifestError, match="manifest line 3") as raised:
        list(parse_manifest(text))
    assert told in str(raised.value)


@pytest.mark.parametrize("field", sorted(entry()))
def test_a_missing_field_is_named(field: str) -> None:
    line = entry()
    del line[field]
    with pytest.raises(ManifestError, match=f"line 1: field '{field}' is missing"):
        list(parse_manifest(json.dumps(line)))


def test_an_id_given_twice_names_both_lines() -> None:
    with pytest.raises(ManifestError, match=r"line 2.*also line 1"):
        list(parse_manifest("\n".join([json.dumps(entry())] * 2)))


def test_a_manifest_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="restore it"):
        load_manifest(tmp_path / "none.jsonl")
    (tmp_path / "bytes.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ManifestError, match="restore it"):
        load_manifest(tmp_path / "bytes.jsonl")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_changes = st.dictionaries(st.sampled_from(sorted(entry())), _json)
_spoilt_entry = _changes.map(lambda changes: json.dumps(entry(**changes)))


@given(st.text() | _json.map(json.dumps) | _spoilt_entry)
def test_any_text_is_clips_or_a_manifest_error(text: str) -> None:
    with contextlib.suppress(ManifestError):
        clips = list(parse_manifest(text))
        assert all(clip.speech_end is None or 0 < clip.speech_end <= clip.samples for clip in clips)


_rates = st.sampled_from([8_000, 16_000, 22_050, 24_000, 44_100, 48_000])


@given(st.integers(0, 10**6), st.integers(1, 10**6), _rates, _rates)
def test_marks_keep_their_time_at_another_rate(start: int, length: int, rate_hz: int, other_hz: int) -> None:
    clip = parse(rate_hz=rate_hz, samples=start + length, speech_start=start, speech_end=start + length)
    for found, index in zip(clip.speech_at(other_hz), (start, start + length), strict=True):
        assert abs(found / other_hz - index / rate_hz) <= 0.5 / other_hz + 1e-9


def test_marks_of_a_clip_without_speech_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="no speech"):
        parse(language="none", transcript="", speech_start=None, speech_end=None).speech_at(16_000)


# Choosing and reading


def test_a_limit_spreads_over_speakers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = wav(tmp_path / "mirror", "en/en_a.wav", tone())
    monkeypatch.setenv("S2S_FIXTURES_MIRROR", str(tmp_path / "mirror"))
    clips = [
        parse(id=f"{who}{n}", speaker=who, sha256=sha(data))
        for who, n in (("a", 1), ("a", 2), ("b", 1), ("c", 1), ("b", 2))
    ]
    assert [fixture.id for fixture in available(limit=4, clips=clips)] == ["a1", "b1", "c1", "a2"]


def test_what_is_said_over_a_reply_is_played_only_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = wav(tmp_path / "mirror", "en/en_a.wav", tone())
    monkeypatch.setenv("S2S_FIXTURES_MIRROR", str(tmp_path / "mirror"))
    clips = [parse(id="turn", sha256=sha(data)), parse(id="murmur", use="backchannel", sha256=sha(data))]
    assert [fixture.id for fixture in available(clips=clips)] == ["turn"]
    assert [fixture.id for fixture in available(clips=clips, use="backchannel")] == ["murmur"]
    assert available(clips=clips, use="interruption") == []


def test_auto_takes_recordings_where_there_are_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = wav(tmp_path / "mirror", "en/en_a.wav", tone())
    monkeypatch.setenv("S2S_FIXTURES_MIRROR", str(tmp_path / "mirror"))
    chosen = available(languages=("en", "ko"), clips=[*load_manifest(), parse(id="one", sha256=sha(data))])
    assert describe(chosen) == "recorded: en 1; synthetic: ko 2"


def test_read_averages_channels_and_refuses_another_length(tmp_path: Path) -> None:
    stereo = np.stack([tone(), -tone()], axis=1)
    data = wav(tmp_path / "cache" / "fixtures", "en/en_a.wav", stereo)
    (fixture,) = available(clips=[parse(sha256=sha(data))])
    assert not read(fixture, 16_000).any()
    other = available(clips=[parse(sha256=sha(data), samples=1601)])[0]
    with pytest.raises(FixtureError, match="manifest says 1601"):
        read(other, 16_000)
    fixture.path.write_bytes(b"RIFF")
    with pytest.raises(FixtureError, match="cannot be read"):
        read(fixture, 16_000)


# The annotation itself, on whatever clips are here


def level_db(samples: np.ndarray[Any, Any]) -> float:
    return float(10 * np.log10(np.mean(samples.astype(np.float64) ** 2) + 1e-12))


def assert_marks_stand_at_the_edges_of_speech(fixture: Fixture) -> None:
    samples = read(fixture, 16_000)
    start, end = fixture.speech_at(16_000)
    frames = samples[: len(samples) // 160 * 160].reshape(-1, 160).astype(np.float64)
    loud = float(np.percentile(10 * np.log10((frames**2).mean(axis=1) + 1e-12), 95))
    first, last = samples[start : start + 4800], samples[max(start, end - 4800) : end]
    assert level_db(first) > loud - 35, f"{fixture.id}: no speech in the 0.3 s after its start"
    assert level_db(last) > loud - 35, f"{fixture.id}: no speech in the 0.3 s before its end"
    assert (end - start) / 16_000 > (0.4 if fixture.use == "turn" else 0.15)


SYNTHETIC = [fixture for use in get_args(Use) for fixture in available("synthetic", use=use)]


@pytest.mark.parametrize("fixture", SYNTHETIC, ids=lambda fixture: fixture.id)
def test_synthetic_marks_are_exact(fixture: Fixture) -> None:
    samples = read(fixture, 16_000)
    start, end = fixture.speech_at(16_000)
    assert (start, len(samples) - end) == (4800, 8000)
    for room_noise in (samples[:start], samples[end:]):
        assert -66 < level_db(room_noise) < -64
    assert_marks_stand_at_the_edges_of_speech(fixture)
    assert level_db(samples[start : start + 800]) > -60
    assert level_db(samples[end - 800 : end]) > -60


def test_recorded_marks_stand_at_the_edges_of_speech(monkeypatch: pytest.MonkeyPatch, mirror: str) -> None:
    monkeypatch.setenv("S2S_FIXTURES_MIRROR", mirror)
    recorded = available("recorded")
    assert len(recorded) == 85
    drops_db: list[float] = []
    for fixture in recorded:
        assert_marks_stand_at_the_edges_of_speech(fixture)
        edges = np.diff(read(fixture, 16_000))  # without the rumble of the room
        _, end = fixture.speech_at(16_000)
        if len(edges) - end > 1600:
            drops_db.append(level_db(edges[end - 4800 : end]) - level_db(edges[end + 160 : end + 1760]))
    # Not of each: breath, a click or a noisy room follows some, which is why those were marked by eye.
    assert np.percentile(drops_db, 10) > 10
    assert np.median(drops_db) > 20


@pytest.fixture
def mirror() -> str:
    if _MIRROR is None:
        pytest.skip("S2S_FIXTURES_MIRROR is not set: no recordings to check")
    return _MIRROR


# The command


def test_the_command_pulls_lists_and_verifies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = wav(tmp_path / "mirror", "en/en_a.wav", tone())
    clips = [parse(sha256=sha(data)), parse(id="absent", file="en/absent.wav", sha256=sha(data))]
    monkeypatch.setattr("cli.fixtures.load_manifest", lambda: clips)
    monkeypatch.setenv("S2S_FIXTURES_MIRROR", str(tmp_path / "mirror"))
    pulled = CliRunner().invoke(command, ["pull"])
    assert pulled.exit_code == 1
    assert "1 of 2 recordings" in pulled.output
    assert "absent" in pulled.output
    assert "1 recordings could not be had" in pulled.output
    listed = CliRunner().invoke(command, ["list"])
    assert listed.exit_code == 0
    assert "would be played: recorded: en 1" in listed.output
    assert CliRunner().invoke(command, ["verify"]).exit_code == 1
    clips.pop()
    assert CliRunner().invoke(command, ["pull"]).exit_code == 0
    assert CliRunner().invoke(command, ["verify"]).exit_code == 0


def test_the_command_tells_of_a_broken_manifest_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> list[Clip]:
        raise ManifestError("manifest.jsonl line 3: not JSON")

    monkeypatch.setattr("cli.fixtures.load_manifest", broken)
    outcome = CliRunner().invoke(command, ["list"])
    assert outcome.exit_code == 1
    assert "Error: manifest.jsonl line 3" in outcome.output
