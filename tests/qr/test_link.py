"""Links: what we build parses back, and whatever else comes in is refused with one error."""

from dataclasses import replace
from string import printable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from useid_middleware._codec import b64url
from useid_middleware.errors import ConfigurationError, RequestError
from useid_middleware.qr.core.link import (
    KEY_ROOM,
    MAX_LINK,
    QR_CAPACITY,
    Link,
    LinkType,
    build_link,
    check_link_fits,
    parse_link,
)

UNIVERSAL = "https://app.example/phone"
#: Parses, and is too long for the QR code of a universal link with a frame.
LONG_SERVER = "https://login.some-company.example:8443/apps/portal/auth"
SERVERS = (
    "https://app.example/auth",
    LONG_SERVER,
    "http://127.0.0.1:8000/auth",
    "http://[::1]:8000/auth",
    "http://localhost/auth",
)

links = st.builds(
    Link,
    type=st.sampled_from(LinkType),
    id=st.binary(min_size=16, max_size=16),
    challenge=st.binary(min_size=32, max_size=32),
    server=st.sampled_from(SERVERS),
    frame=st.just(b"") | st.binary(min_size=8, max_size=8),
).map(lambda link: link if link.type is LinkType.AUTH else replace(link, frame=b""))


def _text(link: Link, *, universal_link: str | None = None) -> str:
    return build_link(
        link.type,
        id=b64url(link.id),
        challenge=b64url(link.challenge),
        server=link.server,
        frame=b64url(link.frame) if link.frame else "",
        scheme="tana",
        universal_link=universal_link,
    )


@given(link=links, universal_link=st.sampled_from([None, UNIVERSAL]))
def test_every_built_link_parses_back(link: Link, universal_link: str | None) -> None:
    text = _text(link, universal_link=universal_link)
    assert parse_link(text, scheme="tana", universal_link=universal_link) == link


@given(link=links)
def test_links_of_everyday_servers_fit_the_qr_code(link: Link) -> None:
    if link.server != LONG_SERVER:
        assert len(_text(link)) <= QR_CAPACITY
        assert len(_text(link, universal_link=UNIVERSAL)) <= QR_CAPACITY


def test_an_address_is_accepted_up_to_the_last_character_that_fits_the_qr_code() -> None:
    link = Link(LinkType.AUTH, bytes(16), bytes(32), "https://app.example/auth", bytes(8))
    room = QR_CAPACITY - len(_text(link))
    for extra in (0, room):
        check_link_fits(server=link.server + "x" * extra, scheme="tana", universal_link=None)
    with pytest.raises(ConfigurationError, match="shorten them by 1"):
        check_link_fits(server=link.server + "x" * (room + 1), scheme="tana", universal_link=None)
    with pytest.raises(ConfigurationError):
        check_link_fits(server=LONG_SERVER, scheme="tana", universal_link=UNIVERSAL)


def test_a_login_that_is_to_be_bound_leaves_room_for_the_widgets_key() -> None:
    link = Link(LinkType.AUTH, bytes(16), bytes(32), "https://app.example/auth", bytes(8))
    assert len(f"#key={b64url(bytes(32))}") == KEY_ROOM == 48
    room = QR_CAPACITY - len(_text(link)) - KEY_ROOM
    check_link_fits(server=link.server + "x" * room, scheme="tana", universal_link=None, with_key=True)
    check_link_fits(server=link.server + "x" * (room + 1), scheme="tana", universal_link=None)
    with pytest.raises(ConfigurationError, match=r"a QR code of 214 characters;.* by 1$"):
        check_link_fits(server=link.server + "x" * (room + 1), scheme="tana", universal_link=None, with_key=True)


@given(link=links, key=st.binary(min_size=32, max_size=32), universal_link=st.sampled_from([None, UNIVERSAL]))
def test_the_widgets_key_is_read_behind_a_login_link_alone(link: Link, key: bytes, universal_link: str | None) -> None:
    text = f"{_text(link, universal_link=universal_link)}#key={b64url(key)}"
    if link.type is LinkType.AUTH and len(text) <= MAX_LINK:
        assert parse_link(text, scheme="tana", universal_link=universal_link) == replace(link, widget_key=key)
    else:
        _is_refused(text)


