"""The BSI's worked example of EAC, byte for byte and from both sides."""

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from tests.eac.conftest import WorkedExample
from useid_middleware.eac.apdu import Command, Ins, Response
from useid_middleware.eac.card_security import parse_card_security
from useid_middleware.eac.curves import BRAINPOOL_P256R1, Point, agree, key_pair, multiply
from useid_middleware.eac.exchange import run
from useid_middleware.eac.keys import (
    PasswordId,
    SessionKeys,
    authentication_token,
    decrypt,
    derive_password_key,
    derive_session_keys,
    encrypt,
)
from useid_middleware.eac.oids import OID, encode_oid
from useid_middleware.eac.pace import agree_keys, confirm, establish_pace, map_generator, map_nonce, start
from useid_middleware.eac.secure_messaging import (
    SecureSession,
    protect_command,
    protect_response,
    unprotect_command,
    unprotect_response,
)
from useid_middleware.eac.security_info_parsing import parse_security_infos
from useid_middleware.eac.security_infos import (
    CardInfoLocator,
    ChipAuthenticationDomainParameterInfo,
    ChipAuthenticationInfo,
    PACEInfo,
    PrivilegedTerminalInfo,
    RestrictedIdentificationDomainParameterInfo,
    RestrictedIdentificationInfo,
    SecurityInfos,
    TerminalAuthenticationInfo,
    check_consistency,
    choose_chip_authentication,
    choose_pace,
)
from useid_middleware.eac.tlv import build

CURVE = BRAINPOOL_P256R1
PACE = OID.PACE_ECDH_GM_AES_CBC_CMAC_128
CA = OID.CA_ECDH_AES_CBC_CMAC_128
CHAT = bytes.fromhex("7f4c12060904007f0007030102025305000513ff87")


def test_ef_cardaccess_says_what_the_card_can_do(example: WorkedExample) -> None:
    infos = parse_security_infos(example["ef_cardaccess"])
    assert infos == SecurityInfos(
        (
            TerminalAuthenticationInfo(2),
            ChipAuthenticationInfo(CA, 2, key_id=1),
            PACEInfo(PACE, 2, parameter_id=13),
            ChipAuthenticationDomainParameterInfo(13, key_id=1),
            CardInfoLocator("https://www.hjp-consulting.com/home"),
            PrivilegedTerminalInfo(
                SecurityInfos((ChipAuthenticationInfo(CA, 2, key_id=2), ChipAuthenticationDomainParameterInfo(13, 2)))
            ),
        )
    )
    assert infos.encode() == example["ef_cardaccess"]
    assert choose_pace(infos) == (PACEInfo(PACE, 2, parameter_id=13), CURVE)


def test_ef_cardsecurity_is_signed_and_holds_the_chips_key(example: WorkedExample) -> None:
    signed = parse_card_security(example["ef_cardsecurity"])
    assert isinstance(signed.signer.public_key(), RSAPublicKey)
    assert signed.signer.serial_number == 0x016326
    infos = parse_security_infos(signed.content)
    # Not in the order of DER, so not by the SecurityInfos' own ``encode``.
    assert build(0x31, *(info.encode() for info in infos.infos)) == signed.content
    assert infos.of(RestrictedIdentificationInfo) == (
        RestrictedIdentificationInfo(OID.RI_ECDH_SHA_256, key_id=1, authorized_only=False),
        RestrictedIdentificationInfo(OID.RI_ECDH_SHA_256, key_id=2, authorized_only=True),
    )
    assert infos.of(RestrictedIdentificationDomainParameterInfo) == (RestrictedIdentificationDomainParameterInfo(13),)
    check_consistency(card_access=parse_security_infos(example["ef_cardaccess"]), card_security=infos)
    info, key = choose_chip_authentication(infos)
    assert (info.protocol, info.key_id, key.key_id) == (CA, 1, 1)
    assert key.public.encode() == example["ca_picc_pub_key"]
    assert multiply(example.number("ca_picc_priv_key"), CURVE.generator) == key.public


def test_the_nonce_is_encrypted_under_the_password(example: WorkedExample) -> None:
    key = derive_password_key(example["password"], protocol=PACE)
    assert encrypt(key, example["nonce"]) == example["nonce_enc"]
    assert decrypt(key, example["nonce_enc"]) == example["nonce"]


def test_both_sides_map_to_the_same_generator(example: WorkedExample) -> None:
    pcd = key_pair(example.number("map_pcd_priv_key"), generator=CURVE.generator)
    picc = key_pair(example.number("map_picc_priv_key"), generator=CURVE.generator)
    assert pcd.public.encode() == example["map_pcd_pub_key"]
    assert picc.public.encode() == example["map_picc_pub_key"]
    for own, other in ((pcd, picc), (picc, pcd)):
        assert multiply(own.private, other.public).encode() == example["map_shared_secret_h"]
        generator = map_generator(example["nonce"], own=own, other=other.public)
        assert generator.encode() == example["map_generator"]


