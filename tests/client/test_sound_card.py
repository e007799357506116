"""PortAudio behind a stand-in for the package `sounddevice`, and what is said where it, or its library, is missing."""

from __future__ import annotations

import builtins
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from client.sound_card import PortAudioCard, SoundCardError, devices


class PortAudioError(Exception):
    """As the package has it."""


class FakePortAudio(ModuleType):
    """Two devices: a headset that cannot do 24 kHz, and a loudspeaker that can. Streams are driven by hand."""

    PortAudioError = PortAudioError
    DEVICES = [
        {"index": 0, "name": "Headset", "hostapi": 0, "max_input_channels": 1, "max_output_channels": 2},
        {"index": 1, "name": "Speaker", "hostapi": 0, "max_input_channels": 0, "max_output_channels": 2},
    ]

    def __init__(self) -> None:
        super().__init__("sounddevice")
        self.default = SimpleNamespace(device=[0, 1])
        self.streams: list[FakeStream] = []
        self.busy = False
        self.unusable = False
        self.InputStream = self.OutputStream = lambda **settings: FakeStream(self, settings)

    def query_hostapis(self, index: int) -> dict[str, str]:
        return {"name": "ALSA"}

    def query_devices(self, device: int | str | None = None, kind: str | None = None) -> Any:
        found = [{**each, "default_samplerate": 48_000.0} for each in self.DEVICES]
        if kind is None:
            return found
        if device is None:
            device = self.default.device[kind == "output"]
        chosen = [each for each in found if device == each["index"] or str(device).lower() in each["name"].lower()]
        if not chosen:
            raise ValueError(f"No {kind} device matching {device!r}")
        if not chosen[0][f"max_{kind}_channels"]:
            raise ValueError(f"Not an {kind} device: {device!r}")
        return chosen[0]

    def check_input_settings(self, *, device: int, samplerate: int, **_: object) -> None:
        if self.unusable or (device == 0 and samplerate != 48_000):
            raise PortAudioError("Invalid sample rate")

    check_output_settings = check_input_settings


class FakeStream:
    def __init__(self, library: FakePortAudio, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.is_open = False
        self._library = library
        library.streams.append(self)

    def __enter__(self) -> FakeStream:
        if self._library.busy:
            raise PortAudioError("Device unavailable")
        self.is_open = True
        return self

    def __exit__(self, *_: object) -> None:
        self.is_open = False
        self.settings["finished_callback"]()

    def call_back(self, block: Any, **status: bool) -> None:
        flags = SimpleNamespace(**{"input_overflow": False, "output_underflow": False, **status})
        time = SimpleNamespace(currentTime=5.0, outputBufferDacTime=5.04)
        self.settings["callback"](block, len(block), time, flags)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> FakePortAudio:
    library = FakePortAudio()
    monkeypatch.setitem(sys.modules, "sounddevice", library)
    return library


def test_blocks_go_both_ways_with_what_was_lost_and_the_delay(library: FakePortAudio) -> None:
    heard: list[tuple[Any, bool]] = []
    asked: list[tuple[int, float, bool]] = []

    def give(count: int, delay_s: float, underflowed: bool) -> Any:
        asked.append((count, delay_s, underflowed))
        return np.full(count, 0.5, np.float32)

    card = PortAudioCard(24_000, loudspeaker="speak")
    assert (card.microphone_hz, card.loudspeaker_hz) == (48_000, 24_000)
    lost: list[str] = []
    with card.open(lambda samples, lost: heard.append((samples, lost)), give, lost.append):
        microphone, loudspeaker = library.streams
        assert (microphone.settings["device"], microphone.settings["blocksize"]) == (0, 960)
        assert (loudspeaker.settings["device"], loudspeaker.settings["blocksize"]) == (1, 480)
        recorded = np.array([[0.25], [0.5]], np.float32)
        microphone.call_back(recorded, input_overflow=True)
        recorded[:] = 0  # the card takes its memory back
        to_play = np.zeros((3, 1), np.float32)
        loudspeaker.call_back(to_play, output_underflow=True)
    ((samples, overflowed),) = heard
    assert (samples.tolist(), overflowed) == ([0.25, 0.5], True)
    assert asked == [(3, pytest.approx(0.04), True)]
    assert to_play[:, 0].tolist() == [0.5] * 3
    assert not any(stream.is_open for stream in library.streams)
    assert lost == []


def test_a_device_that_stops_by_itself_is_told(library: FakePortAudio) -> None:
    lost: list[str] = []
    with PortAudioCard(24_000).open(lambda *_: None, lambda *_: np.zeros(1, np.float32), lost.append):
        library.streams[0].settings["finished_callback"]()
    assert len(lost) == 1
    assert "still plugged in" in lost[0]


def test_a_device_is_chosen_by_its_number_too(library: FakePortAudio) -> None:
    with PortAudioCard(48_000, microphone="0", loudspeaker="0").open(
        lambda *_: None, lambda *_: np.zeros(1, np.float32), lambda _: None
    ):
        assert [stream.settings["device"] for stream in library.streams] == [0, 0]


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"microphone": "violin"}, r"no microphone by the name or number 'violin'.*--devices.*--microphone.*--file"),
        ({"microphone": "1"}, r"no microphone by the name or number '1' \(Not an input device.*--microphone"),
        ({"loudspeaker": "violin"}, r"no loudspeaker by .*--loudspeaker"),
    ],
)
def test_a_device_that_is_not_there_is_said_so(library: FakePortAudio, chosen: Any, said: str) -> None:
    with pytest.raises(SoundCardError, match=said):
        PortAudioCard(24_000, **chosen)


def test_a_device_that_cannot_be_used_is_said_so(library: FakePortAudio) -> None:
    library.unusable = True
    with pytest.raises(SoundCardError, match=r"'Headset' cannot be used \(Invalid sample rate\).*--file"):
        PortAudioCard(24_000)


def test_a_device_that_others_use_is_said_so(library: FakePortAudio) -> None:
    library.busy = True
    card = PortAudioCard(24_000)
    with (
        pytest.raises(SoundCardError, match=r"cannot be opened \(Device unavailable\).*--devices.*--file"),
        card.open(lambda *_: None, lambda *_: np.zeros(1, np.float32), lambda _: None),
    ):
        pass


def test_devices_are_listed(library: FakePortAudio) -> None:
    headset, speaker = devices()
    assert (headset.number, headset.name, headset.microphone_channels) == (0, "Headset (ALSA)", 1)
    assert (headset.is_default_microphone, headset.is_default_loudspeaker) == (True, False)
    assert (speaker.microphone_channels, speaker.is_default_loudspeaker) == (0, True)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ModuleNotFoundError("No module named 'sounddevice'"), r"pip install 's2s-gate\[audio\]'.*--file"),
        (OSError("PortAudio library not found"), r"PortAudio library not found.*apt-get install libportaudio2.*--file"),
    ],
)
def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, error: Exception, said: str) -> None:
    imported = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name == "sounddevice":
            raise error
        return imported(name, *rest)

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(builtins, "__import__", missing)
    for use in (devices, lambda: PortAudioCard(24_000)):
        with pytest.raises(SoundCardError, match=said):
            use()
