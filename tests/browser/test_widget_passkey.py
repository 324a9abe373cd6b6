"""``<useid-passkey>`` makes and manages passkeys, in a real browser with a virtual authenticator.

Every ceremony is real, and verified by :mod:`useid_middleware.webauthn.core`.
"""

import json
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.passkey_wire import (
    ADA,
    LIST,
    REGISTER,
    STEP_UP,
    Authenticator,
    PasskeyCard,
    refused,
)
from tests.browser.passkey_wire import authenticator as authenticator
from tests.browser.passkey_wire import card as card
from tests.browser.passkey_wire import enrolled as enrolled
from tests.browser.passkey_wire import wire as wire
from tests.browser.wire import Answer
from useid_middleware._codec import b64url
from useid_middleware.webauthn.core.options import ResidentKey

# ── making passkeys ──


def test_a_passkey_is_made_and_then_named(card: PasskeyCard, authenticator: Authenticator) -> None:
    card.open("manage").shows("ready")
    expect(card.root).to_contain_text("You have no passkeys yet.")
    card.button("Add a passkey").click()
    expect(card.status).to_contain_text("Passkey added")
    name = card.root.get_by_label("Name", exact=True)
    expect(name).to_be_focused()
    expect(name).to_have_value("Passkey")
    card.page.keyboard.type("Laptop")
    card.page.keyboard.press("Enter")
    expect(card.status).to_contain_text("Name saved")
    expect(card.rows).to_have_count(1)
    expect(card.rows).to_contain_text("Laptop")
    expect(card.button("Rename Laptop")).to_be_focused()
    [kept] = card.wire.kept.values()
    assert kept.label == "Laptop"
    assert kept.record.is_user_verified
    [credential] = authenticator.credentials()
    assert credential["isResidentCredential"]


def test_what_the_authenticator_has_already_is_not_made_again(enrolled: PasskeyCard) -> None:
    enrolled.button("Add a passkey").click()
    enrolled.shows("error")
    expect(enrolled.alert).to_contain_text("Already there")
    assert enrolled.state()["error"]["code"] == "passkey_exists"
    expect(enrolled.button("Add a passkey")).to_be_visible()
    assert len(enrolled.wire.kept) == 1


def test_a_further_passkey_is_made_once_the_one_that_there_is_has_confirmed(enrolled: PasskeyCard) -> None:
    enrolled.wire.demands_step_up = True
    enrolled.button("Add a passkey").click()
    # This authenticator has one already, and says so when it is asked for another.
    enrolled.shows("error")
    assert enrolled.state()["error"]["code"] == "passkey_exists"
    assert enrolled.wire.count(STEP_UP) == 1
    assert not enrolled.wire.demands_step_up


def test_a_passkey_that_was_cancelled_leaves_the_list_as_it_was(
    enrolled: PasskeyCard, authenticator: Authenticator
) -> None:
    enrolled.wire.kept.clear()
    authenticator.recognises(user=False)
    enrolled.button("Add a passkey").click()
    enrolled.shows("cancelled")
    expect(enrolled.alert).to_contain_text("Nothing was done")
    expect(enrolled.rows).to_have_count(1)
    assert enrolled.wire.count(REGISTER) == 1


def test_a_registration_that_the_server_refuses_is_said_with_its_code(
    card: PasskeyCard, authenticator: Authenticator
) -> None:
    card.open("manage").shows("ready")
    card.wire.instead["/passkeys"] = refused(403, "webauthn_aaguid_refused")
    card.button("Add a passkey").click()
    card.shows("error")
    expect(card.alert).to_contain_text("That did not work. Try again. (webauthn_aaguid_refused)")


# ── the list ──


def test_the_list_says_of_each_passkey_what_it_is(card: PasskeyCard, page: Page) -> None:
    Authenticator(page, transport="usb")
    card.wire.resident_key = ResidentKey.DISCOURAGED
    card.open("manage").shows("ready").add("Key ring")
    row = card.rows.filter(has_text="Key ring")
    expect(row).to_contain_text("Security key · not offered by itself")
    expect(row).to_contain_text("Added 5 Mar 2026 · never used")


def test_a_passkey_that_its_keeper_copies_is_on_all_devices(card: PasskeyCard, page: Page) -> None:
    Authenticator(page, defaultBackupEligibility=True, defaultBackupState=True)
    card.open("manage").shows("ready").add("Keychain")
    expect(card.rows).to_contain_text("On all your devices")
    card.open("login")
    page.wait_for_url("**/orders")
    card.open("manage").shows("ready")
    expect(card.rows).to_contain_text("last used 1 Apr 2026")


def test_the_page_is_told_of_every_list(enrolled: PasskeyCard) -> None:
    told = enrolled.page.evaluate("told.filter(([name]) => name === 'useid-passkeys').map(([, detail]) => detail)")
    labels = [[passkey["label"] for passkey in detail["passkeys"]] for detail in told]
    assert labels == [[], ["Passkey"], ["Laptop"]]


def test_a_passkey_is_renamed(enrolled: PasskeyCard) -> None:
    enrolled.button("Rename Laptop").click()
    enrolled.root.get_by_label("Name", exact=True).fill("  Ada’s <b>laptop</b> ")
    enrolled.button("Save").click()
    expect(enrolled.rows).to_contain_text("Ada’s <b>laptop</b>")
    [passkey_id] = enrolled.wire.kept
    assert enrolled.wire.said[f"PATCH /passkeys/{passkey_id}"][-1] == {"label": "Ada’s <b>laptop</b>"}


