"""The file of scenarios is read strictly, and the project's own says what it means."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.fixtures import FixtureError, ManifestError, load_manifest, read
from harness.fixtures.scenarios import SCENARIOS, Cue, Line, Scenario, load_scenarios, parse_scenarios
from harness.run_settings import RunSettings, choose_scenarios
from harness.scenarios.casting import cast
from harness.scenarios.sounds import middle_gap, render, render_behind

CLIPS = {clip.id: clip for clip in load_manifest()}
ALL = load_scenarios(CLIPS)


def one(table: str = "", *lines: str) -> str:
    said = lines or ('clip = "en-01"\nexpect = ["answered"]',)
    return f'[[scenario]]\nid = "a"\nabout = "b"\n{table}\n' + "".join(f"[[scenario.line]]\n{line}\n" for line in said)


def parse(text: str) -> list[Scenario]:
    return parse_scenarios(text, CLIPS)


def test_a_scenario_for_each_language_and_each_sound() -> None:
    text = one('languages = ["en", "ja"]', 'clip = "{language}-02"\nexpect = ["answered"]')
    assert [(s.id, s.language, s.lines[0].clip) for s in parse(text)] == [
        ("en-a", "en", "en-02"),
        ("ja-a", "ja", "ja-02"),
    ]
    text = one('sounds = ["noise_door"]', 'clip = "{sound}"\nexpect = ["not-answered"]')
    assert [(s.id, s.language, s.clips) for s in parse(text)] == [("noise_door-a", "none", ("noise_door",))]


def test_everything_that_a_line_can_have() -> None:
    line = (
        'clip.en = "en_libri_61"\npause_s = 0.8\ngain_db = -6\noverdrive_db = 12.0\ntelephone = true\n'
        'expect = ["answered", "own-language"]'
    )
    over = 'seconds = 2\nnoise_dbfs = -40\ninto_reply_s = 1.5\nexpect = ["reply-goes-on", "not-answered"]'
    table = 'languages = ["en"]\nbehind.clips = ["fr-02", "es-02"]\nbehind.snr_db = 15'
    (scenario,) = parse(one(table, line, over))
    assert scenario.lines == (
        Line("en_libri_61", None, None, Cue("after", 0.0), 0.8, -6.0, 12.0, True, ("answered", "own-language")),
        Line(None, 2.0, -40.0, Cue("into-reply", 1.5), 0.0, 0.0, None, False, ("reply-goes-on", "not-answered")),
    )
    assert scenario.behind is not None
    assert (scenario.behind.clips, scenario.behind.snr_db) == (("fr-02", "es-02"), 15.0)
    assert scenario.speaks_over_a_reply
    assert scenario.clips == ("en_libri_61", "fr-02", "es-02")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[[scenario]", "not TOML"),
        ("x = 1", "beside"),
        ("scenario = 3", "beside"),
        ("scenario = [3]", "not a table"),
        (one().replace('id = "a"', 'id = "A"'), "small letters"),
        (one().replace('about = "b"', ""), "'about' is missing"),
        (one('colour = "red"'), "'colour' is not known"),
        (one('languages = ["de"]'), "choose among en, fr"),
        (one('languages = ["en", "en"]'), "choose among"),
        (one('sounds = ["bang"]'), "ids of clips in the manifest"),
        (one('languages = ["en"]\nsounds = ["noise_door"]'), "give one of them"),
        ('[[scenario]]\nid = "a"\nabout = "b"', "'line' is missing"),
        (one("", 'clip = "en-99"\nexpect = ["answered"]'), "knows no clip 'en-99'"),
        (one("", 'clip.de = "en-01"\nexpect = ["answered"]'), "one for each of the languages"),
        (one('languages = ["fr"]', 'clip.en = "en-01"\nexpect = ["answered"]'), "one for each of the languages"),
        (one("", 'expect = ["not-answered"]'), "'line 1.seconds' is missing"),
        (one("", 'seconds = 1e9\nexpect = ["not-answered"]'), "from 0.1 to 120"),
        (one("", 'clip = "en-01"\nseconds = 1\nexpect = ["answered"]'), "'line 1.seconds' is not known"),
        (one("", 'clip = "en-01"\nexpect = []'), "give a list of answered"),
        (one("", 'clip = "en-01"\nexpect = ["applause"]'), "give a list of answered"),
        (one("", 'clip = "en-01"\nexpect = ["answered", "not-answered"]'), "exclude each other"),
        (one("", 'clip = "en-01"\nexpect = ["own-language"]'), "own-language takes an answer"),
        (one("", 'clip = "en-01"\nexpect = ["stops-reply"]'), "only what is said into_reply_s"),
        (one("", 'clip = "en-01"\npause_s = 1\nexpect = ["answered"]'), "has no word_gaps"),
        (one("", 'clip = "en-01"\ntelephone = 1\nexpect = ["answered"]'), "true or false"),
        (one("", 'clip = "en-01"\ngain_db = nan\nexpect = ["answered"]'), "from -60 to 30"),
        (one("", 'clip = "en-01"\nafter_s = 1\nexpect = ["answered"]'), "nothing is before the first line"),
        (
            one("", 'seconds = 1\nexpect = ["not-answered"]', 'clip = "en-01"\nexpect = ["answered"]'),
            "line 2 waits for a reply",
        ),
        (
            one("", 'clip = "en-01"\nexpect = ["answered"]', 'seconds = 1\nafter_s = 1\ninto_reply_s = 1'),
            "there is after_s already",
        ),
        (one('behind.clips = []\nbehind.snr_db = 1'), "at least one"),
        (one('behind.clips = ["en-99"]\nbehind.snr_db = 1'), "knows no clip"),
        (
            one('behind.clips = ["en-02"]\nbehind.snr_db = 1', 'seconds = 1\nexpect = ["not-answered"]'),
            "no speech to measure it against",
        ),
        (one() + one(), "two scenarios 'a'"),
    ],
)  # fmt: skip  # a table, which is not seen with each entry in a line
def test_a_mistake_is_named_with_its_place_and_remedy(text: str, why: str) -> None:
    with pytest.raises(ManifestError, match="scenario") as error:
        parse(text)
    assert why in str(error.value)


TOML = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.sampled_from(["en-01", "answered", "{language}", "en", "a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "about", "languages", "line", "clip", "expect", "seconds", "behind", "pause_s"]),
            inner,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200)
@given(st.lists(TOML, max_size=3))
def test_whatever_the_file_holds_it_is_read_or_refused(
    tables: list[object],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tomllib, "loads", lambda _text: {"scenario": tables})
        try:
            found = parse("")
        except ManifestError as error:
            assert str(error)  # noqa: PT017 - both are right; what is raised must say something
        else:
            assert all(isinstance(scenario, Scenario) for scenario in found)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text)
    except ManifestError as error:
        assert str(error).startswith("scenarios")  # noqa: PT017 - as above


def test_a_file_that_is_not_there_is_said(tmp_path) -> None:
    with pytest.raises(ManifestError, match="cannot be read as text"):
        load_scenarios(CLIPS, tmp_path / "none.toml")


def test_the_projects_own_scenarios_try_everything() -> None:
    assert SCENARIOS.is_file()
    names = {scenario.id for scenario in ALL}
    assert {"en-interruption", "ko-backchannel", "ja-pause", "silence", "noise_door-alone", "zh-telephone"} <= names
    expected = {one for scenario in ALL for line in scenario.lines for one in line.expect}
    assert expected == {"answered", "own-language", "not-answered", "stops-reply", "reply-goes-on"}
    treated = [line for scenario in ALL for line in scenario.lines]
    assert any(line.telephone for line in treated)
    assert any(line.overdrive_db for line in treated)
    assert any(line.gain_db < 0 for line in treated)
    assert any(scenario.behind for scenario in ALL)


def test_what_cannot_be_played_is_left_out_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.scenarios.casting.locate", lambda clip: None if clip.tier == "recorded" else clip)
    casting = cast(["en"], full_duplex=False)
    played = {one.scenario.id for one in casting.played}
    assert {"en-short", "silence", "en-telephone"} <= played
    assert "does not hear the caller" in casting.left_out["en-interruption"]
    assert "en_libri_61 is not here" in casting.left_out["en-pause"]
    assert "fr-short" not in played | set(casting.left_out)
    assert "en-two-languages" not in played | set(casting.left_out)  # the other language was not asked for
    assert not played & set(casting.left_out)


def test_scenarios_are_chosen_only_where_they_are_asked_for(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_scenarios(RunSettings(tmp_path)).played == ()
    asked = RunSettings(tmp_path, suites=("behaviour",), languages=("en",), target="realtime")
    assert {"en-interruption", "silence"} <= {one.scenario.id for one in choose_scenarios(asked).played}
    monkeypatch.setattr("harness.scenarios.casting.load_scenarios", lambda _clips: [])
    with pytest.raises(FixtureError, match="no scenario can be played in en: there is none"):
        choose_scenarios(asked)


@pytest.mark.parametrize("rate_hz", [16_000, 24_000])
def test_every_line_that_can_be_played_keeps_its_speech_marks(rate_hz: int) -> None:
    """What is treated is as loud between the marks as a voice is, and softer before them."""
    for played in cast(["en", "ja"], full_duplex=True).played:
        for line in played.scenario.lines:
            sound = render(line, played.clips, rate_hz)
            assert np.abs(sound.samples).max(initial=0.0) <= 1.0
            assert 0 <= sound.speech_start < sound.speech_end <= sound.samples.size
            if sound.transcript:
                before = sound.samples[: max(1, sound.speech_start - rate_hz // 50)]
                speech = sound.samples[sound.speech_start : sound.speech_end]
                assert np.std(before) < np.std(speech), (played.scenario.id, sound.what)


def test_a_pause_lies_in_the_middle_and_moves_the_end() -> None:
    (played,) = [one for one in cast(["en"], full_duplex=True).played if one.scenario.id == "en-babble"]
    clip = replace(played.clips["en-01"], word_gaps=(16_000, 30_000, 60_000))
    start, end = clip.speech_at(clip.rate_hz)
    at = middle_gap(clip, clip.rate_hz)
    assert at == min(clip.word_gaps, key=lambda gap: abs(gap - (start + end) / 2))
    line = replace(played.scenario.lines[0], pause_s=0.5)
    sound = render(line, {"en-01": clip}, clip.rate_hz)
    assert sound.samples.size == clip.samples + clip.rate_hz // 2
    assert (sound.speech_start, sound.speech_end) == (start, end + clip.rate_hz // 2)
    assert sound.treatment == f"a pause of 0.5 s after {at / clip.rate_hz:.2f} s"


def test_babble_is_as_far_below_the_speech_as_it_says() -> None:
    (played,) = [one for one in cast(["en"], full_duplex=True).played if one.scenario.id == "en-babble"]
    first = render(played.scenario.lines[0], played.clips, 16_000)
    behind = render_behind(played.scenario, first, played.clips, 16_000)
    assert behind is not None
    clip = played.clips["en-01"]
    speech = read(clip, 16_000)[slice(*clip.speech_at(16_000))]
    ratio_db = 20 * np.log10(np.sqrt(np.mean(speech**2)) / np.sqrt(np.mean(behind**2)))
    assert ratio_db == pytest.approx(15.0, abs=0.1)
