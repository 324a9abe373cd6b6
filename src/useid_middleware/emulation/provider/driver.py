"""A person at the provider's pages: follows redirects, reads the forms, presses buttons, over HTTP alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx2

from ...errors import StateError
from .injection import Pairs

#: More steps than any of our flows has.
MAX_STEPS: Final = 12


@dataclass(frozen=True, slots=True)
class Arrival:
    """Where the browser is sent in the end: a GET of ``url``, or, with ``form``, a POST of it there."""

    url: str
    form: tuple[tuple[str, str], ...] | None = None

    @property
    def params(self) -> dict[str, str]:
        """The response's parameters, wherever the response mode put them."""
        parts = urlsplit(self.url)
        if self.form is not None:
            return dict(self.form)
        return dict(parse_qsl(parts.query, keep_blank_values=True) + parse_qsl(parts.fragment, keep_blank_values=True))


@dataclass(slots=True)
class Form:
    """One form of a page: hidden and typed fields, and its buttons."""

    action: str
    pairs: Pairs = field(default_factory=list)
    buttons: Pairs = field(default_factory=list)

    @property
    def fields(self) -> dict[str, str]:
        """The fields by name."""
        return dict(self.pairs)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.frames: list[str] = []
        self.target = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        at = {name: value or "" for name, value in attrs}
        name, value = at.get("name", ""), at.get("value", "")
        if tag == "form":
            self.forms.append(Form(at.get("action", "")))
        elif tag == "iframe":
            self.frames.append(at.get("src", ""))
        elif tag == "a" and at.get("id") == "target":
            self.target = at.get("href", "")
        elif self.forms and tag == "input" and at.get("type") != "checkbox":
            self.forms[-1].pairs.append((name, value))
        elif self.forms and tag == "button":
            self.forms[-1].buttons.append((name, value))


def read_forms(page: str) -> list[Form]:
    """The forms of a page."""
    parser = _Forms()
    parser.feed(page)
    return parser.forms


def read_frames(page: str) -> tuple[list[str], str]:
    """The frames of a page, and where its link leads on: what a front-channel logout loads."""
    parser = _Forms()
    parser.feed(page)
    return parser.frames, parser.target


async def approve(
    client: httpx2.AsyncClient,
    authorization_url: str,
    *,
    person: str = "ada",
    deny: bool = False,
    remember_consent: bool = False,
) -> Arrival:
    """Log in as ``person`` and agree (or with ``deny`` not), from an authorization request to the way back.

    ``client`` is the browser: it holds the cookies, and must not follow redirects. Whoever is logged in already is
    asked again only where the request demands it. ``unexpected_page`` where the provider shows an error.
    """
    return await _walk(
        client,
        await client.get(authorization_url, follow_redirects=False),
        base=authorization_url.partition("?")[0].removesuffix("/authorize"),
        choices=_choices(person, deny=deny, remember_consent=remember_consent),
    )


async def log_out(client: httpx2.AsyncClient, logout_url: str, *, stay: bool = False) -> httpx2.Response:
    """Answer the provider's question whether to log out, if it asks; its last answer: a redirect or a page."""
    response = await client.get(logout_url, follow_redirects=False)
    forms = read_forms(response.text) if response.status_code == 200 else []
    if not forms:
        return response
    fields = {**forms[0].fields, "action": "stay" if stay else "logout"}
    return await client.post(urljoin(logout_url, forms[0].action), data=fields, follow_redirects=False)


async def allow_device(client: httpx2.AsyncClient, verification_url: str, *, person: str = "ada") -> None:
    """Allow a device's login, by the complete address with the code (RFC 8628 §3.3.1)."""
    response = await client.get(verification_url, follow_redirects=False)
    forms = read_forms(response.text)
    if not forms or ("action", "allow") not in forms[0].buttons:
        raise _unexpected(response)
    fields = {**forms[0].fields, "person": person, "action": "allow"}
    response = await client.post(urljoin(verification_url, forms[0].action), data=fields)
    if response.status_code != 200:
        raise _unexpected(response)


def _choices(person: str, *, deny: bool, remember_consent: bool) -> dict[tuple[str, str], dict[str, str]]:
    """What to send by the button that stands for it."""
    consent = {"action": "deny"} if deny else {"action": "allow"}
    if remember_consent:
        consent["remember"] = "yes"
    return {("person", person): {"person": person}, ("action", "allow"): consent}


async def _walk(
    client: httpx2.AsyncClient,
    response: httpx2.Response,
    *,
    base: str,
    choices: Mapping[tuple[str, str], dict[str, str]],
) -> Arrival:
    for _ in range(MAX_STEPS):
        here = str(response.url)
        if response.is_redirect:
            target = urljoin(here, response.headers["location"])
            if not target.startswith(f"{base}/interaction/"):
                return Arrival(target)
            response = await client.get(target, follow_redirects=False)
            continue
        forms = read_forms(response.text) if response.status_code == 200 else []
        if len(forms) == 1 and not urljoin(here, forms[0].action).startswith(f"{base}/interaction/"):
            return Arrival(forms[0].action, tuple(forms[0].pairs))
        pressed = next(
            ((form, sent) for button, sent in choices.items() for form in forms if button in form.buttons), None
        )
        if pressed is None:
            raise _unexpected(response)
        form, sent = pressed
        url = urljoin(here, form.action)
        response = await client.post(url, data={**form.fields, **sent}, follow_redirects=False)
    raise StateError("unexpected_page", f"the provider: expected a way back within {MAX_STEPS} steps")


def _unexpected(response: httpx2.Response) -> StateError:
    return StateError(
        "unexpected_page", f"the provider (status {response.status_code}): expected a page with the form to press"
    )
