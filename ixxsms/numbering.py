"""The numbering plan of the PBX: brings a phone number to its normal form and tells a mobile one.

Knows the plan (country code, mobile prefixes, lengths), the ways in which people, phones and spreadsheets write a
number, and through `phonenumbers` what ITU-T E.164 leaves to each country. What a sender id may look like stands
here too. Must never know lists, trunks, or where a number came from.

Normal form: of the plan's own country, digits with the country code and no plus (56912345678); of another country,
the plus sign and the digits (+447911123456). The plus keeps the two apart, so a number in normal form is read as
the same number again under the same plan. `digits` takes it off for the wire.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import cycle
from typing import NamedTuple

import phonenumbers
from phonenumbers import PhoneMetadata

from ixxsms.errors import BadInput

MAX_DIGITS = 15  #: E.164 6.1: country code and national number together
SENDER_CHARACTERS, SENDER_DIGITS = 11, 14  #: the longest sender ids


@dataclass(frozen=True, slots=True)
class Plan:
    """A numbering plan. Comes from `make_plan`, which sees to it that it makes sense.

    `mobile_prefixes`: first digits of national numbers, or "+" and the first digits of another country's ones.
    `min_length`, `max_length`: digits of a number without the country code. `country`: ISO 3166, or empty.
    """

    country_code: str
    mobile_prefixes: tuple[str, ...]
    min_length: int
    max_length: int
    country: str = ""


class Reason(StrEnum):
    """Why a number is refused. The texts are constant, so that a report can count by them."""

    EMPTY = "empty"
    WITHHELD = "withheld"
    NOT_A_NUMBER = "not a number"
    CHARACTERS = "other characters than digits"
    SPREADSHEET = "spreadsheet notation, digits are lost"
    TOO_SHORT = "too short"
    TOO_LONG = "too long"
    FOREIGN = "not valid in its country"


class Check(NamedTuple):
    """What the plan says of a number: its normal form, or "" and one of the texts of `Reason`."""

    number: str
    valid: bool
    mobile: bool
    reason: str


_REFUSED = {reason: Check("", False, False, reason.value) for reason in Reason}

# --- making a plan

# Where the metadata cannot tell mobile numbers from fixed ones, but the country can.
_KNOWN_PREFIXES = {"CL": ("9",)}
# Spread evenly over all numbers (multiples of the golden ratio), to ask a pattern what begins with a prefix.
_TAILS = [f"{i * 6180339887498949 % 10**MAX_DIGITS:0{MAX_DIGITS}d}" for i in range(1, 60)]


def make_plan(
    country: str | None = None,
    country_code: str | None = None,
    mobile_prefixes: str | Iterable[str] | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
) -> Plan:
    """A plan from a country (ISO 3166, "ES"), from single values, or from both: a single value wins.

    `country_code`: "34", "+34" or "0034". `mobile_prefixes`: a list, or one text with commas, as people write them:
    6, 346, +346 and 00346 are the same in Spain, and +447 marks numbers of another country. A bare one that begins
    with the country code loses it, unless it is a mobile prefix there as it stands (557 in Brazil) or only the whole
    can begin a mobile number (392 in Italy). So a stored prefix goes back in as "+", country code and prefix.
    Lengths: digits without the country code, 1 to 15. Raises BadInput with one sentence for what cannot be.
    """
    country = (country or "").strip().upper()
    if country and country not in phonenumbers.SUPPORTED_REGIONS:
        raise BadInput(f"There is no country {country!r}: give the two letters of ISO 3166, such as ES.")
    code = _clean_code(country_code, country)
    region = country or phonenumbers.region_code_for_country_code(int(code))
    prefixes = tuple(dict.fromkeys(_clean_prefix(p, code, region) for p in _split(mobile_prefixes or ())))
    prefixes = prefixes or _metadata_prefixes(country)
    if not prefixes:
        raise BadInput("The mobile prefixes are missing: give them, or a country to take them from.")
    lengths = _metadata_lengths(country)
    shortest = min_length if min_length is not None else min(lengths, default=None)
    longest = max_length if max_length is not None else max(lengths, default=None)
    if shortest is None or longest is None:
        raise BadInput("The lengths of a mobile number are missing: give both, or a country to take them from.")
    _check_lengths(code, shortest, longest)
    return Plan(code, prefixes, shortest, longest, country)


def _clean_code(text: str | None, country: str) -> str:
    written = (text or "").strip()
    if not written and not country:
        raise BadInput("The country code is missing: give it, or a country to take it from.")
    if not written:
        return str(phonenumbers.country_code_for_region(country))
    code = written.removeprefix("+").removeprefix("00")
    if not re.fullmatch("[1-9][0-9]{0,2}", code):
        raise BadInput(f"The country code {written!r} is not one: it has 1 to 3 digits, the first not 0.")
    return code


def _check_lengths(code: str, shortest: int, longest: int) -> None:
    if shortest > longest:
        raise BadInput(f"The minimum mobile length {shortest} is more than the maximum {longest}.")
    if shortest < 1:
        raise BadInput(f"The minimum mobile length {shortest} is less than 1.")
    if longest + len(code) > MAX_DIGITS:
        raise BadInput(
            f"The maximum mobile length {longest} is too much: a number has at most {MAX_DIGITS} digits, "
            f"{len(code)} of them the country code."
        )


def _split(prefixes: str | Iterable[str]) -> Iterable[str]:
    """Single prefixes. Blanks are inside an international one (+34 6), and between bare ones (6 7)."""
    for text in [prefixes] if isinstance(prefixes, str) else prefixes:
        for item in map(str.strip, re.split("[,;\r\n]", text)):
            yield from ["".join(item.split())] if item.startswith(("+", "00")) else item.split()


def _clean_prefix(prefix: str, code: str, region: str) -> str:
    written = "+" + prefix[2:] if prefix.startswith("00") else prefix
    text = written.removeprefix("+")
    if not (text.isascii() and text.isdigit()):
        raise BadInput(f"The mobile prefix {prefix!r} is not one: digits, a plus sign in front and blanks are allowed.")
    if written != text and not text.startswith(code):
        return written
    if written == "+" + code:
        raise BadInput(f"The mobile prefix {prefix!r} is only the country code: give the first digits after it.")
    trunk = _national_prefix(region)
    national = text[len(code) :] if text.startswith(code) and text != code else text
    whole = national if written != text else text
    return _likeliest([national, whole, whole.removeprefix(trunk), national.removeprefix(trunk)], region)


def _likeliest(readings: list[str], region: str) -> str:
    """The first reading with which a mobile number of the region can begin; the first of all where none can.

    One that is a mobile prefix of the region to the digit comes before them, so those that a country gave to a plan
    are read as themselves again (557 in Brazil, whose country code is 55).
    """
    known = _metadata_prefixes(region)
    for reading in readings:
        if reading in known:
            return reading
    for reading in filter(None, readings):
        if any(reading.startswith(prefix) or prefix.startswith(reading) for prefix in known):
            return reading
    return readings[0]


# --- what phonenumbers knows of a country


def _metadata(region: str) -> PhoneMetadata | None:
    return PhoneMetadata.metadata_for_region(region) if region in phonenumbers.SUPPORTED_REGIONS else None


def _national_prefix(region: str) -> str:
    """What is dialled before a national number inside the country: 0 in Germany, 8 in Russia, nothing in Spain."""
    metadata = _metadata(region)
    return (metadata and metadata.national_prefix) or ""


def _metadata_lengths(region: str) -> tuple[int, ...]:
    metadata = _metadata(region)
    if metadata is None or metadata.mobile is None or metadata.general_desc is None:
        return ()
    return tuple(n for n in metadata.mobile.possible_length or metadata.general_desc.possible_length if n > 0)


@lru_cache(maxsize=64)
def _metadata_prefixes(region: str) -> tuple[str, ...]:
    """The shortest national prefixes, of up to three digits, with which mobile numbers begin and no others do.

    Three digits that are shared count as mobile where most of their numbers are. Where mobile and fixed numbers
    look the same (United States) or share their only area code (Bermuda), all of those count. The countries that
    share +1 get three digits, their area codes: fewer would be their neighbours' too.
    """
    metadata = _metadata(region)
    if region in _KNOWN_PREFIXES or metadata is None or metadata.mobile is None:
        return _KNOWN_PREFIXES.get(region, ())
    verdicts = _verdicts(metadata, _metadata_lengths(region))
    found: tuple[str, ...] = ()
    shares_code = metadata.country_code == 1 and region != "US"
    for size, width in ((3, 1),) if shares_code else ((1, 100), (2, 10), (3, 1)):
        for n in range(10**size):
            below, prefix = verdicts[n * width : (n + 1) * width], f"{n:0{size}}"
            if max(below) > 0 and min(below) >= 0 and not prefix.startswith(found):
                found += (prefix,)
    example = (metadata.mobile.example_number or "")[:3]
    return tuple(sorted(found)) or ((example,) if example else ())


def _verdicts(metadata: PhoneMetadata, lengths: tuple[int, ...]) -> list[int]:
    """For 000 to 999: 1 where most numbers of a mobile length that begin so are mobile, -1 where not, 0 for none."""
    kinds = ("fixed_line", "pager", "voip", "uan", "personal_number", "toll_free", "premium_rate", "shared_cost")
    others = [pattern for kind in kinds if (pattern := _pattern(getattr(metadata, kind)))]
    mobile = _pattern(metadata.mobile)
    verdicts = []
    for n in range(1000):
        numbers = [f"{n:03}{tail[: length - 3]}" for tail, length in zip(_TAILS, cycle(lengths), strict=False)]
        rest = [number for number in numbers if not (mobile and mobile.fullmatch(number))]
        shared = sum(any(other.fullmatch(number) for other in others) for number in rest)
        found = len(numbers) - len(rest)
        verdicts.append((found > shared) - (found < shared))
    return verdicts


def _pattern(description: object) -> re.Pattern[str] | None:
    pattern = getattr(description, "national_number_pattern", None)
    return re.compile(pattern) if pattern else None


# --- checking a number


def check(plan: Plan, raw: str) -> Check:
    """What the plan says of a number in any spelling. Never raises.

    With + or 00 it is international: the plan's own country by its lengths, any other by `phonenumbers`. Without,
    it is of the plan's own country, with or without country code and with or without the digit that is dialled
    first inside the country. Where it can be read both with and without the country code, with wins: the normal
    form has it, and must be read as itself.
    """
    return checker(plan)(raw)


def check_incoming(plan: Plan, address: str) -> Check:
    """What the plan says of an address as an SMSC or an API writes it. Never raises.

    A plus is believed where there is such a number. Digits without one may be national or international, and many of
    them are numbers of both kinds. It is a person's phone that writes, so of the own country only a mobile comes into
    question: where it is one, it counts, since SMSCs of the own country write those without a country code (2025550123
    in the United States, which begins like an Egyptian number). Anything else is international if such a number exists:
    33612345678 is a French mobile and no landline of Germany.
    """
    if address.startswith("+"):
        found = check(plan, address)
        return found if found.valid else check_incoming(plan, address.lstrip("+"))
    own = check(plan, address)
    if not (address.isascii() and address.isdigit()) or address.startswith("0") or _is_mobile(own.number):
        return own
    foreign = check(plan, f"+{address}")
    return foreign if foreign.valid else own


def _is_mobile(number: str) -> bool:
    """Whether a number of the own country exists and may be a mobile, whatever the plan counts as one."""
    try:
        kind = phonenumbers.number_type(phonenumbers.parse(f"+{number}"))
    except phonenumbers.NumberParseException:  # no number, or a plan with a country code that no country has
        return False
    return kind in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE)


@lru_cache(maxsize=64)
def checker(plan: Plan) -> Callable[[str], Check]:
    """`check` for one plan and many numbers, with what the plan decides worked out beforehand."""
    code, shortest, longest = plan.country_code, plan.min_length, plan.max_length
    with_code = range(len(code) + shortest, len(code) + longest + 1)
    without_code = range(shortest, longest + 1)
    mobile = tuple(p if p.startswith("+") else code + p for p in plan.mobile_prefixes)
    after_code = len(code)

    def fast(raw: str) -> Check:
        # Only what cannot be anything else: a leading 0 may be a prefix, of this country or of another.
        if raw.isdigit() and raw.isascii():
            size = len(raw)
            if size in with_code and raw.startswith(code):
                if raw[after_code] != "0":
                    return Check(raw, True, raw.startswith(mobile), "")
            elif size in without_code and raw[0] != "0":
                number = code + raw
                return Check(number, True, number.startswith(mobile), "")
        return slow(raw)

    def slow(raw: str) -> Check:
        number = _bare(raw)
        if not isinstance(number, Reason):
            number = _resolve(plan, number)
        if isinstance(number, Reason):
            return _REFUSED[number]
        return Check(number, True, number.startswith(mobile), "")

    return fast


def _resolve(plan: Plan, written: str) -> str | Reason:
    """The normal form of digits with or without a plus in front."""
    code = plan.country_code
    if written.startswith("00"):
        written = "+" + written[2:]
    if written.startswith("+" + code):
        own = _without_zero(plan, written[1 + len(code) :])
        return code + own if _fits(plan, own) else _misfit(plan, own)
    if written.startswith("+"):
        return _foreign(written)
    for start in (code, "", _trunk(plan)):
        if written.startswith(start):
            own = _without_zero(plan, written[len(start) :])
            if _fits(plan, own):
                return code + own
    return _misfit(plan, _without_zero(plan, written))


def _fits(plan: Plan, national: str) -> bool:
    return plan.min_length <= len(national) <= plan.max_length


def _misfit(plan: Plan, national: str) -> Reason:
    return Reason.TOO_SHORT if len(national) < plan.min_length else Reason.TOO_LONG


@lru_cache(maxsize=64)
def _trunk(plan: Plan) -> str:
    return _national_prefix(plan.country or phonenumbers.region_code_for_country_code(int(plan.country_code)))


def _without_zero(plan: Plan, national: str) -> str:
    """Without the 0 that is dialled inside the country, as in 0171 1234567 and +49 (0)171 1234567.

    It goes even where the lengths would allow it: with such a prefix no mobile number begins with 0. Other prefixes
    (8 in Russia) also begin real numbers, and go only where the number does not fit with them. Every leading one
    goes, or the result would be read differently the second time.
    """
    trunk = _trunk(plan)
    while trunk.startswith("0") and national.startswith(trunk):
        national = national.removeprefix(trunk)
    return national


def _foreign(written: str) -> str | Reason:
    if len(written) == 1:
        return Reason.TOO_SHORT
    try:
        parsed = phonenumbers.parse(written)
    except phonenumbers.NumberParseException:
        return Reason.FOREIGN
    if not phonenumbers.is_valid_number(parsed):
        return Reason.FOREIGN
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


# --- reading what somebody wrote

_LONGEST = 64  # no number needs more, separators included; the work for hostile input ends here
_WITHHELD = {"anonymous", "unknown", "restricted", "private", "unavailable", "withheld"}
_SEPARATORS = str.maketrans("", "", " \t\r\n\v\f-./()")
_SPREADSHEET = re.compile(r"[0-9]+([.,][0-9]*)?E[+-]?[0-9]+", re.IGNORECASE)


def _bare(raw: str) -> str | Reason:
    """ASCII digits, with a plus in front if there was one."""
    text = raw.strip()
    if len(text) > _LONGEST:
        return Reason.TOO_LONG
    if text.strip("<>()\"'").lower() in _WITHHELD:
        return Reason.WITHHELD
    if text[:4].lower() == "tel:":  # RFC 3966
        text = text[4:]
    if not text.isascii():
        text = "".join(map(_plain, text))
    bare = text.translate(_SEPARATORS)
    if not bare:
        return Reason.EMPTY
    number = bare.removeprefix("+")
    if not number or (number.isdigit() and number.isascii()):
        return bare
    if _SPREADSHEET.fullmatch(text.strip()):
        return Reason.SPREADSHEET
    return Reason.NOT_A_NUMBER if any(map(str.isalpha, number)) else Reason.CHARACTERS


def _plain(char: str) -> str:
    """A digit of any script in ASCII; nothing for Unicode's blanks, dashes and invisible marks."""
    digit = unicodedata.decimal(char, None)
    if digit is not None:
        return str(digit)
    if char.isspace() or char == "\u2212" or unicodedata.category(char) in ("Pd", "Cf"):
        return ""
    # Of the rest only full-width forms are taken for their ASCII twins: NFKC would make digits of ² and ①.
    return chr(ord(char) - 0xFEE0) if "\uff01" <= char <= "\uff5e" else char


