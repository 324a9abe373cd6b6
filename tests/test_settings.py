"""Settings: three sources, one error that names the key and the remedy."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from useid_middleware import ConfigurationError, Level, QRSettings, Settings


def test_keywords_win_over_the_environment_and_that_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "useid.toml"
    file.write_text('app_name = "File"\nprefix = "/file"\n[qr]\nlifetime = 10\nframe_period = 20\n')
    monkeypatch.setenv("USEID_APP_NAME", "Environment")
    monkeypatch.setenv("USEID_QR__LIFETIME", "60")
    monkeypatch.setenv("USEID_CONFIG", str(file))
    settings = Settings(app_name="Keyword")
    assert (settings.app_name, settings.prefix) == ("Keyword", "/file")
    assert (settings.qr.lifetime, settings.qr.frame_period) == (60, 20)
    assert Settings().app_name == "Environment"
    monkeypatch.delenv("USEID_CONFIG")
    assert Settings().prefix == "/auth"
    assert Settings(config_file=file).prefix == "/file"
    assert Settings(from_env=False).app_name == "This application"


def test_settings_cannot_be_changed() -> None:
    settings = Settings(from_env=False)
    with pytest.raises(ValidationError):
        settings.app_name = "other"
    with pytest.raises(ValidationError):
        settings.qr.lifetime = 1


@pytest.mark.parametrize(
    ("values", "key", "remedy"),
    [
        ({"prefix": "auth"}, "prefix (USEID_PREFIX)", "/auth"),
        ({"prefix": "/auth/"}, "prefix", "no trailing slash"),
        ({"prefix": "/a//b"}, "prefix", "/auth"),
        ({"prefix": "/a b"}, "prefix", "/auth"),
        ({"origin": "http://app.example"}, "origin (USEID_ORIGIN)", "must be https"),
        ({"origin": "https://app.example/"}, "origin", "trailing slash"),
        ({"origin": "https://App.example"}, "origin", "lower case"),
        ({"origin": "https://user@app.example"}, "origin", "https://app.example"),
        ({"origin": "https://app.example:443"}, "origin", "default port"),
        ({"origin": "app.example"}, "origin", "https://app.example"),
        ({"redirect_origins": ["https://ok.example", "javascript:x"]}, "redirect_origins.1", "origin"),
        ({"store": "mysql://x"}, "store (USEID_STORE)", "redis://host:6379/0"),
        ({"accounts": "redis://x"}, "accounts", "postgresql://"),
        ({"qr": {"lifetime": 0}}, "qr.lifetime (USEID_QR__LIFETIME)", "greater than 0"),
        ({"qr": {"scheme": "https"}}, "qr.scheme", "universal_link"),
        ({"qr": {"scheme": "Ta na"}}, "qr.scheme", "tana"),
        ({"qr": {"universal_link": "http://x.example/"}}, "qr.universal_link", "https"),
        ({"qr": {"assurance": "L3"}}, "qr.assurance", "'L0', 'L1' or 'L2'"),
        ({"qr": {"no_such": 1}}, "qr.no_such", "no such setting"),
        ({"nonsense": 1}, "nonsense (USEID_NONSENSE)", "no such setting"),
        ({"landing_page": "//evil.example"}, "landing_page", "path of this site"),
        ({"production": True}, "origin", "https://app.example"),
        ({"production": True, "origin": "https://a.example", "store": "memory://"}, "store", "redis://"),
        ({"app_name": ""}, "app_name", "at least 1"),
        ({"limits": {"per_ip": 0}}, "limits.per_ip", "greater than or equal to 1"),
        ({"sse": {"heartbeat": "soon"}}, "sse.heartbeat", "valid number"),
        ({"protected": ["orders"]}, "protected.0", "path of this site"),
        ({"protected": ["//evil.example"]}, "protected.0", "path of this site"),
        ({"paths": {"callback": "callback"}}, "paths.callback (USEID_PATHS__CALLBACK)", "/callback"),
        ({"paths": {"callback": "/call/"}}, "paths.callback", "/callback"),
        ({"paths": {"callback": "/{name}"}}, "paths.callback", "letters, digits"),
        ({"paths": {"login": "/enter", "error": "/enter"}}, "paths", "differ from each other"),
        ({"oidc": {"providers": {"My_OP": {}}}}, "oidc.providers.My_OP", "match pattern"),
        ({"oidc": {"default_provider": "staff"}}, "oidc", "name of one of the providers"),
        ({"oidc": {"after_logout": "https://evil.example/"}}, "oidc.after_logout", "path of this site"),
        ({"oidc": {"skew": 301}}, "oidc.skew", "less than or equal to 300"),
        ({"oidc": {"attempt_slots": 0}}, "oidc.attempt_slots", "greater than or equal to 1"),
    ],
)
def test_a_wrong_setting_names_its_key_and_the_remedy(values: dict[str, Any], key: str, remedy: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings(from_env=False, **values)
    assert caught.value.code == "configuration_error"
    assert key in caught.value.message
    assert remedy in caught.value.message


STAFF: dict[str, Any] = {"issuer": "https://sso.example", "client_id": "shop", "client_secret": "s3cret"}
FAPI: dict[str, Any] = {
    "issuer": "https://as.bank.example",
    "client_id": "shop",
    "profile": "fapi2",
    "private_keys": "keys.json",
    "dpop": True,
}


def with_provider(**values: Any) -> Settings:
    return Settings(from_env=False, oidc={"providers": {"staff": STAFF | values}})


@pytest.mark.parametrize(
    ("values", "key", "remedy"),
    [
        ({"issuer": "http://sso.example"}, "issuer (USEID_OIDC__PROVIDERS__STAFF__ISSUER)", "must be https"),
        ({"issuer": "https://sso.example?x"}, "issuer", "without query"),
        ({"issuer": "https://sso.example/#"}, "issuer", "without query and fragment"),
        ({"issuer": "https://user@sso.example"}, "issuer", "https://sso.example/realms/staff"),
        ({"issuer": "sso.example"}, "issuer", "https://sso.example/realms/staff"),
        ({"public_issuer": "http://sso.example"}, "public_issuer", "must be https"),
        ({"client_id": ""}, "client_id", "at least 1"),
        ({"client_secret": None}, "staff", "client_secret must be set for client_secret_basic"),
        ({"client_authentication": "private_key_jwt"}, "staff", "useid oidc keys makes a file"),
        ({"client_authentication": "tls_client_auth", "tls_key": "k"}, "staff", "tls_certificate and tls_key must be"),
        ({"client_authentication": "by_post"}, "client_authentication", "'private_key_jwt'"),
        ({"request_object": "value"}, "staff", "private_keys must be set"),
        ({"scopes": ["profile"]}, "staff", "scopes must contain openid"),
        ({"acr_required": True}, "staff", "acr_values must be set"),
        ({"algorithms": ["RS256", "none"]}, "algorithms.1", "'RS256'"),
        ({"response_type": "id_token token"}, "response_type", "'code id_token'"),
        ({"response_mode": "fragment"}, "response_mode", "'form_post'"),
        ({"levels": {"high": "L4"}}, "levels.high", "'L3'"),
        ({"max_age": -1}, "max_age", "greater than or equal to 0"),
        ({"callback_path": "back"}, "callback_path", "/callback"),
        ({"claims_providers": ["http://x.example"]}, "claims_providers.0", "must be https"),
        ({"isuer": "https://sso.example"}, "isuer", "no such setting"),
    ],
)
def test_a_wrong_setting_of_a_provider_names_its_key_and_the_remedy(
    values: dict[str, Any], key: str, remedy: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        with_provider(**values)
    assert f"oidc.providers.{key}" in caught.value.message or f"oidc.providers.staff.{key}" in caught.value.message
    assert remedy in caught.value.message
    assert "s3cret" not in str(caught.value)


def test_two_providers_may_share_neither_issuer_nor_callback() -> None:
    for second, remedy in (
        (STAFF, "different issuers"),
        (STAFF | {"issuer": "https://other.example", "public_issuer": STAFF["issuer"]}, "different issuers"),
        (STAFF | {"issuer": "https://other.example", "callback_path": "/back"}, "different callback paths"),
    ):
        with pytest.raises(ConfigurationError, match=remedy):
            Settings(from_env=False, oidc={"providers": {"a": STAFF | {"callback_path": "/back"}, "b": second}})


def test_a_secret_is_not_in_what_is_printed_of_the_settings() -> None:
    assert "s3cret" not in repr(with_provider())


@pytest.mark.parametrize("profile", ["fapi2", "fapi2-message-signing"])
def test_a_fapi_profile_presumes_what_it_demands(profile: str) -> None:
    settings = Settings(from_env=False, oidc={"providers": {"bank": FAPI | {"profile": profile}}})
    bank = settings.oidc.providers["bank"]
    assert bank.client_authentication == "private_key_jwt"
    assert bank.pushed_authorization == "always"
    assert bank.algorithms == ("PS256", "ES256", "EdDSA", "Ed25519")
    assert bank.requires_issuer
    signs = profile == "fapi2-message-signing"
    assert (bank.request_object, bank.uses_jarm) == (("value", True) if signs else ("never", False))


@pytest.mark.parametrize(
    ("values", "remedy"),
    [
        ({"client_authentication": "client_secret_basic", "client_secret": "s"}, "private_key_jwt or mutual TLS"),
        ({"dpop": False}, "dpop must be true"),
        ({"response_type": "code id_token"}, "response_type = code"),
        ({"pushed_authorization": "auto"}, "pushed_authorization = always"),
        ({"algorithms": ["RS256"]}, "algorithms must be among PS256, ES256"),
        ({"profile": "fapi2-message-signing", "request_object": "reference"}, "request_object = value"),
        ({"profile": "fapi2-message-signing", "response_mode": "query"}, "ends in jwt"),
    ],
)
def test_a_setting_against_a_fapi_profile_is_refused(values: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ConfigurationError, match=remedy):
        Settings(from_env=False, oidc={"providers": {"bank": FAPI | values}})


@pytest.mark.parametrize(
    "issuer", ["http://127.0.0.1:9000", "http://localhost:9000", "https://[::1]/", "https://x.localhost"]
)
def test_a_provider_on_this_machine_is_for_development_alone(issuer: str) -> None:
    provider = {"providers": {"dev": STAFF | {"issuer": issuer}}}
    assert Settings(from_env=False, oidc=provider).oidc.providers["dev"].issuer == issuer
    with pytest.raises(ConfigurationError, match=r"oidc.providers.dev.issuer must not be this machine in production"):
        Settings(from_env=False, production=True, origin="https://app.example", oidc=provider)


def test_an_address_is_switched_off_by_an_empty_path_and_several_may_be() -> None:
    settings = Settings(from_env=False, paths={"profile": "", "initiate": "", "error": ""})
    assert (settings.paths.profile, settings.paths.initiate, settings.paths.callback) == ("", "", "/callback")


def test_an_acr_that_is_not_listed_reaches_no_level() -> None:
    staff = with_provider(levels={"high": "L1"}).oidc.providers["staff"]
    assert (staff.level("high"), staff.level("low"), staff.level("")) == (Level.L1, Level.L0, Level.L0)


def test_tokens_name_the_public_issuer_where_there_is_one() -> None:
    assert with_provider().oidc.providers["staff"].expected_issuer == "https://sso.example"
    staff = with_provider(public_issuer="https://login.example").oidc.providers["staff"]
    assert (staff.issuer, staff.expected_issuer) == ("https://sso.example", "https://login.example")


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings(from_env=False, prefix="x", origin="y", qr={"lifetime": -1})
    for key in ("prefix", "origin", "qr.lifetime"):
        assert key in caught.value.message


def test_a_secret_in_a_wrong_setting_is_not_repeated() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings(from_env=False, store="rediss:/user:hunter2@host")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("content", ["app_name = ", "\x00", "[qr\n"])
def test_a_file_that_is_no_toml_is_one_clear_error(tmp_path: Path, content: str) -> None:
    file = tmp_path / "useid.toml"
    file.write_text(content)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Settings(config_file=file)


def test_a_file_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no such file.*USEID_CONFIG"):
        Settings(config_file=tmp_path / "missing.toml")


def test_what_is_unsafe_is_said() -> None:
    safe = Settings(from_env=False, production=True, origin="https://app.example")
    assert safe.warnings() == []
    development = Settings(
        from_env=False,
        origin="http://localhost:8000",
        store="memory://",
        qr=QRSettings(assurance="L0"),
        sessions={"bearer": True},
    )
    said = " ".join(development.warnings())
    for word in ("production", "plain http", "memory://", "L0", "bearer"):
        assert word in said
    assert any("origin is not set" in warning for warning in Settings(from_env=False).warnings())
