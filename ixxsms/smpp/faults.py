"""What a fake SMSC does otherwise than a good one: a field for each fault, which may be changed while it runs.

Must never know how a fault is brought about: `smsc` does it for what is said, `testing.fake_smsc` for the stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class ReceiptFormat(StrEnum):
    """How SMSCs write a receipt. All but `csv` are in the wild in every mixture with Ids and Dates."""

    TEXT = "text"  #: appendix B of the specification
    LOWER = "lower"  #: the same in small letters
    BARE = "bare"  #: only id and stat, nothing of the message
    TLV = "tlv"  #: receipted_message_id, message_state and network_error_code, no text
    BOTH = "both"  #: text and TLVs
    PAYLOAD = "payload"  #: the text in message_payload, short_message empty
    DATA_SM = "data_sm"  #: a data_sm with the TLVs and the text in message_payload
    CSV = "csv"  #: Vodafone's seven fields with commas; the first is message_state in two digits


class Ids(StrEnum):
    """How an SMSC writes the number of a message."""

    DECIMAL = "decimal"
    HEX = "hex"
    UPPER = "upper"  #: hexadecimal in capitals
    PADDED = "padded"  #: decimal, with zeros in front
    PADDED_HEX = "padded-hex"  #: hexadecimal in capitals, with zeros in front


class Dates(StrEnum):
    """How an SMSC writes the dates of a receipt."""

    MINUTES = "minutes"  #: YYMMDDhhmm, as the specification has it
    SECONDS = "seconds"  #: YYMMDDhhmmss
    CENTURY = "century"  #: YYYYMMDDhhmm
    CENTURY_SECONDS = "century-seconds"  #: YYYYMMDDhhmmss


class Long(StrEnum):
    """How the parts of a long incoming SMS are told from each other."""

    UDH8 = "udh8"
    UDH16 = "udh16"
    SAR = "sar"
    PAYLOAD = "payload"  #: no parts: the whole in message_payload


@dataclass(kw_only=True, eq=False)
class Faults:
    """Times are in seconds, and 0 is never.

    `every`: each n-th submit_sm, counted over all links; `after`: so many submit_sm on one link.
    """

    # The login
    accounts: Mapping[str, str] | None = None  #: user -> password; None takes everybody
    refuse_bind: int = 0  #: command_status that every bind gets
    max_binds: int = 0  #: one more gets RALYBND

    # The answers to submit_sm
    latency: float = 0.0
    jitter: float = 0.0  #: up to so much more, by chance for each
    shuffle: bool = False  #: what came at one time is answered in any order
    errors: Mapping[str, int] = field(default_factory=dict)  #: prefix of the destination -> command_status
    throttle_every: int = 0
    throttle_rate: float = 0.0  #: more than so many a second are throttled
    throttle_status: int = 0x58  #: what a throttled one gets: RTHROTTLED; some say RMSGQFUL (0x14)
    mute: bool = False  #: takes messages, never answers, sends no receipts
    missing_every: int = 0  #: taken and never answered; the receipt comes all the same
    cut_after: int = 0  #: the link is cut
    cut_unanswered: bool = False  #: before the answer to the last

    # The link
    dead: bool = False  #: takes the connection and answers nothing at all
    dead_after: int = 0
    ignore_enquire_link: bool = False
    fragment: int = 0  #: octets that are written at a time
    glue: float = 0.0  #: what is said within this time is written at once
    read_rate: float = 0.0  #: octets a second that it reads; the receive buffer is small if it is set from the start

    # The receipts
    receipts: bool = True
    receipt_stat: Mapping[str, str] = field(default_factory=dict)  #: prefix of the destination -> stat
    receipt_format: str = ReceiptFormat.TEXT
    receipt_dates: str = Dates.MINUTES
    ids: str = Ids.DECIMAL  #: in the answer
    receipt_ids: str = Ids.DECIMAL  #: in the receipt
    receipt_delay: float = 0.0  #: from the answer on
    receipt_first: bool = False  #: before the answer
    receipt_twice: bool = False
    receipt_elsewhere: bool = False  #: on another link of the same user, where there is one