def test_a_name_left_as_it_was_asks_nothing_and_an_empty_one_is_not_sent(enrolled: PasskeyCard) -> None:
    [passkey_id] = enrolled.wire.kept
    sent = list(enrolled.wire.said[f"PATCH /passkeys/{passkey_id}"])
    enrolled.button("Rename Laptop").click()
    name = enrolled.root.get_by_label("Name", exact=True)
    name.fill("  ")
    enrolled.page.keyboard.press("Enter")
    expect(name).to_be_focused()
    enrolled.page.keyboard.press("Escape")
    expect(enrolled.button("Rename Laptop")).to_be_focused()
    enrolled.page.keyboard.press("Enter")
    enrolled.button("Save").click()
    expect(enrolled.button("Rename Laptop")).to_be_focused()
    assert enrolled.wire.said[f"PATCH /passkeys/{passkey_id}"] == sent


def test_a_name_that_could_not_be_saved_stays_in_its_field(enrolled: PasskeyCard) -> None:
    [passkey_id] = enrolled.wire.kept
    enrolled.wire.instead[passkey_id] = Answer(503)
    enrolled.button("Rename Laptop").click()
    name = enrolled.root.get_by_label("Name", exact=True)
    name.fill("Office")
    enrolled.button("Save").click()
    enrolled.shows("error")
    expect(enrolled.alert).to_contain_text("Server unavailable")
    expect(name).to_have_value("Office")
    enrolled.wire.instead.clear()
    enrolled.button("Save").click()
    expect(enrolled.rows).to_contain_text("Office")


def test_deleting_asks_first(enrolled: PasskeyCard, authenticator: Authenticator) -> None:
    enrolled.button("Delete Laptop").click()
    expect(enrolled.dialog).to_contain_text("Delete “Laptop”?")
    expect(enrolled.dialog).to_contain_text("It is your only passkey.")
    expect(enrolled.dialog).to_be_focused()
    enrolled.dialog.get_by_role("button", name="Keep").click()
    expect(enrolled.dialog).to_have_count(0)
    expect(enrolled.button("Delete Laptop")).to_be_focused()
    assert len(enrolled.wire.kept) == 1
    enrolled.page.keyboard.press("Enter")
    enrolled.page.keyboard.press("Escape")
    expect(enrolled.dialog).to_have_count(0)
    assert len(enrolled.wire.kept) == len(authenticator.credentials()) == 1


def test_a_deleted_passkey_is_gone_from_the_server_and_from_the_authenticator(
    enrolled: PasskeyCard, authenticator: Authenticator
) -> None:
    enrolled.button("Delete Laptop").click()
    enrolled.dialog.get_by_role("button", name="Delete").click()
    expect(enrolled.status).to_contain_text("Passkey deleted")
    expect(enrolled.root).to_contain_text("You have no passkeys yet.")
    expect(enrolled.root).to_be_focused()
    assert enrolled.wire.kept == {}
    assert authenticator.credentials() == []


def test_a_passkey_that_is_gone_already_says_so(enrolled: PasskeyCard) -> None:
    enrolled.wire.kept.clear()
    enrolled.button("Delete Laptop").click()
    enrolled.dialog.get_by_role("button", name="Delete").click()
    enrolled.shows("error")
    expect(enrolled.alert).to_contain_text("Already gone")


def test_the_authenticator_learns_what_the_account_is_called(
    enrolled: PasskeyCard, authenticator: Authenticator
) -> None:
    [before] = authenticator.credentials()
    assert before["userName"] == "ada"
    enrolled.wire.username = "countess"
    enrolled.open("manage").shows("ready")
    [after] = authenticator.credentials()
    assert (after["userName"], after["userDisplayName"]) == ("countess", ADA.display_name)


def test_a_list_that_is_none_deletes_nothing_at_the_authenticator(
    enrolled: PasskeyCard, authenticator: Authenticator
) -> None:
    whose: dict[str, Any] = {"userHandle": b64url(ADA.id), "rpId": "localhost"}
    enrolled.wire.instead["/passkeys"] = Answer(200, json.dumps({"passkeys": []}))
    enrolled.open("manage").shows("error")
    for answer in (
        {"passkeys": [], "userHandle": b64url(ADA.id)},
        {"passkeys": {}, **whose},
        {"passkeys": [{"id": "a"}], **whose},
        {"passkeys": [{"id": "a", "credentialId": 1}], **whose},
        {"passkeys": [None], **whose},
    ):
        lists = enrolled.wire.count(LIST)
        enrolled.wire.instead["/passkeys"] = Answer(200, json.dumps(answer))
        enrolled.button("Try again").click()
        enrolled.wire.await_calls(LIST, lists + 1)
        enrolled.shows("error")
        assert enrolled.state()["error"]["code"] == "invalid_response"
    assert len(authenticator.credentials()) == 1
    enrolled.wire.instead.clear()
    enrolled.button("Try again").click()
    expect(enrolled.rows).to_have_count(1)


def test_somebody_who_is_not_logged_in_any_more_is_told_so(card: PasskeyCard) -> None:
    card.wire.instead["/passkeys"] = refused(401, "login_required")
    card.open("manage").shows("error")
    expect(card.alert).to_contain_text("You are not logged in any more")
