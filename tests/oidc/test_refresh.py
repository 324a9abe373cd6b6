"""Refreshing: when it is due, and what a refreshed set of tokens may be."""

from typing import Any

import pytest

from tests.oidc.conftest import CLIENT, ISSUER, NOW
from useid_middleware._codec import replace
from useid_middleware.errors import ProviderError
from useid_middleware.oidc.core.refresh import is_due, refresh_request, refreshed
from useid_middleware.oidc.core.tokens import IdToken, TokenSet

OLD = TokenSet("access-1", "DPoP", NOW + 60, refresh_token="refresh-1", id_token="id-1", scope="openid email")
NEW = TokenSet("access-2", "DPoP", NOW + 660, refresh_token="refresh-2", id_token="id-2", scope="openid")
ID = IdToken(
    issuer=ISSUER,
    subject="ada",
    audience=(CLIENT,),
    issued_at=NOW,
    expires_at=NOW + 300,
    auth_time=NOW - 600,
    nonce="",
    acr="",
    amr=(),
    sid="",
    claims={},
    encoded="id-2",
)


def after(response: TokenSet, id_token: IdToken | None, **expected: Any) -> TokenSet:
    usual = {"expected_issuer": ISSUER, "expected_subject": "ada", "expected_auth_time": NOW - 600.0}
    return refreshed(OLD, response, id_token=id_token, **{**usual, **expected})


@pytest.mark.parametrize(
    ("expires_at", "ahead", "due"),
    [
        (NOW + 61.0, 60, False),
        (NOW + 60.0, 60, True),
        (NOW + 1.0, 60, True),
        (NOW + 1.0, 0, False),
        (float(NOW), 0, True),
        (NOW - 1.0, 0, True),
        (None, 60, False),
    ],
)
def test_a_refresh_is_due_that_long_ahead_of_the_end(expires_at: float | None, ahead: float, due: bool) -> None:
    assert is_due(TokenSet("access-1", expires_at=expires_at), now=NOW, ahead=ahead) is due


def test_the_request_names_the_refresh_token_and_nothing_else() -> None:
    assert refresh_request(OLD) == {"grant_type": "refresh_token", "refresh_token": "refresh-1"}


def test_without_a_refresh_token_there_is_no_request() -> None:
    with pytest.raises(ValueError, match="no refresh token"):
        refresh_request(replace(OLD, refresh_token=""))


def test_the_new_tokens_take_the_place_of_the_old() -> None:
    assert after(NEW, ID) == NEW


def test_what_the_answer_leaves_out_stays_as_it_was() -> None:
    bare = TokenSet("access-2", "DPoP", None)
    assert after(bare, None) == TokenSet("access-2", "DPoP", None, "refresh-1", "id-1", "openid email")


@pytest.mark.parametrize(
    "changes",
    [{"auth_time": NOW - 600.0}, {"auth_time": None}, {"auth_time": NOW - 60.0}, {"auth_time": float(NOW)}],
)
def test_the_time_of_login_may_stay_be_left_out_or_be_that_of_a_later_login(changes: dict[str, Any]) -> None:
    assert after(NEW, replace(ID, **changes)) == NEW


def test_the_time_of_login_is_not_compared_where_the_first_token_had_none() -> None:
    assert after(NEW, replace(ID, auth_time=NOW - 9000.0), expected_auth_time=None) == NEW


@pytest.mark.parametrize(
    ("changes", "claim"),
    [
        ({"issuer": "https://evil.example"}, "iss"),
        ({"issuer": ISSUER + "/"}, "iss"),
        ({"subject": "eve"}, "sub"),
        ({"subject": "Ada"}, "sub"),
        ({"auth_time": NOW - 601.0}, "auth_time"),
        ({"auth_time": NOW + 1.0}, "auth_time"),
    ],
)
def test_a_refreshed_id_token_about_somebody_or_something_else_is_refused(changes: dict[str, Any], claim: str) -> None:
    with pytest.raises(ProviderError) as caught:
        after(NEW, replace(ID, **changes))
    assert caught.value.code == "token_claim_invalid"
    assert caught.value.details == {"token": "id_token", "claim": claim}


@pytest.mark.parametrize("id_token", [None, replace(ID, encoded="id-3")])
def test_an_id_token_is_never_kept_unverified(id_token: IdToken | None) -> None:
    with pytest.raises(ValueError, match="verified"):
        after(NEW, id_token)
