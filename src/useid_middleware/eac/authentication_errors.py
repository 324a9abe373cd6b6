"""What goes wrong in certificates, Terminal and Chip Authentication, Restricted Identification: goes on ``errors``.

::

    EACError
    ├── ChatError                           chat_invalid                    no such template, or rights beyond it
    ├── CertificateError                    certificate_invalid             no card-verifiable certificate
    │   ├── CertificateSignatureError       certificate_signature_invalid
    │   ├── CertificateExpired              certificate_expired
    │   ├── CertificateNotYetValid          certificate_not_yet_valid
    │   ├── CertificateIssuerUnknown        certificate_issuer_unknown      its CAR names no certificate at hand
    │   └── CertificateChainError           certificate_chain_invalid       this issuer may not issue that
    ├── CertificateDescriptionError         certificate_description_invalid its form, its hash, a TLS certificate
    ├── AuxiliaryDataError                  auxiliary_data_invalid
    ├── TerminalAuthenticationError         terminal_authentication_failed
    ├── ChipAuthenticationError             chip_authentication_failed
    └── RestrictedIdentificationError       restricted_identification_failed
"""

from .errors import EACError


class ChatError(EACError):
    """The bytes are no Certificate Holder Authorization Template, or it asks for what is not allowed."""

    stable_code = "chat_invalid"


class CertificateError(EACError):
    """The bytes are no card-verifiable certificate of the profile that TR-03110-3 C.1 describes."""

    stable_code = "certificate_invalid"


class CertificateSignatureError(CertificateError):
    """The issuer's key does not verify the signature."""

    stable_code = "certificate_signature_invalid"


class CertificateExpired(CertificateError):
    """The certificate is no longer valid."""

    stable_code = "certificate_expired"


class CertificateNotYetValid(CertificateError):
    """The certificate is not valid yet."""

    stable_code = "certificate_not_yet_valid"


class CertificateIssuerUnknown(CertificateError):
    """The certificate names an issuer that is neither trusted nor part of the chain."""

    stable_code = "certificate_issuer_unknown"


class CertificateChainError(CertificateError):
    """This issuer may not issue such a certificate: its role, the terminal type, its rights."""

    stable_code = "certificate_chain_invalid"


class CertificateDescriptionError(EACError):
    """The certificate description does not parse, or is not that of this certificate or this TLS server."""

    stable_code = "certificate_description_invalid"


class AuxiliaryDataError(EACError):
    """The bytes are no authenticated auxiliary data, or lack what shall be verified."""

    stable_code = "auxiliary_data_invalid"


class TerminalAuthenticationError(EACError):
    """A message of Terminal Authentication has the wrong form, or the terminal's signature does not verify."""

    stable_code = "terminal_authentication_failed"


class ChipAuthenticationError(EACError):
    """A message of Chip Authentication has the wrong form, or the chip does not have its private key."""

    stable_code = "chip_authentication_failed"


class RestrictedIdentificationError(EACError):
    """A message of Restricted Identification has the wrong form, or the sector is not that of the terminal."""

    stable_code = "restricted_identification_failed"