def test_both_sides_agree_on_keys_and_tokens(example: WorkedExample) -> None:
    generator = Point.decode(CURVE, example["map_generator"])
    pcd = key_pair(example.number("pcd_priv_key"), generator=generator)
    picc = key_pair(example.number("picc_priv_key"), generator=generator)
    assert pcd.public.encode() == example["pcd_pub_key"]
    assert picc.public.encode() == example["picc_pub_key"]
    for own, other in ((pcd, picc), (picc, pcd)):
        secret = agree(own.private, other.public)
        assert secret == example["shared_secret_k"]
        assert derive_session_keys(secret, protocol=PACE) == SessionKeys(example["k_enc"], example["k_mac"])
    key = example["k_mac"]
    assert authentication_token(key, protocol=PACE, public=picc.public) == example["authentication_token_pcd"]
    assert authentication_token(key, protocol=PACE, public=pcd.public) == example["authentication_token_picc"]


def dialogue(example: WorkedExample) -> list[tuple[bytes, bytes]]:
    """The five commands of PACE, and the card's answers."""

    def step(tag: int, value: bytes) -> bytes:
        return build(0x7C, build(tag, value))

    set_at = build(0x80, encode_oid(PACE)) + build(0x83, b"\3") + CHAT
    requests = [
        build(0x7C),
        step(0x81, example["map_pcd_pub_key"]),
        step(0x83, example["pcd_pub_key"]),
        step(0x85, example["authentication_token_pcd"]),
    ]
    answers = [
        step(0x80, example["nonce_enc"]),
        step(0x82, example["map_picc_pub_key"]),
        step(0x84, example["picc_pub_key"]),
        build(0x7C, build(0x86, example["authentication_token_picc"]), build(0x87, b"DECVCAAT00001")),
    ]
    headers = ("10860000", "10860000", "10860000", "00860000")
    commands = [
        bytes.fromhex(header) + bytes((len(data),)) + data + b"\0"
        for header, data in zip(headers, requests, strict=True)
    ]
    opening = bytes.fromhex("0022c1a4") + bytes((len(set_at),)) + set_at
    return [(opening, b"\x90\0"), *((c, a + b"\x90\0") for c, a in zip(commands, answers, strict=True))]


def test_the_terminal_says_what_the_example_says(example: WorkedExample) -> None:
    expected = dialogue(example)
    answers = iter(expected)

    def transmit(apdu: bytes) -> bytes:
        command, answer = next(answers)
        assert apdu == command
        return answer

    terminal = establish_pace(
        example["password"],
        password_id=PasswordId.PIN,
        protocol=PACE,
        curve=CURVE,
        mapping_key=example.number("map_pcd_priv_key"),
        agreement_key=example.number("pcd_priv_key"),
        chat=CHAT,
    )
    result = run(terminal, transmit)
    assert next(answers, None) is None
    assert result.keys == SessionKeys(example["k_enc"], example["k_mac"])
    assert result.id_picc == example["picc_pub_key"][1:33]
    assert result.id_pcd == example["pcd_pub_key"][1:33]
    assert result.references == (b"DECVCAAT00001",)


def test_the_card_says_what_the_example_says(example: WorkedExample) -> None:
    requests = [(Command.decode(command).data, answer[:-2]) for command, answer in dialogue(example)[1:]]
    (first, nonce), (second, mapping), (third, key), (fourth, token) = requests
    started, answer = start(first, password=example["password"], protocol=PACE, curve=CURVE, nonce=example["nonce"])
    assert answer == nonce
    mapped, answer = map_nonce(started, second, mapping_key=example.number("map_picc_priv_key"))
    assert answer == mapping
    assert mapped.generator.encode() == example["map_generator"]
    agreed, answer = agree_keys(mapped, third, agreement_key=example.number("picc_priv_key"))
    assert answer == key
    result, answer = confirm(agreed, fourth, references=(b"DECVCAAT00001",))
    assert answer == token
    assert result.keys == SessionKeys(example["k_enc"], example["k_mac"])
    assert result.id_picc == example["picc_pub_key"][1:33]


def test_secure_messaging_protects_as_the_example_does(example: WorkedExample) -> None:
    session = SecureSession(SessionKeys(example["k_enc"], example["k_mac"]))
    set_dst = Command(Ins.MANAGE_SECURITY_ENVIRONMENT, 0x81, 0xB6, example["d1"])
    terminal, command = protect_command(session, set_dst)
    assert command.data[:19] == build(0x87, b"\1", example["e1"])
    card, plain = unprotect_command(session, command)
    assert plain == set_dst
    card, response = protect_response(card, Response())
    assert response.data == example["ad1"] + build(0x8E, example["a1"])
    assert unprotect_response(terminal, response) == (card, Response())


def test_chip_authentication_agrees_on_keys_and_the_token(example: WorkedExample) -> None:
    chip = key_pair(example.number("ca_picc_priv_key"), generator=CURVE.generator)
    terminal = key_pair(example.number("ca_pcd_priv_key"), generator=CURVE.generator)
    assert terminal.public.encode() == example["ca_pcd_pub_key"]
    for own, other in ((chip, terminal), (terminal, chip)):
        secret = agree(own.private, other.public)
        assert secret == example["ca_shared_secret_k"]
        keys = derive_session_keys(secret, protocol=CA, nonce=example["ca_nonce"])
        assert keys == SessionKeys(example["ca_k_enc"], example["ca_k_mac"])
        assert authentication_token(keys.mac, protocol=CA, public=terminal.public) == example["ca_picc_token"]
