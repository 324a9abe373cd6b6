"""What the URL of a Redis may say, and what it must not."""

from pathlib import Path

import pytest

from useid_middleware.errors import ConfigurationError
from useid_middleware.settings import Settings
from useid_middleware.stores import create_store
from useid_middleware.stores.redis.url import RedisURL


@pytest.mark.parametrize(
    ("url", "topology", "addresses", "service"),
    [
        ("redis://host", "", (("host", 6379),), ""),
        ("redis://:secret@host:7000/3", "", (("host", 7000),), ""),
        ("redis://[::1]:7000", "", (("::1", 7000),), ""),
        ("rediss://user:secret@host", "", (("host", 6379),), ""),
        ("unix:///run/redis.sock", "", (), ""),
        ("redis+sentinel://a,b:1,c/mymaster", "sentinel", (("a", 26379), ("b", 1), ("c", 26379)), "mymaster"),
        ("rediss+sentinel://user:secret@a,[::1]:1/my%2Fmaster/2", "sentinel", (("a", 26379), ("::1", 1)), "my/master"),
        ("redis+cluster://a,b:7000", "cluster", (("a", 6379), ("b", 7000)), ""),
        ("rediss+cluster://user:secret@a/", "cluster", (("a", 6379),), ""),
    ],
)
def test_a_url_names_servers(url: str, topology: str, addresses: tuple[tuple[str, int], ...], service: str) -> None:
    parsed = RedisURL.parse(url)
    assert (parsed.topology, parsed.addresses, parsed.service) == (topology, addresses, service)
    assert "secret" not in repr(parsed)
    assert Settings(store=url).store == url


def test_user_and_password_may_have_any_characters() -> None:
    login = RedisURL.parse("redis://us%40er:p%3A%2Fss@host").login
    assert login == {"username": "us@er", "password": "p:/ss"}
    assert RedisURL.parse("unix:///run/redis.sock?username=u&password=p%26q").login == {
        "username": "u",
        "password": "p&q",
    }


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("redis://secret@host:port", "hosts"),
        ("redis://:secret@host:70000", "hosts"),
        ("redis://:secret@", "hosts"),
        ("redis://:secret@a,b", "several hosts"),
        ("redis://:secret@host/one", "database"),
        ("redis://:secret@host/1/2", "more behind"),
        ("redis://:secret@host/-1", "database"),
        ("redis://:secret@host?db=x", "database"),
        ("redis://:secret@host?protocol=3", "no option 'protocol'"),
        ("redis://:secret@host?ssl_ca_certs=/file", "no option 'ssl_ca_certs'"),
        ("rediss://:secret@host?ssl_cert_reqs=none", "no option 'ssl_cert_reqs'"),
        ("rediss://:secret@host?ssl_check_hostname=maybe", "true or false"),
        ("rediss://:secret@host?ssl_ca_certs=/no/such/file", "files for TLS"),
        ("redis://host?username=secret", "no option 'username'"),
        ("redis+sentinel://:secret@a,b", "name of the primary"),
        ("redis+sentinel://:secret@/mymaster", "hosts"),
        ("redis+cluster://:secret@a,,b", "hosts"),
        ("redis+cluster://:secret@a/1", "0 in a cluster"),
        ("redis+other://:secret@a", "scheme"),
        ("unix+cluster://:secret@a", "scheme"),
    ],
)
def test_a_wrong_url_is_a_configuration_error_that_says_what_and_no_secret(url: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem) as raised:
        create_store(url, key_prefix="useid:")
    assert raised.value.message.startswith("store: the URL of Redis is wrong: ")
    assert "secret" not in raised.value.message


def test_a_file_that_is_no_certificate_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "authority.pem").write_text("nothing of the kind")
    with pytest.raises(ConfigurationError, match="files for TLS"):
        create_store(f"rediss://host?ssl_ca_certs={tmp_path / 'authority.pem'}", key_prefix="useid:")
