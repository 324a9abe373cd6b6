"""The provider's pages: plain forms that work without JavaScript, every value escaped, a banner on each of them."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Final
from urllib.parse import urlsplit

from .clients import Client
from .people import PASSWORD, Person
from .texts import choose_texts

Texts = Mapping[str, str]

_PAGE: Final = """<!doctype html>
<html lang="{lang}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title}</title>
<link rel="stylesheet" href="{prefix}/static/provider.css">
{head}</head>
<body>
<header><p role="note">{banner}</p></header>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""


def policy_for(
    *, form_action: str = "", script: bool = False, frames: Iterable[str] = (), ancestors: str = "'none'"
) -> str:
    """The Content-Security-Policy of a page: nothing but our stylesheet, and what the arguments add.

    ``form_action`` is the source that a form leads to in the end: browsers judge redirects after a form by it as well.
    """
    directives = ["default-src 'none'", "style-src 'self'", "base-uri 'none'", f"frame-ancestors {ancestors}"]
    directives.append(f"form-action 'self' {form_action}".rstrip())
    if script:
        directives.append("script-src 'self'")
    sources = " ".join(dict.fromkeys(frames))
    if sources:
        directives.append(f"frame-src {sources}")
    return "; ".join(directives)


def form_action(uri: str) -> str:
    """The source expression for a redirect address: its origin, or its scheme for an app's own."""
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return f"{parts.scheme}:" if parts.scheme.replace("-", "").replace(".", "").replace("+", "").isalnum() else ""
    host = parts.netloc.rpartition("@")[2]
    # A character that ends a directive cannot stand in a host name.
    return f"{parts.scheme}://{host}" if host and not set(host) & set(" ;,'\"") else ""


def page(prefix: str, texts: Texts, title: str, body: str, *, head: str = "") -> bytes:
    """A whole page; ``title`` is text, ``body`` and ``head`` are markup."""
    return _PAGE.format(
        lang=texts["language"],
        prefix=escape(prefix),
        title=escape(title),
        banner=escape(texts["banner"]),
        body=body,
        head=head,
    ).encode()


def login_page(
    prefix: str,
    action: str,
    texts: Texts,
    *,
    client: Client,
    people: Sequence[Person],
    current: Person | None,
    username: str,
    is_failed: bool,
) -> bytes:
    """Buttons for the test people, and a form. ``current`` is who is logged in already."""
    parts = []
    if is_failed:
        parts.append(f'<p class="error" role="alert" id="failed">{escape(texts["login_failed"])}</p>')
    start = f'<form method="post" action="{escape(action)}">'
    remember = f'<p><label><input type="checkbox" name="remember" value="yes"> {escape(texts["remember"])}</label></p>'
    if current is not None:
        text = escape(texts["continue_as"].format(name=current.name))
        parts.append(f'{start}<p><button name="action" value="continue">{text}</button></p></form>')
    buttons = "".join(
        f'<li><button name="person" value="{escape(person.username)}">{escape(person.name)}'
        f" <small>{escape(_remark(person, texts))}</small></button></li>"
        for person in people
    )
    parts.append(f'{start}<h2>{escape(texts["people"])}</h2><ul class="people">{buttons}</ul>{remember}</form>')
    invalid = ' aria-invalid="true" aria-describedby="failed"' if is_failed else ""
    parts.append(
        f"{start}<h2>{escape(texts['form'])}</h2>"
        f'<p><label for="username">{escape(texts["username"])}</label>'
        f'<input id="username" name="username" autocomplete="username" value="{escape(username)}"{invalid}></p>'
        f'<p><label for="password">{escape(texts["password"].format(password=PASSWORD))}</label>'
        f'<input id="password" name="password" type="password" autocomplete="current-password"{invalid}></p>'
        f'{remember}<p><button name="action" value="login">{escape(texts["login"])}</button></p></form>'
    )
    cancel = escape(texts["cancel"].format(client=client.name))
    parts.append(f'{start}<p><button class="quiet" name="action" value="cancel">{cancel}</button></p></form>')
    return page(prefix, texts, texts["login_for"].format(client=client.name), "\n".join(parts))


def consent_page(
    prefix: str, action: str, texts: Texts, *, client: Client, person: Person, scopes: Sequence[str]
) -> bytes:
    """What the client asks for, and yes or no."""
    asked = escape(texts["consent_for"].format(client=client.name, name=person.name))
    body = (
        f'<p>{asked}</p>{_scopes(scopes, texts)}<form method="post" action="{escape(action)}">'
        f'<p><label><input type="checkbox" name="remember" value="yes" checked> '
        f"{escape(texts['consent_remember'])}</label></p>{_decision(texts)}</form>"
    )
    return page(prefix, texts, texts["consent"], body)


