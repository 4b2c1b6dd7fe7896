"""Type of number and numbering plan of an address (SMPP 3.4 sections 5.2.5 and 5.2.6), by what the address looks like.

What providers want differs: see the overrides of `Plan`. Must never know the numbering plan of a country.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from smpplib import consts

from ixxsms.errors import BadInput

MAX_OCTETS = 20  #: SMPP 3.4 section 5.2.8: 21 with the closing NUL
MAX_ALPHANUMERIC = 11  #: characters of an alphanumeric sender on the air (3GPP TS 23.040 9.1.2.5)

_DIGITS = re.compile(r"[0-9]+")
_PRINTABLE = re.compile(r"[\x20-\x7e]+")

INTERNATIONAL = (consts.SMPP_TON_INTL, consts.SMPP_NPI_ISDN)
SHORT_CODE = (consts.SMPP_TON_NWSPEC, consts.SMPP_NPI_UNK)
ALPHANUMERIC = (consts.SMPP_TON_ALNUM, consts.SMPP_NPI_UNK)
UNKNOWN = (consts.SMPP_TON_UNK, consts.SMPP_NPI_ISDN)


@dataclass(frozen=True)
class Plan:
    """Values that a provider insists on; None leaves it to the address."""

    source_ton: int | None = None
    source_npi: int | None = None
    dest_ton: int | None = None
    dest_npi: int | None = None

    def source(self, sender_id: str) -> bytes:
        """source_addr_ton, source_addr_npi and source_addr as they stand in a PDU. Raises BadInput."""
        ton_npi, octets = source(sender_id)
        return _types(ton_npi, self.source_ton, self.source_npi) + octets + b"\0"

    def destination(self, number: str, national: bool = False) -> bytes:
        """dest_addr_ton, dest_addr_npi and destination_addr as they stand in a PDU. Raises BadInput."""
        return self.destination_types(national) + digits(number) + b"\0"

    def destination_types(self, national: bool = False) -> bytes:
        """dest_addr_ton and dest_addr_npi, which are the same for many numbers."""
        return _types(UNKNOWN if national else INTERNATIONAL, self.dest_ton, self.dest_npi)


def source(sender_id: str) -> tuple[tuple[int, int], bytes]:
    """((TON, NPI), address) of a sender id; an empty one leaves the choice to the SMSC. Raises BadInput."""
    digits = sender_id.removeprefix("+")
    if not sender_id:
        return (consts.SMPP_TON_UNK, consts.SMPP_NPI_UNK), b""
    if _DIGITS.fullmatch(digits) and len(digits) <= MAX_OCTETS:
        if sender_id != digits or len(digits) >= 10:
            return INTERNATIONAL, digits.encode()
        return (SHORT_CODE if len(digits) <= 8 else UNKNOWN), digits.encode()
    if not _PRINTABLE.fullmatch(sender_id):
        raise BadInput("The sender id has a character that SMPP cannot carry: letters without accents, digits, spaces.")
    if len(sender_id) > MAX_ALPHANUMERIC:
        raise BadInput(f'The sender id "{sender_id[:30]}" is longer than {MAX_ALPHANUMERIC} characters.')
    return ALPHANUMERIC, sender_id.encode()


def digits(number: str) -> bytes:
    """The address of a recipient. Raises BadInput."""
    plain = number.removeprefix("+")
    if not (plain.isdecimal() and plain.isascii() and len(plain) <= MAX_OCTETS):
        raise BadInput(f"The number {number[:30]!a} is not 1 to {MAX_OCTETS} digits.")
    return plain.encode()


def _types(ton_npi: tuple[int, int], ton: int | None, npi: int | None) -> bytes:
    return bytes((ton_npi[0] if ton is None else ton, ton_npi[1] if npi is None else npi))
