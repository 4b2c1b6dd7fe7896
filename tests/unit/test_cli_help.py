"""What --help says, the names that are promised, and how quickly the program starts."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer

from ixxsms.cli import app

PROMISED = {
    "asterisk install": "--root --freepbx --issabel --plain --dry-run",
    "asterisk uninstall": "--root --dry-run",
    "hook add": "--event --text --context --did --prefix --from --to --keyword --trunk --sender-id --every-hours --list"
    " --call-back --notify",
    "hook list": "",
    "hook show": "",
    "hook enable": "",
    "hook disable": "",
    "hook remove": "",
    "sip route add": "--email",
    **dict.fromkeys(["db upgrade", "db check", "db backup"], ""),
    "sip route list": "",
    "sip route remove": "",
    "init": "",
    "numbering show": "",
    "numbering set": "--country --country-code --mobile-prefixes --min-length --max-length",
    "check": "",
    "segments": "--trunk",
    "trunk add": "--kind --host --port --user --password --password-file --rx-password-file --system-type"
    " --bind --window --pace --sender-id --priority --append-country-code --no-append-country-code"
    " --script --inactive --preset --option"
    " --price --daily-cap --monthly-cap",
    "trunk edit": "--host --port --user --password --password-file --rx-password-file --system-type --bind --window"
    " --pace --sender-id --priority --append-country-code --no-append-country-code"
    " --script --inactive --preset --option --daily-cap",
    **dict.fromkeys(["trunk list", "trunk show", "trunk kinds", "trunk test", "trunk webhook"], "--json"),
    **dict.fromkeys(["trunk enable", "trunk disable", "trunk remove"], ""),
    **dict.fromkeys(["route add", "route set"], "--prefix --trunk --method"),
    **dict.fromkeys(["route list", "route show", "route remove", "route import", "route explain"], ""),
    "list create": "--csv --cdr",
    "list import": "--strict",
    "list add": "--text",
    **dict.fromkeys(["list exclude", "list include", "list export", "list delete"], ""),
    "list show": "--filter --limit",
    "list list": "",
    "harvest": "--cdr-url --since --until --direction --disposition --did --min-billsec --min-calls --context"
    " --missed --dry-run --all",
    "campaign create": "--text --list --csv --sender-id --trunk --start --from --to --run",
    "campaign list": "--state",
    "campaign show": "--follow",
    "campaign numbers": "--state --csv --limit",
    "campaign edit": "--text --start --from --to",
    **dict.fromkeys(["campaign stop", "campaign resume", "campaign cancel", "campaign delete"], ""),
    "send": "--trunk --sender-id --queue",
    "outbox": "--state --limit",
    "outbox doubt": "--campaign --trunk --limit",
    "outbox resolve": "--as --campaign --trunk --all --yes",
    "receipts unmatched": "--trunk --limit",
    "trunk errors": "--set --provider --reset --seen",
    "inbox": "--limit",
    **dict.fromkeys(["optout add", "optout remove", "optout check", "optout import", "optout export"], ""),
    "optout list": "--filter --limit",
    "status": "",
    "fake-smsc": "--port --host --latency-ms --receipts --no-receipts --record --tls --certificate --key --account"
    " --refuse-bind --max-binds --jitter-ms --shuffle --error --throttle-every --throttle-over --throttle-code"
    " --missing-every --cut-after --cut-unanswered --dead --dead-after --ignore-enquire-link --fragment --glue-ms"
    " --read-rate --receipt --receipt-format --receipt-dates --ids --receipt-ids --receipt-delay-ms --receipt-first"
    " --receipt-twice --receipt-elsewhere --incoming --incoming-long --incoming-coding --incoming-data-sm",
}

#: Commands that only change something, and say so in one line.
SHOWING_NOTHING = {"init", "optout export", "list include", "list export", "list delete", "fake-smsc", "campaign edit"}
SHOWING_NOTHING |= {f"trunk {verb}" for verb in ("add", "edit", "enable", "disable", "remove")}
SHOWING_NOTHING |= {f"route {verb}" for verb in ("add", "set", "remove")}
SHOWING_NOTHING |= {f"db {verb}" for verb in ("upgrade", "check", "backup")}
SHOWING_NOTHING |= {f"campaign {verb}" for verb in ("stop", "resume", "cancel", "delete")}


def commands():
    found = {}

    def walk(command, words):
        for name, inner in getattr(command, "commands", {}).items():
            walk(inner, [*words, name])
        if not hasattr(command, "commands") or (words and command.invoke_without_command):
            found[" ".join(words)] = command

    walk(typer.main.get_command(app), [])
    return found


COMMANDS = commands()


def test_the_commands_are_the_promised_ones():
    assert set(COMMANDS) == set(PROMISED)


@pytest.mark.parametrize("name", sorted(PROMISED))
def test_a_command_has_its_options_its_help_and_examples(name):
    command = COMMANDS[name]
    options = [flag for p in command.params for flag in [*p.opts, *p.secondary_opts] if flag.startswith("--")]
    assert set(PROMISED[name].split()) <= set(options)
    assert ("--json" in options) is (name not in SHOWING_NOTHING)
    summary = command.help.split("\n")[0]
    assert summary.endswith(".") and len(summary) < 100
    assert all(parameter.help for parameter in command.params)
    assert f"  ixxsms {name}" in command.epilog


def test_starting_loads_nothing_that_is_slow():
    heavy = ["sqlalchemy", "phonenumbers", "alembic", "rich", "smpplib", "ixxsms.pbx", "ixxsms.testing"]
    code = f"import sys, ixxsms.cli, ixxsms.text; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
