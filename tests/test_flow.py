"""docs/flow.md leads from each arrow of the flow page to code and test: these tests walk it, then the flow itself."""

import ast
import importlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.qr.conftest import World, make_settings, open_world
from useid_middleware import QRSettings, SessionSettings
from useid_middleware.eid.core import session as eid_login
from useid_middleware.emulation.server import session as eid_server
from useid_middleware.qr.core.enrolment import ENROLMENT_TRANSITIONS
from useid_middleware.qr.core.session import FINAL, TRANSITIONS, State, Step

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "useid_middleware"
FLOW = (ROOT / "docs" / "flow.md").read_text()
SEEDS = ROOT.parent / "shared" / "seeds"
PAGE = SEEDS / "004_a5a47606e61f001a.txt"
MAGNUS_PAGE = SEEDS / "000_a5d35bef324815dc.txt"
WEBAUTHN_PAGE = SEEDS / "001_fea3efe2e441133f.txt"
OIDC_PAGES = (SEEDS / "003_6c96a5941b486161.txt", SEEDS / "002_0a55aff3fc5d1ac5.txt")

#: Arrows and boxes of the page's drawings, which are not part of what they say.
DRAWING = re.compile(r"[│┌┐└┘├┤┬┴┼─►◄▲▼]+")


def tables(text: str) -> dict[str, list[list[str]]]:
    """The rows of the tables below each heading, as lists of cells without their headers."""
    found: dict[str, list[list[str]]] = {}
    heading = ""
    for line in text.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif line.startswith("| ") and not line.startswith("| id |"):
            cells = [cell.strip().replace("\\|", "|") for cell in line.strip("|").split(" | ")]
            found.setdefault(heading, []).append(cells)
    return found


ROWS = [(heading, row) for heading, rows in tables(FLOW).items() for row in rows]
IDS = [row[0] for _, row in ROWS]


def runs(line: str) -> list[str]:
    """The pieces of text in a line of a drawing: two blanks, or a piece of the drawing, part them."""
    pieces = re.split(r"\s{2,}", DRAWING.sub("  ", line).strip())
    return [piece.strip() for piece in pieces if re.search(r"\w", piece)]


def page_says(page: str) -> dict[str, list[str]]:
    """What the flow page says below each of its headings, piece by piece and each once: what flow.md has to quote.

    Of the sequence diagrams every arrow, its body and every step in brackets; of the tables the first column; of the
    timeline and the link's steps every line.
    """
    found: dict[str, list[str]] = {}
    for part in re.split(r"^#{2,3} ", page, flags=re.M)[1:]:
        heading, _, body = part.partition("\n")
        lines = [line for block in re.findall(r"```\n(.*?)```", body, re.S) for line in block.splitlines()]
        if heading.startswith(("Error Handling", "Performance", "Data Storage")):
            said = [re.split(r"\s{2,}", line.strip("│ "))[0] for line in lines if re.match(r"(│  )?[\w/+]", line)][1:]
        elif heading.startswith("Timeline"):
            said = [re.sub(r"\s+", " ", DRAWING.sub(" ", line)).strip() for line in lines if re.match(r"\d", line)]
        elif heading.startswith(("System Overview", "Browser")):
            continue
        else:
            said = [piece for line in lines for piece in runs(line)]
            said = [piece for piece in said if piece not in ("Desktop Browser", "Identity Service", "Mobile App")]
        if said:
            found[heading] = list(dict.fromkeys(said))
    return found


def test_the_tables_quote_all_that_the_flow_page_says_and_nothing_else() -> None:
    if not PAGE.is_file():
        pytest.skip("the flow page (../shared/seeds) is not beside this checkout")
    said = page_says(PAGE.read_text())
    assert len(said) == 16
    quoted: dict[str, set[str]] = {}
    for heading, row in ROWS:
        if heading in said:
            quoted.setdefault(heading, set()).update(re.findall(r"`([^`]+)`", row[1]))
    assert quoted == {heading: set(pieces) for heading, pieces in said.items()}


#: In Mermaid's sequence diagrams: an arrow with its words, a note, and the condition of a block.
ARROW = re.compile(r"\w+\s*--?>>?[+-]?\s*\w+\s*:\s*(.+)")
NOTE = re.compile(r"note (?:over|right of|left of) [\w,]+\s*:\s*(.+)", re.I)
BLOCK = re.compile(r"(?:alt|else|loop|par|break)\s+(.+)")