@pytest.mark.parametrize(
    "fragment",
    [
        "#",
        "#key",
        "#key=",
        f"#key={'A' * 42}",
        f"#key={'A' * 44}",
        f"#key={'A' * 42}B",
        f"#key={'A' * 43}=",
        f"#key={'A' * 42}+",
        f"#KEY={'A' * 43}",
        f"#{'A' * 43}",
        f"#key={'A' * 43}&x=1",
        f"#x=1&key={'A' * 43}",
        f"#key={'A' * 43}#key={'A' * 43}",
        f"##key={'A' * 43}",
    ],
)
def test_any_other_fragment_is_refused(fragment: str) -> None:
    text = _text(Link(LinkType.AUTH, bytes(16), bytes(32), SERVERS[0]))
    assert isinstance(_parse(f"{text}#key={'A' * 43}"), Link)
    _is_refused(text + fragment)


def _parse(text: str) -> Link | RequestError:
    """What a phone makes of ``text``; anything but a link or our error fails the test."""
    try:
        return parse_link(text, scheme="tana", universal_link=UNIVERSAL)
    except RequestError as error:
        return error


def _is_refused(text: str) -> None:
    error = _parse(text)
    assert isinstance(error, RequestError)
    assert (error.code, error.status_hint) == ("link_refused", 400)


@given(text=st.text(max_size=400) | st.text(alphabet=printable, max_size=400))
@example("tana://[")
@example("tana://auth?%00=%00")
@example("tana://auth?session=\N{LATIN SMALL LETTER A WITH DIAERESIS}")
def test_arbitrary_text_is_refused_with_the_one_error(text: str) -> None:
    _is_refused(text)


@given(link=links, position=st.integers(0, MAX_LINK), text=st.text(max_size=3), data=st.data())
def test_a_changed_link_parses_to_a_well_formed_link_or_is_refused(
    link: Link, position: int, text: str, data: st.DataObject
) -> None:
    original = _text(link)
    position %= len(original)
    removed = data.draw(st.integers(0, 3))
    changed = original[:position] + text + original[position + removed :]
    parsed = _parse(changed)
    if isinstance(parsed, RequestError):
        assert parsed.code == "link_refused"
        return
    assert (len(parsed.id), len(parsed.challenge), len(parsed.frame)) in ((16, 32, 8), (16, 32, 0))
    assert parsed.server.isascii()
    assert parsed.server.startswith(("https://", "http://"))


@given(
    link=links,
    server=st.text(max_size=60)
    | st.tuples(st.sampled_from(["https://", "http://", "http://127.0.0.1"]), st.text(max_size=30)).map("".join),
)
def test_whatever_server_a_link_names_it_is_a_plain_address_or_refused(link: Link, server: str) -> None:
    parsed = _parse(_text(replace(link, server=server.encode(errors="replace").decode())))
    if isinstance(parsed, RequestError):
        assert parsed.code == "link_refused"
        return
    assert parsed.server == server
    assert server.isascii()
    assert server.isprintable()
    assert not set(server) & set(" @?#\\%")


@given(link=links)
def test_parameters_may_come_in_any_order_and_never_twice(link: Link) -> None:
    head, query = _text(link).split("?")
    pairs = query.split("&")
    assert parse_link(f"{head}?{'&'.join(reversed(pairs))}", scheme="tana") == link
    for pair in pairs:
        _is_refused(f"{head}?{query}&{pair}")


def test_a_universal_link_is_refused_by_an_app_that_has_none() -> None:
    text = _text(Link(LinkType.AUTH, bytes(16), bytes(32), SERVERS[0]), universal_link=UNIVERSAL)
    with pytest.raises(RequestError, match="scheme of this app"):
        parse_link(text, scheme="tana")
