"""The QR code as a picture from the server, for pages without script, beside segno drawing the same text.

It is never part of a login in a browser with script: there the page draws it.
"""

import gc
from dataclasses import dataclass
from io import BytesIO
from statistics import median
from time import process_time_ns

import segno

from .driver import Call
from .ours import plugin
from .rows import Row, row


@dataclass(frozen=True, slots=True)
class Size:
    """How much to measure: rounds of each, pictures in a round."""

    rounds: int
    pictures: int


FULL = Size(rounds=15, pictures=20)
QUICK = Size(rounds=3, pictures=3)


async def rows(size: Size) -> list[Row]:
    """Measure and compare."""
    app = plugin()
    create = Call("POST", "/auth/session/create", body={})
    await create.to(app)
    created, cookie = create.answer(201), create.cookies()
    ours, peer = [], []
    for _ in range(size.rounds):
        calls = [
            Call("GET", f"/auth/session/{created['sessionId']}/qr.svg", cookie=cookie) for _ in range(size.pictures)
        ]
        gc.collect()
        started = process_time_ns()
        for call in calls:
            await call.to(app)
        ours.append((process_time_ns() - started) / size.pictures / 1000)
        for call in calls:
            call.expect(200)
        started = process_time_ns()
        for _ in range(size.pictures):
            _draw(created["qrData"])
        peer.append((process_time_ns() - started) / size.pictures / 1000)
    return [
        row(
            "QR code as SVG on request (never on the login path), CPU vs segno alone",
            ours=median(ours),
            peer=median(peer),
            unit="µs",
            goal=1.1,
        )
    ]


def _draw(text: str) -> bytes:
    picture = BytesIO()
    segno.make_qr(text, error="m", boost_error=False).save(picture, kind="svg", border=4, scale=8, omitsize=True)
    return picture.getvalue()
