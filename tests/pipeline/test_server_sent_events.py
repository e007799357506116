"""Streams of events, cut anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.lm.server_sent_events import EventStream, EventStreamError


def read(*pieces: bytes) -> list[str]:
    stream = EventStream()
    return [data for piece in pieces for data in stream.push(piece)]


def test_data_is_what_counts() -> None:
    stream = b": hello\nevent: x\nid: 7\ndata: one\n\nretry: 3\n\ndata:two\ndata:  three\n\ndata\n\n"
    assert read(stream) == ["one", "two\n three", ""]


def test_an_event_without_its_end_is_none() -> None:
    assert read(b"data: one\n") == []


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_lines_end_in_three_ways(end: bytes) -> None:
    assert read(b"data: one" + end + end + b"data: two" + end + end + b"x") == ["one", "two"]


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.data(),
)
def test_it_does_not_matter_how_a_stream_is_cut(texts: list[str], end: bytes, data: st.DataObject) -> None:
    stream = b"".join(b"data: " + text.encode() + end + end for text in texts) + b":"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    pieces = [stream[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert read(*pieces) == texts


@given(st.lists(st.binary()))
def test_whatever_comes_is_events_or_an_error(pieces: list[bytes]) -> None:
    try:
        assert all(isinstance(data, str) for data in read(*pieces))
    except EventStreamError as error:
        assert "UTF-8" in str(error)  # noqa: PT017 - either is right


@pytest.mark.parametrize("endless", [b"x" * 65536, b"data: " + b"x" * 65530 + b"\n"])
def test_an_endless_event_is_refused(endless: bytes) -> None:
    with pytest.raises(EventStreamError, match="more than"):
        read(*[endless] * 20)
