"""`python -m fuzz.one TARGET`: the process that fuzzes one parser; the rest of its arguments are libFuzzer's."""

from __future__ import annotations

import sys


def main() -> None:
    try:
        import atheris
    except ImportError as error:
        raise SystemExit(f"{error}; the fuzzer comes with `pip install 's2s-gate[fuzz]'`") from error
    # What is imported inside is watched for the branches that it takes.
    with atheris.instrument_imports(include=["client", "harness", "pipeline", "server"], enable_loader_override=False):
        from fuzz.targets import TARGETS
    atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
