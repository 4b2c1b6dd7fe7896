"""ixxsms trunk."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

import ixxsms
from ixxsms.cli.input import read_password
from ixxsms.cli.output import Json, clean, iso, local, print_facts, print_json, print_table, say
from ixxsms.cli.root import examples, group
from ixxsms.errors import BadInput, Error

if TYPE_CHECKING:
    from ixxsms.codes import CodeView
    from ixxsms.drivers.base import Driver
    from ixxsms.models import Trunk

#: Seconds that `trunk test` waits for a link.
TEST_SECONDS = 10.0

commands = group("trunk", "The configured ways out: SMPP accounts and scripts.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The trunk's name.")]
Host = Annotated[str | None, typer.Option(help="Host name or address of the SMSC, or of Asterisk.")]
Port = Annotated[int | None, typer.Option(help="Its TCP port (smpp: 2775, asterisk: 5038).")]
User = Annotated[str | None, typer.Option(help="smpp: user of the login (system_id).")]
Password = Annotated[str | None, typer.Option(help="smpp: password; others may see it in the list of processes.")]
PasswordFile = Annotated[
    str | None, typer.Option(metavar="FILE", help='The password is the first line of this file; "-" is standard input.')
]
RxPasswordFile = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="smpp: the same for the receiver of tx+rx, where it has another password."),
]
SystemType = Annotated[str | None, typer.Option(help="smpp: system type, where the provider gives one.")]
Bind = Annotated[str | None, typer.Option(metavar="trx|tx|rx|tx+rx", help="smpp: kind of bind (default trx).")]
Window = Annotated[int | None, typer.Option(help="How many segments or script runs may be under way at a time.")]
Pace = Annotated[float | None, typer.Option(help="Segments per second; 0 is no limit (default).")]
SenderId = Annotated[str | None, typer.Option(help="What recipients see: 11 letters and digits, or 14 digits.")]
Priority = Annotated[int | None, typer.Option(help="1 is tried first (default 1).")]
DailyCap = Annotated[int | None, typer.Option(help="The most segments in a day; 0 is no cap (default).")]
MonthlyCap = Annotated[int | None, typer.Option(help="The most segments in a calendar month; 0 is no cap (default).")]
Price = Annotated[float | None, typer.Option(help="Of one segment, in any currency: routes by cost go by it.")]
AppendCountryCode = Annotated[
    bool | None,
    typer.Option(
        "--append-country-code/--no-append-country-code",
        help="Whether numbers go out with their country code (default) or national.",
    ),
]
ReceiptFailover = Annotated[
    bool | None,
    typer.Option(
        "--receipt-failover/--no-receipt-failover",
        help="Whether what a receipt says will not arrive goes to the next trunk, and is paid again (default no).",
    ),
]
Script = Annotated[str | None, typer.Option(help="script: file name of the script in the script directory, no path.")]
Inactive = Annotated[bool, typer.Option("--inactive", help="Nothing goes out before it is enabled.")]
Hosts = Annotated[str | None, typer.Option(help="Only daemons on these hosts serve it: host names, by commas.")]
MostDaemons = Annotated[int | None, typer.Option(help="So many daemons at a time serve it; 0 is no limit (default).")]
Preset = Annotated[str | None, typer.Option(help="A provider that is known: what its documents say of the options.")]
Options = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="NAME=VALUE", help="Any option of the kind (see: ixxsms trunk kinds KIND)."),
]


@commands.command(
    epilog=examples(
        "ixxsms trunk add provider --kind smpp --host smpp.example.com --user me --password-file secret.txt",
        "ixxsms trunk add local --kind smpp --preset local --user test --password test",
        "ixxsms trunk add modem --kind script --script modem.sh --priority 2",
    )
)
def add(
    name: Name,
    kind: Annotated[str, typer.Option(metavar="KIND", help="What serves it: smpp, script, or see ixxsms trunk kinds.")],
    host: Host = None,
    port: Port = None,
    user: User = None,
    password: Password = None,
    password_file: PasswordFile = None,
    rx_password_file: RxPasswordFile = None,
    system_type: SystemType = None,
    bind: Bind = None,
    window: Window = None,
    pace: Pace = None,
    sender_id: SenderId = None,
    priority: Priority = None,
    price: Price = None,
    daily_cap: DailyCap = None,
    monthly_cap: MonthlyCap = None,
    append_country_code: AppendCountryCode = None,
    receipt_failover: ReceiptFailover = None,
    script: Script = None,
    inactive: Inactive = False,
    hosts: Hosts = None,
    most_daemons: MostDaemons = None,
    preset: Preset = None,
    option: Options = None,
) -> None:
    """Add a trunk. A running ixxmassivesms takes it up by itself."""
    fields: dict[str, Any] = {"host": host, "port": port, "user": user, "system_type": system_type, "bind": bind}
    fields |= {"window": window, "pace": pace, "sender_id": sender_id, "priority": priority, "script": script}
    fields |= {
        "price": price,
        "daily_cap": daily_cap,
        "monthly_cap": monthly_cap,
        "append_country_code": append_country_code,
        "hosts": hosts,
        "most_daemons": most_daemons,
    }
    fields |= {"receipt_failover": receipt_failover, "preset": preset}
    fields |= {"password": read_password(password, password_file)}
    fields |= {"rx_password": read_password(None, rx_password_file), **_given(kind, option)}
    with ixxsms.open() as pbx:
        trunk = pbx.trunks.add(name, kind, active=not inactive, **fields)
    added = f"added{'' if trunk.active else ', inactive'}"
    say(f"The trunk {trunk.name} is {added}; try it: ixxsms trunk test {shlex.quote(trunk.name)}")


@commands.command(
    epilog=examples("ixxsms trunk edit provider --pace 20 --window 50", "ixxsms trunk edit provider --password-file -")
)
def edit(
    name: Name,
    host: Host = None,
    port: Port = None,
    user: User = None,
    password: Password = None,
    password_file: PasswordFile = None,
    rx_password_file: RxPasswordFile = None,
    system_type: SystemType = None,
    bind: Bind = None,
    window: Window = None,
    pace: Pace = None,
    sender_id: SenderId = None,
    priority: Priority = None,
    price: Price = None,
    daily_cap: DailyCap = None,
    monthly_cap: MonthlyCap = None,
    append_country_code: AppendCountryCode = None,
    receipt_failover: ReceiptFailover = None,
    script: Script = None,
    inactive: Inactive = False,
    hosts: Hosts = None,
    most_daemons: MostDaemons = None,
    preset: Preset = None,
    option: Options = None,
) -> None:
    """Change what is given; the rest stays. A running ixxmassivesms takes it up by itself."""
    fields: dict[str, Any] = {"host": host, "port": port, "user": user, "system_type": system_type, "bind": bind}
    fields |= {"window": window, "pace": pace, "sender_id": sender_id, "priority": priority, "script": script}
    fields |= {"append_country_code": append_country_code, "password": read_password(password, password_file)}
    fields |= {"price": price, "daily_cap": daily_cap, "monthly_cap": monthly_cap}
    fields |= {"receipt_failover": receipt_failover, "rx_password": read_password(None, rx_password_file)}
    fields |= {"active": False if inactive else None, "preset": preset, "hosts": hosts, "most_daemons": most_daemons}
    given = {field: value for field, value in fields.items() if value is not None}
    if not given and not option:
        raise BadInput("There is nothing to change; give at least one option (see --help).")
    with ixxsms.open() as pbx:
        trunk = pbx.trunks.edit(name, **given, **_given(pbx.trunks.get(name).kind, option))
    say(f"The trunk {trunk.name} is changed.")


def _given(kind: str, options: list[str] | None) -> dict[str, str]:
    """`name=value` of --option, by name; only what the kind has: a field of every trunk has an option of its own."""
    from ixxsms.drivers import kinds

    given = {}
    for option in options or []:
        name, equals, value = option.partition("=")
        if not equals:
            raise BadInput(f'--option takes NAME=VALUE, not "{clean(name)[:40]}".')
        known = [known.name for known in kinds.options(kind)]
        if name not in known:
            raise BadInput(f'A trunk of the kind {kind} has no option "{clean(name)[:40]}"; it has {", ".join(known)}.')
        given[name] = value
    return given


@commands.command("kinds", epilog=examples("ixxsms trunk kinds", "ixxsms trunk kinds smpp"))
def kinds_(
    kind: Annotated[str | None, typer.Argument(metavar="[KIND]", help="Show the options of this kind.")] = None,
    as_json: Json = False,
) -> None:
    """Show which kinds of trunk there are, or the options of one."""
    from ixxsms.drivers import kinds

    if kind is None:
        known = kinds.kinds()
        if as_json:
            print_json(known)
        else:
            print_table(["kind"], [(name,) for name in known])
        return
    options = kinds.options(kind)
    if as_json:
        print_json([option._asdict() for option in options])
    else:
        rows = [(option.name, "auto" if option.default is None else option.default, option.help) for option in options]
        print_table(["option", "default", "meaning"], rows, ["meaning"])


@commands.command("list", epilog=examples("ixxsms trunk list", "ixxsms trunk list --json"))
def list_(as_json: Json = False) -> None:
    """Show every trunk, the one that is tried first first."""
    with ixxsms.open() as pbx:
        trunks = pbx.trunks.all_trunks()
    if as_json:
        print_json([_fields(trunk) for trunk in trunks])
    else:
        rows = [
            (t.name, t.kind, str(t.priority), _state(t), t.sender_id, _where(t), t.pace or "no limit") for t in trunks
        ]
        columns = ["trunk", "kind", "priority", "state", "sender id", "where", "pace"]
        print_table(columns, rows, ["trunk", "where", "state"])


@commands.command(epilog=examples("ixxsms trunk show provider"))
def show(name: Name, as_json: Json = False) -> None:
    """Show a trunk with all its options; never a password."""
    with ixxsms.open() as pbx:
        trunk = pbx.trunks.get(name)
        fields = _fields(trunk)
        if fields["daily_cap"] or fields["monthly_cap"]:
            used = pbx.used(name)
            fields |= {"segments_today": used.today, "segments_this_month": used.month}
    if as_json:
        print_json(fields)
        return
    fields |= {secret: "set" if fields[secret] else "not set" for secret in _secrets(trunk) if secret in fields}
    print_facts({field.replace("_", " "): value for field, value in fields.items()})


@commands.command(epilog=examples("ixxsms trunk enable provider"))
def enable(name: Name) -> None:
    """Let messages go out, also after a trunk stopped by itself."""
    with ixxsms.open() as pbx:
        pbx.trunks.set_active(name, True)
    say(f"The trunk {name} is enabled.")


@commands.command(epilog=examples("ixxsms trunk disable provider"))
def disable(name: Name) -> None:
    """Let nothing more go out through a trunk."""
    with ixxsms.open() as pbx:
        pbx.trunks.set_active(name, False)
    say(f"The trunk {name} is disabled.")


@commands.command(epilog=examples("ixxsms trunk remove provider"))
def remove(name: Name) -> None:
    """Remove a trunk. Refused while messages wait for it."""
    with ixxsms.open() as pbx:
        pbx.trunks.remove(name)
    say(f"The trunk {name} is removed.")


@commands.command(
    epilog=examples(
        "ixxsms trunk errors provider",
        "ixxsms trunk errors provider --set 0x14=throttle --set 0x401=stop",
        "ixxsms trunk errors provider --provider hollatags",
        "ixxsms trunk errors provider --reset",
    )
)
def errors(
    name: Name,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="CODE=CLASS", help="throttle, retry, next, permanent, stop or rebind."),
    ] = None,
    provider: Annotated[str | None, typer.Option(help='Whose own codes are understood; "" is nobody\'s.')] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Forget all that --set said.")] = False,
    seen: Annotated[bool, typer.Option("--seen", help="Only the codes that came.")] = False,
    as_json: Json = False,
) -> None:
    """Show or change what the SMSC's error codes mean, and how often they came.

    A trunk that had stopped goes on after a change.
    """
    if reset and set_:
        raise BadInput("Give --set or --reset, not both.")
    with ixxsms.open() as pbx:
        if reset:
            pbx.codes.reset(name)
        if set_ or provider is not None:
            pbx.codes.change(name, _classes(set_ or []), provider=provider)
        views = [view for view in pbx.codes.table(name) if view.count or not seen]
    if as_json:
        print_json([{**_code(view), "last_at": iso(view.last_at)} for view in views])
        return
    came = any(view.count for view in views)  # else two columns are empty
    columns = ["code", "class", "from", *(["count", "last"] if came else []), "name", "meaning"]
    rows = [
        (v.code, v.klass or "-", v.origin or "-", *((v.count, local(v.last_at)) if came else ()), v.name, v.meaning)
        for v in views
    ]
    print_table(columns, rows, ["meaning", "name"])


def _classes(given: list[str]) -> dict[str, str]:
    """`code=class` of --set, by code."""
    return {code: klass for code, _, klass in (entry.partition("=") for entry in given)}


def _code(view: CodeView) -> dict[str, Any]:
    return {
        "code": view.code,
        "class": view.klass,
        "from": view.origin,
        "name": view.name,
        "meaning": view.meaning,
        "count": view.count,
    }


@commands.command(epilog=examples("ixxsms trunk test provider"))
def test(name: Name, as_json: Json = False) -> None:
    """Log in at the SMSC, or check the script; nothing is sent.

    Exit code 1 where that fails.
    """
    from ixxsms.driver_config import driver_config
    from ixxsms.drivers.base import Link
    from ixxsms.drivers.kinds import open_driver

    with ixxsms.open() as pbx:
        trunk = pbx.trunks.get(name)
        driver = open_driver(driver_config(trunk, pbx.config))
    try:
        link = _wait(driver)
        why = driver.why
    finally:
        driver.close()
    if as_json:
        print_json({"name": trunk.name, "link": link, "why": why})
    elif link == Link.UP:
        say(f"The trunk {trunk.name} answers{f', but not all of it: {why}' if why else '.'}")
    if link != Link.UP:
        raise Error(
            f"The trunk {trunk.name} does not answer: {why or f'nothing came within {TEST_SECONDS:g} seconds.'}"
        )


@commands.command(epilog=examples("ixxsms trunk webhook provider"))
def webhook(name: Name, as_json: Json = False) -> None:
    """Show where the provider of a trunk has to send receipts and incoming SMS.

    The address holds a secret that follows from the trunk's password: who has it can tell us of messages.
    """
    from ixxsms.driver_config import driver_config
    from ixxsms.drivers import kinds

    with ixxsms.open() as pbx:
        trunk = pbx.trunks.get(name)
        address = driver_config(trunk, pbx.config).webhook
    if not kinds.has_webhook(trunk.kind):
        raise BadInput(f"A trunk of the kind {trunk.kind} has no webhook.")
    if not trunk.password:
        raise BadInput(f"The trunk {trunk.name} needs a password: its webhook is guarded by it.")
    if not address:
        raise BadInput("There is no webhook: give the setting webhook_port.")
    if as_json:
        print_json({"name": trunk.name, "url": address})
    else:
        print(address)


def _wait(driver: Driver) -> str:
    """What the link has become, at the latest after TEST_SECONDS. Some of its binds may be up later than others."""
    deadline = time.monotonic() + TEST_SECONDS
    while (driver.link == "starting" or (driver.link == "up" and driver.why)) and time.monotonic() < deadline:
        driver.poll(0.1)
    return str(driver.link)


def _secrets(trunk: Trunk) -> set[str]:
    """The fields of which only whether they are set may be seen. Without the driver's package that is every option."""
    from ixxsms.drivers import kinds

    try:
        return {"password", *kinds.secrets(trunk.kind)}
    except BadInput:
        return {"password", *trunk.options}


def _fields(trunk: Trunk) -> dict[str, Any]:
    fields = {
        "name": trunk.name,
        "kind": trunk.kind,
        "active": trunk.active,
        "stopped_reason": trunk.stopped_reason,
        "priority": trunk.priority,
        "price": trunk.price,
        "daily_cap": trunk.daily_cap,
        "monthly_cap": trunk.monthly_cap,
        "sender_id": trunk.sender_id,
        "append_country_code": trunk.append_country_code,
        "pace": trunk.pace,
        "receipt_failover": trunk.receipt_failover,
        **trunk.options,
        "password": trunk.password,
    }
    return fields | {secret: bool(fields[secret]) for secret in _secrets(trunk) if secret in fields}


def _state(trunk: Trunk) -> str:
    if not trunk.active:
        return "disabled"
    return f"stopped: {clean(trunk.stopped_reason)}" if trunk.stopped_reason else "active"


def _where(trunk: Trunk) -> str:
    options = trunk.options
    if "host" in options:
        return f"{options['host']}:{options.get('port')}"
    return str(options.get("script") or options.get("url") or "")
