"""Steps of the machine that make every call with success, by hand: which routes there are to drive is no chance."""

from collections import Counter

from tests.stateful.machine import EveryLogin
from tests.stateful.provider import LEAVE


def drive_every_route() -> "Counter[tuple[str, bool]]":
    """The routes that the steps have driven, and whether with success."""
    routes: Counter[tuple[str, bool]] = Counter()
    machine = type("EveryRoute", (EveryLogin,), {"ROUTES": routes, "COUNTS": Counter()})()
    bound = type("EveryRouteBound", (EveryLogin,), {"LEVEL": "L2", "ROUTES": routes, "COUNTS": Counter()})()
    try:
        for way in (sessions, phones, without_script, passkeys, provider, card):
            way(machine)
        bound.enrol_everybody()
        bound.go_all_the_way("home", "alice")
    finally:
        machine.teardown()
        bound.teardown()
    return routes


def sessions(machine: EveryLogin) -> None:
    """Whoever is logged in, at two places."""
    machine.enrol_everybody()
    machine.go_all_the_way("home", "alice")
    machine.look_at_pages("home")
    machine.look_where_to_prove_more("home")
    machine.watch_the_session("home")
    machine.be_at_two_places("home", "office", "alice")
    machine.end_all_other_sessions("home")


def phones(machine: EveryLogin) -> None:
    """A further phone, and its end."""
    machine.log_in_at_host("home", "alice")
    machine.offer("home")
    machine.look_at_enrolment(0, "home")
    machine.follow_enrolment(0, "home", None)
    machine.enrol_another("alice")
    machine.list_what_is_ones_own("home")
    machine.revoke(0, "home", True)
    machine.enrol_another("alice")


def without_script(machine: EveryLogin) -> None:
    """A login by the plain pages, and one that is rejected."""
    machine.start_plainly("office")
    machine.look_plainly(0, "office")
    machine.look_at_picture(0, "office")
    machine.follow_stream(0, None, None)
    machine.scan(0, "alice", 0, None)
    machine.answer(0, "alice", 0, "approve", "approve", "", 0)
    machine.claim(0, "office", "shown", True)
    machine.scan_and_answer("office", "alice", "reject", "reject", "", 0)


def passkeys(machine: EveryLogin) -> None:
    """All that a passkey is good for."""
    machine.come_by_passkey("home", "alice", "own", "office")
    machine.prove_more("home", "alice")
    machine.list_passkeys("home")
    machine.rename_passkey(0, "home", "Key")
    machine.remove_passkey(0, "home", True)


def provider(machine: EveryLogin) -> None:
    """There and back, and out by each side."""
    machine.log_in_at_provider("office", "bob", "home", "posted")
    machine.ask_silently("office", True)
    machine.be_logged_out_there(0)
    machine.log_in_at_provider("office", "bob", "home", "own")
    machine.hear_in_a_frame(0, "office", False)
    machine.log_in_at_provider("office", "bob", "home", "own")
    machine.log_out("office")
    machine.log_out_there(0, "office", False)
    for each in LEAVE:
        machine.leave_for_provider("office", each)


def card(machine: EveryLogin) -> None:
    """With each client."""
    for mode in ("standard", "integrated", "same-device"):
        machine.log_in_with_card("office", "bob", mode, "attacker")
    machine.look_at_card(0, "office", None, False)
    machine.look_at_card(0, "office", None, True)
    machine.begin_with_card("office", "same-device", True)
