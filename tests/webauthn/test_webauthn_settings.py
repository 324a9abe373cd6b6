"""The settings of passkeys and levels: what is wrong or dangerous is refused at the start, and says what to do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.actors import Answer
from tests.qr.conftest import Clock
from tests.webauthn.authenticator import AAGUID
from tests.webauthn.certificates import DAY, MOMENT, new_root, root
from tests.webauthn.test_metadata import blob, entry, report
from tests.webauthn.world import Authenticator, World, opened
from useid_middleware import ConfigurationError, Settings, UseID

MEMORY: dict[str, Any] = {"from_env": False, "store": "memory://", "accounts": "memory://", "app_name": "Example"}
SITE = "https://login.example.org"
MODEL = "00010203-0405-0607-0809-0a0b0c0d0e0f"


def start(*, webauthn: dict[str, Any] | None = None, **values: Any) -> UseID:
    """The plugin with these settings."""
    settings = Settings(**{**MEMORY, **values, "webauthn": {"enabled": True, **(webauthn or {})}})
    return UseID(settings, clock=Clock())


def refusal(**values: Any) -> str:
    """What the plugin says when it refuses to start."""
    with pytest.raises(ConfigurationError) as refused:
        start(**values)
    assert refused.value.code == "configuration_error"
    return refused.value.message


# whose credentials they are


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"origin": SITE},
        {"origin": SITE, "webauthn": {"rp_id": "example.org"}},
        {"origin": SITE, "webauthn": {"rp_id": "example.org", "origins": ["https://shop.example.org:8443"]}},
        {"origin": SITE, "webauthn": {"origins": ["android:apk-key-hash:" + "A" * 43, "ios:bundle-id:org.example"]}},
        {"origin": "http://localhost:8000"},
        {"origin": "http://shop.localhost"},
        {"webauthn": {"rp_id": "shop.localhost"}},
    ],
)
def test_the_plugin_starts_with_these(values: dict[str, Any]) -> None:
    assert start(**values).router.match("POST", "/passkeys/login") is not None


@pytest.mark.parametrize(
    ("rp_id", "message"),
    [
        ("example.net", f"webauthn: the rp id example.net must be a suffix of the host of {SITE}"),
        ("ample.org", f"webauthn: the rp id ample.org must be a suffix of the host of {SITE}"),
        ("a.login.example.org", f"webauthn: the rp id a.login.example.org must be a suffix of the host of {SITE}"),
        ("localhost", f"webauthn: the rp id localhost must be a suffix of the host of {SITE}"),
        ("org", "webauthn: the rp id org is a public suffix; take your domain below it"),
        ("192.0.2.1", "webauthn: the rp id must be a domain; browsers refuse an IP address"),
        ("::1", "webauthn: the rp id must be a domain; browsers refuse an IP address"),
        ("Example.org", "webauthn: the rp id must be a domain in lower case (punycode), such as login.example"),
        (SITE, "webauthn: the rp id must be a domain in lower case (punycode), such as login.example"),
        ("example.org.", "webauthn: the rp id must be a domain in lower case (punycode), such as login.example"),
        ("*.example.org", "webauthn: the rp id must be a domain in lower case (punycode), such as login.example"),
    ],
)
def test_an_rp_id_that_is_not_the_sites_is_refused(rp_id: str, message: str) -> None:
    assert refusal(origin=SITE, webauthn={"rp_id": rp_id}) == message


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8000", "https://192.0.2.1", "https://[2001:db8::1]:8443"])
def test_a_site_without_a_name_has_no_passkeys(origin: str) -> None:
    assert refusal(origin=origin) == "webauthn: the rp id must be a domain; browsers refuse an IP address"


@pytest.mark.parametrize("origin", ["https://github.io", "https://co.uk", "https://com"])
def test_a_site_at_a_public_suffix_has_no_passkeys(origin: str) -> None:
    domain = origin.removeprefix("https://")
    assert refusal(origin=origin) == f"webauthn: the rp id {domain} is a public suffix; take your domain below it"


@pytest.mark.parametrize("rp_id", ["example.org", "192.0.2.1", "LOCALHOST", "com"])
def test_without_an_origin_only_names_of_this_machine_have_passkeys(rp_id: str) -> None:
    assert refusal(webauthn={"rp_id": rp_id}).startswith("webauthn: ")


@pytest.mark.parametrize(
    ("origin", "message"),
    [
        ("http://shop.example.org", "webauthn: origins: http://shop.example.org must be https; http is for localhost"),
        ("http://127.0.0.1", "webauthn: origins: http://127.0.0.1 must be https; http is for localhost only"),
        ("https://shop.example.net", "webauthn: the rp id example.org must be a suffix of the host of https://shop"),
        ("https://notexample.org", "webauthn: the rp id example.org must be a suffix of the host of https://not"),
        ("https://shop.example.org/", "webauthn: origins: https://shop.example.org/ must be an origin, such as"),
        ("https://shop.example.org:443", "webauthn: origins: https://shop.example.org:443 must be an origin"),
        ("https://shop.example.org:x", "webauthn: origins: https://shop.example.org:x must be an origin"),
        ("https://*.example.org", "webauthn: origins: https://*.example.org must be an origin, such as"),
        ("shop.example.org", "webauthn: origins: shop.example.org must be https"),
        ("*", "webauthn: origins: * must be https"),
        ("", "webauthn: origins:  must be https"),
        ("null", "webauthn: origins: null must be https"),
        ("android:apk-key-hash:AA", "webauthn: origins: android:apk-key-hash:AA must be https"),
    ],
)
def test_an_origin_that_must_not_use_our_credentials_is_refused(origin: str, message: str) -> None:
    values: dict[str, Any] = {"origin": SITE, "webauthn": {"rp_id": "example.org", "origins": [origin]}}
    assert refusal(**values).startswith(message)


@pytest.mark.parametrize(
    ("values", "key", "remedy"),
    [
        ({"aaguids": ["EE882879-721C-4913-9775-3DFCCE97072A"]}, "aaguids.0", "must be a UUID in lower case, such as"),
        ({"aaguids": [MODEL, "ee882879721c491397753dfcce97072a"]}, "aaguids.1", "must be a UUID in lower case"),
        ({"aaguids": [""]}, "aaguids.0 (USEID_WEBAUTHN__AAGUIDS__0)", "must be a UUID in lower case"),
        ({"attestation": "some"}, "attestation (USEID_WEBAUTHN__ATTESTATION)", "'none', 'indirect', 'direct'"),
        ({"user_verification": "discouraged"}, "user_verification", "'required' or 'preferred'"),
        ({"lifetime": 29}, "lifetime", "greater than or equal to 30"),
        ({"lifetime": 901}, "lifetime", "less than or equal to 900"),
        ({"max_passkeys": 0}, "max_passkeys", "greater than or equal to 1"),
        ({"max_passkeys": 101}, "max_passkeys", "less than or equal to 100"),
        ({"rpid": "example.org"}, "rpid", "no such setting"),
        ({"enabled": "perhaps"}, "enabled (USEID_WEBAUTHN__ENABLED)", "boolean"),
    ],
)
def test_a_wrong_setting_names_its_key_and_the_remedy(values: dict[str, Any], key: str, remedy: str) -> None:
    message = refusal(origin=SITE, webauthn=values)
    assert message.startswith(f"webauthn.{key}")
    assert remedy in message


@pytest.mark.parametrize(
    "page", ["payments", "//payments", "/pay ments", "/payments?x=1", "/payments#top", "/p%61y", "/für", ""]
)
def test_a_page_that_could_never_be_matched_is_refused(page: str) -> None:
    for values in ({"levels": {page: "L2"}}, {"protected": [page]}):
        assert "must be a path of this site" in refusal(**values)


@pytest.mark.parametrize("level", ["L4", "l2", "2", "", None])
def test_a_level_that_does_not_exist_is_refused(level: object) -> None:
    assert "'L0', 'L1', 'L2' or 'L3'" in refusal(levels={"/payments": level})


def test_levels_and_passkeys_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USEID_LEVELS", '{"/payments": "L2"}')
    monkeypatch.setenv("USEID_WEBAUTHN__ENABLED", "true")
    monkeypatch.setenv("USEID_WEBAUTHN__RP_ID", "example.org")
    settings = Settings()
    assert settings.levels == {"/payments": "L2"}
    assert (settings.webauthn.enabled, settings.webauthn.rp_id) == (True, "example.org")


# whom to believe


@pytest.fixture
def anchor(tmp_path: Path) -> Path:
    """A file with the root that vouches for the tests' authenticators."""
    path = tmp_path / "root.pem"
    path.write_bytes(root().certificate.public_bytes(Encoding.PEM))
    return path


