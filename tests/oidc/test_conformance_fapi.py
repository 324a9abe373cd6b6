"""FAPI 2.0: the suite's plan of the Security Profile, by DPoP and by mutual TLS, and that of Message Signing."""

import asyncio
import ssl
from pathlib import Path

import pytest

from tests.oidc.conformance import call_userinfo, is_refused, logs_in, plays, seen_id_tokens
from tests.oidc.fapi import certificate_files, certificate_for, client_certificate, playing_fapi
from tests.oidc.wire import claims_of, header_of, pushed_requests, token_requests, userinfo_requests
from tests.oidc.world import ISSUER, World
from useid_middleware import LoginFailed, TokenRefreshed
from useid_middleware.errors import UnavailableError
from useid_middleware.oidc.network import HTTP

ALL = "fapi2-dpop fapi2-mtls fapi2-message-signing"
#: A signed response has its own iss, and its own modules about it.
PLAIN = "fapi2-dpop fapi2-mtls"
BY_DPOP = "fapi2-dpop fapi2-message-signing"

#: What is wrong with an ID token, and the words of the log about it.
REFUSED = {
    "invalid-iss": ("token_claim_invalid", "id_token: iss:"),
    "invalid-aud": ("token_claim_invalid", "id_token: aud:"),
    "invalid-secondary-aud": ("token_claim_invalid", "id_token: aud:"),
    "invalid-null-alg": ("token_algorithm_refused", "id_token:"),
    "invalid-alternate-alg": ("token_algorithm_refused", "id_token:"),
    "invalid-expired-exp": ("token_claim_invalid", "id_token: exp:"),
    "invalid-missing-exp": ("token_claim_invalid", "id_token: exp:"),
    "invalid-missing-aud": ("token_claim_invalid", "id_token: aud:"),
    "invalid-missing-iss": ("token_claim_invalid", "id_token: iss:"),
    "invalid-nonce": ("token_claim_invalid", "id_token: nonce:"),
    "invalid-missing-nonce": ("token_claim_invalid", "id_token: nonce:"),
}
#: The same of a signed authorization response.
REFUSED_JARM = {
    "ensure-jarm-without-iss-fails": ("token_claim_invalid", "jarm: iss:"),
    "ensure-jarm-with-invalid-iss-fails": ("token_claim_invalid", "jarm: iss:"),
    "ensure-jarm-without-aud-fails": ("token_claim_invalid", "jarm: aud:"),
    "ensure-jarm-with-invalid-aud-fails": ("token_claim_invalid", "jarm: aud:"),
    "ensure-jarm-without-exp-fails": ("token_claim_invalid", "jarm: exp:"),
    "ensure-jarm-with-expired-exp-fails": ("token_claim_invalid", "jarm: exp:"),
    "ensure-jarm-with-invalid-sig-fails": ("token_signature_invalid", "jarm:"),
    "ensure-jarm-signature-is-not-none": ("token_algorithm_refused", "jarm:"),
}


@plays(ALL, "happy-path")
async def test_a_login_under_the_profile_succeeds(plan: str, module: str, tmp_path: Path) -> None:
    async with playing_fapi(plan, tmp_path) as world:
        await logs_in(world)
        pushed = pushed_requests(world)
        # With nonces, the first request learns the nonce and comes again; all others have it.
        assert len(pushed) == (1 if plan == "fapi2-mtls" else 2)
        assert len(token_requests(world)) == len(userinfo_requests(world)) == 1
        if plan != "fapi2-mtls":
            nonce = world.provider.realm.dpop_nonce
            proofs = [pushed[-1], *token_requests(world), *userinfo_requests(world)]
            assert [claims_of(request.headers["dpop"])["nonce"] for request in proofs] == [nonce] * 3


@plays(BY_DPOP, "happy-path-no-dpop-nonce")
async def test_proofs_go_without_a_nonce_where_none_was_given(plan: str, module: str, tmp_path: Path) -> None:
    async with playing_fapi(plan, tmp_path, require_dpop_nonce=False) as world:
        await logs_in(world)
        assert len(world.provider.received("/par")) == 1
        for request in [*token_requests(world), *userinfo_requests(world)]:
            assert "nonce" not in claims_of(request.headers["dpop"])


@plays(ALL, "discovery-issuer-mismatch")
async def test_metadata_of_another_issuer_stops_the_login_before_anything_is_pushed(
    plan: str, module: str, tmp_path: Path
) -> None:
    async with playing_fapi(plan, tmp_path, module) as world:
        browser = world.browser()
        answer = await browser.get("/login?provider=op")
        assert answer.status == 502
        assert [failed.code for failed in world.told(LoginFailed)] == ["issuer_mismatch"]
        assert {request.path for request in world.provider.requests} == {"/.well-known/openid-configuration"}


