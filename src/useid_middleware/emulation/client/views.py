"""What the phone's page is told, as JSON: its cards, and how a dialogue stands."""

from .dialogue import View
from .wallet import CardFacts


def card_json(facts: CardFacts) -> dict[str, object]:
    """A card of the wallet."""
    return {
        "name": facts.name,
        "title": facts.title,
        "holder": facts.holder,
        "expiry": facts.expiry,
        "pin": facts.pin,
        "can": facts.can,
        "puk": facts.puk,
        "status": facts.status,
    }


def view_json(view: View) -> dict[str, object]:
    """A dialogue; what there is no question of has no member."""
    shown: dict[str, object] = {"stage": view.stage, "version": view.version, "commands": view.commands}
    if (request := view.request) is not None:
        shown["request"] = {
            "subjectName": request.subject_name,
            "subjectUrl": request.subject_url,
            "issuerName": request.issuer_name,
            "issuerUrl": request.issuer_url,
            "validFrom": request.valid_from,
            "validTo": request.valid_to,
            "termsOfUsage": request.terms_of_usage,
            "required": request.required,
            "optional": request.optional,
            "bornBy": request.born_by,
            "age": request.age,
            "communityId": request.community_id,
            "transactionInfo": request.transaction_info,
        }
    if (question := view.question) is not None:
        shown["question"] = {
            "kind": question.password.name.lower(),
            "digits": question.digits,
            "triesLeft": question.tries_left,
            "isRepeated": question.is_repeated,
        }
    if (passkey := view.passkey) is not None:
        shown["passkey"] = {"site": passkey.rp_id, "account": passkey.account}
    if (outcome := view.outcome) is not None:
        shown["outcome"] = {
            "address": outcome.address,
            "isSealed": outcome.is_sealed,
            "isBound": outcome.is_bound,
            "code": outcome.code,
            "minor": outcome.minor,
            "message": outcome.message,
        }
    return shown
