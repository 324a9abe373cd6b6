"""Points on brainpoolP256r1 by OpenSSL's own C functions: the floor of PACE's elliptic curve part."""

import ctypes
import ctypes.util
from typing import Final

_NID: Final = 927  # NID_brainpoolP256r1


def _load() -> ctypes.CDLL:
    name = ctypes.util.find_library("crypto")
    if name is None:
        raise RuntimeError("libcrypto is not installed (Debian: apt-get install libssl3)")
    library = ctypes.CDLL(name)
    pointer = ctypes.c_void_p
    library.EC_GROUP_new_by_curve_name.restype = pointer
    library.EC_GROUP_new_by_curve_name.argtypes = [ctypes.c_int]
    library.EC_GROUP_get0_generator.restype = pointer
    library.EC_GROUP_get0_generator.argtypes = [pointer]
    library.EC_POINT_new.restype = pointer
    library.EC_POINT_new.argtypes = [pointer]
    library.EC_POINT_free.argtypes = [pointer]
    library.EC_POINT_mul.argtypes = [pointer] * 6
    library.EC_POINT_add.argtypes = [pointer] * 5
    library.BN_bin2bn.restype = pointer
    library.BN_bin2bn.argtypes = [ctypes.c_char_p, ctypes.c_int, pointer]
    library.BN_free.argtypes = [pointer]
    library.BN_CTX_new.restype = pointer
    return library


class Group:
    """The curve. Points and numbers are handles of the library's; a benchmark's few are never freed."""

    def __init__(self) -> None:
        self._library = _load()
        self._group = self._library.EC_GROUP_new_by_curve_name(_NID)
        self._context = self._library.BN_CTX_new()
        self.generator: int = self._library.EC_GROUP_get0_generator(self._group)

    def number(self, value: int) -> int:
        """A scalar."""
        handle: int = self._library.BN_bin2bn(value.to_bytes(32, "big"), 32, None)
        return handle

    def multiply(self, scalar: int, point: int) -> int:
        """k·P as the library does it for a secret scalar: in constant time."""
        result: int = self._library.EC_POINT_new(self._group)
        self._library.EC_POINT_mul(self._group, result, None, point, scalar, self._context)
        return result

    def add(self, first: int, second: int) -> int:
        """P + Q."""
        result: int = self._library.EC_POINT_new(self._group)
        self._library.EC_POINT_add(self._group, result, first, second, self._context)
        return result