@plays(ALL, *REFUSED)
async def test_an_id_token_that_says_the_wrong_thing_is_refused_before_userinfo(
    plan: str, module: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    code, words = REFUSED[module]
    async with playing_fapi(plan, tmp_path, module) as world:
        await is_refused(world, code, words, caplog, asks_token=1)


@plays(ALL, "valid-aud-as-array")
async def test_an_audience_as_an_array_of_us_alone_is_good(plan: str, module: str, tmp_path: Path) -> None:
    async with playing_fapi(plan, tmp_path, module) as world:
        tokens = seen_id_tokens(world)
        await logs_in(world)
        assert claims_of(tokens[0])["aud"] == ["shop"]
        assert header_of(tokens[0])["alg"] == "ES256"


@plays(PLAIN, "invalid-authorization-response-iss", "remove-authorization-response-iss")
async def test_a_response_that_names_another_issuer_or_none_is_refused_before_the_code_is_used(
    plan: str, module: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with playing_fapi(plan, tmp_path, module) as world:
        await is_refused(world, "callback_issuer_mismatch", "callback: iss:", caplog, asks_token=0)


@plays(
    ALL,
    "ensure-authorization-response-with-invalid-state-fails",
    "ensure-authorization-response-with-invalid-missing-state-fails",
)
async def test_a_response_with_another_state_or_none_is_refused_and_the_login_begins_anew(
    plan: str, module: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with playing_fapi(plan, tmp_path, module) as world:
        answer = await is_refused(world, "state_mismatch", "state:", caplog, asks_token=0)
        assert answer.header("location") == "/auth/login?provider=op"


@plays(ALL, "token-endpoint-response-without-expires_in")
async def test_an_access_token_whose_end_nobody_knows_is_used_and_not_renewed_ahead(
    plan: str, module: str, tmp_path: Path
) -> None:
    async with playing_fapi(plan, tmp_path, module) as world:
        browser = await logs_in(world)
        assert len(userinfo_requests(world)) == 1
        world.clock.advance(300)
        assert (await call_userinfo(world, browser)).status_code == 200
        assert not world.told(TokenRefreshed)


@plays(ALL, "token-type-case-insensitivity")
async def test_the_case_of_the_token_type_does_not_matter(plan: str, module: str, tmp_path: Path) -> None:
    async with playing_fapi(plan, tmp_path, module) as world:
        await logs_in(world)
        assert len(userinfo_requests(world)) == 1


@plays(BY_DPOP, "rs-dpop-auth-scheme-case-insensitivity")
async def test_a_challenge_whose_scheme_is_spelled_otherwise_is_answered(
    plan: str, module: str, tmp_path: Path
) -> None:
    async with playing_fapi(plan, tmp_path, module, require_dpop_nonce=False) as world:
        await logs_in(world)
        first, second = (claims_of(request.headers["dpop"]) for request in userinfo_requests(world))
        assert "nonce" not in first
        assert second["nonce"] == world.provider.realm.dpop_nonce


@plays(ALL, "refresh-token")
async def test_a_refreshed_token_is_bound_as_the_first_one_was(plan: str, module: str, tmp_path: Path) -> None:
    async with playing_fapi(plan, tmp_path) as world:
        browser = await logs_in(world)
        world.clock.advance(601)
        assert (await call_userinfo(world, browser)).json()["sub"] == "ada-1815"
        assert [request.param("grant_type") for request in token_requests(world)] == [
            "authorization_code",
            "refresh_token",
        ]
        assert len(world.told(TokenRefreshed)) == 1
        assert len(keys_of_proofs(world)) == (0 if plan == "fapi2-mtls" else 1)


def keys_of_proofs(world: World) -> set[str]:
    """The keys that proofs of token and userinfo requests show."""
    proofs = [request.headers.get("dpop", "") for request in (*token_requests(world), *userinfo_requests(world))]
    return {header_of(proof)["jwk"]["x"] for proof in proofs if proof}


@plays("fapi2-message-signing", *REFUSED_JARM)
async def test_a_signed_response_that_says_the_wrong_thing_is_refused_before_the_code_is_used(
    plan: str, module: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    code, words = REFUSED_JARM[module]
    async with playing_fapi(plan, tmp_path, module) as world:
        await is_refused(world, code, words, caplog, asks_token=0)


async def test_a_response_that_is_not_signed_is_refused_where_a_signature_was_asked_for(tmp_path: Path) -> None:
    async with playing_fapi("fapi2-message-signing", tmp_path) as world:
        browser = world.browser()
        arrival = await world.approve(await world.begin(browser))
        assert set(arrival.params) == {"response"}
        claims = claims_of(arrival.params["response"])
        bare = f"/callback?code={claims['code']}&state={claims['state']}&iss={ISSUER}"
        assert (await browser.get(bare)).status == 502
        assert [failed.code for failed in world.told(LoginFailed)] == ["token_malformed"]
        assert await world.who(browser) == ""
        assert not token_requests(world)


async def test_a_token_bound_to_our_key_or_certificate_is_no_good_without_it(tmp_path: Path) -> None:
    for plan in ("fapi2-dpop", "fapi2-mtls"):
        async with playing_fapi(plan, tmp_path) as world:
            await logs_in(world)
            [token] = [token for token, _ in world.provider.realm.records.access_tokens.items(now=0)]
            before = list(world.provider.requests)
            async with world.at_provider() as thief:
                answer = await thief.get(f"{ISSUER}/userinfo", headers={"authorization": f"Bearer {token}"})
            assert answer.status_code == 401
            world.provider.requests[:] = before


async def test_the_client_shows_its_certificate_in_the_handshake(tmp_path: Path) -> None:
    """The flavour with mutual TLS plays in one process; here are the sockets that it leaves out."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    theirs.mkdir()
    certificate, key = certificate_files(ours, client_certificate())
    server_certificate, server_key = certificate_files(theirs, certificate_for("op"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificate)
    context.load_cert_chain(server_certificate, server_key)
    context.verify_mode = ssl.CERT_REQUIRED
    shown: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        shown.append(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        with_it = HTTP(timeout=10, ca_file=server_certificate, certificate=certificate, key=key)
        assert (await with_it.get(url)).body == b"ok"
        await with_it.close()
        assert shown == [ssl.PEM_cert_to_DER_cert(client_certificate().certificate)]
        without = HTTP(timeout=10, ca_file=server_certificate)
        with pytest.raises(UnavailableError):
            await without.get(url)
        await without.close()
        assert len(shown) == 1
