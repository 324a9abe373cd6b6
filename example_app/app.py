"""The example: an existing Starlette app, and the plugin in front of it.

The whole integration is two places: the last line puts :class:`UseIDMiddleware` around the app, and :func:`log_in`
tells it about a login by password. ``request.user``, ``request.auth`` and ``@requires`` then work everywhere, QR login
and OpenID Connect are served below ``/auth``, and logging out is a form that posts to ``/auth/logout``. The settings
switch passkeys on, and say that the vault demands more than a password.
"""

import os
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from starlette.applications import Starlette
from starlette.authentication import requires
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from useid_middleware import Identity, Settings, UseIDMiddleware, login
from useid_middleware.emulation.phone.page import find_asset

from . import login_pages, pages
from .layout import Visit
from .texts import LANGUAGES, choose_language
from .users import check_password

_MAX_FORM: Final = 4096

settings: Final = Settings(app_name="Harbour", webauthn={"enabled": True}, levels={"/vault": "L2"})
#: Names and labels of the OpenID providers; `make demo` starts one of its own and configures it.
PROVIDERS: Final = tuple((name, provider.label or name) for name, provider in settings.oidc.providers.items())
FORM_TARGETS: Final = tuple(
    "{0.scheme}://{0.netloc}".format(urlsplit(provider.expected_issuer))
    for provider in settings.oidc.providers.values()
)
#: Where `make demo` serves its emulated phone with an ID card.
EID_PHONE: Final = os.environ.get("HARBOUR_EID_PHONE", "")
#: Whether `make demo` wants the pages to find its emulated phones' passkeys.
HAS_HYBRID: Final = bool(os.environ.get("HARBOUR_HYBRID"))
#: Where a login must be bound, the plugin refuses the modes that leave it unbound.
EID_MODES: Final = (
    ("bound", "same-device") if settings.eid.client == "bound" else ("standard", "integrated", "bound", "same-device")
)


async def home(request: Request) -> Response:
    """Who is logged in, and what to try."""
    return pages.home(visit(request))


async def log_in(request: Request) -> Response:
    """The password form and, beside it, the widget; both lead to ``?next=``."""
    if request.method != "POST":
        query = request.query_params
        # Starlette's @requires says "next", the plugin's elements say "return".
        return login_pages.login(
            visit(request), target=local_path(request, query.get("next", query.get("return", "/")))
        )
    check_origin(request)
    form = await read_form(request)
    username, target = form.get("username", ""), local_path(request, form.get("next", "/"))
    if not await check_password(username, form.get("password", "")):
        return login_pages.login(visit(request), target=target, username=username, failed=True)
    await login(request, Identity(provider="password", subject=username, username=username, amr=("pwd",)))
    return RedirectResponse(target, status_code=303)


async def id_card(request: Request) -> Response:
    """Log in with an ID card, in the mode ``?mode=``; leads to ``?next=``."""
    query = request.query_params
    mode = query.get("mode", "")
    target = local_path(request, query.get("next", "/"))
    return login_pages.id_card(visit(request), target=target, mode=mode if mode in EID_MODES else "")


@requires("authenticated", redirect="login")
async def protected(request: Request) -> Response:
    """Members only: how this login was made, and all sessions of the account."""
    return pages.protected(visit(request))


@requires("authenticated", redirect="login")
async def phones(request: Request) -> Response:
    """Enrol and revoke phones."""
    return pages.phones(visit(request))


@requires("authenticated", redirect="login")
async def passkeys(request: Request) -> Response:
    """Add, name and delete passkeys."""
    return pages.passkeys(visit(request))


async def vault(request: Request) -> Response:
    """For sessions of ``L2`` and more, as ``levels`` has it: whose session has less never comes here."""
    return pages.vault(visit(request))


async def phone(request: Request) -> Response:
    """The emulated phone. Only a demo serves it."""
    status, headers, body = find_asset(request.path_params["file"])
    response = Response(body, status)
    response.raw_headers = [*headers, (b"content-length", b"%d" % len(body))]
    return response


async def problem(request: Request, error: Exception) -> Response:
    """A page for 403, 404 and their like."""
    assert isinstance(error, HTTPException)
    return pages.problem(visit(request), status=error.status_code)


def visit(request: Request) -> Visit:
    """What every page shows: the language, the user, and where we are."""
    asked = request.query_params.get("lang", "")
    language = choose_language(asked, request.cookies.get("lang", ""), request.headers.get("accept-language", ""))
    others = [code for code in LANGUAGES if code != language]
    session = request.auth.session
    here = [(name, value) for name, value in request.query_params.multi_items() if name != "lang"]
    return Visit(
        language=language,
        remember_language=asked == language,
        translations=[(code, f"{request.url.path}?{urlencode([*here, ('lang', code)])}") for code in others],
        path=request.url.path,
        username=request.user.display_name,
        acr=request.auth.acr,
        amr=tuple(request.auth.amr),
        auth_time=request.auth.auth_time or 0.0,
        roles=tuple(request.auth.roles),
        is_new=session is not None and session.is_new_account,
        by_provider=session is not None and session.sid is not None,
        providers=PROVIDERS,
        form_targets=FORM_TARGETS,
        has_eid=bool(settings.eid.server),
        eid_phone=EID_PHONE,
        eid_modes=EID_MODES,
        is_bound=settings.qr.assurance == "L2",
        has_hybrid=HAS_HYBRID,
        passkeys_at=place_for_passkeys(request),
    )


def place_for_passkeys(request: Request) -> str:
    """This page at localhost, where the browser has it at an address of this machine; else empty."""
    try:
        ip_address(request.url.hostname or "")
    except ValueError:
        return ""
    return str(request.url.replace(hostname="localhost"))


def local_path(request: Request, target: str) -> str:
    r"""``target`` as a path of this site; ``/`` for ``//evil.example``, ``/\evil.example`` and anything else."""
    try:
        parts = urlsplit(target)
    except ValueError:
        return "/"
    here = (request.url.scheme, request.url.netloc)
    odd = not target.isascii() or not target.isprintable() or " " in target or "\\" in target
    if odd or (parts.scheme, parts.netloc) not in (here, ("", "")):
        return "/"
    if target.startswith("//") or not parts.path.startswith("/") or parts.path.startswith("//"):
        return "/"
    return urlunsplit(("", "", parts.path, parts.query, ""))


def check_origin(request: Request) -> None:
    """Refuse a form that a page of another site posted: browsers say where it came from."""
    if request.headers.get("origin") != f"{request.url.scheme}://{request.url.netloc}":
        raise HTTPException(403)


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a small posted form."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_FORM:
            raise HTTPException(413)
    return {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}


site = Starlette(
    routes=[
        Route("/", home, name="home"),
        Route("/login", log_in, methods=["GET", "POST"], name="login"),
        Route("/id-card", id_card, name="id_card"),
        Route("/protected", protected, name="protected"),
        Route("/phones", phones, name="phones"),
        Route("/passkeys", passkeys, name="passkeys"),
        Route("/vault", vault, name="vault"),
        Route("/phone/{file:path}", phone),
        Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")),
    ],
    exception_handlers={HTTPException: problem},
)

app = UseIDMiddleware(site, settings)
