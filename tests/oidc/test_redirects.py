"""The evil corpus once more, through the routes that take a target: nobody ends elsewhere than on this site."""

from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest

from tests.actors import ORIGIN
from tests.http.evil import EVIL_TARGETS
from tests.oidc.world import FORM, ISSUER, World, asked, open_world, opened
from useid_middleware.emulation.provider.policy import Policy


@pytest.fixture(scope="module")
async def world() -> AsyncIterator[World]:
    world = await open_world(policy=Policy(consent="skip"), redirect_origins=("https://portal.example",))
    yield world
    await world.close()


#: Written for an app at https://app.example; ours is elsewhere, so its own addresses are evil here as well.
TARGETS = [*EVIL_TARGETS, "https://app.example/", f"{ORIGIN}.evil.example/", f"{ORIGIN}@evil.example/", f"{ORIGIN}//x"]


@pytest.mark.parametrize("target", TARGETS)
async def test_a_login_page_leads_back_to_this_site(world: World, target: str) -> None:
    browser = world.browser()
    answer = await browser.get(f"/login?{urlencode({'provider': 'op', 'return': target})}")
    assert answer.header("location").startswith(f"{ISSUER}/authorize?")
    assert asked(answer.header("location"))["redirect_uri"] == f"{ORIGIN}/auth/callback"
    back = await world.come_back(browser, await world.approve(answer.header("location")))
    assert (back.status, back.header("location")) == (303, "/")
    assert len([name for name, _ in back.headers if name in (b"location", b"set-cookie")]) == 2


@pytest.mark.parametrize("target", TARGETS)
async def test_a_third_party_leads_back_to_this_site(world: World, target: str) -> None:
    browser = world.browser()
    query = urlencode({"iss": ISSUER, "target_link_uri": target})
    answer = await browser.send("POST", "/auth/initiate", query.encode(), {"content-type": FORM})
    back = await world.come_back(browser, await world.approve(answer.header("location")))
    assert (back.status, back.header("location")) == (303, "/")


@pytest.mark.parametrize("target", TARGETS)
async def test_the_choice_of_ways_to_log_in_hands_no_evil_target_on(world: World, target: str) -> None:
    page = (await world.browser().get(f"/login?{urlencode({'return': target})}")).body.decode()
    assert 'href="/auth/login?provider=op"' in page
    assert "evil" not in page


@pytest.mark.parametrize(
    "target", ["/start?next=%2F%2Fevil#part", f"{ORIGIN}/deep/page?x=1", "https://portal.example/welcome?a=b"]
)
async def test_a_target_of_ours_or_of_the_allow_list_is_where_the_login_ends(world: World, target: str) -> None:
    browser = world.browser()
    assert (await world.log_in(browser, return_to=target)).header("location") == target
    query = urlencode({"iss": ISSUER, "target_link_uri": target})
    answer = await browser.get(f"/initiate?{query}")
    back = await world.come_back(browser, await world.approve(answer.header("location")))
    assert back.header("location") == target


async def test_a_page_that_needs_a_login_is_come_back_to_with_its_query() -> None:
    async with opened(protected=("/private",), oidc={"default_provider": "op"}) as world:
        browser = world.browser()
        sent = await browser.send("GET", "/private/page?x=1&y=%2F")
        begun = await browser.send("GET", sent.header("location"))
        back = await world.come_back(browser, await world.approve(begun.header("location")))
        assert back.header("location") == "/private/page?x=1&y=%2F"
        assert (await browser.send("GET", back.header("location"))).body == b"ada"
