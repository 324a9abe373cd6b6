"""The ``serve`` fixture, which the browser's tests rest on."""

import httpx2
import pytest

from tests.serving import Serve

APP = "tests.served_app:app"


def test_a_served_app_has_its_own_environment_and_folder_and_not_the_settings_of_the_developer(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USEID_PREFIX", "/of-the-developer")
    one, other = serve(APP, env={"GREETING": "hello"}), serve(APP, env={"GREETING": "goodbye"})
    assert one.url != other.url
    for server, greeting in ((one, "hello"), (other, "goodbye")):
        said = httpx2.get(server.url).text.split()
        assert (said[0], said[1], said[3]) == (greeting, "None", ".")


def test_a_restarted_app_is_a_new_process_at_the_same_address_and_in_the_same_folder(serve: Serve) -> None:
    server = serve(APP)
    address = server.url
    _, _, first, calls = httpx2.get(address).text.split()
    assert calls == "."
    server.restart()
    _, _, second, calls = httpx2.get(address).text.split()
    assert second != first
    assert calls == ".."
    server.stop()
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(address)
    assert server.log().count("Finished server process") == 2


def test_an_app_that_cannot_start_shows_its_log(serve: Serve) -> None:
    with pytest.raises(RuntimeError, match="no_such_app"):
        serve("tests.served_app:no_such_app")
