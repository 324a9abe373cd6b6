"""Every fault by its name; those of the OpenID conformance suite are called as the suite's modules are.

A name of the suite loses its prefix: ``oidcc-client-test-``, ``fapi2-security-profile-final-client-test-``, and for
the back-channel modules ``oidcc-client-test-rp-backchannel-rpinitlogout-``.
"""

from collections.abc import Mapping
from typing import Final

from .answer_faults import ANSWER_FAULTS, BROWSER_FAULTS, DOCUMENT_FAULTS
from .injection import Fault
from .token_faults import ID_TOKEN_FAULTS, JARM_FAULTS, LOGOUT_FAULTS, REFRESH_FAULTS, USERINFO_TOKEN_FAULTS

FAULTS: Final[Mapping[str, Fault]] = {
    **ID_TOKEN_FAULTS,
    **REFRESH_FAULTS,
    **USERINFO_TOKEN_FAULTS,
    **JARM_FAULTS,
    **LOGOUT_FAULTS,
    **DOCUMENT_FAULTS,
    **BROWSER_FAULTS,
    **ANSWER_FAULTS,
}
