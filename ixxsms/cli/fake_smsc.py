"""ixxsms fake-smsc."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ixxsms.cli.output import clean
from ixxsms.cli.root import app, examples
from ixxsms.errors import BadInput, Error
from ixxsms.smpp.faults import Dates, Ids, Long, ReceiptFormat

if TYPE_CHECKING:
    from ixxsms.testing import FakeSMSC, Submitted


def _number(metavar: str, help: str) -> Any:
    """An option whose 0 means that the fault is not there."""
    return typer.Option(min=0, metavar=metavar, show_default=False, help=help)


@app.command(
    "fake-smsc",
    epilog=examples(
        "ixxsms fake-smsc",
        "ixxsms fake-smsc --port 2776 --latency-ms 200 --jitter-ms 100 --no-receipts",
        "ixxsms fake-smsc --error 34666=0x0B --receipt 34667=UNDELIV --throttle-over 20",
        "ixxsms fake-smsc --missing-every 10 --cut-after 500 --cut-unanswered",
        "ixxsms fake-smsc --ids upper --receipt-format data_sm --receipt-twice",
        "ixxsms fake-smsc --tls --account me:secret --max-binds 2",
        'ixxsms fake-smsc --incoming "34600123456 2345 BAJA"',
    ),
)
def fake_smsc(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where it listens; 0 is any free one.")] = 2775,
    host: Annotated[str, typer.Option(help="The address on which it listens; ::1 is IPv6's.")] = "127.0.0.1",
    record: Annotated[str | None, typer.Option(metavar="FILE", help="Add a JSON line for each message.")] = None,
    tls: Annotated[bool, typer.Option("--tls", help="With TLS; the certificate is made if none is given.")] = False,
    certificate: Annotated[str, typer.Option(metavar="FILE", help="The certificate for TLS, in PEM.")] = "",
    key: Annotated[str, typer.Option(metavar="FILE", help="Its key; else in the certificate's file.")] = "",
    account: Annotated[
        list[str] | None, typer.Option(metavar="USER:PASSWORD", help="Take only this login; may be repeated.")
    ] = None,
    refuse_bind: Annotated[
        str, typer.Option(metavar="CODE", show_default=False, help="Refuse every login with this code.")
    ] = "0",
    max_binds: Annotated[int, _number("N", "Refuse one login more than so many at a time (0x05).")] = 0,
    latency_ms: Annotated[float, _number("MS", "How long each answer takes.")] = 0.0,
    jitter_ms: Annotated[float, _number("MS", "Up to so much longer, by chance.")] = 0.0,
    shuffle: Annotated[bool, typer.Option("--shuffle", help="Answer in any order.")] = False,
    error: Annotated[
        list[str] | None,
        typer.Option(metavar="PREFIX=CODE", help="Refuse what goes to these numbers; may be repeated."),
    ] = None,
    throttle_every: Annotated[int, _number("N", "Throttle each n-th message.")] = 0,
    throttle_over: Annotated[float, _number("RATE", "Throttle over so many a second.")] = 0.0,
    throttle_code: Annotated[str, typer.Option(metavar="CODE", help="How it throttles; some say 0x14.")] = "0x58",
    missing_every: Annotated[int, _number("N", "Take each n-th message without an answer.")] = 0,
    cut_after: Annotated[int, _number("N", "Cut a link after so many messages.")] = 0,
    cut_unanswered: Annotated[bool, typer.Option("--cut-unanswered", help="Cut before the last answer.")] = False,
    dead: Annotated[bool, typer.Option("--dead", help="Take connections and say nothing at all.")] = False,
    dead_after: Annotated[int, _number("N", "Say nothing more on a link after so many messages.")] = 0,
    ignore_enquire_link: Annotated[
        bool, typer.Option("--ignore-enquire-link", help="Do not answer enquire_link.")
    ] = False,
    fragment: Annotated[int, _number("OCTETS", "Write so little at a time.")] = 0,
    glue_ms: Annotated[float, _number("MS", "Collect for so long, then write all at once.")] = 0.0,
    read_rate: Annotated[float, _number("OCTETS", "Read no more than this a second.")] = 0.0,
    receipts: Annotated[bool, typer.Option("--receipts/--no-receipts", help="Send the receipts asked for.")] = True,
    receipt: Annotated[
        list[str] | None,
        typer.Option(metavar="PREFIX=STAT", help="What the receipts for these numbers say; may be repeated."),
    ] = None,
    receipt_format: Annotated[ReceiptFormat, typer.Option(help="How they are written.")] = ReceiptFormat.TEXT,
    receipt_dates: Annotated[Dates, typer.Option(help="How their dates are written.")] = Dates.MINUTES,
    ids: Annotated[Ids, typer.Option(help="How an answer writes the message's id.")] = Ids.DECIMAL,
    receipt_ids: Annotated[Ids, typer.Option(help="How a receipt writes it.")] = Ids.DECIMAL,
    receipt_delay_ms: Annotated[float, _number("MS", "How long after the answer a receipt comes.")] = 0.0,
    receipt_first: Annotated[bool, typer.Option("--receipt-first", help="Receipts before the answers.")] = False,
    receipt_twice: Annotated[bool, typer.Option("--receipt-twice", help="Each receipt two times.")] = False,
    receipt_elsewhere: Annotated[
        bool, typer.Option("--receipt-elsewhere", help="Receipts on another link of the same user.")
    ] = False,
    incoming: Annotated[
        list[str] | None,
        typer.Option(metavar="'FROM TO TEXT'", help="An SMS for the first that binds to receive; may be repeated."),
    ] = None,
    incoming_long: Annotated[Long, typer.Option(help="How its parts are told from each other.")] = Long.UDH8,
    incoming_coding: Annotated[
        int | None, typer.Option(min=0, max=255, metavar="CODE", help="Its data_coding, else 0 or 8 by the text.")
    ] = None,
    incoming_data_sm: Annotated[
        bool, typer.Option("--incoming-data-sm", help="As a data_sm instead of a deliver_sm.")
    ] = False,
) -> None:
    """Run a fake SMSC to try things out.

    It takes any login, sends nothing on, and prints what it gets. Each option from --max-binds on makes it worse, as
    some real SMSC is.
    """
    from ixxsms.testing import serve

    sms = [_incoming(entry) for entry in incoming or []]

    def ready(fake: FakeSMSC) -> None:
        try:
            for source, destination, text in sms:
                fake.deliver(
                    source, destination, text, long=incoming_long, coding=incoming_coding, as_data_sm=incoming_data_sm
                )
        except UnicodeEncodeError as error:
            raise BadInput(f"The data_coding {incoming_coding} cannot hold the text of the incoming SMS.") from error
        where = f"[{host}]" if ":" in host else host
        print(f"listening on {where}:{fake.port}", flush=True)
        if fake.certificate:
            print(f"certificate {fake.certificate}", flush=True)

    try:
        serve(
            port=port,
            host=host,
            record=record,
            tls=(certificate, key or certificate) if certificate else tls,
            on_message=_print_message,
            on_ready=ready,
            accounts=_pairs(account, ":") if account else None,
            refuse_bind=_code(refuse_bind),
            max_binds=max_binds,
            latency=latency_ms / 1000,
            jitter=jitter_ms / 1000,
            shuffle=shuffle,
            errors={prefix: _code(code) for prefix, code in _pairs(error, "=").items()},
            throttle_every=throttle_every,
            throttle_rate=throttle_over,
            throttle_status=_code(throttle_code),
            missing_every=missing_every,
            cut_after=cut_after,
            cut_unanswered=cut_unanswered,
            dead=dead,
            dead_after=dead_after,
            ignore_enquire_link=ignore_enquire_link,
            fragment=fragment,
            glue=glue_ms / 1000,
            read_rate=read_rate,
            receipts=receipts,
            receipt_stat=_pairs(receipt, "="),
            receipt_format=receipt_format,
            receipt_dates=receipt_dates,
            ids=ids,
            receipt_ids=receipt_ids,
            receipt_delay=receipt_delay_ms / 1000,
            receipt_first=receipt_first,
            receipt_twice=receipt_twice,
            receipt_elsewhere=receipt_elsewhere,
        )
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise Error(f"The fake SMSC cannot run on port {port}: {why}.") from error


def _pairs(entries: list[str] | None, between: str) -> dict[str, str]:
    found = {}
    for entry in entries or []:
        first, there, second = entry.partition(between)
        if not there:
            raise BadInput(f'"{clean(entry)}" lacks its "{between}".')
        found[first] = second
    return found


def _code(text: str) -> int:
    """A command_status, in decimal or as 0x0B. Raises BadInput."""
    try:
        code = int(text, 0)
    except ValueError:
        code = -1
    if not 0 <= code <= 0xFFFFFFFF:
        raise BadInput(f'"{clean(text)}" is no code of SMPP, such as 0x0B.')
    return code


def _incoming(entry: str) -> tuple[str, str, str]:
    words = entry.split(None, 2)
    if len(words) < 3:
        raise BadInput(f'"{clean(entry)}" is not like "34600123456 2345 BAJA".')
    return words[0], words[1], words[2]


def _print_message(message: Submitted) -> None:
    from ixxsms.smpp.incoming import decode
    from ixxsms.text import split_udh

    data = split_udh(message.short_message)[1] if message.esm_class & 0x40 else message.short_message
    text = decode(data, message.data_coding)
    print(clean(f"{message.destination} from {message.source_addr or '-'}: {text}"), flush=True)
