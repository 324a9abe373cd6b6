"""The key file of the command-line phone."""

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from useid_middleware.emulation.phone.core import EnrolledKey
from useid_middleware.emulation.phone.keys import FILE_NAME, KeyFile
from useid_middleware.errors import ConfigurationError

KEY = EnrolledKey(
    server="https://app.example/auth",
    username="alice",
    app_name="Café",
    label="phone",
    key_id=b"k" * 16,
    seed=bytes(range(32)),
)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_phone_without_a_file_has_no_keys_and_makes_no_directory(tmp_path: Path) -> None:
    assert KeyFile(tmp_path / "home").read() == ()
    assert not (tmp_path / "home").exists()


def test_keys_come_back_as_they_were_kept(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "deep" / "home")
    other = replace(KEY, server="https://other.example/auth")
    keys.add(KEY)
    keys.add(other)
    assert KeyFile(keys.home).read() == (KEY, other)


def test_directory_and_file_are_for_the_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "home")
    before = os.umask(0)
    try:
        keys.add(KEY)
    finally:
        os.umask(before)
    assert _mode(keys.home) == 0o700
    assert _mode(keys.path) == 0o600
    assert [path.name for path in keys.home.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620, 0o601, 0o610])
def test_a_file_that_others_may_touch_is_refused_and_names_the_remedy(tmp_path: Path, mode: int) -> None:
    keys = KeyFile(tmp_path)
    keys.add(KEY)
    keys.path.chmod(mode)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        keys.read()
    with pytest.raises(ConfigurationError, match="chmod 600"):
        keys.add(KEY)


def test_a_directory_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o777)
    with pytest.raises(ConfigurationError, match="chmod 700"):
        KeyFile(home).add(KEY)
    assert list(home.iterdir()) == []


def _as_link(path: Path) -> None:
    target = path.with_name("elsewhere.json")
    path.rename(target)
    path.symlink_to(target)


def _as_directory(path: Path) -> None:
    path.unlink()
    path.mkdir(mode=0o700)


def _as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


@pytest.mark.parametrize("change", [_as_link, _as_directory, _as_pipe])
def test_only_a_plain_file_is_a_key_file(tmp_path: Path, change: Callable[[Path], None]) -> None:
    keys = KeyFile(tmp_path)
    keys.add(KEY)
    change(keys.path)
    with pytest.raises(ConfigurationError, match=FILE_NAME):
        keys.read()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"[]",
        b'{"version": 2, "enrolments": []}',
        b'{"version": 1, "enrolments": [{"server": "https://app.example"}]}',
        b'{"version":1,"enrolments":[{"server":"s","username":"u","appName":"a","label":"l","keyId":"AA","seed":"SECRET"}]}',
        b" " * ((1 << 20) + 1),
    ],
)
def test_a_file_that_is_not_ours_is_refused_without_quoting_it_and_left_alone(tmp_path: Path, content: bytes) -> None:
    keys = KeyFile(tmp_path)
    keys.path.touch(mode=0o600)
    keys.path.write_bytes(content)
    for use in (keys.read, lambda: keys.add(KEY)):
        with pytest.raises(ConfigurationError, match="not a key file") as caught:
            use()
        assert "SECRET" not in str(caught.value)
    assert keys.path.read_bytes() == content


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.touch()
    with pytest.raises(ConfigurationError, match="cannot be"):
        KeyFile(home).add(KEY)


def test_enrolling_the_same_account_again_replaces_its_key(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path)
    anew = replace(KEY, seed=b"n" * 32)
    bob = replace(KEY, username="bob")
    for key in (KEY, bob, anew):
        keys.add(key)
    assert keys.read() == (bob, anew)


def test_a_server_is_forgotten_with_all_its_accounts_or_with_one(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path)
    bob, other = replace(KEY, username="bob"), replace(KEY, server="https://other.example/auth")
    for key in (KEY, bob, other):
        keys.add(key)
    assert keys.remove(KEY.server, username="bob") == (bob,)
    assert keys.remove(KEY.server) == (KEY,)
    assert keys.remove(KEY.server) == ()
    assert keys.read() == (other,)


def test_two_phones_of_one_home_do_not_lose_each_others_keys(tmp_path: Path) -> None:
    def enrol(number: int) -> None:
        KeyFile(tmp_path).add(replace(KEY, username=f"user{number}"))

    threads = [Thread(target=enrol, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {key.username for key in KeyFile(tmp_path).read()} == {f"user{number}" for number in range(12)}
