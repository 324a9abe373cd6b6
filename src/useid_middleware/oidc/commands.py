"""`useid oidc …`: what an operator asks providers at the command line."""

import argparse
import asyncio
import json
import os
import secrets
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from ..errors import ConfigurationError, ProviderError, UseIDError
from ..settings import Settings
from ..stores import create_store
from .client import ProviderClient
from .core.metadata import discovery_url, parse_metadata
from .core.registration import parse_registration, registration_request
from .keygen import new_client_keys
from .mount import CACHE_CHANNEL, clients_of
from .network import HTTP

_DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"

#: Told as values, never in a message: tokens are for whoever asked at this terminal.
Command = Callable[[argparse.Namespace, Settings, dict[str, ProviderClient]], Awaitable[int]]


def add_commands(commands: Any) -> None:
    """Add ``oidc`` and what is below it to the parser's commands."""
    parser: argparse.ArgumentParser = commands.add_parser("oidc", help="ask OpenID providers; log in at the terminal")
    below = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, command: Command, help_text: str, *, provider: bool = True) -> argparse.ArgumentParser:
        each: argparse.ArgumentParser = below.add_parser(name, help=help_text, description=help_text)
        each.add_argument("--config", metavar="FILE", help="a TOML file (else USEID_CONFIG)")
        if provider:
            each.add_argument(
                "--provider", metavar="NAME", default="", help="one of oidc.providers (else the only one)"
            )
        each.set_defaults(func=lambda options: _run(command, options))
        return each

    add("test-connection", _test_connection, "fetch metadata and keys, and say what fits and what does not")
    cache = add(
        "cache", _cache, "metadata and keys that the workers keep: forget them, or fetch them now", provider=False
    )
    cache.add_argument("action", choices=("clear", "warmup"))
    introspect = add("introspect", _introspect, "ask the provider about a token (RFC 7662), read from standard input")
    introspect.add_argument("--hint", choices=("access_token", "refresh_token"), default="access_token")
    login = add("login", _login, "log in by device code (RFC 8628); prints the tokens as JSON")
    login.add_argument("--scope", default="", help="scopes with spaces between (else those of the settings)")
    credentials = add("client-credentials", _client_credentials, "a token for this client itself (RFC 6749 §4.4)")
    credentials.add_argument("--scope", default="")
    register = below.add_parser("register", help="register this client at a provider (Dynamic Client Registration 1.0)")
    register.add_argument("issuer")
    register.add_argument("--redirect-uri", action="append", required=True)
    register.add_argument("--name", default="useid-middleware")
    register.set_defaults(func=lambda options: asyncio.run(_register(options)))
    keys = below.add_parser("keys", help="make private keys for private_keys, and print the public ones")
    keys.add_argument("file", type=Path)
    keys.set_defaults(func=_keys)


def _run(command: Command, options: argparse.Namespace) -> int:
    settings = Settings(config_file=options.config)
    if not settings.oidc.providers:
        raise ConfigurationError("oidc.providers must name a provider")

    async def run() -> int:
        clients = clients_of(settings, clock=time.time, random_bytes=secrets.token_bytes)
        try:
            return await command(options, settings, clients)
        finally:
            for client in clients.values():
                await client.http.close()

    return asyncio.run(run())


def _chosen(options: argparse.Namespace, clients: dict[str, ProviderClient]) -> ProviderClient:
    name = options.provider or (next(iter(clients)) if len(clients) == 1 else "")
    if name not in clients:
        raise ConfigurationError(f"--provider must be one of {', '.join(clients)}")
    return clients[name]


async def _test_connection(options: argparse.Namespace, settings: Settings, clients: dict[str, ProviderClient]) -> int:
    failed = 0
    for name, client in clients.items():
        if options.provider not in ("", name):
            continue
        print(f"{name}: {client.provider.expected_issuer}")
        try:
            for line in await _findings(client):
                print(f"  {line}")
        except UseIDError as error:
            failed = 1
            print(f"  failed  {error}")
    return failed


async def _findings(client: ProviderClient) -> list[str]:
    metadata = await client.metadata()
    keys = await client.keys()
    provider = client.provider
    lines = [f"ok      metadata, {len(keys.fingerprints)} keys"]
    wanted = {
        "userinfo": metadata.userinfo_endpoint,
        "logout at the provider": metadata.end_session_endpoint,
        "session monitor": metadata.check_session_iframe,
        "pushed authorization": metadata.pushed_authorization_request_endpoint,
        "revocation": metadata.revocation_endpoint,
        "introspection": metadata.introspection_endpoint,
        "device code": metadata.device_authorization_endpoint,
    }
    lines += [f"{'ok' if endpoint else '-':<8}{what}" for what, endpoint in wanted.items()]
    methods = metadata.token_endpoint_auth_methods_supported
    if methods and provider.client_authentication not in methods:
        lines.append(f"differs client_authentication = {provider.client_authentication}; the provider knows {methods}")
    signs = metadata.id_token_signing_alg_values_supported
    if signs and not set(signs) & set(provider.algorithms):
        lines.append(f"differs algorithms = {provider.algorithms}; the provider signs with {signs}")
    if "S256" not in metadata.code_challenge_methods_supported:
        lines.append("note    the provider does not say that it checks PKCE; it is sent anyway")
    return lines


