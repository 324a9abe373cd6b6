"""Which XML is accepted from others, and what it costs to refuse the rest."""

import gzip
import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from useid_middleware._xml import (
    MAX_ATTRIBUTE_SIZE,
    MAX_ATTRIBUTES,
    MAX_DEPTH,
    MAX_ELEMENTS,
    XMLError,
    add,
    canonicalize,
    child,
    children,
    local_name,
    namespace,
    new_element,
    parse_xml,
    sequence,
    serialize,
    text,
)

MAX_SIZE = 1024 * 1024
BOMB = "".join(f'<!ENTITY e{number} "{f"&e{number - 1};" * 20}">' for number in range(1, 20))


def refused(data: bytes, *, max_size: int = MAX_SIZE) -> str:
    """Why it is refused."""
    with pytest.raises(XMLError) as caught:
        parse_xml(data, max_size=max_size)
    return str(caught.value)


def nested(depth: int) -> bytes:
    return b"<a>" * depth + b"</a>" * depth


def attributes(number: int) -> bytes:
    return b"<a " + b" ".join(b'b%d="c"' % each for each in range(number)) + b"/>"


#: What documents are made of, and what breaks them, so that many of those that are drawn keep or break one bound.
PIECES = st.sampled_from(
    [
        b"<?xml version='1.0' encoding='UTF-8'?>",
        b'<?xml version="1.0"?>',
        b"<?xml version='1.0' encoding='UTF-7'?>",
        b"<!DOCTYPE a [<!ENTITY e 'x'>]>",
        b"<?pi x?>",
        b"<!-- x -->",
        b"<![CDATA[<b>]]>",
        b"<a>",
        b"</a>",
        b"<a/>",
        b"<a>" * MAX_DEPTH,
        b"</a>" * MAX_DEPTH,
        b"<a/>" * MAX_DEPTH,
        attributes(MAX_ATTRIBUTES),
        attributes(MAX_ATTRIBUTES + 1),
        b"<a xmlns:n='u' n:b='c'/>",
        b"<a b='" + b"x" * MAX_ATTRIBUTE_SIZE + b"'/>",
        b"&e;",
        b"&lt;a>",
        b"x=y",
        b" \n",
        b"\0",
        b"\xef\xbb\xbf",
    ]
)


# what is read


@given(st.lists(PIECES, max_size=6))
@example([b"<a>", b"<a>" * MAX_DEPTH, b"</a>" * MAX_DEPTH, b"</a>"])
@example([b"<a>", b"<a>" * (MAX_DEPTH - 1), b"</a>" * (MAX_DEPTH - 1), b"</a>"])
@example([b"<a>", b"<a/>" * MAX_DEPTH, attributes(MAX_ATTRIBUTES), b"</a>"])
@example([b"<a>", attributes(MAX_ATTRIBUTES + 1), b"</a>"])
def test_whatever_is_read_keeps_all_bounds(pieces: list[bytes]) -> None:
    try:
        root = parse_xml(b"".join(pieces), max_size=MAX_SIZE)
    except XMLError:
        return
    assert root.getroottree().docinfo.internalDTD is None
    assert root.getprevious() is None
    assert root.getnext() is None
    for element in root.iter():
        assert isinstance(element.tag, str)
        depth = 1 + sum(1 for _ in element.iterancestors())
        declared = set(element.nsmap.items()) - set(root.nsmap.items() if element is not root else ())
        assert depth <= MAX_DEPTH
        assert len(element.attrib) + len(declared) <= MAX_ATTRIBUTES
        assert all(len(value) <= MAX_ATTRIBUTE_SIZE for value in element.attrib.values())


def test_a_plain_document_is_read() -> None:
    root = parse_xml(b'<?xml version="1.0"?><x:a xmlns:x="urn:x"><b>1</b><b>2</b></x:a>', max_size=MAX_SIZE)
    assert (local_name(root), namespace(root)) == ("a", "urn:x")
    assert [text(each) for each in children(root, "b", ns="")] == ["1", "2"]
    assert child(root, "b", ns="urn:x") is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_the_declared_encoding_is_used(encoding: str) -> None:
    root = parse_xml(f'<?xml version="1.0" encoding="{encoding}"?><a>Köln</a>'.encode(encoding), max_size=MAX_SIZE)
    assert text(root) == "Köln"


def test_a_comment_does_not_cut_a_text_in_two() -> None:
    root = parse_xml(b"<!-- x --><a>ada<!-- y -->@example</a><!-- z -->", max_size=MAX_SIZE)
    assert text(root) == "ada@example"