@pytest.mark.parametrize("attestation", ["indirect", "direct", "enterprise"])
def test_attestation_without_anybody_to_believe_is_refused(attestation: str) -> None:
    expected = "webauthn.attestation: needs trust_anchors or metadata_blob to judge by"
    assert refusal(webauthn={"attestation": attestation}) == expected


@pytest.mark.parametrize("setting", ["trust_anchors", "metadata_blob", "metadata_roots"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, anchor: Path, setting: str) -> None:
    for path, reason in ((tmp_path / "no-such", "No such file or directory"), (tmp_path, "Is a directory")):
        files: dict[str, Any] = {
            "attestation": "direct",
            "trust_anchors": [anchor],
            "metadata_blob": anchor,
            "metadata_roots": [anchor],
        }
        files[setting] = path if setting == "metadata_blob" else [anchor, path]
        assert refusal(webauthn=files) == f"webauthn.{setting}: {path}: {reason}"


@pytest.mark.parametrize("setting", ["trust_anchors", "metadata_roots"])
@pytest.mark.parametrize(
    "content", [b"", b"not a certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_file_without_certificates_is_refused(tmp_path: Path, anchor: Path, setting: str, content: bytes) -> None:
    path = tmp_path / "other.pem"
    path.write_bytes(content)
    files: dict[str, Any] = {"attestation": "direct", "metadata_blob": anchor, "metadata_roots": [anchor]}
    expected = f"webauthn.{setting}: {path}: expected certificates in PEM or DER"
    assert refusal(webauthn={**files, setting: [path]}) == expected


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda: b"not a BLOB", "expected a compact JWS"),
        (lambda: blob(entry(), claims={"nextUpdate": str((MOMENT - DAY).date())}), "nextUpdate: expected a day that"),
        (lambda: blob(entry(), issuer=new_root("Somebody else")), "metadata BLOB: "),
        (lambda: blob(entry())[:-4] + b"AAAA", "expected a signature by the first certificate"),
    ],
)
def test_metadata_that_must_not_be_believed_are_refused(
    tmp_path: Path, anchor: Path, content: Callable[[], bytes], reason: str
) -> None:
    path = tmp_path / "blob.jwt"
    path.write_bytes(content())
    message = refusal(webauthn={"attestation": "direct", "metadata_blob": path, "metadata_roots": [anchor]})
    assert message.startswith("webauthn.metadata_blob: ")
    assert reason in message