async def _cache(options: argparse.Namespace, settings: Settings, clients: dict[str, ProviderClient]) -> int:
    if options.action == "warmup":
        for client in clients.values():
            await client.metadata()
            await client.keys()
    store = create_store(settings.store, key_prefix=settings.key_prefix)
    await store.open()
    try:
        await store.publish(CACHE_CHANNEL, options.action.encode())
    finally:
        await store.close()
    print(f"told the workers that share {settings.store.partition('://')[0]}: {options.action}")
    return 0


async def _introspect(options: argparse.Namespace, settings: Settings, clients: dict[str, ProviderClient]) -> int:
    token = sys.stdin.readline().strip()
    form = {"token": token, "token_type_hint": options.hint}
    _show(await _chosen(options, clients).call("introspection_endpoint", form))
    return 0


async def _login(options: argparse.Namespace, settings: Settings, clients: dict[str, ProviderClient]) -> int:
    client = _chosen(options, clients)
    scope = options.scope or " ".join(client.provider.scopes)
    offer = await client.call("device_authorization_endpoint", {"scope": scope})
    code, user_code, address = (offer.get(name) for name in ("device_code", "user_code", "verification_uri"))
    if not (isinstance(code, str) and isinstance(user_code, str) and isinstance(address, str)):
        raise ProviderError("provider_answer_invalid", "device authorization: expected a code and an address")
    print(f"Open {_printable(address)} and enter {_printable(user_code)}", file=sys.stderr)
    given = offer.get("interval")
    interval = float(given) if isinstance(given, int) and 0 < given < 300 else 5.0
    lasts = offer.get("expires_in")
    deadline = time.monotonic() + (lasts if isinstance(lasts, int) and 0 < lasts < 3600 else 600)
    while time.monotonic() < deadline:
        await asyncio.sleep(interval)
        try:
            tokens = await client.grant({"grant_type": _DEVICE_GRANT, "device_code": code})
        except ProviderError as error:
            reason = error.details.get("error")
            if reason == "slow_down":
                interval += 5  # RFC 8628 §3.5
            elif reason != "authorization_pending":
                raise
            continue
        _show({"access_token": tokens.access_token, "refresh_token": tokens.refresh_token, "scope": tokens.scope})
        return 0
    raise ProviderError("token_refused", "device code: expected a decision in time", details={"error": "expired_token"})


async def _client_credentials(
    options: argparse.Namespace, settings: Settings, clients: dict[str, ProviderClient]
) -> int:
    form = {"grant_type": "client_credentials"} | ({"scope": options.scope} if options.scope else {})
    tokens = await _chosen(options, clients).grant(form)
    _show({"access_token": tokens.access_token, "expires_at": tokens.expires_at, "scope": tokens.scope})
    return 0


async def _register(options: argparse.Namespace) -> int:
    http = HTTP(timeout=10)
    try:
        found = await http.get(discovery_url(options.issuer))
        endpoint = parse_metadata(found.body, expected_issuer=options.issuer).registration_endpoint
        if not endpoint:
            raise ProviderError("metadata_invalid", "metadata: expected registration_endpoint")
        request = registration_request(redirect_uris=options.redirect_uri, client_name=options.name)
        answer = await http.post(endpoint, json.dumps(request).encode(), headers={"content-type": "application/json"})
        registration = parse_registration(answer.status, answer.body)
    finally:
        await http.close()
    print("[oidc.providers.NAME]")
    for key, value in (
        ("issuer", options.issuer),
        ("client_id", registration.client_id),
        ("client_secret", registration.client_secret),
    ):
        if value:
            print(f"{key} = {json.dumps(value)}")
    return 0


def _keys(options: argparse.Namespace) -> int:
    private, public = new_client_keys()
    try:
        # Created for the owner alone, and never over a file that is there.
        with open(options.file, "xb", opener=_owner_only) as file:
            file.write(private)
    except FileExistsError:
        raise ConfigurationError(f"{options.file} exists; keys are not overwritten") from None
    print(json.dumps(public, indent=1))
    return 0


def _owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _show(value: dict[str, Any]) -> None:
    print(json.dumps({name: member for name, member in value.items() if member not in ("", None)}, indent=1))


def _printable(text: str) -> str:
    """A provider's text at a terminal: no control characters."""
    return "".join(character for character in text if character.isprintable())[:300]
