"""The names by which ``trace`` calls commands, files and data objects."""

from collections.abc import Mapping
from typing import Final, TypeAlias

from ...eac.apdu import Ins
from ...eac.file_identifiers import DATA_GROUPS, EID_APPLICATION, FileId, data_group_fid
from .data_groups import DataGroup

#: From tags to names.
Members: TypeAlias = Mapping[int, str]

#: By instruction, P1 and P2; ``None`` stands for any other.
COMMANDS: Final[Mapping[tuple[int, int | None, int | None], str]] = {
    (Ins.SELECT, None, None): "SELECT",
    (Ins.READ_BINARY, None, None): "READ BINARY",
    (Ins.READ_BINARY_ODD, None, None): "READ BINARY (odd)",
    (Ins.UPDATE_BINARY, None, None): "UPDATE BINARY",
    (Ins.MANAGE_SECURITY_ENVIRONMENT, 0xC1, 0xA4): "MSE:Set AT (PACE)",
    (Ins.MANAGE_SECURITY_ENVIRONMENT, 0x81, 0xA4): "MSE:Set AT (Terminal Authentication)",
    (Ins.MANAGE_SECURITY_ENVIRONMENT, 0x41, 0xA4): "MSE:Set AT (Chip Authentication or Restricted Identification)",
    (Ins.MANAGE_SECURITY_ENVIRONMENT, 0x81, 0xB6): "MSE:Set DST",
    (Ins.MANAGE_SECURITY_ENVIRONMENT, None, None): "MSE",
    (Ins.PERFORM_SECURITY_OPERATION, 0x00, 0xBE): "PSO:Verify Certificate",
    (Ins.PERFORM_SECURITY_OPERATION, None, None): "PSO",
    (Ins.GENERAL_AUTHENTICATE, None, None): "GENERAL AUTHENTICATE",
    (Ins.GET_CHALLENGE, None, None): "GET CHALLENGE",
    (Ins.EXTERNAL_AUTHENTICATE, None, None): "EXTERNAL AUTHENTICATE",
    (Ins.VERIFY, 0x80, 0x00): "VERIFY (auxiliary data)",
    (Ins.VERIFY, None, None): "VERIFY",
    (Ins.RESET_RETRY_COUNTER, 0x02, 0x02): "RESET RETRY COUNTER (new CAN)",
    (Ins.RESET_RETRY_COUNTER, 0x02, 0x03): "RESET RETRY COUNTER (new PIN)",
    (Ins.RESET_RETRY_COUNTER, 0x03, 0x03): "RESET RETRY COUNTER (unblock PIN)",
    (Ins.RESET_RETRY_COUNTER, None, None): "RESET RETRY COUNTER",
    (Ins.ACTIVATE, 0x10, 0x03): "ACTIVATE (PIN)",
    (Ins.ACTIVATE, None, None): "ACTIVATE",
    (Ins.DEACTIVATE, 0x10, 0x03): "DEACTIVATE (PIN)",
    (Ins.DEACTIVATE, None, None): "DEACTIVATE",
}

#: What SELECT's data name.
SELECTED: Final[Mapping[bytes, str]] = {
    b"": "MF",
    FileId.MF.to_bytes(2, "big"): "MF",
    FileId.EF_DIR.to_bytes(2, "big"): "EF.DIR",
    FileId.EF_CARD_ACCESS.to_bytes(2, "big"): "EF.CardAccess",
    FileId.EF_CARD_SECURITY.to_bytes(2, "big"): "EF.CardSecurity",
    EID_APPLICATION: "eID application",
    **{data_group_fid(number).to_bytes(2, "big"): f"EF.DG{number}" for number in DATA_GROUPS},
}

_CERTIFICATE: Final[Members] = {
    0x7F4E: "certificate body",
    0x5F29: "profile",
    0x42: "CAR",
    0x7F49: "public key",
    0x06: "protocol",
    0x86: "public point",
    0x5F20: "CHR",
    0x7F4C: "CHAT",
    0x5F25: "effective",
    0x5F24: "expires",
    0x65: "extensions",
    0x73: "extension",
    0x80: "first hash",
    0x81: "second hash",
    0x5F37: "signature",
}
#: The data objects of commands, by instruction, P1 and P2.
SENT: Final[Mapping[tuple[int, int, int], Members]] = {
    (Ins.MANAGE_SECURITY_ENVIRONMENT, 0xC1, 0xA4): {
        0x80: "protocol",
        0x83: "password",
        0x84: "domain parameters",
        0x7F4C: "CHAT",
    },
    (Ins.MANAGE_SECURITY_ENVIRONMENT, 0x81, 0xA4): {
        0x80: "protocol",
        0x83: "reference",
        0x91: "compressed ephemeral key",
        0x67: "auxiliary data",
        0x73: "question",
        0x06: "kind",
        0x53: "argument",
    },
    (Ins.MANAGE_SECURITY_ENVIRONMENT, 0x41, 0xA4): {0x80: "protocol", 0x84: "key"},
    (Ins.MANAGE_SECURITY_ENVIRONMENT, 0x81, 0xB6): {0x83: "reference"},
    (Ins.PERFORM_SECURITY_OPERATION, 0x00, 0xBE): _CERTIFICATE,
    (Ins.GENERAL_AUTHENTICATE, 0x00, 0x00): {
        0x7C: "dynamic authentication data",
        0x80: "ephemeral key (CA)",
        0x81: "mapping key",
        0x83: "ephemeral key",
        0x85: "token",
        0xA0: "first sector key",
        0xA2: "second sector key",
        0x06: "protocol",
        0x86: "public point",
    },
    (Ins.VERIFY, 0x80, 0x00): {0x06: "kind"},
}
#: The data objects of answers, by instruction.
ANSWERED: Final[Mapping[int, Members]] = {
    Ins.GENERAL_AUTHENTICATE: {
        0x7C: "dynamic authentication data",
        0x80: "encrypted nonce",
        0x81: "nonce (CA) or identifier (RI)",
        0x82: "mapping key, or token (CA)",
        0x83: "second identifier",
        0x84: "ephemeral key",
        0x86: "token",
        0x87: "CAR",
        0x88: "previous CAR",
    },
    Ins.READ_BINARY: {
        0x60 | number: f"DG{number} {number.name.replace('_', ' ').lower()}" for number in DataGroup if number < 0x1F
    },
}
