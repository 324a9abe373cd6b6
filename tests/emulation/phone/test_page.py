"""The files of the browser phone."""

import re
from importlib.resources import files

import pytest

from useid_middleware.emulation.phone.page import find_asset


def test_the_page_comes_with_a_policy_that_allows_no_inline_code_and_no_other_origin() -> None:
    status, headers, body = find_asset("")
    policy = dict(headers)[b"content-security-policy"].decode()
    assert status == 200
    assert dict(headers)[b"content-type"] == b"text/html; charset=utf-8"
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';")
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy
    assert (status, headers, body) == find_asset("phone.html")


def test_every_file_of_the_folder_is_served_and_every_reference_is_to_one_of_them() -> None:
    names = {path.name for path in files("useid_middleware.emulation.phone").joinpath("static").iterdir()}
    texts = {name: find_asset(name) for name in names}
    assert {status for status, _, _ in texts.values()} == {200}
    referenced = {
        name
        for _, _, body in texts.values()
        for name in re.findall(r'(?:from "\./|href="|src=")([^"]+)"', body.decode())
    }
    # The one is the page, the other is there for the pages of the app, between them and the phone.
    assert referenced == names - {"phone.html", "hybrid.js"}


def test_the_page_has_neither_inline_script_nor_inline_style() -> None:
    page = find_asset("phone.html")[2].decode()
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page) == []


def test_no_script_builds_markup_from_text() -> None:
    folder = files("useid_middleware.emulation.phone").joinpath("static")
    scripts = [path.read_text("utf-8") for path in folder.iterdir() if path.name.endswith(".js")]
    assert len(scripts) > 5
    assert [
        word for text in scripts for word in ("innerHTML", "insertAdjacentHTML", "document.write") if word in text
    ] == []


def test_the_links_that_the_phone_answers_to_are_written_into_the_page_and_escaped() -> None:
    page = find_asset("", scheme="shop", universal_link='https://app.example/"><script>')[2].decode()
    assert '<meta name="useid-scheme" content="shop">' in page
    assert '<meta name="useid-universal-link" content="https://app.example/&quot;&gt;&lt;script&gt;">' in page
    assert "{{" not in page


@pytest.mark.parametrize(
    "name", ["nothing.js", "../page.py", "static/phone.js", "/etc/passwd", "phone.js\0", "PHONE.JS"]
)
def test_every_other_name_is_not_found(name: str) -> None:
    status, headers, _ = find_asset(name)
    assert status == 404
    assert dict(headers)[b"content-type"].startswith(b"text/plain")
