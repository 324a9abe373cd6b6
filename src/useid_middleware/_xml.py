"""Bytes to XML elements and back: the one place that decides what XML we accept from others.

Only a plain document: no document type (so no entities, no external anything), no processing instructions, bounded in
size, depth, elements and attributes. The bounds are watched while the parser reads, by a first reading that keeps
nothing; only what passes it becomes a tree. Comments are dropped, so that a text is never cut in two by one.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Final, TypeAlias

from lxml import etree

Element: TypeAlias = etree._Element

MAX_DEPTH: Final = 64
MAX_ELEMENTS: Final = 20_000
#: Attributes of one element, the namespaces it declares included, and the characters of one.
MAX_ATTRIBUTES: Final = 64
MAX_ATTRIBUTE_SIZE: Final = 64 * 1024
#: What XML 1.0 §4.3.3 makes every parser read, and the two that are a part of it or of Unicode's first page.
_ENCODINGS: Final = frozenset({"utf-8", "utf-16", "us-ascii", "ascii", "iso-8859-1"})


class XMLError(ValueError):
    """The bytes are not XML that we accept, or not what was expected; the text quotes none of their content."""


def parse_xml(data: bytes, *, max_size: int) -> Element:
    """The root of the document; :class:`XMLError` for anything that is not plain, well-formed and within bounds.

    ``max_size`` is in bytes, and is checked before anything is read.
    """
    if len(data) > max_size:
        raise XMLError(f"XML: expected at most {max_size} bytes, found {len(data)}")
    try:
        # Entities stay unresolved and the network untouched even where the bounds did not look.
        etree.fromstring(data, etree.XMLParser(target=_Bounds(), resolve_entities=False, no_network=True))
        root = etree.fromstring(
            data, etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, collect_ids=False)
        )
    except (etree.XMLSyntaxError, LookupError) as error:
        # The parser's own text quotes the document.
        line = error.lineno if isinstance(error, etree.XMLSyntaxError) else 1
        raise XMLError(f"XML: expected a well-formed document, found an error in line {line}") from None
    if (root.getroottree().docinfo.encoding or "utf-8").lower() not in _ENCODINGS:
        raise XMLError("XML: expected UTF-8")
    return root


def serialize(root: Element) -> bytes:
    """The document in UTF-8, with its XML declaration; elements and texts as they are."""
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


def canonicalize(element: Element, *, inclusive_prefixes: Iterable[str] = ()) -> bytes:
    """Exclusive canonical XML without comments, in the element's context (W3C xml-exc-c14n §3).

    :class:`XMLError` if the default namespace is to be treated inclusively and there is one: the library passes
    over that wish, and the bytes would be others. So too for namespaces that are relative URIs, which have no
    canonical form (W3C xml-c14n §1.3).
    """
    prefixes = [*inclusive_prefixes]
    if "#default" in prefixes and None in element.nsmap:
        raise XMLError("PrefixList: expected prefixes, found #default")
    try:
        return etree.tostring(
            element, method="c14n", exclusive=True, with_comments=False, inclusive_ns_prefixes=prefixes or None
        )
    except etree.C14NError:
        raise XMLError("XML: expected a canonical form, found none") from None


def new_element(name: str, *, ns: str, prefixes: Mapping[str, str]) -> Element:
    """An element without parent, on which the namespaces (prefix to URI) of the whole document are declared."""
    return etree.Element(etree.QName(ns or None, name), nsmap=dict(prefixes))


def add(parent: Element, name: str, content: str = "", *, ns: str) -> Element:
    """A new last child of ``parent``; :class:`XMLError` if the text has a character that XML cannot carry."""
    element = etree.SubElement(parent, etree.QName(ns or None, name))
    if content:
        try:
            element.text = content
        except ValueError:
            raise XMLError(f"{name}: expected characters that XML has") from None
    return element


def local_name(element: Element) -> str:
    """Its name without namespace."""
    return str(element.tag).rpartition("}")[2]


def namespace(element: Element) -> str:
    """Its namespace, empty for none."""
    return str(element.tag).rpartition("}")[0][1:]


def child(parent: Element, name: str, *, ns: str) -> Element | None:
    """The child of this name and namespace (empty for none), ``None`` if there is none; a second one is refused."""
    found = children(parent, name, ns=ns)
    if len(found) > 1:
        raise XMLError(f"{name}: expected once, found {len(found)} times")
    return found[0] if found else None


def children(parent: Element, name: str, *, ns: str) -> list[Element]:
    """The children of this name and namespace (empty for none), in the document's order."""
    return list(parent.iterchildren(_tag(name, ns=ns)))


def sequence(parent: Element, *names: str, ns: str, required: Collection[str] = ()) -> dict[str, Element]:
    """The children by local name: each at most once, in this order, and nothing else between them.

    A name of another namespace than ``ns`` is written ``{namespace}name``. ``required`` are local names.
    """
    expected = [each if each.startswith("{") else _tag(each, ns=ns) for each in names]
    found: dict[str, Element] = {}
    last = -1
    for element in parent:
        position = expected.index(element.tag) if element.tag in expected else -1
        if position < 0:
            raise XMLError(f"{local_name(parent)}: expected other elements")
        if position == last:
            raise XMLError(f"{local_name(element)}: expected once, found twice")
        if position < last:
            raise XMLError(f"{local_name(parent)}: expected its elements in order")
        found[local_name(element)] = element
        last = position
    for name in required:
        if name not in found:
            raise XMLError(f"{name}: expected in {local_name(parent)}, found none")
    if any(part and not part.isspace() for part in (parent.text, *(each.tail for each in parent))):
        raise XMLError(f"{local_name(parent)}: expected elements, found text")
    return found


def text(element: Element) -> str:
    """The text without surrounding white space; an element that has children is refused."""
    if len(element):
        raise XMLError(f"{local_name(element)}: expected a text, found elements")
    return (element.text or "").strip()


def _tag(name: str, *, ns: str) -> str:
    return f"{{{ns}}}{name}" if ns else name


class _Bounds:
    """What the first reading reports to: it counts, and keeps nothing."""

    def __init__(self) -> None:
        self._depth = 0
        self._elements = 0
        self._declared = 0

    def start_ns(self, prefix: str, uri: str) -> None:
        # Comes before its element's start.
        self._declared += 1
        _check_attribute(uri)

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        count, self._declared = len(attributes) + self._declared, 0
        self._depth += 1
        self._elements += 1
        if self._depth > MAX_DEPTH:
            raise XMLError(f"XML: expected elements nested at most {MAX_DEPTH} deep")
        if self._elements > MAX_ELEMENTS:
            raise XMLError(f"XML: expected at most {MAX_ELEMENTS} elements")
        if count > MAX_ATTRIBUTES:
            raise XMLError(f"XML: expected at most {MAX_ATTRIBUTES} attributes of an element")
        for value in attributes.values():
            _check_attribute(value)

    def end(self, tag: str) -> None:
        self._depth -= 1

    def data(self, data: str) -> None:
        pass

    def comment(self, text: str) -> None:
        pass

    def doctype(self, name: str | None, public_id: str | None, system_id: str | None) -> None:
        raise XMLError("XML: expected a document without document type")

    def pi(self, target: str, data: str) -> None:
        raise XMLError("XML: expected a document without processing instructions")

    def end_ns(self, prefix: str) -> None:
        pass

    def close(self) -> None:
        pass


def _check_attribute(value: str) -> None:
    if len(value) > MAX_ATTRIBUTE_SIZE:
        raise XMLError(f"XML: expected attributes of at most {MAX_ATTRIBUTE_SIZE} characters")
