"""The figures of the performance table: ours beside peers, from one run on one machine.

``python -m benchmarks [--json FILE] [--quick]`` prints a table; with ``--json`` the rows also go into a file, as a list
of objects ``{name, ours, peer, unit, ratio, goal, met, note}``:

``name``
    What was measured and, after "vs", against which peer (``benchmarks/peers/``), or which other figure of ours.
``ours``, ``peer``
    The two figures in ``unit``; less is better in every row.
``ratio``
    ``ours / peer``; 0, and a goal for it not met, when the peer's figure drowned in noise (was not above 0).
``goal``
    The most that ``ratio`` may be. In rows whose unit ends with "on top" (what a layer adds to the bare app's request)
    the goal is absolute: the most that ``ours`` may be, in ``unit``.
``met``
    Whether it is.
``note``
    Where it is not: by how much, and why.

Figures are CPU time of the process that serves, memory that belongs to it alone, or time that passes (until an event is
sent; until a session is on disk). Rounds of ours and of the peers alternate, and medians are shown, so a busy machine
disturbs all of them alike. Absolute figures are this machine's; only ratios of one run mean anything elsewhere.
"""
