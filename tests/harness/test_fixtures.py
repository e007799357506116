"""The manifest, the clips behind it and how they are brought here."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import urllib.error
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import soundfile
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
from harness.fixtures.pulling import Pulled, pull

_MIRROR = os.environ.get("S2S_FIXTURES_MIRROR")  # before the tests hide it
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_: str(tmp_path / "cache"))
    monkeypatch.delenv("S2S_FIXTURES_MIRROR", raising=False)


def entry(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "id": "en_a",
        "language": "en",
        "tier": "recorded",
        "transcript": "hello",
        "transcript_source": "a list",
        "speaker": "somebody",
        "condition": "read",
        "licence": "CC0-1.0",
        "attribution": None,
        "source": {"repo": "owner/name", "commit": COMMIT, "path": "a b/x.wav", "sha256": "a" * 64},
        "file": "en/en_a.wav",
        "sha256": "b" * 64,
        "pcm_sha256": None,
        "rate_hz": 16_000,
        "samples": 1600,
        "speech_start": 160,
        "speech_end": 1500,
        "marks_source": "by eye",
    }
    return fields | changes


def parse(**changes: Any) -> Clip:
    return next(parse_manifest(json.dumps(entry(**changes))))


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


def test_clips_of_somebody_s_own_need_no_source_and_lie_beside_their_manifest(tmp_path: Path) -> None:
    data = wav(tmp_path, "x.wav", tone())
    clip = parse(source=None, file="x.wav", sha256=sha(data))
    assert clip.source is None
    assert available(clips=[clip]) == []
    assert [fixture.path for fixture in available(clips=[clip], folder=tmp_path)] == [tmp_path / "x.wav"]
    assert "names no source" in only(list(pull([clip]))).reason


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


# Pulling


def wav(
    folder: Path, name: str, samples: np.ndarray[Any, Any], rate_hz: int = 16_000, subtype: str = "PCM_16"
) -> bytes:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, 16_000, subtype=subtype)
    return path.read_bytes()


def tone(samples: int = 1600) -> np.ndarray[Any, np.dtype[np.int16]]:
    return np.asarray(np.rint(8000 * np.sin(np.arange(samples) / 5)), dtype=np.int16)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def only(pulled: list[Pulled]) -> Pulled:
    assert len(pulled) == 1
    return pulled[0]


def test_pull_from_a_mirror_then_find_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = wav(tmp_path / "mirror", "en/en_a.wav", tone())
    monkeypatch.setenv("S2S_FIXTURES_MIRROR", str(tmp_path / "mirror"))
    clip = parse(sha256=sha(data))
    assert only(list(pull([clip]))).origin == "mirror"
    assert only(list(pull([clip]))).origin == "cache"
    monkeypatch.delenv("S2S_FIXTURES_MIRROR")
    (fixture,) = available(clips=[clip])
    assert fixture.path == tmp_path / "cache" / "fixtures" / "en/en_a.wav"
    np.testing.assert_array_equal(read(fixture, 16_000), tone().astype(np.float32) / 32_768)
    assert len(read(fixture, 24_000)) == 2400


def test_a_mirror_is_read_in_place_without_a_pull(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = wav(tmp_path / "mirror", "en/en_a.wav", tone())
    monkeypatch.setenv("S2S_FIXTURES_MIRROR", str(tmp_path / "mirror"))
    assert [fixture.tier for fixture in available(clips=[parse(sha256=sha(data))])] == ["recorded"]


def test_a_wrong_byte_and_a_missing_file_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = wav(tmp_path / "mirror", "en/good.wav", tone())
    spoilt = bytearray(wav(tmp_path / "mirror", "en/spoilt.wav", tone()))
    spoilt[-1] ^= 1
    (tmp_path / "mirror/en/spoilt.wav").write_bytes(spoilt)
    monkeypatch.setenv("S2S_FIXTURES_MIRROR", str(tmp_path / "mirror"))
    clips = [parse(id=name, file=f"en/{name}.wav", sha256=sha(good)) for name in ("spoilt", "absent", "good")]
    told = {pulled.clip.id: pulled for pulled in pull(clips)}
    assert told["good"].origin == "mirror"
    assert told["spoilt"].origin is None
    assert "replace the mirror's file" in told["spoilt"].reason
    assert "is the mirror complete" in told["absent"].reason
    assert [path.name for path in (tmp_path / "cache/fixtures/en").iterdir()] == ["good.wav"]
    assert [fixture.id for fixture in available(clips=clips)] == ["good"]


def test_a_mirror_that_is_no_folder_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2S_FIXTURES_MIRROR", str(tmp_path / "nowhere"))
    with pytest.raises(FixtureError, match="no such folder"):
        list(pull([parse()]))


def source_clip(data: bytes, pcm: np.ndarray[Any, Any] | None, **changes: Any) -> Clip:
    source = entry()["source"] | {"sha256": sha(data)} | changes.pop("source", {})
    return parse(source=source, pcm_sha256=None if pcm is None else sha(pcm.astype("<i2").tobytes()), **changes)


def test_pull_from_the_source_cuts_and_checks_every_sample(tmp_path: Path) -> None:
    data = wav(tmp_path, "upstream.wav", tone(16_000))
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        return data

    cut = tone(16_000)[8000:9600]
    clips = [
        source_clip(data, cut, id=name, file=f"en/{name}.flac", source={"cut_s": [0.5, 0.6]}) for name in ("one", "two")
    ]
    assert [pulled.origin for pulled in pull(clips, fetch=fetch)] == ["source", "source"]
    assert asked == [f"https://raw.githubusercontent.com/owner/name/{COMMIT}/a%20b/x.wav"]
    assert [pulled.origin for pulled in pull(clips, fetch=fetch)] == ["cache", "cache"]
    np.testing.assert_array_equal(read(available(clips=clips)[0], 16_000), cut.astype(np.float32) / 32_768)


def test_a_git_lfs_pointer_is_followed_to_the_media_host(tmp_path: Path) -> None:
    data = wav(tmp_path, "upstream.wav", tone())
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        return data if "media." in url else b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"

    assert only(list(pull([source_clip(data, tone())], fetch=fetch))).origin == "source"
    assert asked[1] == f"https://media.githubusercontent.com/media/owner/name/{COMMIT}/a%20b/x.wav"


@pytest.mark.parametrize(
    ("data_of", "changes", "told"),
    [
        (lambda data: data + b"x", {}, "the manifest says"),
        (lambda data: data, {"samples": 1599, "speech_end": 1500}, "1600 samples came out"),
        (lambda data: data, {"pcm_sha256": "c" * 64}, "pcm_sha256 differs"),
    ],
)
def test_a_source_that_is_not_the_clip_is_refused(
    tmp_path: Path, data_of: Any, changes: dict[str, Any], told: str
) -> None:
    data = wav(tmp_path, "upstream.wav", tone())
    clip = parse(source=entry()["source"] | {"sha256": sha(data)}, **changes)
    pulled = only(list(pull([clip], fetch=lambda _: data_of(data))))
    assert pulled.origin is None
    assert told in pulled.reason
    assert not (tmp_path / "cache" / "fixtures").exists() or not any((tmp_path / "cache" / "fixtures").rglob("*.wav"))


def test_bytes_that_no_decoder_takes_are_a_reason_not_a_crash() -> None:
    for path in ("x.wav", "x.ogg", "x.wma"):
        clip = source_clip(b"nonsense", None, source={"path": path})
        pulled = only(list(pull([clip], fetch=lambda _: b"nonsense")))
        assert pulled.origin is None
        assert path in pulled.reason


def test_no_network_is_told_for_each_clip_and_leaves_nothing(tmp_path: Path) -> None:
    def fetch(url: str) -> bytes:
        raise urllib.error.URLError("no route to host")

    told = list(pull([parse(id="a"), parse(id="b", source=entry()["source"] | {"sha256": "d" * 64})], fetch=fetch))
    assert [pulled.origin for pulled in told] == [None, None]
    assert all("no route to host" in pulled.reason and "S2S_FIXTURES_MIRROR" in pulled.reason for pulled in told)
    assert not (tmp_path / "cache" / "fixtures").exists()


def test_a_decoded_file_that_is_spoilt_later_is_fetched_again(tmp_path: Path) -> None:
    data = wav(tmp_path, "upstream.wav", tone())
    clip = source_clip(data, tone())
    assert only(list(pull([clip], fetch=lambda _: data))).origin == "source"
    path = tmp_path / "cache" / "fixtures" / clip.file
    path.write_bytes(path.read_bytes()[:-1])
    assert available(clips=[clip]) == []
    assert only(list(pull([clip], fetch=lambda _: data))).origin == "source"
    assert len(available(clips=[clip])) == 1


def test_a_float_source_saturates_and_never_wraps(tmp_path: Path) -> None:
    data = wav(tmp_path, "upstream.wav", np.array([0.5, 1.5, -1.5, 1.0]), subtype="FLOAT")
    expected = np.array([16_384, 32_767, -32_768, 32_767], dtype=np.int16)
    clip = source_clip(data, expected, samples=4, speech_start=0, speech_end=4)
    assert only(list(pull([clip], fetch=lambda _: data))).reason == ""


def test_raw_samples_take_their_rate_from_the_manifest() -> None:
    data = tone().astype("<i2").tobytes()
    clip = source_clip(data, tone(), source={"path": "x.raw"})
    assert only(list(pull([clip], fetch=lambda _: data))).origin == "source"


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
