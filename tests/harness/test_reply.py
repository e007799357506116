from __future__ import annotations

import numpy as np
import pytest

from harness.recording import Chunk, Recording
from harness.reply import Reply


def recording(*pieces: bytes, channels: int = 1, **others: object) -> Recording:
    made = Recording("en-01", "en", "realtime", 0.02, 2.0, channels=channels, ended_s=9.0)
    made.chunks = [Chunk(float(at_s), pcm) for at_s, pcm in enumerate(pieces)]
    for name, value in others.items():
        setattr(made, name, value)
    return made


def test_floats_are_exact() -> None:
    samples = np.array([-32_768, 0, 16_384, 32_767], dtype="<i2")
    assert Reply.of(recording(samples.tobytes())).floats.tolist() == [-1.0, 0.0, 0.5, 32_767 / 32_768]


def test_a_sample_that_is_split_came_with_the_second_chunk() -> None:
    reply = Reply.of(recording(b"\1\0\2", b"\0\3", b"\0\4"))
    assert reply.samples.tolist() == [1, 2, 3]
    assert reply.ends.tolist() == [1, 2, 3]
    assert reply.starts.tolist() == [0, 1, 2]
    assert [reply.chunk_of(sample) for sample in range(3)] == [0, 1, 2]


def test_of_several_channels_the_first_is_taken() -> None:
    assert Reply.of(recording(b"\1\0\2\0\3\0\4\0", channels=2)).samples.tolist() == [1, 3]


def test_half_a_sample_is_not_carried_into_the_next_reply() -> None:
    made = recording(b"\1\0\2", b"\3\0")
    made.chunks = [Chunk(1.0, b"\1\0\2", 0), Chunk(2.0, b"\3\0", 2)]
    assert [reply.samples.tolist() for reply in Reply.each(made)] == [[1], [3]]
    assert [reply.first_chunk for reply in Reply.each(made)] == [0, 1]


@pytest.mark.parametrize(
    ("others", "broken_off"),
    [
        ({}, False),
        ({"cancelled": [0]}, True),
        ({"ended_s": None}, True),
        ({"ended_s": -0.5}, True),
        ({"cancelled": [1]}, False),
    ],
)
def test_what_was_not_said_in_full_is_broken_off(others: dict[str, object], broken_off: bool) -> None:
    (reply,) = Reply.each(recording(b"\1\0", **others))
    assert reply.broken_off is broken_off


def test_nothing_is_no_reply() -> None:
    assert Reply.each(recording()) == []
    assert Reply.of(recording()).starts.tolist() == []
