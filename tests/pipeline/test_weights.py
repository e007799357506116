"""The store: nothing unverified gets through it, whatever the sources, the disk and the other processes do."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pipeline
from pipeline.weights import CATALOGUE, Model, WeightFile, WeightsError, WeightStore
from pipeline.weights.progress import on_terminal
from pipeline.weights.receipts import RECEIPTS
from pipeline.weights.sources import Show, SourceDownError, SourceError
from tests.pipeline.tiny_weights import CONTENT, Log, Scripted, left_in, tiny_store, weight_file


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "weights"


def test_a_model_is_pulled_once_and_then_taken_from_the_cache(root: Path) -> None:
    source, log = Scripted(), Log()
    tiny = tiny_store(root, weight_file(source), log=log)
    assert (tiny.path("tiny") / "model.bin").read_bytes() == CONTENT
    assert tiny.path("tiny") == root / "tiny"
    assert source.asked == 1
    assert left_in(root) == {"tiny/model.bin"}
    assert any("tiny/model.bin" in line and "a source on scripted" in line for line in log.lines)
    assert tiny.state(weight_file(source)) == "verified, a source on scripted"


def test_a_verified_file_is_not_hashed_at_each_load(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = weight_file(Scripted())
    tiny_store(root, file).path("tiny")

    def hashed(*_: object) -> None:
        pytest.fail("an untouched file was hashed again")

    monkeypatch.setattr(hashlib, "file_digest", hashed)
    assert tiny_store(root, file).path("tiny") == root / "tiny"


def test_a_file_put_there_by_hand_is_verified_and_kept(root: Path) -> None:
    source = Scripted()
    (root / "tiny").mkdir(parents=True)
    (root / "tiny" / "model.bin").write_bytes(CONTENT)
    tiny_store(root, weight_file(source)).path("tiny")
    assert source.asked == 0


@pytest.mark.parametrize("keep_time", [False, True])
def test_a_wrong_byte_in_the_cache_is_found_and_replaced(root: Path, keep_time: bool) -> None:
    source, log = Scripted(), Log()
    tiny = tiny_store(root, weight_file(source), log=log)
    model = tiny.path("tiny") / "model.bin"
    before = model.stat()
    with model.open("r+b") as content:
        content.seek(1234)
        content.write(b"\xff")
    while model.stat().st_ctime_ns == before.st_ctime_ns:  # the file system's clock ticks slower than this test runs
        model.touch()
        if keep_time:
            os.utime(model, ns=(before.st_atime_ns, before.st_mtime_ns))
    [(_, fault)] = tiny.verify()
    assert fault is not None
    assert "sha256" in fault
    tiny.path("tiny")
    assert source.asked == 2
    assert model.read_bytes() == CONTENT
    assert any("discarded" in line for line in log.lines)


@given(
    st.one_of(
        st.binary(max_size=200), st.recursive(st.none() | st.text(), st.lists).map(lambda v: json.dumps(v).encode())
    )
)
def test_spoilt_receipts_cost_a_hash_and_nothing_else(receipts: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root, source = Path(folder), Scripted(b"content")
        tiny = tiny_store(root, weight_file(source, content=b"content"))
        tiny.path("tiny")
        (root / RECEIPTS).write_bytes(receipts)
        tiny.path("tiny")
        assert source.asked == 1


WRONG = b"\xff" + CONTENT[1:]


@pytest.mark.parametrize("wrong", [WRONG, CONTENT[:-1], CONTENT + b"\0", b""], ids=["byte", "short", "long", "empty"])
def test_a_wrong_file_from_one_source_is_discarded_and_the_next_is_asked(root: Path, wrong: bytes) -> None:
    log = Log()
    tiny = tiny_store(root, weight_file(Scripted(wrong), Scripted(service="another")), log=log)
    assert (tiny.path("tiny") / "model.bin").read_bytes() == CONTENT
    assert any("another" in line and "verified" in line for line in log.lines)
    assert left_in(root) == {"tiny/model.bin"}


def test_a_wrong_file_from_every_source_is_never_under_its_name(root: Path) -> None:
    tiny = tiny_store(root, weight_file(Scripted(WRONG), Scripted(WRONG[:-1])))
    with pytest.raises(WeightsError, match=r"tiny/model.bin cannot be had .*\n.*sha256.*\n.*bytes.*\n.*S2S_WEIGHTS"):
        tiny.path("tiny")
    assert left_in(root) == set()


def test_an_endless_source_is_cut_off(root: Path) -> None:
    class Endless(Scripted):
        def stream(self, work: Path, show: Show) -> Generator[bytes]:
            yield from itertools.repeat(bytes(1 << 20))

    with pytest.raises(WeightsError, match="more than the expected 1024000 bytes"):
        tiny_store(root, weight_file(Endless())).path("tiny")
    assert left_in(root) == set()


def test_without_a_network_the_error_names_file_sources_reasons_and_remedy(root: Path) -> None:
    down = Scripted(SourceDownError("name not known"), service="the hub")
    absent = Scripted(SourceError("404 Not Found"), service="elsewhere")
    with pytest.raises(WeightsError) as raised:
        tiny_store(root, weight_file(down, absent)).path("tiny")
    for part in (
        "tiny/model.bin",
        "on the hub: name not known",
        "on elsewhere: 404 Not Found",
        "s2s weights pull --to",
    ):
        assert part in str(raised.value)


def test_a_service_that_is_down_is_asked_once_per_model(root: Path) -> None:
    down = Scripted(SourceDownError("timed out"), service="the hub")
    files = [weight_file(down, Scripted(service="another"), path=f"tiny/{name}") for name in "abc"]
    tiny_store(root, *files).path("tiny")
    assert down.asked == 1
    assert left_in(root) == {"tiny/a", "tiny/b", "tiny/c"}


def test_half_a_model_is_no_model_and_the_good_half_is_kept(root: Path) -> None:
    first, second = Scripted(), Scripted(SourceError("gone"))
    files = (weight_file(first, path="tiny/a"), weight_file(second, path="tiny/b"))
    with pytest.raises(WeightsError, match="tiny/b"):
        tiny_store(root, *files).path("tiny")
    second.gives = CONTENT
    tiny_store(root, *files).path("tiny")
    assert (first.asked, second.asked) == (1, 2)


def test_a_disk_too_small_is_told_before_anything_is_pulled(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Scripted()
    usage = type("Usage", (), {"free": 5_000_000})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(WeightsError, match=r"tiny takes up to [\d.]+ MB.*5.0 MB are free"):
        tiny_store(root, weight_file(source)).path("tiny")
    assert source.asked == 0


def test_a_disk_that_fills_up_leaves_nothing_and_asks_no_other_source(root: Path) -> None:
    full, other = Scripted(OSError(errno.ENOSPC, "No space left on device")), Scripted()
    with pytest.raises(WeightsError, match=r"disk is too full.*are free"):
        tiny_store(root, weight_file(full, other)).path("tiny")
    assert other.asked == 0
    assert left_in(root) == set()


def test_a_root_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(WeightsError, match="taken cannot be used for weights"):
        tiny_store(tmp_path / "taken", weight_file(Scripted())).path("tiny")


def test_an_unknown_model_is_told_with_the_known_ones(root: Path) -> None:
    with pytest.raises(WeightsError, match="unknown model 'huge': the catalogue has tiny"):
        tiny_store(root, weight_file(Scripted())).path("huge")


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that S2S_WEIGHTS names, with one file in it."""
    folder = tmp_path / "own"
    (folder / "tiny").mkdir(parents=True)
    (folder / "tiny" / "model.bin").write_bytes(CONTENT)
    monkeypatch.setenv("S2S_WEIGHTS", str(folder))
    return folder


