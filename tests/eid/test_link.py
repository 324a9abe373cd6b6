"""The link that starts an eID client: what we write is what is read, and every other form is refused."""

from urllib.parse import parse_qs, quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from useid_middleware._codec import b64url
from useid_middleware.eid.core.link import ClientLink, Widget, build_widget_link, parse_link
from useid_middleware.eid.core.tctoken import CLIENT, LOOPBACK_CLIENT, client_url
from useid_middleware.errors import RequestError

TOKEN_URL = "https://app.example/auth/eid/tctoken/abc"
SERVER = "https://app.example/auth"
SESSION = b64url(b"i" * 16)
SECRET = bytes(range(32))
FRAGMENT = f"#widgetSessionSecret={b64url(SECRET)}"
LINK = build_widget_link(tc_token_url=TOKEN_URL, session_id=SESSION, server=SERVER)

URLS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=100).map(
    lambda text: f"https://app.example/{quote(text)}?q={text}&a=1#f"
)


@given(url=URLS)
def test_a_tctoken_address_of_any_characters_arrives_whole(url: str) -> None:
    for client in (CLIENT, LOOPBACK_CLIENT):
        link = client_url(url, client=client)
        assert parse_link(link) == ClientLink(url)
        assert parse_qs(urlsplit(link).query)["tcTokenURL"] == [url]


@given(
    url=URLS,
    session_id=st.binary(min_size=16, max_size=16).map(b64url),
    secret=st.binary(min_size=32, max_size=32),
    server=st.sampled_from(["https://app.example/auth", "http://127.0.0.1:8000/auth", "https://app.example:8443/x/y"]),
)
def test_what_the_widget_adds_its_secret_to_is_read_with_it(
    url: str, session_id: str, secret: bytes, server: str
) -> None:
    link = build_widget_link(tc_token_url=url, session_id=session_id, server=server)
    read = parse_link(f"{link}#widgetSessionSecret={b64url(secret)}")
    assert read == ClientLink(url, Widget(session_id, server, secret))


@given(public_key=st.binary(min_size=32, max_size=32))
def test_a_widget_may_have_a_public_key_instead(public_key: bytes) -> None:
    read = parse_link(f"{LINK}#widgetPublicKey={b64url(public_key)}")
    assert read == ClientLink(TOKEN_URL, Widget(SESSION, SERVER, public_key=public_key))


@pytest.mark.parametrize("values", [{}, {"secret": SECRET, "public_key": SECRET}])
def test_a_widget_has_a_secret_or_a_public_key_and_not_both(values: dict[str, bytes]) -> None:
    with pytest.raises(ValueError, match="expected a secret or a public key"):
        Widget(SESSION, SERVER, **values)


def test_the_server_writes_no_fragment_for_it_does_not_know_the_secret() -> None:
    assert "#" not in LINK
    assert "ecret" not in LINK


def test_a_stock_client_finds_the_tctoken_address_in_the_widgets_link_as_in_any() -> None:
    assert LINK.startswith(client_url(TOKEN_URL))


def test_the_secret_is_not_shown_by_accident() -> None:
    read = parse_link(LINK + FRAGMENT)
    assert read.widget is not None
    assert read.widget.secret == SECRET
    assert repr(SECRET) not in repr(read)


@pytest.mark.parametrize("start", [CLIENT, LOOPBACK_CLIENT, "http://localhost:24727/eID-Client"])
def test_all_spellings_of_the_local_client_start_it(start: str) -> None:
    assert parse_link(f"{start}?tcTokenURL={quote(TOKEN_URL, safe='')}").tc_token_url == TOKEN_URL


@pytest.mark.parametrize(
    "link",
    [
        "",
        "eid:",
        CLIENT,
        f"{CLIENT}?",
        f"{CLIENT}?tcTokenURL=",
        f"{CLIENT}?tcTokenURL",
        f"{CLIENT}?tctokenurl=https%3A%2F%2Fapp.example",
        f"{CLIENT}?tcTokenURL=a&tcTokenURL=b",
        f"{CLIENT}?tcTokenURL=a&&",
        f"{CLIENT}/?tcTokenURL=a",
        f"{CLIENT}?" + "&".join(f"a{number}=1" for number in range(20)) + "&tcTokenURL=a",
        f"{CLIENT}?tcTokenURL={'a' * 2000}",
        "eid://127.0.0.1:24728/eID-Client?tcTokenURL=a",
        "eid://evil.example:24727/eID-Client?tcTokenURL=a",
        "http://127.0.0.1:24727/eid-client?tcTokenURL=a",
        "https://127.0.0.1:24727/eID-Client?tcTokenURL=a",
        "tana://login?session=a",
        "javascript:alert(1)",
        client_url(TOKEN_URL) + FRAGMENT,
        LINK,
        LINK + "#",
        LINK + "#widgetSessionSecret=",
        LINK + "#widgetSessionSecret=" + b64url(bytes(31)),
        LINK + "#widgetSessionSecret=" + b64url(bytes(33)),
        LINK + FRAGMENT + "=",
        LINK + FRAGMENT + "&more=1",
        LINK + FRAGMENT + FRAGMENT,
        LINK + FRAGMENT.replace("Secret", "secret"),
        LINK + "#widgetPublicKey=",
        LINK + "#widgetPublicKey=" + b64url(bytes(31)),
        LINK + "#widgetPublicKey=" + b64url(bytes(33)),
        LINK + "#widgetPublicKey=" + "A" * 42 + "B",
        LINK + "#widgetPublicKey=" + b64url(SECRET) + "&more=1",
        LINK + "#widgetPublicKey=" + b64url(SECRET) + FRAGMENT,
        LINK + FRAGMENT + "#widgetPublicKey=" + b64url(SECRET),
        LINK + "#widgetPublickey=" + b64url(SECRET),
        LINK + "#key=" + b64url(SECRET),
        client_url(TOKEN_URL) + "#widgetPublicKey=" + b64url(SECRET),
        LINK.replace(SESSION, "short") + FRAGMENT,
        LINK.replace(SESSION, "") + FRAGMENT,
        LINK.replace(SESSION, b64url(bytes(17))) + FRAGMENT,
        LINK + f"&widgetSessionId={SESSION}" + FRAGMENT,
        LINK.replace("&server=" + quote(SERVER, safe=""), "") + FRAGMENT,
        LINK.replace(quote(SERVER, safe=""), "ftp%3A%2F%2Fapp.example") + FRAGMENT,
        LINK.replace(quote(SERVER, safe=""), "https%3A%2F%2F") + FRAGMENT,
        LINK.replace(quote(SERVER, safe=""), "javascript%3Aalert(1)") + FRAGMENT,
        LINK.replace(quote(SERVER, safe=""), "https%3A%2F%2F%5B") + FRAGMENT,
    ],
)
def test_every_other_link_is_refused(link: str) -> None:
    with pytest.raises(RequestError, match="link_malformed") as caught:
        parse_link(link)
    assert b64url(SECRET) not in str(caught.value)


@given(st.text(max_size=200))
def test_no_text_at_all_does_worse_than_being_refused(text: str) -> None:
    for link in (text, f"{CLIENT}?{text}", LINK + "#" + text):
        with pytest.raises(RequestError, match="link_malformed"):
            parse_link(link)
