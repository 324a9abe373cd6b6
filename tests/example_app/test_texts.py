"""The example app in two languages."""

import re

import pytest

from example_app.app import site
from example_app.texts import LANGUAGES, choose_language
from tests.actors import Browser
from useid_middleware import Settings, UseIDMiddleware


@pytest.fixture
def desktop() -> Browser:
    """A browser at the app, with its data in memory."""
    settings = Settings(from_env=False, store="memory://", accounts="memory://")
    return Browser(
        UseIDMiddleware(site, settings), headers={"accept-language": "fr-FR, de-AT;q=0.8, en;q=0.5"}, prefix=""
    )


def test_both_languages_say_the_same_things_with_the_same_placeholders() -> None:
    english, german = LANGUAGES["en"], LANGUAGES["de"]
    assert english.keys() == german.keys()
    for name, text in english.items():
        assert re.findall(r"\{\w+\}|<[^>]+>", text) == re.findall(r"\{\w+\}|<[^>]+>", german[name]), name


@pytest.mark.parametrize(
    ("asked", "remembered", "header", "language"),
    [
        ("", "", "", "en"),
        ("", "", "fr", "en"),
        ("", "", "de-DE,de;q=0.9,en;q=0.8", "de"),
        ("", "", "EN-gb, de", "en"),
        ("", "en", "de", "en"),
        ("de", "en", "en", "de"),
        ("xx", "", "de", "de"),
    ],
)
def test_the_language_asked_for_wins_over_the_remembered_and_that_over_the_browsers(
    asked: str, remembered: str, header: str, language: str
) -> None:
    assert choose_language(asked, remembered, header) == language


async def test_a_page_speaks_the_browsers_language_until_another_is_chosen(desktop: Browser) -> None:
    page = (await desktop.get("/login?next=%2Fphones")).body.decode()
    assert '<html lang="de">' in page
    assert '<a href="/login?next=%2Fphones&amp;lang=en" lang="en" hreflang="en">English</a>' in page
    page = (await desktop.get("/login?next=%2Fphones&lang=en")).body.decode()
    assert '<html lang="en">' in page
    assert desktop.cookies == {"lang": "en"}
    assert '<html lang="en">' in (await desktop.get("/")).body.decode()
