"""The files of the card, how they are selected and what may be done with them (ISO 7816-4 §7.2, TR-03110-3 A.1.2).

A file system is a value and so is the place where one stands in it. What cannot be done is a :class:`Refusal`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, Self

from ...eac.apdu import StatusWord
from ...eac.file_identifiers import EID_APPLICATION, FileId, data_group_fid
from ...eac.tlv import build
from .refusal import Refusal

#: A written data group may grow to this many bytes.
CAPACITY: Final = 2048

_FID_SIZE: Final = 2
_MAX_OFFSET: Final = 0x7FFF
_TRANSPARENT: Final = b"\x01"
_DIRECTORY: Final = b"\x38"


class Need(Enum):
    """What a terminal must have done to read a file."""

    NOTHING = "nothing"
    TERMINAL_AUTHENTICATION = "terminal authentication"
    #: The right of this data group, which is effective after Chip Authentication.
    READ_RIGHT = "right to read"


@dataclass(frozen=True, slots=True)
class File:
    """An elementary file. ``data_group`` is its number in the eID application, or 0."""

    name: str
    fid: int
    sfid: int
    content: bytes
    read: Need = Need.NOTHING
    data_group: int = 0

    def control_parameters(self) -> bytes:
        """What SELECT tells about the file (ISO 7816-4 §7.4.3), without a tag around it."""
        return (
            build(0x80, len(self.content).to_bytes(2, "big"))
            + build(0x82, _TRANSPARENT)
            + build(0x83, self.fid.to_bytes(2, "big"))
            + build(0x88, bytes((self.sfid << 3,)))
        )


@dataclass(frozen=True, slots=True)
class Directory:
    """The master file, or an application."""

    name: str
    files: tuple[File, ...]
    fid: int | None = None
    aid: bytes = b""

    def control_parameters(self) -> bytes:
        """What SELECT tells about the directory."""
        named = build(0x84, self.aid) if self.aid else b""
        numbered = b"" if self.fid is None else build(0x83, self.fid.to_bytes(2, "big"))
        return build(0x82, _DIRECTORY) + numbered + named

    def by_fid(self, fid: int) -> File:
        """The file with this identifier."""
        return _the(file for file in self.files if file.fid == fid)

    def by_sfid(self, sfid: int) -> File:
        """The file with this short identifier."""
        return _the(file for file in self.files if file.sfid == sfid)


@dataclass(frozen=True, slots=True)
class FileSystem:
    """The master file and the one application of this card."""

    master: Directory
    application: Directory

    def with_content(self, written: Mapping[int, bytes]) -> Self:
        """The same with other content in these data groups, by number."""
        if not written:
            return self
        files = tuple(
            replace(file, content=written[file.data_group]) if file.data_group in written else file
            for file in self.application.files
        )
        return replace(self, application=replace(self.application, files=files))


@dataclass(frozen=True, slots=True)
class Location:
    """Where the terminal stands: in a directory, and perhaps at a file of it, by its identifier."""

    in_application: bool = False
    fid: int | None = None


def file_system(*, card_access: bytes, card_security: bytes, data_groups: Mapping[int, bytes]) -> FileSystem:
    """The files of an ID card: EF.DIR, EF.CardAccess, EF.CardSecurity, and the data groups by number."""
    directory = build(0x61, build(0x4F, EID_APPLICATION), build(0x50, b"eID"))
    master = Directory(
        "MF",
        (
            File("EF.DIR", FileId.EF_DIR, 0x1E, directory),
            File("EF.CardAccess", FileId.EF_CARD_ACCESS, 0x1C, card_access),
            File("EF.CardSecurity", FileId.EF_CARD_SECURITY, 0x1D, card_security, Need.TERMINAL_AUTHENTICATION),
        ),
        fid=FileId.MF,
    )
    groups = tuple(
        File(f"EF.DG{number}", data_group_fid(number), number, content, Need.READ_RIGHT, data_group=number)
        for number, content in sorted(data_groups.items())
    )
    return FileSystem(master, Directory("eID application", groups, aid=EID_APPLICATION))


def directory_at(files: FileSystem, location: Location) -> Directory:
    """The directory of this place."""
    return files.application if location.in_application else files.master


def file_at(files: FileSystem, location: Location) -> File:
    """The file selected there; 6986 if there is none."""
    if location.fid is None:
        raise Refusal(StatusWord.COMMAND_NOT_ALLOWED)
    return directory_at(files, location).by_fid(location.fid)


def select(files: FileSystem, location: Location, *, p1: int, data: bytes) -> Location:
    """Where SELECT leads (ISO 7816-4 table 62): 6A82 for what is not there, 6A86 for a way that does not exist.

    P1 is 00 any file by identifier, 01 a directory and 02 a file below this directory, 03 the parent, 04 by name,
    08 by path from the master file, 09 by path from here.
    """
    selector = _SELECTORS.get(p1)
    if selector is None:
        raise Refusal(StatusWord.INCORRECT_P1_P2)
    return selector(files, location, data)


def _by_fid(files: FileSystem, location: Location, data: bytes) -> Location:
    if data in (b"", FileId.MF.to_bytes(2, "big")):
        return Location()
    return _file_below(files, location, data)


def _directory_below(files: FileSystem, location: Location, data: bytes) -> Location:
    # The application has a name and no identifier.
    raise Refusal(StatusWord.FILE_NOT_FOUND)


def _file_below(files: FileSystem, location: Location, data: bytes) -> Location:
    if len(data) != _FID_SIZE:
        raise Refusal(StatusWord.LC_INCONSISTENT_WITH_P1_P2)
    file = directory_at(files, location).by_fid(int.from_bytes(data, "big"))
    return replace(location, fid=file.fid)


def _parent(files: FileSystem, location: Location, data: bytes) -> Location:
    if data:
        raise Refusal(StatusWord.LC_INCONSISTENT_WITH_P1_P2)
    return Location()


def _by_name(files: FileSystem, location: Location, data: bytes) -> Location:
    if data != EID_APPLICATION:
        raise Refusal(StatusWord.FILE_NOT_FOUND)
    return Location(in_application=True)


def _by_path_from_master(files: FileSystem, location: Location, data: bytes) -> Location:
    return _file_below(files, Location(), data)


_SELECTORS: Final = {
    0x00: _by_fid,
    0x01: _directory_below,
    0x02: _file_below,
    0x03: _parent,
    0x04: _by_name,
    0x08: _by_path_from_master,
    0x09: _file_below,
}


def locate(files: FileSystem, location: Location, *, p1: int, p2: int) -> tuple[Location, int]:
    """The file and the offset that P1 and P2 of READ and UPDATE BINARY mean (ISO 7816-4 §7.2.2).

    With the highest bit of P1 they are a short identifier, which selects the file, and an offset of one byte.
    """
    if not p1 & 0x80:
        return location, p1 << 8 | p2
    if p1 & 0x60:
        raise Refusal(StatusWord.INCORRECT_P1_P2)
    return replace(location, fid=directory_at(files, location).by_sfid(p1 & 0x1F).fid), p2


def locate_odd(files: FileSystem, location: Location, *, p1: int, p2: int) -> Location:
    """The file that P1 and P2 mean with odd INS: none, a short identifier in the low five bits, or an identifier."""
    number = p1 << 8 | p2
    if number == 0:
        return location
    directory = directory_at(files, location)
    return replace(location, fid=(directory.by_sfid(number) if number <= 0x1E else directory.by_fid(number)).fid)


def read_at(file: File, offset: int, size: int) -> tuple[bytes, bool]:
    """At most ``size`` bytes from the offset, and whether they reach the end; 6B00 for an offset beyond it."""
    if not 0 <= offset <= min(len(file.content), _MAX_OFFSET):
        raise Refusal(StatusWord.WRONG_P1_P2)
    end = offset + size
    return file.content[offset:end], end > len(file.content)


def updated(file: File, offset: int, data: bytes) -> bytes:
    """The content after UPDATE BINARY; 6B00 for an offset beyond the end, 6A84 for more than the file can hold."""
    if offset > len(file.content):
        raise Refusal(StatusWord.WRONG_P1_P2)
    if offset + len(data) > CAPACITY:
        raise Refusal(StatusWord.NOT_ENOUGH_MEMORY)
    return file.content[:offset] + data + file.content[offset + len(data) :]


def _the(found: Iterator[File]) -> File:
    file = next(found, None)
    if file is None:
        raise Refusal(StatusWord.FILE_NOT_FOUND)
    return file