def test_metadata_that_nobody_vouches_for_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "blob.jwt"
    path.write_bytes(blob(entry()))
    expected = "webauthn.metadata_roots: must name the certificate that signs metadata_blob"
    assert refusal(webauthn={"attestation": "direct", "metadata_blob": path}) == expected


async def registered(world: World, **changes: Any) -> Answer:
    """The answer to a registration with an attestation."""
    browser = await world.log_in()
    begun = await world.begin(browser, "register")
    assert begun.options["attestation"] == "direct"
    credential = Authenticator().create(begun.options, **{"format": "packed", **changes})
    return await world.finish(browser, "register", begun, credential)


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
async def test_authenticators_need_somebody_who_vouches_for_them(tmp_path: Path, encoding: Encoding) -> None:
    path = tmp_path / "root"
    path.write_bytes(root().certificate.public_bytes(encoding))
    async with opened(webauthn={"attestation": "direct", "trust_anchors": [path]}) as world:
        assert (await registered(world)).status == 201
        stranger = await registered(world, issuer=new_root("Tests' attestation root"))
        assert (stranger.status, stranger.code) == (403, "webauthn_path_untrusted")
        for statement in ("none", "self"):
            changes = {"format": "none"} if statement == "none" else {"statement": "self"}
            answer = await registered(world, **changes)
            assert (answer.status, answer.code) == (403, "webauthn_attestation_type_refused")


async def test_only_the_models_that_are_listed_are_accepted(anchor: Path) -> None:
    settings = {"attestation": "direct", "trust_anchors": [anchor], "aaguids": [MODEL]}
    async with opened(webauthn=settings) as world:
        assert (await registered(world, aaguid=AAGUID)).status == 201
        answer = await registered(world, aaguid=bytes(16))
        assert (answer.status, answer.code) == (403, "webauthn_aaguid_refused")


async def test_what_the_metadata_say_of_a_model_decides(tmp_path: Path, anchor: Path) -> None:
    path = tmp_path / "blob.jwt"
    settings = {"attestation": "direct", "metadata_blob": path, "metadata_roots": [anchor]}
    path.write_bytes(blob(entry()))
    async with opened(webauthn=settings) as world:
        assert (await registered(world)).status == 201
        world.clock.advance(3 * 86400)
        answer = await registered(world)
        assert (answer.status, answer.code) == (503, "webauthn_metadata_outdated")
    path.write_bytes(blob(entry(**report("REVOKED"))))
    async with opened(webauthn=settings) as world:
        answer = await registered(world)
        assert (answer.status, answer.code) == (403, "webauthn_authenticator_failed")


async def test_who_asks_for_no_attestation_believes_whatever_comes() -> None:
    async with opened() as world:
        browser = await world.log_in()
        for changes in ({"format": "none"}, {"format": "packed"}, {"format": "packed", "statement": "self"}):
            await world.register(browser, Authenticator(), **changes)
        assert len(await world.passkeys(browser)) == 3
