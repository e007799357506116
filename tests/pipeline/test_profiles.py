"""Profiles are read whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.languages import AUTO, Language, parse_language
from pipeline.profiles import ProfileError, load_profile, profile_names
from pipeline.profiles.engines import OpenAI, SettingsError, Transformers


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_loads_and_serves_all_six_languages(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert set(profile.language_model.engines) == set(profile.text_to_speech.engines) == set(Language)


def test_the_embedded_default_answers_english_and_echoes_the_rest() -> None:
    engines = load_profile("embedded").language_model.engines
    assert engines[Language.EN] == "smollm2"
    assert {engines[language] for language in Language if language is not Language.EN} == {"echo"}
    assert set(load_profile("embedded").with_echo().language_model.engines.values()) == {"echo"}


def test_as_many_replies_are_written_at_once_as_every_language_model_takes(tmp_path: Path) -> None:
    at_once = {name: load_profile(name).replies_at_once for name in profile_names()}
    assert at_once == {"embedded": 4, "l4": 4, "l4-small": 8, "openai-lm": 16}
    assert load_profile("embedded").with_echo().replies_at_once == 1
    spoken = "\n".join(f'{code} = "{"elsewhere" if code == "en" else "smollm2"}"' for code in Language)
    two = (
        'based_on = "openai-lm"\n[language_model]\nreply_limit_s = 20.0\nmax_reply_tokens = 60\nhistory_tokens = 1200\n'
    )
    assert load_profile(own(tmp_path, f"{two}[language_model.engines]\n{spoken}")).replies_at_once == 4


def test_as_many_clauses_are_spoken_at_once_as_every_synthesiser_takes(tmp_path: Path) -> None:
    at_once = {name: load_profile(name).clauses_at_once for name in profile_names()}
    assert at_once == {"embedded": 2, "l4": 1, "l4-small": 1, "openai-lm": 2}
    torch = '[engines.kokoro]\nkind = "torch-kokoro"\nmodel = "kokoro"\ndevice = "cpu"'
    assert load_profile(own(tmp_path, f'based_on = "embedded"\n{torch}')).clauses_at_once == 1


def test_an_unknown_profile_is_named_with_the_choices() -> None:
    with pytest.raises(ProfileError, match=r"'l5'.*embedded"):
        load_profile("l5")


def test_languages_are_parsed_or_refused_with_the_choices() -> None:
    assert parse_language(AUTO) is None
    assert parse_language("ja") is Language.JA
    with pytest.raises(ValueError, match=r"'de'.*en, fr, es, zh, ja, ko, auto"):
        parse_language("de")


def own(tmp_path: Path, text: str) -> str:
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def test_a_profile_of_ones_own_says_only_what_is_different(tmp_path: Path) -> None:
    profile = load_profile(
        own(tmp_path, 'name = "mine"\nbased_on = "embedded"\n[memory]\nmachine_gb = 3.0\ngpu_gb = {}')
    )
    embedded = load_profile("embedded")
    assert (profile.name, profile.memory.machine_gb) == ("mine", 3.0)
    assert (profile.turns, profile.engines) == (embedded.turns, embedded.engines)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('based_on = "nothing"', "unknown profile 'nothing'"),
        ('based_on = "mine.toml"', "based on itself"),
        ("based_on = ", "cannot be read"),
        ('based_on = "embedded"\n[speech_to_text]\nengine = "echo"', r"the speech_to_text cannot be 'echo'"),
        ('based_on = "embedded"\n[speech_to_text]\nengine = "x"', r"\[engines.x\] has no known kind"),
        ('based_on = "l4"\n[engines.kokoro]\nkind = "kokoro"\nmodel = "kokoro"', "look at .*threads"),
        (
            'based_on = "l4"\n[engines.kokoro]\nkind = "torch-kokoro"\nmodel = "kokoro"\ndevice = "tpu"',
            "one of cpu, cuda",
        ),
        (
            'based_on = "embedded"\n[engines.kokoro]\nkind = "kokoro"\nmodel = "kokoro"\nclauses = 2\nthreads = 1.5',
            "threads = 1.5: it must be a whole number, 1 at least",
        ),
        (
            'based_on = "embedded"\n[engines.kokoro]\nkind = "kokoro"\nmodel = "kokoro"\nclauses = 0\nthreads = 1',
            "clauses = 0: it must be a whole number, 1 at least",
        ),
        (
            'based_on = "embedded"\n[engines.kokoro]\nkind = "kokoro"\nmodel = 3\nclauses = 1\nthreads = 1',
            "model = 3: it must be text",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    own(tmp_path, text)
    with pytest.raises(ProfileError, match=why):
        load_profile("mine.toml")


# Layers, key-value heads and width of a head, by the publishers' configurations.
_SHAPES = {"meta-llama/Llama-3.1-8B-Instruct": (32, 8, 128), "Qwen/Qwen3-4B-Instruct-2507": (36, 8, 128)}


@pytest.mark.parametrize("name", ["l4", "l4-small"])
def test_the_memory_on_paper_is_that_of_the_settings(name: str) -> None:
    profile = load_profile(name)
    (model,) = [settings for settings in profile.engines.values() if isinstance(settings, Transformers)]
    layers, heads, width = _SHAPES[model.model]
    cache_gb = model.conversations * model.context_tokens * layers * heads * width * 2 * 2 / 1e9
    (written,) = [gb for what, gb in profile.memory.gpu_gb.items() if what.startswith("its cache")]
    assert written == pytest.approx(cache_gb, abs=0.01)
    assert sum(profile.memory.gpu_gb.values()) < 23.5
    room = model.context_tokens - profile.language_model.max_reply_tokens
    assert profile.language_model.history_tokens < 0.9 * room


def test_an_endpoint_is_told_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_profile("openai-lm").engines["elsewhere"]
    assert isinstance(settings, OpenAI)
    monkeypatch.delenv("S2S_LM_URL", raising=False)
    monkeypatch.setenv("S2S_LM_MODEL", "small")
    with pytest.raises(SettingsError, match="set S2S_LM_URL"):
        settings.filled()
    monkeypatch.setenv("S2S_LM_URL", "http://127.0.0.1:1/v1")
    assert settings.filled() == ("http://127.0.0.1:1/v1", "small")
