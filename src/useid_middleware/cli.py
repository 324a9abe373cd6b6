"""`useid …`: what an operator and a developer do at the command line."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import Final

from .audit.commands import add_commands as add_audit_commands
from .emulation.card.commands import add_commands as add_card_commands
from .emulation.client.commands import add_commands as add_client_commands
from .emulation.client.serving import CLIENT_PORT
from .emulation.loopback import NAME, AtLocalhost, listen_at_localhost
from .emulation.phone.commands import add_commands as add_phone_commands
from .emulation.pki_commands import add_commands as add_pki_commands
from .emulation.provider.app import Provider
from .emulation.provider.clients import DEMO
from .emulation.provider.commands import add_commands as add_provider_commands
from .emulation.server.commands import add_commands as add_server_commands
from .errors import ConfigurationError, UseIDError
from .oidc.commands import add_commands as add_oidc_commands
from .plugin import UseID
from .settings import EIDSettings, Settings

#: What the demo asks of ID cards: something of everything.
_DEMO_EID: Final = {
    "SERVER": "embedded",
    "REQUIRED": '["RestrictedID", "GivenNames", "FamilyNames"]',
    "OPTIONAL": '["AcademicTitle", "PlaceOfResidence"]',
    "KEEP": '["GivenNames", "FamilyNames"]',
    "USERNAME": "GivenNames",
    "AGE": "18",
    "TRANSACTION_INFO": "Demo of useid-middleware",
}
#: What `useid demo --bound` asks of phones: their passkey for each login on another device.
_DEMO_BOUND: Final = {"QR__ASSURANCE": "L2", "EID__CLIENT": "bound"}
_DEMO_SCOPES: Final = ("openid", "profile", "email", "roles", "offline_access")


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
    demo.add_argument(
        "--provider-port", type=int, metavar="PORT", help="of the test OpenID provider (else the next one)"
    )
    demo.add_argument("--tls", action="store_true", help="serve https://localhost, for real eID clients")
    demo.add_argument(
        "--bound", action="store_true", help="bind each login by phone to this computer, by the phone's passkey"
    )
    demo.set_defaults(func=_demo)

    add_audit_commands(commands)
    add_oidc_commands(commands)
    add_phone_commands(commands)
    add_provider_commands(commands)
    add_pki_commands(commands)
    add_card_commands(commands)
    add_client_commands(commands)
    add_server_commands(commands)
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
    # Browsers know no passkeys of an address, and eID clients no certificate of one.
    url = f"{'https' if options.tls else 'http'}://{NAME}:{options.port}"
    certificate, key = None, None
    try:
        import uvicorn

        from .emulation.client.demo_tls import prepare_demo_tls
        from .emulation.client.serving import serve_eid_phone

        if find_spec("example_app") is None:
            # Said before anything is served or written.
            raise ModuleNotFoundError(name="example_app")
        listeners = listen_at_localhost(options.port)
        issuer = _serve_provider(options.provider_port or options.port + 1, app=url)
        # As an operator would configure it; what is configured already stays.
        demo: dict[str, object] = {"issuer": issuer, "label": "the test provider"}
        demo |= {"client_id": DEMO.client_id, "client_secret": DEMO.client_secret}
        demo |= {"scopes": _DEMO_SCOPES, "roles_claim": "roles"}
        os.environ.setdefault("USEID_OIDC__PROVIDERS", json.dumps({"demo": demo}))
        for name, value in _DEMO_EID.items():
            os.environ.setdefault(f"USEID_EID__{name}", value)
        for name, value in _DEMO_BOUND.items() if options.bound else ():
            os.environ.setdefault(f"USEID_{name}", value)
        pki_folder = Path(os.environ.get("USEID_EID__PKI", EIDSettings().pki))
        # Where a real eID client has that port, the links on this computer are its, and the phone is elsewhere.
        phone = serve_eid_phone(pki_folder=pki_folder, app_url=url) or serve_eid_phone(
            0, pki_folder=pki_folder, app_url=url
        )
        os.environ["HARBOUR_EID_PHONE"] = phone
        # The emulated phones are in windows of this computer: no radio reaches them.
        os.environ["HARBOUR_HYBRID"] = "emulated"
        if options.tls:
            certificate, key = prepare_demo_tls(pki_folder / "tls")
            os.environ.setdefault("USEID_EID__SERVER_TLS_CERTIFICATE", str(certificate))
            os.environ.setdefault("USEID_ORIGIN", url)
        from example_app.app import app
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"the demo lacks {error.name}: run make demo in a checkout of useid-middleware"
        ) from None
    print(f"Open {url} on this computer, and {url}/phone/ in a second window: it plays the phone.")
    print("Log in as alice with the password wonderland, or with the test provider; enrol the phone, log out, and log")
    print(f"in with the QR code. The test OpenID provider is at {issuer}.")
    for line in (*_about_binding(bound=options.bound), *_about_cards(phone, pki_folder, tls=options.tls)):
        print(line)
    config = uvicorn.Config(
        AtLocalhost(app),
        log_level="warning",
        timeout_graceful_shutdown=5,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):
        server.run(sockets=listeners)
    return 0 if server.started else 1


def _about_binding(*, bound: bool) -> Iterator[str]:
    """What to try with passkeys, and with phones that are bound to this computer."""
    yield "Make a passkey on the page Passkeys: it logs in, and opens the vault, which demands more than a password."
    if bound:
        yield "A login by phone is bound to this computer: after it, this computer asks for the phone's passkey."
    else:
        yield "To bind logins by phone to this computer: make demo BOUND=1."


def _about_cards(phone: str, pki_folder: Path, *, tls: bool) -> Iterator[str]:
    """What to try with ID cards, and with what."""
    yield f"Log in with an emulated ID card too: its PIN is 123456, and its phone is at {phone}"
    if not phone.endswith(f":{CLIENT_PORT}/"):
        yield f"Port {CLIENT_PORT} is taken, by an eID client perhaps: links for clients on this computer go there."
    if tls:
        yield "A real AusweisApp logs in as well, with a card of this test PKI in a virtual reader (pcscd and vpcd):"
        yield f"  useid pki show {pki_folder} --cvca-hex    for cvRootCertificates in its config.json"
        yield f"  useid card --vpcd 127.0.0.1:35963 --pki {pki_folder}"
        yield "docs/howto/eid.md says it step by step."
    else:
        yield "For a real AusweisApp the demo must speak TLS: make demo TLS=1."


def _serve_provider(port: int, *, app: str) -> str:
    """Serve the development OpenID provider from a thread of this process; its issuer."""
    import uvicorn

    client = replace(
        DEMO,
        backchannel_logout_uri=f"{app}/auth/backchannel-logout",
        frontchannel_logout_uri=f"{app}/auth/frontchannel-logout",
        frontchannel_logout_session_required=True,
    )
    # Of one site with the app, so that a browser that blocks third parties' cookies lets its frame see them.
    issuer = f"http://{NAME}:{port}"
    server = uvicorn.Server(uvicorn.Config(Provider(issuer, clients=[client]), log_level="warning"))
    listeners = {"sockets": listen_at_localhost(port)}
    Thread(target=server.run, kwargs=listeners, daemon=True, name="provider").start()
    return issuer
