"""``python -m tests.fuzz NAME [arguments of libFuzzer]``: fuzz one parser with atheris; without a name, list them.

The fuzzer begins with the target's seeds, where it has some.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory


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
    with TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds_of(name)):
            (Path(corpus) / str(number)).write_bytes(seed)
        atheris.Setup([*sys.argv, corpus], lambda data: run(name, data))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