def test_cdata_is_text() -> None:
    assert text(parse_xml(b"<a><![CDATA[<b/>]]></a>", max_size=MAX_SIZE)) == "<b/>"


@pytest.mark.parametrize(
    "data",
    [
        nested(MAX_DEPTH),
        attributes(MAX_ATTRIBUTES),
        b"<a>" + b"<b/>" * (MAX_ELEMENTS - 1) + b"</a>",
        b'<a b="' + b"c" * MAX_ATTRIBUTE_SIZE + b'"/>',
    ],
    ids=["depth", "attributes", "elements", "attribute size"],
)
def test_a_document_at_a_bound_is_read(data: bytes) -> None:
    assert local_name(parse_xml(data, max_size=len(data))) == "a"


# what is refused


@pytest.mark.parametrize(
    "data",
    [
        b"<!DOCTYPE a><a/>",
        b'<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><a/>',
        b'<!DOCTYPE a PUBLIC "-//x//y" "file:///etc/passwd"><a/>',
        b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><a>&e;</a>',
        b'<!DOCTYPE a [<!ENTITY % e SYSTEM "http://127.0.0.1:9/e"> %e;]><a/>',
        b'<!DOCTYPE a [<!ATTLIST a id ID "x">]><a/>',
        f'<!DOCTYPE a [<!ENTITY e0 "lol">{BOMB}]><a b="&e19;">&e19;</a>'.encode(),
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a><a/>'.encode("utf-16"),
    ],
    ids=["bare", "system", "public", "entity", "parameter entity", "attribute list", "bomb", "utf-16"],
)
def test_a_document_type_is_refused(data: bytes) -> None:
    assert refused(data) == "XML: expected a document without document type"


@pytest.mark.parametrize("data", [b'<?xml-stylesheet href="x"?><a/>', b"<a><?php 1 ?></a>", b"<a/><?x?>"])
def test_a_processing_instruction_is_refused(data: bytes) -> None:
    assert refused(data) == "XML: expected a document without processing instructions"


def test_deep_nesting_is_refused() -> None:
    assert refused(nested(MAX_DEPTH + 1)) == f"XML: expected elements nested at most {MAX_DEPTH} deep"


def test_too_many_elements_are_refused() -> None:
    data = b"<a>" + b"<b/>" * MAX_ELEMENTS + b"</a>"
    assert refused(data) == f"XML: expected at most {MAX_ELEMENTS} elements"


def test_too_many_attributes_are_refused() -> None:
    assert refused(attributes(MAX_ATTRIBUTES + 1)) == f"XML: expected at most {MAX_ATTRIBUTES} attributes of an element"


def test_declared_namespaces_count_as_attributes() -> None:
    declared = b" ".join(b'xmlns:n%d="urn:n"' % each for each in range(MAX_ATTRIBUTES))
    assert "attributes of an element" in refused(b"<a " + declared + b' b="c"/>')


@pytest.mark.parametrize("name", [b"b", b"xmlns", b"xmlns:b"])
def test_a_huge_attribute_is_refused(name: bytes) -> None:
    data = b"<a " + name + b'="' + b"c" * (MAX_ATTRIBUTE_SIZE + 1) + b'"/>'
    assert refused(data) == f"XML: expected attributes of at most {MAX_ATTRIBUTE_SIZE} characters"


def test_what_is_too_large_is_not_even_read() -> None:
    assert refused(b"not XML at all", max_size=13) == "XML: expected at most 13 bytes, found 14"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"{}",
        b"<a>",
        b"<a/><b/>",
        b"<a>&undefined;</a>",
        b"<a>\xff</a>",
        b"<a>&#0;</a>",
        b'<a b="1" b="2"/>',
        b"<x:a/>",
        b'<?xml version="1.0" encoding="nonsense"?><a/>',
        gzip.compress(b"<a/>"),
    ],
)
def test_what_is_not_well_formed_is_refused_without_being_quoted(data: bytes) -> None:
    assert refused(data) == "XML: expected a well-formed document, found an error in line 1"


@pytest.mark.parametrize("encoding", ["windows-1252", "utf-7", "utf-32"])
def test_other_encodings_are_refused(encoding: str) -> None:
    data = '<?xml version="1.0" encoding="{}"?><a/>'
    name = "ascii" if encoding == "utf-7" else encoding
    assert refused(data.format(encoding).encode(name)).startswith("XML: expected ")


