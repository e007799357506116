"""Recordings from a mirror and from their sources, checked to the last sample."""

from __future__ import annotations

import urllib.error
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.fixtures import Clip, FixtureError, available, read
from harness.fixtures.pulling import Pulled, pull
from tests.harness.one_clip import COMMIT, entry, parse, sha, tone, wav

pytestmark = pytest.mark.usefixtures("own_cache")


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


def test_clips_of_somebody_s_own_need_no_source_and_lie_beside_their_manifest(tmp_path: Path) -> None:
    data = wav(tmp_path, "x.wav", tone())
    clip = parse(source=None, file="x.wav", sha256=sha(data))
    assert clip.source is None
    assert available(clips=[clip]) == []
    assert [fixture.path for fixture in available(clips=[clip], folder=tmp_path)] == [tmp_path / "x.wav"]
    assert "names no source" in only(list(pull([clip]))).reason
