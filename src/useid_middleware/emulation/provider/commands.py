"""``useid provider``: the development provider on the command line."""

from argparse import ArgumentParser, Namespace, _SubParsersAction
from typing import Final

from ...errors import ConfigurationError
from ...settings.values import check_issuer

HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 9000


def add_commands(subparsers: "_SubParsersAction[ArgumentParser]") -> None:
    """Add ``provider``; it sets ``func``, from the parsed arguments to the exit code.

    Exit codes: 0 ended; 1 refused (an unknown fault, a bad issuer); 2 wrong usage.
    """
    text = "serve an OpenID provider with test people, for development"
    command = subparsers.add_parser("provider", help=text, description=text)
    command.add_argument("--port", type=int, default=DEFAULT_PORT, help="where to listen (default: %(default)s)")
    command.add_argument("--host", default=HOST, help="address to listen at (default: %(default)s)")
    command.add_argument("--issuer", metavar="URL", help="the issuer identifier (default: http://HOST:PORT)")
    command.add_argument("--client-id", default="demo", help="the application's id (default: %(default)s)")
    command.add_argument("--client-secret", default="demo-secret", help="its secret (default: %(default)s)")
    command.add_argument(
        "--redirect-uri", metavar="URL", action="append", default=[], help="where logins may end, beside this machine"
    )
    command.add_argument("--backchannel-logout-uri", metavar="URL", default="", help="where logout tokens go")
    command.add_argument("--frontchannel-logout-uri", metavar="URL", default="", help="what a logout frames")
    command.add_argument(
        "--inject", metavar="FAULT", action="append", default=[], help="be wrong in this way; may be repeated"
    )
    command.add_argument("--list", action="store_true", dest="is_list", help="list the faults and end")
    command.set_defaults(func=_provider)


def _provider(args: Namespace) -> int:
    # Imported here: the demo extra brings what the provider needs, and the program's other commands work without it.
    try:
        import uvicorn

        from .app import Provider
        from .clients import Client
        from .faults import FAULTS
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"the provider needs {error.name}; install useid-middleware[demo]") from None
    if args.is_list:
        for name, fault in sorted(FAULTS.items()):
            print(f"{name + (':NUMBER' if fault.takes_number else ''):<64}{fault.about}")
        return 0
    issuer: str = args.issuer or f"http://{args.host}:{args.port}"
    try:
        check_issuer(issuer)
    except ValueError as error:
        raise ConfigurationError(f"--issuer {error}") from None
    client = Client(
        client_id=args.client_id,
        client_secret=args.client_secret,
        client_name=args.client_id,
        loopback=True,
        redirect_uris=tuple(args.redirect_uri),
        backchannel_logout_uri=args.backchannel_logout_uri,
        backchannel_logout_session_required=True,
        frontchannel_logout_uri=args.frontchannel_logout_uri,
        frontchannel_logout_session_required=True,
    )
    provider = Provider(issuer, clients=[client])
    provider.inject(*args.inject)
    print(describe(issuer, client_id=client.client_id, client_secret=client.client_secret, faults=provider.faults))
    uvicorn.run(provider, host=args.host, port=args.port, log_level="warning", timeout_graceful_shutdown=5)
    return 0


def describe(issuer: str, *, client_id: str, client_secret: str, faults: tuple[str, ...]) -> str:
    """What the person at the terminal reads: what this is, and the settings of an application that uses it."""
    lines = [
        f"A test OpenID provider at {issuer}: for development, with made-up people and the password test.",
        "",
        "[oidc.providers.dev]",
        f'issuer = "{issuer}"',
        f'client_id = "{client_id}"',
        f'client_secret = "{client_secret}"',
    ]
    if faults:
        lines += ["", f"Wrong on purpose: {', '.join(faults)}"]
    return "\n".join(lines)
