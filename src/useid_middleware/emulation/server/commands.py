"""``useid eid-server``: the emulated eID server on the command line."""

import asyncio
from argparse import ArgumentParser, Namespace, _SubParsersAction
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_bytes
from time import time
from typing import Final

from ...errors import ConfigurationError
from ...settings import check_origin
from ..client.demo_tls import prepare_demo_tls
from .app import Standalone, standalone
from .routes import SOAP_PATH
from .session import Variant
from .soap_keys import CLIENT, SIGNING, prepare_key, read_clients
from .terminal import ensure_pki

HOST: Final = "localhost"
PORT: Final = 8444
SOAP_PORT: Final = 8445
#: Below the PKI's folder.
TLS_FOLDER: Final = "tls"

_VARIANTS: Final = {
    "direct": Variant.DIRECT,
    "framework": Variant.INITIALIZE_FRAMEWORK,
    "additional": Variant.EAC_ADDITIONAL,
    "full": Variant.INITIALIZE_FRAMEWORK | Variant.DID_LIST | Variant.EAC_ADDITIONAL,
}


def add_commands(subparsers: "_SubParsersAction[ArgumentParser]") -> None:
    """Add ``eid-server``; it sets ``func``, from the parsed arguments to the exit code.

    Exit codes: 0 ended; 1 refused (a folder or certificate at fault); 2 wrong usage.
    """
    text = "serve an emulated eID server: PAOS for eID clients, SOAP (TR-03130) for eServices; for development"
    command = subparsers.add_parser("eid-server", help=text, description=text)
    command.add_argument("--host", default=HOST, help="its name in addresses and certificates (default: %(default)s)")
    command.add_argument("--port", type=int, default=PORT, help="for eID clients, TLS (default: %(default)s)")
    command.add_argument(
        "--soap-port", type=int, default=SOAP_PORT, help="for eServices, mutual TLS (default: %(default)s)"
    )
    command.add_argument(
        "--pki", metavar="DIR", type=Path, default=Path("useid-pki"), help="the test PKI, made where there is none"
    )
    command.add_argument(
        "--client-certificate",
        metavar="FILE",
        type=Path,
        nargs="+",
        default=[],
        help="certificates (PEM) of the eServices, for TLS and signatures (default: one that is made in DIR)",
    )
    command.add_argument(
        "--subject-url", metavar="URL", default="", help="the eService's origin (default: the server's own)"
    )
    command.add_argument(
        "--tls-certificate",
        metavar="FILE",
        type=Path,
        nargs="+",
        default=[],
        help="TLS certificates of the eService, which the certificate description must name",
    )
    command.add_argument(
        "--variant", choices=_VARIANTS, default="direct", help="the way through PAOS (default: %(default)s)"
    )
    command.set_defaults(func=_eid_server)


def _eid_server(options: Namespace) -> int:
    # Imported here: the demo extra brings what serves, and the program's other commands work without it.
    try:
        from .serving import serve
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"the eID server needs {error.name}; install useid-middleware[demo]") from None
    origin = _checked_origin(f"https://{options.host}:{options.port}", option="--host and --port")
    made = make(
        options.pki,
        host=options.host,
        origin=origin,
        subject_url=_checked_origin(options.subject_url, option="--subject-url") if options.subject_url else origin,
        tls_certificates=options.tls_certificate,
        client_certificates=options.client_certificate,
        variant=_VARIANTS[options.variant],
    )
    soap = f"https://{options.host}:{options.soap_port}{SOAP_PATH}"
    print("\n".join(describe(made, origin=origin, soap=soap)), flush=True)
    asyncio.run(serve(made, host=options.host, port=options.port, soap_port=options.soap_port))
    return 0


def make(
    folder: Path,
    *,
    host: str,
    origin: str,
    subject_url: str,
    tls_certificates: Sequence[Path] = (),
    client_certificates: Sequence[Path] = (),
    variant: Variant = Variant.DIRECT,
) -> Standalone:
    """The server, with all that is missing in ``folder`` made: the PKI, a TLS certificate, the keys of SOAP."""
    now = datetime.now(UTC)
    ensure_pki(folder, now=now, random=token_bytes)
    tls = prepare_demo_tls(folder / TLS_FOLDER, hosts=(host,), now=now)
    signing = prepare_key(folder, SIGNING, now=now)
    client = None if client_certificates else prepare_key(folder, CLIENT, now=now)
    return standalone(
        folder,
        origin=origin,
        subject_url=subject_url,
        tls=tls,
        tls_certificates=tls_certificates,
        clients=read_clients(client_certificates if client is None else (client.certificate_file,)),
        client=client,
        signing=signing,
        clock=time,
        random_bytes=token_bytes,
        variant=variant,
    )


def describe(made: Standalone, *, origin: str, soap: str) -> Iterable[str]:
    """What the person at the terminal reads: what this is, and the settings of an eService that uses it."""
    yield f"A test eID server at {origin}: for development; what it proves, it proves about emulated cards alone."
    yield ""
    yield "[eid]"
    yield f'server = "{soap}"'
    # Sessions run attached: there is no TLS with keys here.
    yield "attached = true"
    certificate, _ = made.tls
    yield f'ca_file = "{certificate.absolute()}"'
    yield f'server_signing_certificate = "{made.signing.certificate_file.absolute()}"'
    if made.client is not None:
        for use in ("tls", "signing"):
            yield f'{use}_certificate = "{made.client.certificate_file.absolute()}"'
            yield f'{use}_key = "{made.client.key_file.absolute()}"'


def _checked_origin(url: str, *, option: str) -> str:
    try:
        return check_origin(url)
    except ValueError as error:
        raise ConfigurationError(f"{option}: {error}") from None
