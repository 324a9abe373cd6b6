"""Settings: three sources, one error that names the key and the remedy."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from useid_middleware import ConfigurationError, QRSettings, Settings


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
        ({"qr": {"assurance": "L2"}}, "qr.assurance", "'L0' or 'L1'"),
        ({"qr": {"no_such": 1}}, "qr.no_such", "no such setting"),
        ({"nonsense": 1}, "nonsense (USEID_NONSENSE)", "no such setting"),
        ({"landing_page": "//evil.example"}, "landing_page", "path of this site"),
        ({"production": True}, "origin", "https://app.example"),
        ({"production": True, "origin": "https://a.example", "store": "memory://"}, "store", "redis://"),
        ({"app_name": ""}, "app_name", "at least 1"),
        ({"limits": {"per_ip": 0}}, "limits.per_ip", "greater than or equal to 1"),
        ({"sse": {"heartbeat": "soon"}}, "sse.heartbeat", "valid number"),
    ],
)
def test_a_wrong_setting_names_its_key_and_the_remedy(values: dict[str, Any], key: str, remedy: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings(from_env=False, **values)
    assert caught.value.code == "configuration_error"
    assert key in caught.value.message
    assert remedy in caught.value.message


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