def diagram_says(page: str) -> dict[str, list[str]]:
    """What the Mermaid diagrams of a page say below each heading (or ``%%`` comment), each piece once.

    Of sequence diagrams every arrow, note and condition, of flowcharts every node.
    """
    found: dict[str, list[str]] = {}
    for part in re.split(r"^(?:## |\s*%% )", page, flags=re.M)[1:]:
        heading, _, body = part.partition("\n")
        said: list[str] = []
        for line in map(str.strip, body.splitlines()):
            words = ARROW.fullmatch(line) or NOTE.fullmatch(line) or BLOCK.fullmatch(line)
            said += [words[1]] if words else re.findall(r"\b[A-Z][\[{](.+?)[\]}]", line) if "-->" in line else []
        if said:
            found[heading] = list(dict.fromkeys(said))
    return found


def test_the_tables_quote_all_that_the_openid_connect_pages_say_and_nothing_else() -> None:
    if not all(page.is_file() for page in OIDC_PAGES):
        pytest.skip("the OpenID Connect pages (../shared/seeds) are not beside this checkout")
    said = {heading: words for page in OIDC_PAGES for heading, words in diagram_says(page.read_text()).items()}
    assert len(said) == 10
    quoted: dict[str, set[str]] = {}
    for heading, row in ROWS:
        if heading in said:
            quoted.setdefault(heading, set()).update(re.findall(r"`([^`]+)`", row[1]))
    assert quoted == {heading: set(pieces) for heading, pieces in said.items()}


def quoted_arrows(heading: str) -> list[tuple[str, str, str]]:
    """The arrows of a page as the table below this heading quotes them: from whom, to whom, and the words."""
    quoted = [row[1] for name, row in ROWS if name == heading]
    return [match.groups() for cell in quoted if (match := re.fullmatch(r"(\w+) → (\w+): `(.+)`", cell))]  # type: ignore[misc]


def magnus_arrows() -> list[tuple[str, str, str]]:
    """The arrows of page 000."""
    return quoted_arrows("Magnus flow")


def webauthn_arrows() -> list[tuple[str, str, str]]:
    """The arrows of page 001."""
    return quoted_arrows("Magnus flow with WebAuthn")


@pytest.mark.parametrize(
    ("page", "quoted", "count"), [(MAGNUS_PAGE, magnus_arrows, 40), (WEBAUTHN_PAGE, webauthn_arrows, 45)]
)
def test_the_table_quotes_every_arrow_of_a_magnus_page_in_its_order_and_nothing_else(
    page: Path, quoted: Callable[[], list[tuple[str, str, str]]], count: int
) -> None:
    if not page.is_file():
        pytest.skip("the Magnus pages (../shared/seeds) are not beside this checkout")
    (diagram,) = re.findall(r"```mermaid\n(.*?)```", page.read_text(), re.S)
    arrows = re.findall(r"^\s*(\w+) --?>> (\w+): (.*?)\s*$", diagram, re.M)
    assert len(arrows) == count == diagram.count(">>")
    assert quoted() == arrows


@pytest.mark.parametrize(("heading", "row"), ROWS, ids=IDS)
def test_a_row_leads_to_code_and_tests_that_exist(heading: str, row: list[str]) -> None:
    _, _, where, tests = row
    places = re.findall(r"`([\w/-]+\.(?:py|js))` `([\w.#]+)`", where)
    assert places
    assert len(places) * 4 == where.count("`"), "each place is a file and a name"
    for file, name in places:
        assert resolves(file, name), f"{file} has no {name}"
    names = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", tests)
    assert names
    for file, name in names:
        assert name in functions(ROOT / file), f"{file} has no {name}"


def resolves(file: str, name: str) -> bool:
    """Whether ``name`` (``Class.method``, or an identifier of a script) is in ``file``."""
    path = PACKAGE / file
    if path.suffix == ".js":
        return re.search(rf"(?<![\w#]){re.escape(name)}\b", path.read_text()) is not None
    value: object = importlib.import_module("useid_middleware." + file.removesuffix(".py").replace("/", "."))
    for part in name.split("."):
        value = getattr(value, part, None)
    return value is not None


def functions(path: Path) -> set[str]:
    """The names of the functions that a test file defines."""
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_row_has_an_id_of_its_own() -> None:
    assert len(set(IDS)) == len(IDS) > 90


