"""Kokoro's alphabet: which sounds it knows, and their numbers.

The numbers are those of the `vocab` table in the `config.json` of hexgrad/Kokoro-82M (v1.0).
"""

from __future__ import annotations

_RUNS: dict[int, str] = {
    1: ";:,.!?",
    9: '—…"()“” \u0303ʣʥʦʨᵝꭧAI',
    31: "O",
    33: "Q",
    35: "ST",
    39: "W",
    41: "Yᵊabcdef",
    50: "hijklmnopqrstuvwxyzɑɐɒæ",
    75: "βɔɕç",
    80: "ɖðʤə",
    85: "ɚɛɜ",
    90: "ɟ",
    92: "ɡ",
    99: "ɥ",
    101: "ɨɪʝ",
    110: "ɯɰŋɳɲɴø",
    118: "ɸθœ",
    123: "ɹ",
    125: "ɾɻ",
    128: "ʁɽʂʃʈʧ",
    135: "ʊʋ",
    138: "ʌɣɤ",
    142: "χʎ",
    147: "ʒʔ",
    156: "ˈˌː",
    162: "ʰ",
    164: "ʲ",
    169: "↓",
    171: "→↗↘",
    177: "ᵻ",
}
"""Runs of consecutive numbers: the first number, and the letters from there on."""

VOCABULARY: dict[str, int] = {
    letter: first + offset for first, run in _RUNS.items() for offset, letter in enumerate(run)
}