MEASURE = """
import resource, sys
from useid_middleware._xml import XMLError, parse_xml

documents = sys.stdin.buffer.read().split(b"|")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for each in documents:
    try:
        parse_xml(each, max_size=len(each))
    except XMLError as error:
        print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_refusing_takes_little_memory() -> None:
    """As a tree, the second would take about 40 MiB; the bomb, expanded, more than there is."""
    bomb = f'<!DOCTYPE a [<!ENTITY e0 "lol">{BOMB}]><a b="&e19;">&e19;</a>'.encode()
    flood = b"<a>" + b"<b c='d'/>" * 100_000 + b"</a>"
    # In a process of its own, since the parser's memory is not Python's.
    done = subprocess.run([sys.executable, "-c", MEASURE], input=bomb + b"|" + flood, capture_output=True, check=True)
    *reasons, grown = done.stdout.decode().splitlines()
    assert reasons == [
        "XML: expected a document without document type",
        f"XML: expected at most {MAX_ELEMENTS} elements",
    ]
    assert int(grown) < 10 * 1024  # KiB


# reading


def test_a_second_child_is_refused() -> None:
    root = parse_xml(b"<a><b/><c/><b/></a>", max_size=MAX_SIZE)
    with pytest.raises(XMLError, match="b: expected once, found 2 times"):
        child(root, "b", ns="")


def test_elements_are_not_text() -> None:
    with pytest.raises(XMLError, match="a: expected a text, found elements"):
        text(parse_xml(b"<a>b<c/></a>", max_size=MAX_SIZE))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"<a><b/><c/><d/></a>", "a: expected other elements"),
        (b"<a><c/><b/></a>", "a: expected its elements in order"),
        (b"<a><b/><b/></a>", "b: expected once, found twice"),
        (b"<a><c/></a>", "b: expected in a, found none"),
        (b'<a><b xmlns="urn:x"/></a>', "a: expected other elements"),
        (b"<a>x<b/></a>", "a: expected elements, found text"),
        (b"<a><b/>x<c/></a>", "a: expected elements, found text"),
    ],
)
def test_a_sequence_is_just_that(data: bytes, reason: str) -> None:
    with pytest.raises(XMLError, match=f"^{reason}$"):
        sequence(parse_xml(data, max_size=MAX_SIZE), "b", "c", ns="", required=("b",))


def test_a_sequence_may_have_elements_of_two_namespaces() -> None:
    root = parse_xml(b'<a><b/> <c xmlns="urn:x"/></a>', max_size=MAX_SIZE)
    assert list(sequence(root, "b", "{urn:x}c", "d", ns="")) == ["b", "c"]


# writing


def test_what_is_written_is_read_again() -> None:
    root = new_element("a", ns="urn:x", prefixes={"x": "urn:x"})
    add(root, "b", 'Köln & "<Umland>"\r\n', ns="urn:x")
    data = serialize(root)
    assert data.startswith(b"<?xml version='1.0' encoding='UTF-8'?>")
    (read,) = children(parse_xml(data, max_size=MAX_SIZE), "b", ns="urn:x")
    assert read.text == 'Köln & "<Umland>"\r\n'


@pytest.mark.parametrize("content", ["\x00", "\x1b[0m", "\ud800"])
def test_a_text_that_xml_cannot_carry_is_refused(content: str) -> None:
    with pytest.raises(XMLError, match="b: expected characters that XML has"):
        add(new_element("a", ns="", prefixes={}), "b", content, ns="")


# canonical form


def test_the_canonical_form_has_the_namespaces_that_are_used_and_no_others() -> None:
    root = parse_xml(b'<x:a xmlns:x="urn:x" xmlns:y="urn:y"><x:b  q="2" p=\'1\'><c/></x:b></x:a>', max_size=MAX_SIZE)
    assert canonicalize(root[0]) == b'<x:b xmlns:x="urn:x" p="1" q="2"><c></c></x:b>'


def test_prefixes_can_be_treated_inclusively() -> None:
    root = parse_xml(b'<x:a xmlns:x="urn:x" xmlns:y="urn:y"><x:b/></x:a>', max_size=MAX_SIZE)
    assert canonicalize(root[0], inclusive_prefixes=["y"]) == b'<x:b xmlns:x="urn:x" xmlns:y="urn:y"></x:b>'


def test_an_inclusive_default_namespace_is_refused_rather_than_passed_over() -> None:
    root = parse_xml(b'<a xmlns="urn:x"><y:b xmlns:y="urn:y"/></a>', max_size=MAX_SIZE)
    with pytest.raises(XMLError, match="PrefixList: expected prefixes, found #default"):
        canonicalize(root[0], inclusive_prefixes=["#default"])
