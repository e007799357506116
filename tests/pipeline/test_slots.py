"""Which slot of a model reads which prompt."""

from __future__ import annotations

from contextlib import ExitStack

from pipeline.lm.base import Message
from pipeline.lm.slots import Slots

INSTRUCTIONS = Message("system", "You are helpful, and answer in two sentences at most.")


def prompt(*said: str) -> list[Message]:
    return [INSTRUCTIONS, *(Message("user", text) for text in said)]


def slot_of(slots: Slots, *said: str) -> int:
    with slots.taken(prompt(*said)) as number:
        return number


def test_a_conversation_goes_on_where_it_was_read() -> None:
    slots = Slots([1, 2, 3])
    rain = slot_of(slots, "Will it rain in Spain")
    sun = slot_of(slots, "Where does the sun rise?")
    assert rain != sun
    assert slot_of(slots, "Will it rain in Spain tomorrow?") == rain
    assert slot_of(slots, "Where does the sun rise?", "And the moon?") == sun


def test_a_new_conversation_takes_the_place_of_the_one_that_was_silent_for_longest() -> None:
    slots = Slots([1, 2])
    first = slot_of(slots, "Will it rain in Spain?")
    slot_of(slots, "Where does the sun rise?")
    slot_of(slots, "Will it rain in Spain?", "And in France?")
    assert slot_of(slots, "How old is the moon?") != first


def test_the_instructions_alone_make_no_conversation_another() -> None:
    slots = Slots([1, 2])
    assert slot_of(slots, "Will it rain?") != slot_of(slots, "How old are you?")


def test_nobody_is_given_a_slot_that_is_at_work_while_another_is_idle() -> None:
    slots = Slots([1, 2, 3])
    with ExitStack() as stack:
        taken = [stack.enter_context(slots.taken(prompt("Will it rain in Spain?"))) for _ in range(3)]
        assert sorted(taken) == [1, 2, 3]
        assert slot_of(slots, "Will it rain in Spain?") in taken  # it waits there
