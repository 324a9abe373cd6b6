"""How a PAOS dialogue starts and ends: StartPAOS, what server and client tell of themselves, and results.

StartPAOS and its response are of TR-03112-7 §2.6; InitializeFramework, DIDList and Result are of the eCard-API.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Final, TypeAlias

from ..eid.core.results import MAJOR_OK
from .paos_elements import DSS, ECARD, ISO, Reading, Writing

#: Major, minor, subminor.
Version: TypeAlias = tuple[int, int, int]
_AGENT_VERSION: Final = ("VersionMajor", "VersionMinor", "VersionSubminor")


@dataclass(frozen=True, slots=True)
class Result:
    """How a request ended. ``message`` is for those who look for a fault, and names nobody."""

    major: str
    minor: str = ""
    message: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether it did what it should."""
        return self.major == MAJOR_OK

    def write(self, to: Writing) -> None:
        result = to.inside("Result", ns=DSS)
        result.text("ResultMajor", self.major)
        result.text("ResultMinor", self.minor or None)
        result.text("ResultMessage", self.message or None, lang="en")

    @classmethod
    def read(cls, of: Reading) -> "Result":
        result = of.only("Result", ns=DSS)
        return cls(
            result.text("ResultMajor"), result.optional_text("ResultMinor"), result.optional_text("ResultMessage")
        )


@dataclass(frozen=True, slots=True)
class StartPAOS:
    """The client's first message. ``user_agent`` is name and version, as ``client/1.2.3``."""

    ns: ClassVar[str] = ISO
    session_identifier: str = field(repr=False)
    slot_handle: str
    context_handle: str = ""
    user_agent: str = ""
    api_versions: tuple[Version, ...] = ()

    def write(self, to: Writing) -> None:
        to.text("SessionIdentifier", self.session_identifier)
        write_connection(to, self.context_handle, self.slot_handle)
        if self.user_agent:
            agent, (name, _, version) = to.inside("UserAgent"), self.user_agent.partition("/")
            agent.text("Name", name)
            for part, number in zip(_AGENT_VERSION, version.split("."), strict=False):
                agent.text(part, number or None)
        for each in self.api_versions:
            _write_version(to.inside("SupportedAPIVersions"), each, subminor="Subminor")

    @classmethod
    def read(cls, of: Reading) -> "StartPAOS":
        context_handle, slot_handle = read_connection(of)
        return cls(
            session_identifier=of.text("SessionIdentifier"),
            slot_handle=slot_handle,
            context_handle=context_handle,
            user_agent=_read_agent(of),
            api_versions=tuple(_read_version(each) for each in of.all("SupportedAPIVersions")),
        )


@dataclass(frozen=True, slots=True)
class StartPAOSResponse:
    """The server's last message."""

    ns: ClassVar[str] = ISO
    result: Result

    def write(self, to: Writing) -> None:
        self.result.write(to)

    @classmethod
    def read(cls, of: Reading) -> "StartPAOSResponse":
        return cls(Result.read(of))


@dataclass(frozen=True, slots=True)
class InitializeFramework:
    """The server asks which version of the API the client speaks."""

    ns: ClassVar[str] = ECARD

    def write(self, to: Writing) -> None:
        pass

    @classmethod
    def read(cls, of: Reading) -> "InitializeFramework":
        return cls()


@dataclass(frozen=True, slots=True)
class InitializeFrameworkResponse:
    """The versions that the client speaks."""

    ns: ClassVar[str] = ECARD
    result: Result
    versions: tuple[Version, ...] = ()

    def write(self, to: Writing) -> None:
        self.result.write(to)
        for each in self.versions:
            _write_version(to.inside("Version"), each, subminor="SubMinor")

    @classmethod
    def read(cls, of: Reading) -> "InitializeFrameworkResponse":
        return cls(Result.read(of), tuple(_read_version(each) for each in of.all("Version")))


@dataclass(frozen=True, slots=True)
class DIDList:
    """The server asks what the card's passwords are called."""

    ns: ClassVar[str] = ISO
    slot_handle: str
    context_handle: str = ""

    def write(self, to: Writing) -> None:
        write_connection(to, self.context_handle, self.slot_handle)

    @classmethod
    def read(cls, of: Reading) -> "DIDList":
        context_handle, slot_handle = read_connection(of)
        return cls(slot_handle, context_handle)


@dataclass(frozen=True, slots=True)
class DIDListResponse:
    """What they are called."""

    ns: ClassVar[str] = ISO
    result: Result
    did_names: tuple[str, ...] = ()

    def write(self, to: Writing) -> None:
        self.result.write(to)
        if self.did_names:
            names = to.inside("DIDNameList")
            for each in self.did_names:
                names.text("DIDName", each)

    @classmethod
    def read(cls, of: Reading) -> "DIDListResponse":
        names = of.optional("DIDNameList")
        return cls(Result.read(of), tuple(each.value() for each in names.all("DIDName")) if names else ())


def write_connection(to: Writing, context_handle: str, slot_handle: str) -> None:
    connection = to.inside("ConnectionHandle", type_name="iso:ConnectionHandleType")
    connection.text("ContextHandle", context_handle or None)
    connection.text("SlotHandle", slot_handle)


def read_connection(of: Reading) -> tuple[str, str]:
    connection = of.only("ConnectionHandle")
    return connection.optional_text("ContextHandle"), connection.text("SlotHandle")


def _write_version(to: Writing, version: Version, *, subminor: str) -> None:
    for name, number in zip(("Major", "Minor", subminor), version, strict=True):
        to.text(name, str(number))


def _read_version(of: Reading) -> Version:
    # The schema says SubMinor in one type and Subminor in the other, and clients mix them up.
    subminor = of.optional_number("SubMinor") or of.optional_number("Subminor")
    return of.number("Major"), of.optional_number("Minor"), subminor


def _read_agent(of: Reading) -> str:
    agent = of.optional("UserAgent")
    if agent is None:
        return ""
    version = ".".join(filter(None, (agent.optional_text(part) for part in _AGENT_VERSION)))
    return "/".join(filter(None, (agent.optional_text("Name"), version)))
