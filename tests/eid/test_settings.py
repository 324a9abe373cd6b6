"""The settings of the eID login and of the sites that embed the widget: a wrong one names its key and the remedy."""

from pathlib import Path
from typing import Any

import pytest

from useid_middleware import ConfigurationError, Settings
from useid_middleware.settings import EIDSettings, Tenant

PRODUCTION: dict[str, Any] = {"production": True, "origin": "https://app.example"}
FILES = {
    name: Path(f"/etc/eid/{name}.pem")
    for name in ("tls_certificate", "tls_key", "signing_certificate", "signing_key", "server_signing_certificate")
}


def tenant(**changes: Any) -> dict[str, Any]:
    """The settings of one site, ``shop``."""
    site = {"origins": ("https://shop.example",), "token_urls": ("https://shop.example/eid/tctoken",), **changes}
    return {"embed": {"tenants": {"shop": site}}}


def eid(**values: Any) -> dict[str, Any]:
    return {"eid": values}


ORIGINS = "embed.tenants.shop.origins.0 (USEID_EMBED__TENANTS__SHOP__ORIGINS__0)"
TOKEN_URL = "embed.tenants.shop.token_urls.0"


@pytest.mark.parametrize(
    ("values", "key", "remedy"),
    [
        (eid(server="http://eid.example/"), "eid.server (USEID_EID__SERVER)", "https URL of an eID server's SOAP"),
        (eid(server="https://user@eid.example/"), "eid.server", '"embedded"'),
        (eid(server="https://["), "eid.server", "https URL"),
        (eid(server="emulated"), "eid.server", '"embedded", or empty for none'),
        (eid(server="https://eid.example/"), "eid", "server_signing_certificate must be set for an eID server's SOAP"),
        (eid(server="https://eid.example/", **{**FILES, "tls_key": None}), "eid", "tls_key must be set"),
        (eid(paos_address="http://eid.example/"), "eid.paos_address (USEID_EID__PAOS_ADDRESS)", "https URL"),
        (eid(paos_address="https://["), "eid.paos_address", "https URL"),
        (eid(timeout=0), "eid.timeout", "greater than 0"),
        (eid(timeout=61), "eid.timeout", "less than or equal to 60"),
        (eid(required=("GivenNames",)), "eid", "required must contain RestrictedID"),
        (eid(required=()), "eid", "the pseudonym finds the account"),
        (eid(required=("RestrictedID", "Password")), "eid.required.1", "'GivenNames'"),
        (eid(required=("RestrictedID", "RestrictedID")), "eid", "name each attribute once"),
        (eid(optional=("RestrictedID",)), "eid", "required and optional must name each attribute once"),
        (eid(optional=("AgeVerification",)), "eid.optional.0", "'GivenNames'"),
        (eid(age=0), "eid.age (USEID_EID__AGE)", "greater than or equal to 1"),
        (eid(age=151), "eid.age", "less than or equal to 150"),
        (eid(community_id="276"), "eid.community_id", "match pattern"),
        (eid(community_id="02zz"), "eid.community_id", "match pattern"),
        (eid(transaction_info="x" * 251), "eid.transaction_info", "at most 250"),
        (eid(level_of_assurance="high"), "eid.level_of_assurance", "'substantiell' or 'hoch'"),
        (eid(keep=("GivenNames",)), "eid", "keep must be among the attributes that are required or optional"),
        (eid(keep_lifetime=0), "eid.keep_lifetime", "greater than 0"),
        (eid(username="GivenNames"), "eid", "username must be among the attributes"),
        (eid(username="DateOfBirth"), "eid.username", "'GivenNames', 'FamilyNames' or 'ArtisticName'"),
        (eid(client="stock"), "eid.client", "'standard', 'integrated' or 'bound'"),
        (eid(lifetime=0), "eid.lifetime", "greater than 0"),
        (eid(waiting_limit=0), "eid.waiting_limit", "greater than or equal to 1"),
        (eid(max_sessions=0), "eid.max_sessions", "greater than or equal to 1"),
        (eid(no_such=1), "eid.no_such", "no such setting"),
        ({"embed": {"tenants": {"Shop": tenant()["embed"]["tenants"]["shop"]}}}, "embed.tenants.Shop", "match pattern"),
        ({"embed": {"tenants": {"shop": {}}}}, "embed.tenants.shop.origins", "required"),
        (tenant(origins=()), "embed.tenants.shop.origins", "at least 1 item"),
        (tenant(origins=("https://shop.example/",)), ORIGINS, "without path or trailing slash"),
        (tenant(origins=("http://shop.example",)), ORIGINS, "must be https"),
        (tenant(origins=("https://*.shop.example",)), ORIGINS, "letters, digits, dots and hyphens"),
        (tenant(origins=("https://shop_1.example",)), ORIGINS, "letters, digits, dots and hyphens"),
        (tenant(origins=("https://a;script-src",)), ORIGINS, "letters, digits, dots and hyphens"),
        (tenant(origins=("https://shop.example 'self'",)), ORIGINS, "letters, digits, dots and hyphens"),
        (tenant(origins=("*",)), ORIGINS, "must be an origin"),
        (tenant(token_urls=()), "embed.tenants.shop.token_urls", "at least 1 item"),
        (tenant(token_urls=("http://shop.example/",)), TOKEN_URL, "must be an https URL"),
        (tenant(token_urls=("https://user@shop.example/",)), TOKEN_URL, "without user and fragment"),
        (tenant(token_urls=("https://shop.example/#a",)), TOKEN_URL, "without user and fragment"),
        (tenant(token_urls=("https://SHOP.example/",)), TOKEN_URL, "plain spelling"),
        (tenant(token_urls=("https://shop.example/a/../b",)), TOKEN_URL, "plain spelling"),
        (tenant(token_urls=("https://shop.example/a b",)), TOKEN_URL, "plain spelling"),
        (tenant(token_urls=("https://shop.example/ä",)), TOKEN_URL, "plain spelling"),
        (tenant(token_urls=("https://[",)), TOKEN_URL, "must be an https URL"),
        (tenant(refresh_origins=("https://shop.example/x",)), "embed.tenants.shop.refresh_origins.0", "without path"),
        (tenant(theme="red"), "embed.tenants.shop.theme", "'auto', 'light' or 'dark'"),
        (tenant(default_target="javascript:alert(1)"), "embed.tenants.shop.default_target", "https URL"),
        ({**PRODUCTION, **eid(server="embedded")}, "eid.server", "must not be embedded in production"),
    ],
)
def test_a_wrong_setting_names_its_key_and_the_remedy(values: dict[str, Any], key: str, remedy: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings(from_env=False, **values)
    assert key in caught.value.message
    assert remedy in caught.value.message
    assert "function-after" not in caught.value.message


def test_a_wrong_setting_is_not_quoted() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings(from_env=False, eid={"server": "https://user:secret@eid.example/"})
    assert "secret" not in caught.value.message


def test_by_default_there_is_no_eid() -> None:
    settings = Settings(from_env=False)
    assert (settings.eid.server, settings.embed.tenants) == ("", {})
    assert (settings.eid.required, settings.eid.optional, settings.eid.keep) == (("RestrictedID",), (), ())


def test_an_eid_server_with_all_its_files_is_accepted_in_production() -> None:
    settings = Settings(from_env=False, **PRODUCTION, eid={"server": "https://eid.example/soap", **FILES})
    assert settings.eid.server == "https://eid.example/soap"
    assert settings.warnings() == []


def test_the_embedded_server_is_accepted_in_development_and_warned_of() -> None:
    settings = Settings(from_env=False, eid={"server": "embedded"})
    assert any(warning.startswith("eid.server is embedded") for warning in settings.warnings())


def test_the_environment_sets_lists_and_sites(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USEID_EID__OPTIONAL", '["GivenNames", "AcademicTitle"]')
    monkeypatch.setenv("USEID_EID__AGE", "18")
    monkeypatch.setenv(
        "USEID_EMBED__TENANTS",
        '{"shop": {"origins": ["https://shop.example"], "token_urls": ["https://shop.example/eid/"]}}',
    )
    settings = Settings()
    assert settings.eid == EIDSettings(optional=("GivenNames", "AcademicTitle"), age=18)
    assert settings.embed.tenants == {
        "shop": Tenant(origins=("https://shop.example",), token_urls=("https://shop.example/eid/",))
    }


def test_sites_on_this_machine_may_be_plain_http_for_development() -> None:
    local = Tenant(
        origins=("http://127.0.0.1:3000", "http://[::1]:3000", "http://shop.localhost"),
        token_urls=("http://localhost:3000/eid/",),
    )
    assert len(local.origins) == 3
