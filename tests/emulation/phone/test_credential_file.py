"""Passkeys in the key file of the command-line phone."""

import json
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.emulation.phone.passkeys import (
    ALICE,
    BOB,
    ORIGIN,
    Phone,
    request,
    secret,
)
from useid_middleware._codec import b64url, un_b64url_any
from useid_middleware.emulation.phone.authenticator import (
    Gesture,
    NotAllowed,
    Sources,
)
from useid_middleware.emulation.phone.authenticator_client import Page, get_credential
from useid_middleware.emulation.phone.keys import KeyFile
from useid_middleware.errors import ConfigurationError
from useid_middleware.webauthn.core.cose import Algorithm
from useid_middleware.webauthn.core.options import (
    ResidentKey,
)


def test_passkeys_come_back_from_the_key_file_as_they_were_kept(tmp_path: Path) -> None:
    phone = Phone()
    phone.register(resident_key=ResidentKey.REQUIRED)
    phone.register(BOB, name="second", algorithms=[Algorithm.ES256])
    keys = KeyFile(tmp_path / "home")
    assert keys.credentials() == ()
    assert keys.change_credentials(lambda sources: (phone.sources, "done")) == "done"
    assert KeyFile(keys.home).credentials() == phone.sources
    assert keys.path.stat().st_mode & 0o777 == 0o600
    phone.sources = KeyFile(keys.home).credentials()
    assert phone.log_in().user_handle == ALICE.id
    assert keys.remove_credential(phone.sources[0].id) is True
    assert keys.remove_credential(secret("unknown")) is False
    assert len(keys.credentials()) == 1


def test_a_ceremony_that_fails_changes_nothing_in_the_key_file(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path)
    phone = Phone()
    phone.register()
    keys.change_credentials(lambda sources: (phone.sources, None))
    before = keys.path.read_bytes()

    def ceremony(sources: Sources) -> tuple[Sources, Any]:
        return get_credential(request(), page=Page(ORIGIN), sources=sources, gesture=Gesture.NONE)

    with pytest.raises(NotAllowed):
        keys.change_credentials(ceremony)
    assert keys.path.read_bytes() == before


def test_a_key_file_of_the_time_before_passkeys_is_read_and_keeps_its_keys(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path)
    keys.path.touch(mode=0o600)
    entry = {
        "server": "https://app.example/auth", "username": "alice", "appName": "App", "label": "phone",
        "keyId": b64url(bytes(16)), "seed": b64url(bytes(32)),
    }  # fmt: skip
    keys.path.write_text(json.dumps({"version": 1, "enrolments": [entry]}))
    assert keys.credentials() == ()
    enrolled = keys.read()
    phone = Phone()
    phone.register()
    keys.change_credentials(lambda sources: (phone.sources, None))
    assert (keys.read(), keys.credentials()) == (enrolled, phone.sources)
    keys.remove("https://app.example/auth")
    assert (keys.read(), keys.credentials()) == ((), phone.sources)


@pytest.mark.parametrize(
    "changed",
    [
        {"algorithm": -257},
        {"signCount": -1},
        {"signCount": 1 << 32},
        {"secret": "SECRET"},
        {"userHandle": "="},
        {"isDiscoverable": 1},
        {"rpId": None},
    ],
)
def test_a_passkey_of_another_form_is_refused_without_quoting_it(tmp_path: Path, changed: dict[str, Any]) -> None:
    keys = KeyFile(tmp_path)
    phone = Phone()
    phone.register()
    keys.change_credentials(lambda sources: (phone.sources, None))
    content = json.loads(keys.path.read_text())
    content["credentials"][0] |= changed
    keys.path.write_text(json.dumps(content))
    with pytest.raises(ConfigurationError, match="not a key file") as caught:
        keys.credentials()
    assert "SECRET" not in str(caught.value)


def test_two_phones_of_one_home_never_sign_with_the_same_counter(tmp_path: Path) -> None:
    phone = Phone()
    phone.register(resident_key=ResidentKey.REQUIRED)
    KeyFile(tmp_path).change_credentials(lambda sources: (phone.sources, None))
    counters: list[int] = []

    def sign() -> None:
        def ceremony(sources: Sources) -> tuple[Sources, Any]:
            return get_credential(request(), page=Page(ORIGIN), sources=sources, gesture=Gesture.VERIFICATION)

        credential = KeyFile(tmp_path).change_credentials(ceremony)
        data = un_b64url_any(credential["response"]["authenticatorData"])
        counters.append(int.from_bytes(data[33:37], "big"))

    threads = [Thread(target=sign) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(counters) == list(range(1, 13))
