"""The files of a German ID card by their identifiers (TR-03110-3 A.1.2, TR-03110-4 §2.1)."""

from enum import IntEnum
from typing import Final

#: The name of the eID application.
EID_APPLICATION: Final = bytes.fromhex("E80704007F00070302")

DATA_GROUPS: Final = range(1, 23)


class FileId(IntEnum):
    """File identifiers below the master file, and its own."""

    MF = 0x3F00
    EF_DIR = 0x2F00
    EF_CARD_ACCESS = 0x011C
    EF_CARD_SECURITY = 0x011D


def data_group_fid(number: int) -> int:
    """The identifier of a data group of the eID application; its short one is the number itself."""
    return 0x0100 | number
