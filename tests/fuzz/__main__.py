"""``python -m tests.fuzz NAME [arguments of libFuzzer]``: fuzz one parser with atheris; without a name, list them.

It begins with the target's seeds and with what the last run has found interesting: both are in ``build/fuzz/corpus``.
"""

import sys
from pathlib import Path

CORPUS = Path(__file__).parents[2] / "build" / "fuzz" / "corpus"


def main() -> None:
    """Fuzz until a finding or the time is up."""
    if len(sys.argv) < 2:
        from tests.fuzz.targets import TARGETS

        print("\n".join(TARGETS))
        return
    import atheris

    # Our own code alone: to instrument all that it imports takes longer than many a run.
    with atheris.instrument_imports(include=["useid_middleware"]):
        from tests.fuzz.seeds import seeds_of
        from tests.fuzz.targets import run

    name = sys.argv.pop(1)
    corpus = CORPUS / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds_of(name)):
        (corpus / f"seed-{number}").write_bytes(seed)
    atheris.Setup([*sys.argv, str(corpus)], lambda data: run(name, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
