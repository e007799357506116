"""The benchmark for a GPU, on a processor with toy shapes: what it runs, what it reckons, and when it is red."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import benchmarks.gpu as command
from benchmarks.gpu import records, shapes
from benchmarks.gpu.cards import L4, known
from benchmarks.gpu.records import Machine, Row
from benchmarks.gpu.report import bars, floor_ms, markdown, on_an_l4_ms, on_paper
from benchmarks.gpu.work import LanguageModelShape, Work, counted
from pipeline.languages import Language
from pipeline.machine import Gpu
from pipeline.machine import Machine as Here
from tests.pipeline.conformance.engines import GPU_EXTRA

H100 = Machine("cuda", "NVIDIA H100 80GB HBM3", "2.13.0", "13.0", "5.24.0", 3000.0, 700.0, tiny=False)


def token(median_ms: float, **others: Any) -> Row:
    row = Row("decode", "a token", "l4", 1, 100, median_ms, median_ms, median_ms - 0.5, Work(15e9, 15e9), 20.0)
    return replace(row, **others)


def test_without_torch_or_a_gpu_it_says_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    told = CliRunner().invoke(command.measure)
    assert told.exit_code == 2
    assert "torch, transformers, uroman not installed: `pip install 's2s-gate[gpu]'`" in told.output
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(Here, "look", lambda: Here(2.0, 9.5, None, "no NVIDIA driver"))
    told = CliRunner().invoke(command.measure)
    assert told.exit_code == 2
    assert "no GPU to measure on: no NVIDIA driver. It takes an NVIDIA GPU with 24 GB" in told.output


class Speaker:
    voices = {Language.EN: ("one",), Language.KO: ("two",)}

    def speak(self, text: str, language: Language, voice: str, **_: Any) -> Iterator[Any]:
        yield np.zeros(240, np.float32)


@pytest.mark.gpu_extra
@GPU_EXTRA[1]
@pytest.mark.parametrize(("profile", "speaker"), [("l4", Speaker()), ("l4-small", None)])
def test_the_very_program_runs_on_a_processor(
    profile: str, speaker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks.gpu import speech

    monkeypatch.setattr(speech, "kokoro", lambda device: speaker)
    arguments = ["--tiny", "--device", "cpu", "--profile", profile, "--turns", "6", "--out", str(tmp_path)]
    told = CliRunner().invoke(command.measure, arguments, catch_exceptions=False)
    assert told.exit_code == 0
    machine, scenario, *rows = map(json.loads, (tmp_path / f"{profile}.jsonl").read_text().splitlines())
    assert machine["tiny"]
    assert scenario["turns"] == 6
    assert {row["n"] for row in rows if row["group"] in ("stage", "prompt", "turn")} == {6}
    assert [row["conversations"] for row in rows if row["group"] == "decode"] == [1, 2, 4, 1]
    stages = ["until it is heard", "until the first token", "until the first clause", "until the first sound"]
    turns = [row for row in rows if row["group"] == "turn"]
    assert [row["what"] for row in turns] == 2 * (stages if speaker else stages[:3])
    for callers in (1, 2):
        waits = [row["median_ms"] for row in turns if row["conversations"] == callers]
        assert waits == sorted(waits)
    kept, cold = (row for row in rows if row["group"] == "prompt")
    assert kept["work"]["flops"] < 0.5 * cold["work"]["flops"]
    page = (tmp_path / f"{profile}.md").read_text()
    assert "TINY SHAPES" in page
    assert ("Left out: Kokoro" in page) == (speaker is None)


@pytest.mark.gpu_extra
@GPU_EXTRA[1]
def test_a_kept_prompt_is_read_from_its_new_tokens_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.gpu.records import Stopwatch
    from benchmarks.gpu.thinking import Thinking

    scenario = records.TINY
    thinking = Thinking(shapes.TINY.language_models["l4"], scenario, "cpu", None)
    read: list[int] = []
    plain = thinking.engine.decoding.read
    monkeypatch.setattr(
        thinking.engine.decoding,
        "read",
        lambda slot, tokens, before: read.append(len(tokens)) or plain(slot, tokens, before),
    )
    kept, cold = thinking.prompts(Stopwatch("cpu"), "l4")
    assert kept.n == cold.n == 5
    whole = scenario.history_tokens + scenario.turn_tokens
    assert all(tokens < 0.4 * whole for tokens in read[-13:-8])
    assert all(0.8 * whole < tokens < 1.4 * whole for tokens in read[-5:])


@pytest.mark.gpu_extra
@GPU_EXTRA[1]
@pytest.mark.parametrize("profile", ["l4", "l4-small"])
def test_what_a_language_model_takes_is_what_its_operators_do(profile: str, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from pipeline.lm.transformers.cache import Cache, View
    from pipeline.lm.transformers.networks import runner

    shape = shapes.TINY.language_models[profile]
    shapes.write_language_model(shape, tmp_path, device="cpu", dtype="float32")
    network = AutoModelForCausalLM.from_pretrained(tmp_path)
    matrices = sum(weight.numel() for weight in network.parameters() if weight.dim() == 2)
    assert shape.weights == matrices
    run, cache = runner(network), Cache(network.config, 3, 64, torch.float32, network.device)

    def step(slots: int, tokens: int, before: int) -> None:
        places = torch.arange(before, before + tokens).repeat(slots, 1)
        with torch.inference_mode():
            run(torch.ones_like(places), places, View(cache, slice(0, slots), places, before + tokens))

    attention = shape.step(1, 64).flops - shape.step(1, 0).flops
    for slots in (1, 3):
        told = counted(partial(step, slots, 1, 63)).flops
        assert told == pytest.approx(shape.step(slots, 64).flops, abs=slots * attention)
        assert told >= shape.step(slots, 0).flops
    told = counted(partial(step, 1, 40, 24)).flops
    assert told == pytest.approx(shape.read(40, 24).flops, abs=40 * attention)


@pytest.mark.gpu_extra
@GPU_EXTRA[1]
def test_what_whisper_takes_is_what_its_operators_do() -> None:
    from benchmarks.gpu.speech import Hearing

    hearing = Hearing(shapes.TINY, records.TINY, "cpu")
    assert counted(hearing.hear).flops == pytest.approx(hearing.hear_work.flops, rel=0.2)


def test_the_production_shapes_have_as_many_weights_as_their_names_say() -> None:
    models = shapes.PRODUCTION.language_models
    assert models["l4"].weights == pytest.approx(8.03e9, rel=0.002)
    assert models["l4-small"].weights == pytest.approx(4.02e9, rel=0.002)
    assert models["l4"].kept_bytes(1) == 131_072
    # The words that go in are looked up and not read: a step of Llama reads a gigabyte less than it has.
    assert models["l4"].step(1, 0).bytes == pytest.approx(15.0e9, rel=0.002)
    assert models["l4-small"].step(1, 0).bytes == pytest.approx(8.04e9, rel=0.002)


def test_a_prompt_is_read_part_by_part() -> None:
    model: LanguageModelShape = shapes.PRODUCTION.language_models["l4"]
    assert model.read(700, 0).bytes > 3 * model.step(1, 0).bytes
    assert model.read(30, 700).bytes < 1.1 * model.step(1, 0).bytes


@pytest.mark.parametrize(
    ("name", "card"),
    [("NVIDIA L4", "L4"), ("NVIDIA L40S", None), ("NVIDIA H100 80GB HBM3", "H100"), ("NVIDIA GeForce RTX 4090", None)],
)
def test_a_card_is_known_by_its_whole_name(name: str, card: str | None) -> None:
    found = known(name)
    assert (found.name if found else None) == card


def test_the_floor_is_what_must_be_read_over_what_was_measured() -> None:
    assert floor_ms(H100, token(6.0)) == pytest.approx(5.0)
    assert floor_ms(H100, token(6.0, work=None)) is None


@pytest.mark.parametrize(("median_ms", "held"), [(7.1, True), (7.2, False)])
def test_less_than_70_percent_of_the_floors_speed_misses_the_bar(median_ms: float, held: bool) -> None:
    many = token(90.0, conversations=8)
    (bar,) = bars(H100, [token(median_ms), many])
    assert bar.is_held == held
    (told,) = bars(replace(H100, tiny=True), [token(90.0)])
    assert told.limit is None


def test_on_an_l4_the_device_is_slower_and_the_host_is_not() -> None:
    assert on_an_l4_ms(H100, token(6.0)) == pytest.approx(0.5 + 5.5 * 3350 / 300)
    busy = token(6.0, work=Work(1e6, 1e12))
    assert on_an_l4_ms(H100, busy) == pytest.approx(0.5 + 5.5 * 989 / 121)
    assert on_an_l4_ms(replace(H100, name="another"), token(6.0)) is None
    assert on_an_l4_ms(H100, token(6.0, device_ms=None)) is None
    assert "| 61.9 ms |" in markdown(H100, [token(6.0)], left_out=[])


def test_on_paper_the_longer_of_both_counts() -> None:
    told = on_paper(L4, {"a": Work(3e9, 1e12), "b": Work(3e9, 1e12, half=False)})
    assert "| a | 3.00 GB | 1.000 T | 10 ms | 8.26 ms | 10 ms |" in told
    assert "| b | 3.00 GB | 1.000 T | 10 ms | 33 ms | 33 ms |" in told


def test_the_command_on_paper_needs_no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    told = CliRunner().invoke(command.paper)
    assert told.exit_code == 0
    assert "l4-small: a token of 1" in told.output
    assert "Kokoro and VITS are left out" in told.output


def test_a_gpu_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(Here, "look", lambda: Here(2.0, 9.5, Gpu("NVIDIA L4", 24.15, 23.6)))
    assert command._problem("cuda") is None
    assert command._problem("cpu") is None


def test_settings_of_the_scenario_are_what_the_profiles_have() -> None:
    from pipeline.profiles import load_profile

    whisper: Any = load_profile("l4").engines["whisper-turbo"]
    assert records.PRODUCTION.window_s == whisper.shortest_window_s
    assert records.PRODUCTION.history_tokens < load_profile("l4").language_model.history_tokens
