"""`useid …`: what an operator and a developer do at the command line."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .emulation.phone.commands import add_commands as add_phone_commands
from .errors import ConfigurationError, UseIDError
from .plugin import UseID
from .settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status (0 well, 1 refused or failed, 2 usage)."""
    parser = argparse.ArgumentParser(
        prog="useid", description="Log in to any ASGI app: tools for operators and developers."
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    check = commands.add_parser("check", help="check the settings; print what is mounted and what is unsafe")
    check.add_argument("--config", metavar="FILE", help="a TOML file (else USEID_CONFIG)")
    check.set_defaults(func=_check)

    demo = commands.add_parser("demo", help="serve the example app (in a checkout of the project)")
    demo.add_argument("--port", type=int, default=8000)
    demo.set_defaults(func=_demo)

    add_phone_commands(commands)
    options = parser.parse_args(arguments)
    try:
        return int(options.func(options))
    except UseIDError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _check(options: argparse.Namespace) -> int:
    settings = Settings(config_file=options.config)
    useid = UseID(settings)
    print(f"{settings.app_name} at {settings.origin or 'loopback hosts'}")
    print(f"store {_place(settings.store)}, accounts {_place(settings.accounts)}\n\nmounted:")
    for route in sorted(useid.router.routes, key=lambda route: route.split()[::-1]):
        method, _, path = route.partition(" ")
        print(f"  {method:<7}{settings.prefix}{path}")
    warnings = settings.warnings()
    print("\nunsafe:" if warnings else "\nnothing unsafe")
    for warning in warnings:
        print(f"  - {warning}")
    return 0


def _place(url: str) -> str:
    """An address without user and password."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def _demo(options: argparse.Namespace) -> int:
    sys.path.insert(0, str(Path.cwd()))
    try:
        import uvicorn

        from example_app.app import app
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"the demo lacks {error.name}: run make demo in a checkout of useid-middleware"
        ) from None
    url = f"http://127.0.0.1:{options.port}"
    print(f"Open {url} on this computer, and {url}/phone in a second window: it plays the phone.")
    print("Log in as alice with the password wonderland, enrol the phone, log out, and log in with the QR code.")
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning", timeout_graceful_shutdown=5)
    return 0
