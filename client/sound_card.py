"""The sound card of this machine, by PortAudio, and what any other thing that sounds like one has to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol, TypeAlias

from client.audio import FloatArray

Hear: TypeAlias = Callable[[FloatArray, bool], None]
"""Takes what the microphone recorded, shape (n,), and whether something before it was lost."""
Give: TypeAlias = Callable[[int, float, bool], FloatArray]
"""Gives so many samples, shape (n,), that will sound after so many seconds; told whether the card had to do without."""

BLOCK_S = 0.02
_WITHOUT = "`s2s talk --file question.wav --save reply.wav` needs no sound card"


class SoundCardError(RuntimeError):
    """There is no sound card to talk with; the message says why, and what to install or choose."""


class SoundCard(Protocol):
    """A microphone and a loudspeaker, mono.

    Attributes:
        microphone_hz: the rate of what is heard.
        loudspeaker_hz: the rate of what is given.
    """

    microphone_hz: int
    loudspeaker_hz: int

    def open(self, hear: Hear, give: Give, lost: Callable[[str], None]) -> AbstractContextManager[None]:
        """Call `hear` and `give` block by block as long as the context lasts, from whatever thread.

        `lost` is called, from whatever thread, when the card stops by itself. Entering raises `SoundCardError`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Device:
    """One device of this machine; `channels` are what it records from and plays to."""

    number: int
    name: str
    microphone_channels: int
    loudspeaker_channels: int
    is_default_microphone: bool
    is_default_loudspeaker: bool


def devices() -> list[Device]:
    """What there is to choose from.

    Raises:
        SoundCardError: the package or the library that would know is not installed.
    """
    sounddevice = _sounddevice()
    defaults = list(sounddevice.default.device)
    return [
        Device(
            number=found["index"],
            name=f"{found['name']} ({sounddevice.query_hostapis(found['hostapi'])['name']})",
            microphone_channels=found["max_input_channels"],
            loudspeaker_channels=found["max_output_channels"],
            is_default_microphone=found["index"] == defaults[0],
            is_default_loudspeaker=found["index"] == defaults[1],
        )
        for found in sounddevice.query_devices()
    ]


class PortAudioCard:
    """Args:
        rate_hz: the rate to run at; where a device cannot, it runs at its own.
        microphone: the number of a device, or a part of its name; None for the default.
        loudspeaker: the same.

    Raises:
        SoundCardError: nothing can record or play.
    """

    def __init__(self, rate_hz: int, *, microphone: str | None = None, loudspeaker: str | None = None) -> None:
        self._sounddevice = _sounddevice()
        self._microphone, self.microphone_hz = self._choose("input", microphone, rate_hz)
        self._loudspeaker, self.loudspeaker_hz = self._choose("output", loudspeaker, rate_hz)

    @contextmanager
    def open(self, hear: Hear, give: Give, lost: Callable[[str], None]) -> Iterator[None]:
        """As `SoundCard.open` says; the callbacks come from threads of PortAudio's."""
        leaving = False

        def heard(recorded: Any, _frames: int, _time: Any, status: Any) -> None:
            hear(recorded[:, 0].copy(), bool(status.input_overflow))

        def wanted(to_play: Any, frames: int, time: Any, status: Any) -> None:
            delay_s = max(0.0, time.outputBufferDacTime - time.currentTime)
            to_play[:, 0] = give(frames, delay_s, bool(status.output_underflow))

        def ended() -> None:
            if not leaving:
                lost("the sound device has stopped; is it still plugged in? `s2s talk --devices` lists what there is")

        try:
            with (
                self._sounddevice.InputStream(
                    device=self._microphone, callback=heard, finished_callback=ended, **_stream(self.microphone_hz)
                ),
                self._sounddevice.OutputStream(
                    device=self._loudspeaker, callback=wanted, finished_callback=ended, **_stream(self.loudspeaker_hz)
                ),
            ):
                try:
                    yield
                finally:
                    leaving = True
        except self._sounddevice.PortAudioError as error:
            raise SoundCardError(
                f"the sound device cannot be opened ({error}); close what else uses it, or choose another one: "
                f"`s2s talk --devices` lists them. {_WITHOUT}"
            ) from error

    def _choose(self, kind: str, asked: str | None, rate_hz: int) -> tuple[int, int]:
        """Number and rate of the device for `input` or `output`."""
        what, option = ("microphone", "--microphone") if kind == "input" else ("loudspeaker", "--loudspeaker")
        try:
            found = self._sounddevice.query_devices(int(asked) if asked and asked.isdecimal() else asked, kind)
        except (ValueError, self._sounddevice.PortAudioError) as error:
            named = "by default" if asked is None else f"by the name or number {asked!r}"
            raise SoundCardError(
                f"there is no {what} {named} ({error}); `s2s talk --devices` lists what there is, "
                f"and {option} chooses. {_WITHOUT}"
            ) from error
        check = getattr(self._sounddevice, f"check_{kind}_settings")
        for rate in (rate_hz, round(found["default_samplerate"])):
            try:
                check(device=found["index"], channels=1, dtype="float32", samplerate=rate)
            except self._sounddevice.PortAudioError as error:
                refused = error
            else:
                return found["index"], rate
        raise SoundCardError(
            f"the {what} {found['name']!r} cannot be used ({refused}); choose another one with {option}. {_WITHOUT}"
        ) from refused


def _stream(rate_hz: int) -> dict[str, object]:
    return {"samplerate": rate_hz, "channels": 1, "dtype": "float32", "blocksize": round(rate_hz * BLOCK_S)}


def _sounddevice() -> ModuleType:
    try:
        import sounddevice
    except ModuleNotFoundError:
        raise SoundCardError(
            "microphone and loudspeaker need the package `sounddevice`, which is not installed; "
            f"`pip install 's2s-gate[audio]'` brings it. {_WITHOUT}"
        ) from None
    except OSError as error:
        raise SoundCardError(
            f"microphone and loudspeaker need the library PortAudio ({error}); install it with "
            f"`apt-get install libportaudio2` or whatever brings it here. {_WITHOUT}"
        ) from None
    assert isinstance(sounddevice, ModuleType)  # noqa: S101 - published without types
    return sounddevice