def device_page(
    prefix: str,
    texts: Texts,
    *,
    user_code: str,
    is_failed: bool = False,
    client: Client | None = None,
    person: Person | None = None,
    people: Sequence[Person] = (),
    scopes: Sequence[str] = (),
) -> bytes:
    """The code of a device (RFC 8628 §3.3): to type in, or, once it is known, to allow."""
    start = f'<form method="post" action="{escape(prefix)}/device">'
    if client is None:
        failed = f'<p class="error" role="alert">{escape(texts["device_failed"])}</p>' if is_failed else ""
        body = (
            f"{failed}<p>{escape(texts['device_help'])}</p>{start}"
            f'<p><label for="code">{escape(texts["user_code"])}</label>'
            f'<input id="code" name="user_code" autocomplete="off" value="{escape(user_code)}"></p>'
            f"<p><button>{escape(texts['next'])}</button></p></form>"
        )
        return page(prefix, texts, texts["device"], body)
    asked = escape(texts["device_confirm"].format(client=client.name))
    choices = "".join(
        f'<option value="{escape(one.username)}"{" selected" if one == person else ""}>{escape(one.name)}</option>'
        for one in people
    )
    body = (
        f'<p>{asked}</p><p class="code">{escape(user_code)}</p>{_scopes(scopes, texts)}{start}'
        f'<input type="hidden" name="user_code" value="{escape(user_code)}">'
        f'<p><label for="person">{escape(texts["username"])}</label>'
        f'<select id="person" name="person">{choices}</select></p>{_decision(texts)}</form>'
    )
    return page(prefix, texts, texts["device"], body)


def message_page(prefix: str, texts: Texts, title: str, *messages: str, link: str = "") -> bytes:
    """A page that says something, with a way on if there is one."""
    body = "".join(f"<p>{escape(message)}</p>" for message in messages)
    if link:
        body += f'<p><a href="{escape(link)}">{escape(texts["continue"])}</a></p>'
    return page(prefix, texts, title, body)


def post_page(prefix: str, uri: str, params: Iterable[tuple[str, str]], *, language: str) -> bytes:
    """The page of the form_post response mode: it sends itself; without JavaScript the person presses a button."""
    texts = choose_texts(language)
    fields = "".join(f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in params)
    body = (
        f'<form method="post" action="{escape(uri)}">{fields}<p><button>{escape(texts["continue"])}</button></p></form>'
    )
    script = f'<script src="{escape(prefix)}/static/form-post.js" defer></script>\n'
    return page(prefix, texts, texts["posting"], body, head=script)


def logout_page(prefix: str, texts: Texts, *, question: str, fields: Mapping[str, str]) -> bytes:
    """Ask before logging out."""
    hidden = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in fields.items()
    )
    body = (
        f'<p>{escape(question)}</p><form method="post" action="{escape(prefix)}/end-session/confirm">{hidden}'
        f'<p><button name="action" value="logout">{escape(texts["logout"])}</button> '
        f'<button class="quiet" name="action" value="stay">{escape(texts["logout_no"])}</button></p></form>'
    )
    return page(prefix, texts, texts["logout"], body)


def frames_page(prefix: str, texts: Texts, *, frames: Sequence[str], target: str) -> bytes:
    """Log out at every client in a frame of its own (OpenID Connect Front-Channel Logout 1.0 §2), then go on."""
    inner = "".join(f'<iframe hidden src="{escape(frame)}" title=""></iframe>' for frame in frames)
    link = f'<p><a id="target" href="{escape(target)}">{escape(texts["continue"])}</a></p>' if target else ""
    body = f"<p>{escape(texts['logged_out_frames'])}</p>{inner}{link}"
    script = f'<script src="{escape(prefix)}/static/logout.js" defer></script>\n'
    return page(prefix, texts, texts["logged_out"], body, head=script)


def _remark(person: Person, texts: Texts) -> str:
    remarks = [person.email or texts["no_email"]]
    if person.email and not person.email_verified:
        remarks.append(texts["email_unverified"])
    remarks.append(", ".join(person.roles) or texts["no_roles"])
    return " · ".join(remarks)


def _scopes(scopes: Sequence[str], texts: Texts) -> str:
    return "<ul>" + "".join(f"<li>{escape(texts.get(f'scope_{scope}', scope))}</li>" for scope in scopes) + "</ul>"


def _decision(texts: Texts) -> str:
    return (
        f'<p><button name="action" value="allow">{escape(texts["allow"])}</button> '
        f'<button class="quiet" name="action" value="deny">{escape(texts["deny"])}</button></p>'
    )
