"""A real server that is told to stop while pages wait: each hears `bye`, and nothing holds the process up."""

import threading

import httpx2
import pytest

from tests.serving import Serve


@pytest.mark.parametrize(
    "env",
    [
        {"USEID_SSE__RESPONDER": "own"},
        {"USEID_SSE__RESPONDER": "sse-starlette"},
        # A server that tells the app nothing of start and end.
        {"UVICORN_LIFESPAN": "off"},
    ],
    ids=["own", "sse-starlette", "no-lifespan"],
)
def test_a_waiting_page_hears_bye_and_the_server_ends_in_order(serve: Serve, env: dict[str, str]) -> None:
    server = serve("example_app.app:app", env=env)
    stopping = threading.Thread(target=server.stop)
    with httpx2.Client(base_url=server.url, timeout=20) as client:
        session_id = client.post("/auth/session/create").json()["sessionId"]
        with client.stream("GET", f"/auth/session/{session_id}/events") as stream:
            text = ""
            for chunk in stream.iter_text():
                if "waiting" in chunk:
                    stopping.start()
                text += chunk
    stopping.join()
    assert [line for line in text.splitlines() if line.startswith("event: ")][-1] == "event: bye"
    # Nothing had to be cut off: uvicorn says so when its patience (5 s here) runs out.
    assert "Cancel" not in server.log()
    assert "Finished server process" in server.log()
