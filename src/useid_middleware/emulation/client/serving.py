"""The emulated phone beside a running demo: its PKI's folder prepared, its app served from a thread."""

import errno
import socket
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_bytes
from threading import Thread
from typing import Final

from ...errors import ConfigurationError
from ..card.issuing import with_revocations
from ..card.library import names, personality_named
from ..pki import PKI, new_pki
from ..pki_files import NOTICE, create_pki, read_pki, write_pki
from ..server.terminal import alone

HOST: Final = "127.0.0.1"
#: Where a browser looks for an eID client on its own computer (TR-03124-1 §2.2.1.1).
CLIENT_PORT: Final = 24727


def serve_eid_phone(port: int = CLIENT_PORT, *, pki_folder: Path, app_url: str) -> str:
    """Serve the phone, with cards of the PKI in the folder; its address, empty if somebody else has the port.

    On 24727 a real eID client may listen: it is left alone. ``app_url`` is where the phone's first page sends people.
    A PKI is made where there is none; do this before the eID server reads it, for its revocation list is completed.
    """
    import uvicorn

    from .app import EIDPhone

    listener = _listen(port)
    if listener is None:
        return ""
    pki = prepare_cards(pki_folder)
    app = EIDPhone(pki, app_url=app_url)
    # Without Ctrl-C of its own: whoever has the main thread ends the process.
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True, name="eid-phone").start()
    return f"http://{HOST}:{listener.getsockname()[1]}/"


def prepare_cards(folder: Path) -> PKI:
    """The PKI in the folder, made where there is none, with the package's revoked cards on its list."""
    # Two demos that start at once share what the first one makes.
    with alone(folder):
        if (folder / NOTICE).is_file():
            pki = read_pki(folder)
        else:
            pki = new_pki(now=datetime.now(UTC), random=token_bytes)
            create_pki(folder, pki)
        listed = pki
        for name in names():
            listed = with_revocations(listed, personality_named(name))
        if listed is not pki:
            write_pki(folder, listed)
        return listed


def _listen(port: int) -> socket.socket | None:
    listener = socket.socket()
    # A demo that was just ended leaves connections behind that nobody listens to.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise ConfigurationError(f"{HOST}:{port}: {error.strerror}") from None
    return listener
