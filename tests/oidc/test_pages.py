"""The pages of logins at providers, as values."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.widget.test_serve import NASTY, Document
from useid_middleware.identity import Account, Level
from useid_middleware.oidc.pages import (
    ERROR_POLICY,
    PROFILE_POLICY,
    SILENT_POLICY,
    Outcome,
    error_page,
    monitor_page,
    monitor_policy,
    profile_page,
    silent_page,
)
from useid_middleware.sessions.records import Session

NOW = 1_795_228_800.0  # 2026-11-21T02:40:00Z
ISSUER = "https://op.example/realm"
ACCOUNT = Account("a1", "ada", NOW, email="ada@example.org")
SESSION = Session(
    id="s1", account_id="a1", username="ada", provider=ISSUER, subject="248289761001", level=Level.L1,
    amr=("pwd", "otp"), auth_time=NOW, created_at=NOW, last_seen_at=NOW, expires_at=NOW + 3600, ip="192.0.2.7",
    browser="Firefox on Linux", roles=("editor", "auditor"),
)  # fmt: skip
#: What each page says in English, by code. The last is a code that no page knows by name.
HEADLINES = {
    "authorization_refused": "The login was cancelled",
    "state_mismatch": "This login is not valid any more",
    "login_expired": "This login took too long",
    "cookie_missing": "Your browser sent no cookie",
    "provider_unreachable": "The login provider cannot be reached",
    "email_not_verified": "Your e-mail address is not confirmed",
    "login_refused": "This site refused the login",
    "rate_limited": "Too many attempts",
    "logout_refused": "The logout was refused",
    "store_unavailable": "This site cannot log you in at the moment",
    "not_found": "There is nothing here",
    "token_signature_invalid": "The login provider’s answer could not be trusted",
}


def error(code: str, *, lang: str = "en", retry: str = "/auth/login?provider=a&return=%2F", **other: str) -> Document:
    return Document(
        error_page(server="/app/auth", app_name="Acme", lang=lang, code=code, retry=retry, landing="/home", **other)
    )


def profile(*, claims: Mapping[str, object] | None = None, lang: str = "en", **changes: Any) -> Document:
    given: dict[str, Any] = {
        "account": ACCOUNT,
        "session": SESSION,
        "access_expires_at": NOW + 600,
        "sessions": [SESSION],
        "logout": "/auth/logout",
    }
    page = profile_page(server="/auth", app_name="Acme", lang=lang, claims=claims or {}, **(given | changes))
    return Document(page)


def directives(policy: str) -> dict[str, str]:
    return {name: value for name, _, value in (part.strip().partition(" ") for part in policy.split(";"))}


@pytest.mark.parametrize("code", HEADLINES)
def test_an_error_page_says_what_happened_shows_the_code_and_offers_a_way_on(code: str) -> None:
    page = error(code)
    assert page.text.count(HEADLINES[code]) == 2  # title and heading
    assert page.text.endswith(f"mention this code: {code}")
    assert [link["href"] for link in page.find("a")] == ["/auth/login?provider=a&return=%2F", "/home"]
    assert "Go to Acme" in page.text


@pytest.mark.parametrize("code", HEADLINES)
def test_every_error_page_speaks_german_too(code: str) -> None:
    english, german = error(code), error(code, lang="de")
    assert german.find("html")[0]["lang"] == "de"
    assert "Noch einmal versuchen" in german.text
    assert HEADLINES[code] not in german.text
    assert [tag for tag, _ in german.tags] == [tag for tag, _ in english.tags]


def test_no_two_codes_read_alike_but_those_of_answers_that_must_not_be_believed() -> None:
    for lang in ("en", "de"):
        texts = [error(code, lang=lang).text.replace(code, "") for code in HEADLINES]
        assert len(set(texts)) == len(HEADLINES)
        unknown = [error(code, lang=lang).text.replace(code, "") for code in ("token_claim_invalid", "jwks_invalid")]
        assert set(unknown) == {texts[-1]}


def test_an_error_page_in_an_unknown_language_is_english() -> None:
    assert error("not_found", lang="fr").text == error("not_found").text


def test_without_a_way_to_try_again_only_the_way_home_is_offered() -> None:
    assert [link["href"] for link in error("not_found", retry="").find("a")] == ["/home"]


def test_the_app_s_own_words_are_shown_for_its_own_refusal_alone() -> None:
    refused = error("login_refused", message="Your contract ended in May.")
    assert "Your contract ended in May." in refused.text
    assert "Your contract" not in error("state_mismatch", message="Your contract ended in May.").text


@pytest.mark.parametrize("lang", ["en", "de"])
def test_whatever_comes_from_outside_is_escaped_on_the_error_page(lang: str) -> None:
    page = Document(
        error_page(
            server=NASTY, app_name=NASTY, lang=lang, code="login_refused", retry=NASTY, landing=NASTY, message=NASTY
        )
    )
    assert page.find("script") == []
    assert [link["href"] for link in page.find("a")] == [NASTY, NASTY]
    assert NASTY in page.text
    unknown = Document(error_page(server="/", app_name="a", lang=lang, code=NASTY, retry="", landing="/"))
    assert unknown.find("script") == []
    assert NASTY in unknown.text


def test_nothing_runs_on_the_pages_for_people_and_nobody_frames_them() -> None:
    for policy in (ERROR_POLICY, PROFILE_POLICY):
        assert "script-src" not in directives(policy)
        assert directives(policy)["default-src"] == directives(policy)["frame-ancestors"] == "'none'"
        assert directives(policy)["style-src"] == "'self'"
    assert directives(ERROR_POLICY)["form-action"] == "'none'"
    assert directives(PROFILE_POLICY)["form-action"].split()[:2] == ["'self'", "https:"]


def test_the_profile_says_who_is_logged_in_by_whom_how_and_until_when() -> None:
    text = profile().text
    for fact in (
        "You are logged in to Acme", "Name ada", "E-mail ada@example.org", f"Logged in by {ISSUER}",
        "Assurance L1 · pwd · otp", "Roles editor, auditor", "Logged in at 2026-11-21 02:40 UTC",
        "Session ends at 2026-11-21 03:40 UTC", "Access token valid until 2026-11-21 02:50 UTC",
    ):  # fmt: skip
        assert fact in text


def test_the_profile_leaves_out_what_is_not_there() -> None:
    bare = profile(
        account=Account("a1", "ada", NOW),
        session=Session(
            id="s1", account_id="a1", username="ada", provider="qr", subject="a1", level=Level.L0, amr=(),
            auth_time=NOW, created_at=NOW, last_seen_at=NOW, expires_at=NOW,
        ),
        access_expires_at=None,
    )  # fmt: skip
    for word in ("E-mail", "Roles", "Access token", "says about you"):
        assert word in profile(claims={"sub": "x"}).text
        assert word not in bare.text
    assert len(bare.find("table")) == 0


def test_claims_are_a_table_and_nested_values_are_json() -> None:
    page = profile(
        claims={
            "name": "Ada Lovelace",
            "address": {"country": "GB", "locality": "Zürich"},
            "email_verified": True,
            "groups": ["a", "b"],
            "nothing": None,
        }
    )
    assert len(page.find("table")) == 1
    assert [head.get("scope") for head in page.find("th")] == ["col", "col", "row", "row", "row", "row", "row"]
    for row in (
        "name Ada Lovelace", 'address {"country": "GB", "locality": "Zürich"}', "email_verified true",
        'groups ["a", "b"]', "nothing null",
    ):  # fmt: skip
        assert row in page.text


def test_the_profile_lists_the_sessions_and_marks_this_one() -> None:
    other = Session(
        id="s2", account_id="a1", username="ada", provider="qr", subject="a1", level=Level.L0, amr=(),
        auth_time=NOW - 86400, created_at=NOW - 86400, last_seen_at=NOW, expires_at=NOW + 60,
    )  # fmt: skip
    page = profile(sessions=[SESSION, other])
    assert "Firefox on Linux · 192.0.2.7 · since 2026-11-21 02:40 UTC (this one)" in page.text
    assert page.text.endswith("since 2026-11-20 02:40 UTC")
    assert len(page.find("li")) == 2


def test_the_profile_logs_out_by_a_form() -> None:
    assert profile().find("form") == [{"method": "post", "action": "/auth/logout"}]


def test_the_profile_speaks_german_with_the_same_structure() -> None:
    claims = {"name": "Ada"}
    english, german = profile(claims=claims), profile(claims=claims, lang="de")
    assert "Sie sind bei Acme angemeldet" in german.text
    assert [tag for tag, _ in german.tags] == [tag for tag, _ in english.tags]


def test_whatever_the_provider_says_is_escaped_on_the_profile() -> None:
    nasty = Session(
        id="s1", account_id="a1", username=NASTY, provider=NASTY, subject=NASTY, level=Level.L0, amr=(NASTY,),
        auth_time=NOW, created_at=NOW, last_seen_at=NOW, expires_at=NOW, ip=NASTY, browser=NASTY, roles=(NASTY,),
    )  # fmt: skip
    page = Document(
        profile_page(
            server=NASTY, app_name=NASTY, lang="en", account=Account("a1", NASTY, NOW, email=NASTY), session=nasty,
            claims={NASTY: NASTY, "nested": [NASTY]}, access_expires_at=None, sessions=[nasty], logout=NASTY,
        )
    )  # fmt: skip
    assert page.find("script") == []
    assert page.find("form")[0]["action"] == NASTY
    assert page.text.count(NASTY) == 12


def monitor(*, op_iframe: str = "https://op.example/check?a=1&b=2", **changes: str) -> Document:
    given = {"client_id": "c1", "session_state": "abc.salt", "renew": "/auth/session-monitor/renew"} | changes
    return Document(monitor_page(server="/auth", lang="en", op_iframe=op_iframe, interval=2.5, **given))


def test_the_monitor_carries_its_data_in_attributes_around_the_provider_s_iframe() -> None:
    page = monitor()
    assert page.find("body") == [
        {
            "data-client-id": "c1",
            "data-session-state": "abc.salt",
            "data-interval": "2.5",
            "data-renew": "/auth/session-monitor/renew",
        }
    ]
    assert page.find("script") == [{"type": "module", "src": "/auth/widget/session-monitor.js"}]
    [frame] = page.find("iframe")
    assert (frame["src"], frame["aria-hidden"], frame["tabindex"]) == ("https://op.example/check?a=1&b=2", "true", "-1")
    assert frame["title"]
    assert "hidden" in frame


def test_the_provider_s_iframe_can_run_scripts_and_read_its_cookies_and_nothing_else() -> None:
    assert monitor().find("iframe")[0]["sandbox"] == "allow-scripts allow-same-origin"


def test_a_provider_without_an_iframe_leaves_the_monitor_empty() -> None:
    page = monitor(op_iframe="")
    assert page.find("iframe") == []
    assert len(page.find("script")) == 1


def test_whatever_the_provider_says_is_escaped_in_the_monitor() -> None:
    page = monitor(op_iframe=NASTY, client_id=NASTY, session_state=NASTY, renew=NASTY)
    assert len(page.find("script")) == 1
    assert page.find("body")[0]["data-session-state"] == NASTY
    assert page.find("iframe")[0]["src"] == NASTY


def test_the_monitor_may_frame_the_provider_and_this_site_and_is_framed_by_this_site_alone() -> None:
    found = directives(monitor_policy("https://op.example:8443/check?a=1"))
    assert found["frame-src"] == "'self' https://op.example:8443"
    assert found["script-src"] == found["frame-ancestors"] == "'self'"
    assert found["default-src"] == found["form-action"] == "'none'"
    assert found["require-trusted-types-for"] == "'script'"
    assert directives(monitor_policy(""))["frame-src"] == "'self'"


def test_a_renewal_may_pass_through_further_origins() -> None:
    policy = monitor_policy("https://op.example/check", renewal=["https://login.example", "https://op.example"])
    assert directives(policy)["frame-src"] == "'self' https://op.example https://login.example"


@pytest.mark.parametrize("outcome", ["unchanged", "ended", "error"])
def test_the_end_of_a_renewal_carries_its_outcome(outcome: Outcome) -> None:
    page = Document(silent_page(server="/auth", outcome=outcome, session_state=NASTY))
    assert page.find("body") == [{"data-outcome": outcome, "data-session-state": NASTY}]
    assert page.find("script") == [{"type": "module", "src": "/auth/widget/silent-result.js"}]


def test_the_end_of_a_renewal_is_framed_by_this_site_alone() -> None:
    found = directives(SILENT_POLICY)
    assert (found["frame-ancestors"], found["script-src"], found["default-src"]) == ("'self'", "'self'", "'none'")
