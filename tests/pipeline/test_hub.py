"""Models of the hub, from a stand-in of it."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline.profiles.engines import ModelSource
from pipeline.weights import WeightsError, WeightStore, hub
from pipeline.weights.finding import find

TOKEN = "hf_secret"  # noqa: S105 - of a stand-in
SOURCE = ModelSource("someone/model", "a" * 40, ("*.json", "*.safetensors"), gated=True)


def _oid(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


class Hub(BaseHTTPRequestHandler):
    """One repository, with the answer of `failure` in its place where there is one."""

    files = {"config.json": b"{}", "model.safetensors": b"weights", "readme.md": b"#"}
    failure: tuple[int, dict[str, str]] | None = None
    asked: list[str] = []

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.asked.append(self.headers.get("Authorization", ""))
        if self.failure is not None:
            status, headers = self.failure
            self._answer(status, b"", headers)
        elif "/tree/" in self.path:
            listed = [
                {"type": "file", "path": name, "size": len(content), "oid": _oid(content)}
                for name, content in self.files.items()
            ]
            self._answer(200, json.dumps(listed).encode(), {"Content-Type": "application/json"})
        elif self.path.startswith("/api/models/someone/model"):
            siblings = [{"rfilename": name} for name in self.files]
            told = {"id": "someone/model", "sha": SOURCE.revision, "siblings": siblings}
            self._answer(200, json.dumps(told).encode(), {"Content-Type": "application/json"})
        else:
            content = self.files[self.path.rpartition("/")[2]]
            self._answer(200, content, {"ETag": f'"{_oid(content)}"', "X-Repo-Commit": SOURCE.revision})

    def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is that of the class above
        """Nothing."""


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[Hub]]:
    kind = type("OneHub", (Hub,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    from huggingface_hub import constants

    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # by which the client waits before it tries again
    yield kind
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("stand_in")
def test_a_model_is_fetched_once_and_then_found(stand_in: type[Hub]) -> None:
    assert hub.cached(SOURCE) is None
    folder = hub.fetch(SOURCE)
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.safetensors"]
    asked = len(stand_in.asked)
    assert hub.fetch(SOURCE) == hub.cached(SOURCE) == folder
    assert len(stand_in.asked) == asked


@pytest.mark.usefixtures("stand_in")
def test_half_a_model_is_fetched_again() -> None:
    (hub.fetch(SOURCE) / "model.safetensors").unlink()
    assert hub.cached(SOURCE) is None
    assert (hub.fetch(SOURCE) / "model.safetensors").read_bytes() == b"weights"


def test_a_model_in_parts_is_whole_with_all_of_them(tmp_path: Path) -> None:
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "one.safetensors").touch()
    assert not hub.is_whole(tmp_path)
    (tmp_path / "two.safetensors").touch()
    assert hub.is_whole(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text("{")
    assert not hub.is_whole(tmp_path)


def test_the_token_is_sent_and_only_where_it_is_set(stand_in: type[Hub], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.fetch(SOURCE)
    assert set(stand_in.asked) == {f"Bearer {TOKEN}"}


GATED = {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted."}


@pytest.mark.parametrize(
    ("failure", "why"),
    [
        ((401, GATED), r"is gated: ask for access on http://127.0.0.1:\d+/someone/model, make a token"),
        ((403, GATED), "is gated: ask for access"),
        (
            (401, {"X-Error-Code": "RepoNotFound"}),
            "does not exist, or is not public: correct the model in the profile, or ask",
        ),
        ((404, {"X-Error-Code": "RepoNotFound"}), "does not exist, or is not public"),
        ((404, {"X-Error-Code": "RevisionNotFound"}), f"has no revision '{SOURCE.revision}'"),
        ((500, {}), "cannot be asked"),
    ],
)
def test_what_cannot_be_had_says_what_to_do(stand_in: type[Hub], failure: tuple[int, dict[str, str]], why: str) -> None:
    stand_in.failure = failure
    with pytest.raises(WeightsError, match=why):
        hub.fetch(SOURCE)


def test_a_token_without_access_is_told_so_and_not_shown(stand_in: type[Hub], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    stand_in.failure = (403, GATED)
    with pytest.raises(
        WeightsError, match=r"the account of the token in HF_TOKEN has no access; ask for it on"
    ) as failed:
        hub.fetch(SOURCE)
    assert TOKEN not in str(failed.value)


def test_without_a_network_it_says_how_to_bring_it(stand_in: type[Hub], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(WeightsError, match=r"s2s weights pull --profile NAME.*HF_HOME"):
        hub.fetch(SOURCE)


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    assert find(ModelSource(str(tmp_path)), WeightStore(tmp_path)) == tmp_path
    with pytest.raises(WeightsError, match="is no folder"):
        find(ModelSource("./nowhere"), WeightStore(tmp_path))