# --- other forms of a number


def digits(number: str) -> str:
    """A number in normal form for the wire: country code and digits, without a plus."""
    return number.removeprefix("+")


def national(plan: Plan, number: str) -> str:
    """A number in normal form for a trunk that wants no country code. One of another country keeps its own."""
    return number[1:] if number.startswith("+") else number.removeprefix(plan.country_code)


def check_sender_id(text: str) -> str:
    """The sender id without blanks around it and without a plus; "" for none. Raises BadInput.

    Up to 14 digits, or up to 11 ASCII letters, digits, blanks and - _ . & with a letter among them: what fits
    3GPP TS 23.040 9.1.2.5 as an address and is the same in every alphabet.
    """
    sender = text.strip()
    number = sender.removeprefix("+")
    if number.isascii() and number.isdigit():
        if len(number) > SENDER_DIGITS:
            raise BadInput(f"The sender id {sender!r} is too long: {SENDER_DIGITS} digits are the most.")
        return number
    if not re.fullmatch(r"[A-Za-z0-9 _.&-]*", sender):
        raise BadInput(f"The sender id {sender!r} may have only letters from A to Z, digits, blanks and - _ . &.")
    if len(sender) > SENDER_CHARACTERS:
        raise BadInput(f"The sender id {sender!r} is too long: {SENDER_CHARACTERS} characters are the most.")
    if sender and not re.search("[A-Za-z]", sender):
        raise BadInput(f"The sender id {sender!r} needs a letter, or digits alone.")
    return sender
