"""Where a login may lead: what is ours passes, and a corpus of what attackers write does not."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.http.evil import EVIL_TARGETS
from useid_middleware.errors import RequestError
from useid_middleware.http.redirects import check_redirect

ORIGIN = "https://app.example"
ALLOWED = ("https://portal.example",)


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/start",
        "/start?next=%2F%2Fevil&x=1#part",
        "/search?q=a%5Cb&u=https://other.example/",
        "/a/b//c",
        "https://app.example/x",
        "https://portal.example/welcome?a=b",
        "/%C3%A4",
    ],
)
def test_our_own_and_allowed_targets_pass_as_they_are(target: str) -> None:
    assert check_redirect(target, origin=ORIGIN, allowed_origins=ALLOWED) == target


@pytest.mark.parametrize("target", EVIL_TARGETS)
def test_everything_else_is_refused(target: str) -> None:
    with pytest.raises(RequestError) as caught:
        check_redirect(target, origin=ORIGIN, allowed_origins=ALLOWED)
    assert caught.value.code == "return_url_refused"


def test_the_corpus_is_not_small() -> None:
    assert len(set(EVIL_TARGETS)) == len(EVIL_TARGETS) >= 60


@given(st.text(alphabet="/\\%25cfFC09adAD:.@?#evil-\t\r\n x", max_size=24))
def test_what_passes_stays_on_our_hosts_as_a_browser_reads_it(target: str) -> None:
    try:
        check_redirect(target, origin=ORIGIN, allowed_origins=ALLOWED)
    except RequestError:
        return
    # WHATWG URL for special schemes: tabs and line breaks vanish, a backslash is a slash.
    seen = target.translate({9: None, 10: None, 13: None}).replace("\\", "/")
    assert (seen.startswith("/") and not seen.startswith("//")) or urlsplit(seen).netloc in (
        "app.example",
        "portal.example",
    )
