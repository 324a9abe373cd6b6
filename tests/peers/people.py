"""A person at a provider's pages: types a name, presses buttons, is sent back to the relying party.

One generator knows the pages; it runs over httpx2's client of either kind. What a browser does by itself (cookies, the
forms that scripts submit) happens as well; JavaScript does not run.
"""

from collections.abc import Generator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import httpx2

#: More steps than any flow has: a provider that sends us in circles is a failure.
MOST_STEPS = 20


@dataclass(frozen=True)
class Arrival:
    """Where the person ended up: at the relying party (not requested yet), or on a page that asks nothing more."""

    url: str
    #: The fields that a form posts to ``url`` (``response_mode=form_post``); ``None`` when it is a redirect or a page.
    form: dict[str, str] | None = None
    #: The page on which it ended; empty when the next thing is a request to the relying party.
    page: str = ""
    #: The addresses of the page's frames, and of its links.
    frames: tuple[str, ...] = ()
    links: tuple[str, ...] = ()


@dataclass
class Form:
    """A form with what its fields hold, and its buttons as ``(text, name, value)``."""

    id: str
    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str, str]] = field(default_factory=list)


class Page(HTMLParser):
    """The forms, frames and links of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.frames: list[str] = []
        self.links: list[str] = []
        self._open: Form | None = None
        self._button: tuple[Form, str, str] | None = None
        self._label = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open = Form(said.get("id", ""), said.get("action", ""), said.get("method", "get").lower())
            self.forms.append(self._open)
        elif tag == "iframe":
            self.frames.append(said["src"])
        elif tag == "a" and "href" in said:
            self.links.append(said["href"])
        elif tag in ("input", "button"):
            # An element may belong to a form that it stands outside of.
            owner = (
                next((form for form in self.forms if form.id == said["form"]), None) if "form" in said else self._open
            )
            if owner is not None and tag == "input":
                owner.fields[said["name"]] = said.get("value", "")
            elif owner is not None:
                self._button, self._label = (owner, said.get("name", ""), said.get("value", "")), ""

    def handle_data(self, data: str) -> None:
        self._label += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None
        elif tag == "button" and self._button is not None:
            form, name, value = self._button
            form.buttons.append((self._label.strip(), name, value))
            self._button = None


@dataclass(frozen=True)
class Step:
    """A request that the person's browser makes."""

    method: str
    url: str
    form: dict[str, str] | None = None


def _visit(url: str, *, login: str, press: str | None) -> Generator[Step, httpx2.Response, Arrival]:
    """Go from ``url`` through the provider's pages, until they end or lead away from its origin.

    On each page the form's first button is pressed, or the one labelled ``press`` where there is one.
    """
    home = urlsplit(url)[:2]
    step = Step("GET", url)
    for _ in range(MOST_STEPS):
        response = yield step
        here = step.url
        if response.is_redirect:
            step = Step("GET", urljoin(here, response.headers["location"]))
        else:
            page = Page(response.text)
            # An error posted to the relying party is for it to judge; one on the provider's own page ends the visit.
            away = page.forms and urlsplit(urljoin(here, page.forms[0].action))[:2] != home
            if response.is_error and not away:
                raise AssertionError(f"{here} answered {response.status_code}:\n{response.text}")
            if not page.forms:
                frames, links = tuple(page.frames), tuple(page.links)
                return Arrival(here, page=response.text, frames=frames, links=links)
            step = _filled(page.forms[0], here, login=login, press=press)
        if urlsplit(step.url)[:2] != home:
            return Arrival(step.url, form=step.form)
    raise AssertionError(f"no end after {MOST_STEPS} steps; the last was {step.method} {step.url}")


def _filled(form: Form, here: str, *, login: str, press: str | None) -> Step:
    fields = dict(form.fields)
    if "login" in fields:
        fields["login"] = login
    pressed = next((button for button in form.buttons if button[0] == press), None) or next(iter(form.buttons), None)
    if pressed is not None and pressed[1]:
        fields[pressed[1]] = pressed[2]
    assert form.method == "post", f"a form on {here} is sent by {form.method}"
    # Without an action the form goes to the page's own address.
    return Step("POST", urljoin(here, form.action), fields)


def visit(client: httpx2.Client, url: str, *, login: str = "ada", press: str | None = None) -> Arrival:
    """Go through the provider's pages from ``url``; the client keeps the browser's cookies."""
    steps = _visit(url, login=login, press=press)
    step = next(steps)
    while True:
        response = client.request(step.method, step.url, data=step.form, follow_redirects=False)
        try:
            step = steps.send(response)
        except StopIteration as end:
            arrival: Arrival = end.value
            return arrival


async def visit_async(client: httpx2.AsyncClient, url: str, *, login: str = "ada", press: str | None = None) -> Arrival:
    """Go through the provider's pages from ``url``; the client keeps the browser's cookies."""
    steps = _visit(url, login=login, press=press)
    step = next(steps)
    while True:
        response = await client.request(step.method, step.url, data=step.form, follow_redirects=False)
        try:
            step = steps.send(response)
        except StopIteration as end:
            arrival: Arrival = end.value
            return arrival


def _callback(arrival: Arrival) -> str:
    assert not arrival.page, f"the provider ended on a page of its own:\n{arrival.page}"
    assert arrival.form is None, "the provider answers by form_post; use visit()"
    return arrival.url


def log_in(client: httpx2.Client, authorization_url: str, *, login: str = "ada") -> str:
    """Log in as ``login``, agree to everything, and return the callback address, which is not requested."""
    return _callback(visit(client, authorization_url, login=login))


async def log_in_async(client: httpx2.AsyncClient, authorization_url: str, *, login: str = "ada") -> str:
    """Log in as ``login``, agree to everything, and return the callback address, which is not requested."""
    return _callback(await visit_async(client, authorization_url, login=login))


def refuse(client: httpx2.Client, authorization_url: str) -> str:
    """Press "Cancel" on the first page, and return the callback address, which is not requested."""
    return _callback(visit(client, authorization_url, press="Cancel"))


def log_out(client: httpx2.Client, end_session_url: str) -> Arrival:
    """Confirm that one wants to log out; arrive at the post-logout address or on the provider's last page."""
    return visit(client, end_session_url)
