"""What ours is measured against, written for the comparison.

``starlette_sse`` is what a competent developer writes in an afternoon; ``raw`` is the fastest hand-written ASGI app
that we could think of. Both do the work of a QR login and next to nothing of what makes it safe: no browser cookie, no
rotating frame, no confirmation code, no rate limits, no checks of origin, size and form; the signature is over the bare
challenge. ``auth`` is Starlette's own pair of middlewares for sessions and users, ``sessions_aiosqlite`` what one
writes to keep sessions in SQLite.

Their wire format is a subset of ours: create, events, scan, approve, claim below ``/auth``.
"""