def own_store(*files: WeightFile) -> WeightStore:
    return WeightStore(catalogue={"tiny": Model("MIT", "nobody", files)}, progress=Log())


def test_a_folder_of_ones_own_is_used_in_place_and_never_written(own_folder: Path) -> None:
    source = Scripted()
    tiny = own_store(weight_file(source))
    tiny.pull()
    assert tiny.path("tiny") == own_folder / "tiny"
    assert source.asked == 0
    assert [str(p.relative_to(own_folder)) for p in own_folder.rglob("*") if p.is_file()] == ["tiny/model.bin"]


@pytest.mark.parametrize(("content", "reason"), [(None, "it is missing"), (WRONG, "sha256"), (b"short", "5 bytes")])
def test_a_folder_of_ones_own_that_is_wrong_is_told_and_no_network_asked(
    own_folder: Path, content: bytes | None, reason: str
) -> None:
    source, model = Scripted(), own_folder / "tiny" / "model.bin"
    if content is None:
        model.unlink()
    else:
        model.write_bytes(content)
    with pytest.raises(WeightsError) as raised:
        own_store(weight_file(source)).path("tiny")
    for part in ("S2S_WEIGHTS", str(own_folder), "tiny/model.bin", reason, "s2s weights pull --to"):
        assert part in str(raised.value)
    assert source.asked == 0
    assert content is None or model.read_bytes() == content


def test_a_copied_folder_serves_a_machine_without_a_network(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_store(root, weight_file(Scripted())).copy_to(tmp_path / "stick")
    monkeypatch.setenv("S2S_WEIGHTS", str(tmp_path / "stick"))
    nothing = Scripted(SourceDownError("no network"))
    assert (own_store(weight_file(nothing)).path("tiny") / "model.bin").read_bytes() == CONTENT
    assert nothing.asked == 0


def test_progress_without_a_terminal_is_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with on_terminal() as display:
        display.say("[a line] as it is")
        display.show("never seen", 1, 2)
    printed = capsys.readouterr()
    assert printed.err == "[a line] as it is\n"
    assert printed.out == ""


def test_every_pinned_file_has_a_registry_and_an_upstream_and_is_in_the_docs() -> None:
    docs = (Path(pipeline.__file__).parents[1] / "docs" / "weights.md").read_text(encoding="utf-8")
    files = [file for model in CATALOGUE.values() for file in model.files]
    assert len({file.path for file in files}) == len(files)
    for name, model in CATALOGUE.items():
        assert name in docs
        assert model.licence in docs
        for file in model.files:
            assert file.path.startswith(f"{name}/")
            assert len(bytes.fromhex(file.sha256)) == hashlib.sha256().digest_size
            assert len(file.sources) >= 2
            assert Path(file.path).stem in docs


@pytest.mark.models
def test_every_pinned_model_verifies(weights: WeightStore) -> None:
    weights.pull()
    faults = {file.path: fault for file, fault in weights.verify() if fault}
    assert not faults
    for name in CATALOGUE:
        assert weights.path(name).is_dir()