def test_the_state_diagrams_are_the_tables_of_the_code() -> None:
    login, enrolment, by_card, at_server = re.findall(r"```mermaid\n(.*?)\n```", FLOW, re.S)
    for diagram, transitions in (
        (login, TRANSITIONS),
        (enrolment, ENROLMENT_TRANSITIONS),
        (by_card, eid_login.TRANSITIONS),
        (at_server, eid_server.TRANSITIONS),
    ):
        drawn = {line for line in diagram.splitlines() if ":" in line}
        assert drawn == {f"    {state} --> {following}: {step}" for (state, step), following in transitions.items()}
    for diagram, final in ((login, FINAL), (by_card, eid_login.FINAL), (at_server, eid_server.FINAL)):
        ends = {line for line in diagram.splitlines() if line.endswith("> [*]")}
        assert ends == {f"    {state} --> [*]" for state in final}


async def page_world(**qr: object) -> World:
    """The flow page's own flow: a plain QR, no confirmation code, a token for the desktop's script."""
    settings = QRSettings.model_validate({"assurance": "L0"} | qr)
    return await open_world(make_settings(qr=settings, sessions=SessionSettings(bearer=True)))


async def test_the_login_goes_as_the_page_draws_it() -> None:
    world = await page_world()
    desktop, phone = world.browser(), await world.enrolled_phone()

    created = await desktop.post("/session/create", {"appName": "Example", "returnUrl": "/dashboard"})
    assert created.status == 201
    session = created.json()
    link = f"tana://auth?session={session['sessionId']}&challenge={session['challenge']}&server="
    assert session["qrData"].startswith(link)
    assert session["expiresIn"] == 300
    path = f"/session/{session['sessionId']}"
    assert (await desktop.get(f"{path}/qr.svg")).header("content-type") == "image/svg+xml"

    async with desktop.stream(f"{path}/events") as stream:
        assert await stream.next_status() == "waiting"

        scanned = await phone.scan(session["qrData"])
        assert scanned.status == 200
        assert scanned.json()["context"]["appName"] == "Example"
        assert await stream.next_status() == "scanned"

        approved = await phone.approve(session["qrData"])
        assert (approved.status, approved.json()) == (200, {"status": "approved"})
        assert await stream.next_status() == "approved"
        assert (await desktop.get(path)).json()["status"] == "approved"

        claimed = await desktop.post(f"{path}/claim")
        await stream.end()

    assert claimed.status == 200
    answer = claimed.json()
    assert {"sessionToken", "userId", "username", "expiresAt"} <= answer.keys()
    assert (answer["username"], answer["redirectTo"]) == ("alice", "/dashboard")
    assert await world.who(desktop) == "alice authenticated L0"
    script = world.browser()
    script.headers["authorization"] = f"Bearer {answer['sessionToken']}"
    assert await world.who(script) == "alice authenticated L0"


async def test_a_rejection_goes_as_the_page_draws_it() -> None:
    world = await page_world()
    desktop, phone = world.browser(), await world.enrolled_phone()
    session_id, link = await world.start(desktop)
    async with desktop.stream(f"/session/{session_id}/events") as stream:
        assert (await phone.reject(link)).json() == {"status": "rejected"}
        assert [await stream.next_status() for _ in range(3)] == ["waiting", "scanned", "rejected"]
        await stream.end()
    assert await world.who(desktop) == ""


async def test_an_expiry_goes_as_the_page_draws_it() -> None:
    world = await page_world(lifetime=0.5)
    desktop = world.browser()
    session_id, _ = await world.start(desktop)
    async with desktop.stream(f"/session/{session_id}/events") as stream:
        # The stream sleeps by the loop's clock until the deadline, and then goes by the plugin's.
        world.clock.advance(0.5)
        assert [await stream.next_status() for _ in range(2)] == ["waiting", "expired"]
        await stream.end()
    assert (await desktop.get(f"/session/{session_id}")).json()["status"] == State.EXPIRED
    assert (State.EXPIRED, Step.SCAN) not in TRANSITIONS


async def test_the_login_page_carries_the_widget() -> None:
    world = await page_world()
    page = await world.browser().get("/login?return=/dashboard")
    assert (page.status, page.header("content-type")) == (200, "text/html; charset=utf-8")
    assert b"<useid-login" in page.body
    assert b'return-url="/dashboard"' in page.body
    script = await world.browser().get("/widget/useid-login.js")
    assert (script.status, script.header("content-type")) == (200, "text/javascript; charset=utf-8")
