"""The command line: every command once as it should go, and every refusal as one sentence with nothing half-written.

Most tests call the program's entry inside this process, with everything real but the process; what only a process can
show (pipes, signals, exit codes as the shell sees them) is shown with processes.
"""

from __future__ import annotations

import csv
import functools
import io
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from http_api import Api, Said
from sqlalchemy import update

import ixxsms as package
from ixxsms import codes, daemons, outbox, receipts, trunks
from ixxsms.asterisk.cdr import open_cdr
from ixxsms.cli import main
from ixxsms.events import Heard, InDoubt, Receipt
from ixxsms.models import Message
from ixxsms.testing import FakeSMSC

PROGRAM = (sys.executable, "-m", "ixxsms")


class Ran(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with its own configuration, and no database yet."""
    for name in [name for name in os.environ if name.startswith("IXXSMS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("IXXSMS_CONFIG", str(tmp_path / "etc" / "ixxsms.conf"))
    monkeypatch.setenv("IXXSMS_DATABASE_URL", f"sqlite:///{tmp_path / 'ixxsms.db'}")
    monkeypatch.setenv("IXXSMS_SCRIPT_DIR", str(tmp_path / "scripts"))
    monkeypatch.setenv("IXXSMS_CDR_URL", f"sqlite:///{tmp_path / 'cdr.db'}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Program:
    """The program inside this process: called like the shell does, through its entry point."""

    def __init__(self, monkeypatch, capsys):
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: str, stdin: bytes = b"") -> Ran:
        self._monkeypatch.setattr(sys, "argv", ["ixxsms", *arguments])
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return Ran(ended.value.code or 0, *self._capsys.readouterr())

    def done(self, *arguments: str, stdin: bytes = b"") -> str:
        ran = self(*arguments, stdin=stdin)
        assert (ran.code, ran.err) == (0, ""), f"ixxsms {' '.join(arguments)}: {ran}"
        return ran.out

    def json(self, *arguments: str, stdin: bytes = b""):
        return json.loads(self.done(*arguments, "--json", stdin=stdin))

    def refused(self, *arguments: str, stdin: bytes = b"") -> str:
        """The one sentence of a command that is refused, and prints nothing else."""
        ran = self(*arguments, stdin=stdin)
        assert (ran.code, ran.out) == (1, ""), f"ixxsms {' '.join(arguments)}: {ran}"
        lines = ran.err.splitlines()
        assert len(lines) == 1, ran.err
        assert lines[0].startswith("ixxsms: "), ran.err
        assert "Traceback" not in ran.err
        return lines[0].removeprefix("ixxsms: ")


@pytest.fixture
def program(home, monkeypatch, capsys):
    """The program before `ixxsms init`."""
    return Program(monkeypatch, capsys)


@pytest.fixture
def ready(program, home, set_up):
    """The program with a database, a Spanish numbering plan and a script directory."""
    shutil.copy(set_up("sqlite").removeprefix("sqlite:///"), home / "ixxsms.db")
    (home / "scripts").mkdir()
    return program


def as_process(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*PROGRAM, *arguments], input=stdin, capture_output=True, timeout=60)


def write_script(home: Path, name: str, body: str = 'echo "0;ok;0;0"', mode: int = 0o755) -> None:
    script = home / "scripts" / name
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(mode)


def others_may_write(home: Path) -> None:
    with closing(sqlite3.connect(home / "ixxsms.db", timeout=2)) as other:
        other.execute("BEGIN IMMEDIATE")


def write_calls(home: Path, *rows: tuple[str, str]) -> None:
    with closing(sqlite3.connect(home / "cdr.db")) as connection, connection:
        connection.execute(
            "CREATE TABLE cdr (AcctId INTEGER PRIMARY KEY, calldate, clid, src, dst, dcontext, billsec, disposition)"
        )
        for n, (src, dst) in enumerate(rows):
            connection.execute(
                "INSERT INTO cdr (calldate, clid, src, dst, dcontext, billsec, disposition)"
                " VALUES (?, '', ?, ?, 'from-trunk', '10', 'ANSWERED')",
                (f"2026-11-10 10:00:{n:02}", src, dst),
            )


# -- the program ---------------------------------------------------------------------------------------------------


def test_init_is_done_once_and_says_what_it_did(program, home):
    first = program.done("init")
    assert str(home / "etc" / "ixxsms.conf") in first
    assert "written" in first and "set up" in first and "installed" in first
    assert os.access(home / "scripts" / "sample", os.X_OK)
    second = program.done("init")
    assert second.count("kept") == 2 and "up to date" in second
    assert oct((home / "etc" / "ixxsms.conf").stat().st_mode & 0o777) == "0o640"


def test_init_goes_on_without_a_script_directory(program, monkeypatch):
    monkeypatch.setenv("IXXSMS_SCRIPT_DIR", "/dev/null/scripts")
    assert "script_dir" in program.done("init")


def test_exit_codes_of_a_process(home, set_up):
    refused = as_process("status")
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert re.fullmatch(rb"ixxsms: There is no database .*; run: ixxsms init\n", refused.stderr)
    for arguments in (["nonsense"], ["list", "show"], ["trunk", "add", "x"], ["status", "--nonsense"]):
        usage = as_process(*arguments)
        assert (usage.returncode, usage.stdout) == (2, b"")
        assert usage.stderr.startswith(b"Usage: ixxsms") and b"\nError: " in usage.stderr
    shutil.copy(set_up("sqlite").removeprefix("sqlite:///"), home / "ixxsms.db")
    done = as_process("check", "600 123 456", "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout) == {"number": "34600123456", "mobile": True, "valid": True}


def test_whoever_stops_reading_ends_the_program_quietly(ready):
    ready.done("list", "create", "big", "--csv", "-", stdin=b"".join(b"600%06d\n" % n for n in range(20_000)))
    exporting = subprocess.Popen([*PROGRAM, "list", "export", "big"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert exporting.stdout is not None and exporting.stderr is not None
    assert exporting.stdout.readline() == b"number,text,excluded\n"
    exporting.stdout.close()
    with exporting.stderr:
        assert exporting.stderr.read() == b""
    exporting.wait(20)


def test_a_stream_that_is_closed_is_as_one_to_nowhere(ready, home):
    write_script(home, "note")
    ready.done("trunk", "add", "note", "--kind", "script", "--script", "note")

    def closed(stream: str, *arguments: str) -> tuple[int, bytes, bytes]:
        ran = subprocess.run(["sh", "-c", f'exec "$@" {stream}', "sh", *PROGRAM, *arguments], capture_output=True)
        return ran.returncode, ran.stdout, ran.stderr

    assert closed(">&-", "campaign", "list") == (0, b"", b"")
    assert closed(">&- 2>&-", "list", "show", "nobody") == (1, b"", b"")
    assert closed("<&-", "send", "600123456", "-") == (1, b"", b"ixxsms: The text must not be empty.\n")


def test_control_c_ends_the_program_quietly_with_130(ready):
    ready.done("campaign", "create", "long", "--text", "x", "--csv", "-", "--run", stdin=b"600123456\n")
    # A shell that runs the tests in its background has them, and what they start, ignore the signal.
    hears = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    following = subprocess.Popen(
        [*PROGRAM, "campaign", "show", "long", "--follow"], stderr=subprocess.PIPE, preexec_fn=hears
    )
    try:
        assert following.stderr.readline() == b"long: running, 0 of 1\n"
        following.send_signal(signal.SIGINT)
        assert following.communicate(timeout=20) == (None, b"")
        assert following.returncode == 130
    finally:
        following.kill()
        following.wait()
        following.stderr.close()


def test_the_fake_smsc_a_trunk_test_and_a_single_send(ready, home):
    record = home / "received.jsonl"
    fake = [*PROGRAM, "fake-smsc", "--port", "0", "--latency-ms", "1", "--record", str(record)]
    with subprocess.Popen(fake, stdout=subprocess.PIPE, text=True) as smsc:
        try:
            port = re.fullmatch(r"listening on 127\.0\.0\.1:(\d+)\n", smsc.stdout.readline()).group(1)
            assert "port" in ready.refused("fake-smsc", "--port", port)
            options = ("--kind", "smpp", "--preset", "local", "--port", port, "--user", "me", "--password-file", "-")
            ready.done("trunk", "add", "fake", *options, stdin=b"pass word\nnothing\n")
            assert ready.json("trunk", "test", "fake") == {"name": "fake", "link": "up", "why": ""}
            sent = ready.json("send", "600 123 456", "Hola ñ €")
            assert (sent["number"], sent["trunk"], sent["segments"]) == ("34600123456", "fake", 1)
            assert sent["state"] in ("accepted", "delivered")
            assert smsc.stdout.readline() == "34600123456 from -: Hola ñ €\n"
            assert "34600123457: " in ready.done("send", "600123457", "-", "--sender-id", "ACME", stdin=b"two\nlines\n")
            assert smsc.stdout.readline() == "34600123457 from ACME: two lines\n"
            assert len(record.read_text().splitlines()) == 2
        finally:
            smsc.terminate()
    assert smsc.returncode == 0


# -- numbers and texts ---------------------------------------------------------------------------------------------


def test_the_numbering_plan(ready):
    plan = ready.json("numbering", "set", "--country-code", "56", "--mobile-prefixes", "9", "--country", "CL")
    assert plan == ready.json("numbering", "show")
    assert (plan["country"], plan["country_code"], plan["mobile_prefixes"]) == ("CL", "56", ["9"])
    assert "56" in ready.done("numbering", "show")
    assert ready.json("check", "(9) 1234 5678")["number"] == "56912345678"
    assert ready.json("numbering", "set", "--max-length", "10")["max_length"] == 10
    assert "nothing" in ready.refused("numbering", "set")
    assert "XX" in ready.refused("numbering", "set", "--country", "XX")
    assert ready.json("numbering", "show")["country"] == "CL"


def test_check_answers_in_words_and_json_and_a_no_is_an_answer_too(ready):
    assert ready("check", "600123456") == Ran(0, "34600123456: valid, mobile\n", "")
    assert ready("check", "913334455") == Ran(0, "34913334455: valid, not mobile\n", "")
    assert ready("check", "anonymous") == Ran(0, "anonymous: not valid, withheld\n", "")
    answer = ready("check", "101", "--json")
    assert (answer.code, json.loads(answer.out), answer.err) == (0, {"valid": False, "reason": "too short"}, "")


def test_segments_needs_no_database(program):
    answer = {"encoding": "gsm", "length": 4, "segments": 1, "forced_by": []}
    assert program.json("segments", "ab€") == answer
    assert program.json("segments", "-", stdin="ab€\n".encode()) == answer
    assert program.json("segments", "it’s")["forced_by"] == ["’"]
    assert "U+2019" in program.done("segments", "it’s")
    assert "UTF-8" in program.refused("segments", "-", stdin=b"\xff")


def test_segments_tells_what_a_trunk_makes_of_a_text(ready):
    options = ("--option", "long=udh16", "--option", "shift=spanish", "--option", "data_coding=0xF1")
    ready.done("trunk", "add", "provider", "--kind", "smpp", "--host", "smsc.example", *options)
    told = ready.json("segments", "á" + "a" * 155, "--trunk", "provider")
    assert (told["segments"], told["data_coding"], told["trunk_segments"]) == (3, 0xF1, 2)
    assert "through the trunk provider: data_coding 241, 1 segment\n" in ready.done(
        "segments", "á", "--trunk", "provider"
    )
    assert 'no trunk "other"' in ready.refused("segments", "x", "--trunk", "other")


def test_without_a_numbering_plan_the_sentence_says_what_to_do(program):
    program.done("init")
    for arguments in (["numbering", "show"], ["check", "1"], ["list", "create", "a", "--csv", "a.csv"]):
        assert "ixxsms numbering set" in program.refused(*arguments)
    assert program.json("list", "list") == []


# -- trunks --------------------------------------------------------------------------------------------------------


def test_a_trunk_is_added_shown_changed_and_removed(ready, home):
    write_script(home, "note")
    ready.done("trunk", "add", "b", "--kind", "script", "--script", "note", "--priority", "2", "--inactive")
    ready.done(
        *("trunk", "add", "a", "--kind", "smpp", "--host", "127.0.0.1", "--port", "1", "--user", "me"),
        *("--password", "S3cret", "--system-type", "VMA", "--bind", "tx", "--window", "5", "--pace", "2.5"),
        *("--sender-id", "ACME", "--no-append-country-code", "--daily-cap", "500", "--price", "0.035"),
    )
    shown = ready.json("trunk", "show", "a")
    wanted = {"kind": "smpp", "port": 1, "system_type": "VMA", "bind": "tx", "window": 5, "pace": 2.5, "password": True}
    wanted |= {"sender_id": "ACME", "append_country_code": False, "active": True, "priority": 1, "user": "me"}
    wanted |= {"daily_cap": 500, "monthly_cap": 0, "price": 0.035, "segments_today": 0, "segments_this_month": 0}
    assert wanted.items() <= shown.items()
    assert [trunk["name"] for trunk in ready.json("trunk", "list")] == ["a", "b"]
    ready.done("trunk", "edit", "a", "--preset", "local", "--window", "7")
    assert (ready.json("trunk", "show", "a")["port"], ready.json("trunk", "show", "a")["window"]) == (2775, 7)
    ready.done("trunk", "edit", "a", "--inactive")
    assert "disabled" in ready.done("trunk", "list")
    ready.done("trunk", "enable", "a")
    assert ready.json("trunk", "show", "a")["active"] is True
    ready.done("trunk", "disable", "a")
    for output in (ready.done("trunk", "show", "a"), ready.done("trunk", "list"), ready.done("status")):
        assert "S3cret" not in output
    ready.done("trunk", "test", "b")
    ready.done("trunk", "remove", "a")
    assert [trunk["name"] for trunk in ready.json("trunk", "list")] == ["b"]


def test_a_trunk_of_any_kind_takes_its_options_by_name(ready, monkeypatch):
    assert ready.json("trunk", "kinds")[:3] == ["smpp", "script", "http"]
    assert "smpp" in ready.done("trunk", "kinds")
    known = {option["name"]: option for option in ready.json("trunk", "kinds", "http")}
    assert known["method"]["default"] == "POST"
    assert "remote_id" in ready.done("trunk", "kinds", "http")
    assert "no kind of trunk" in ready.refused("trunk", "kinds", "pigeon")
    with Api(lambda asked: Said(202, "0: Accepted for delivery")) as api:
        ready.done(
            *("trunk", "add", "api", "--kind", "http", "--preset", "kannel", "--user", "me", "--password", "S3cret"),
            *("--window", "7", "--option", f"url={api.url}/cgi-bin/sendsms", "--option", "http_status=500=retry"),
        )
        shown = ready.json("trunk", "show", "api")
        assert (shown["window"], shown["user"], shown["http_status"]) == (7, "me", "500=retry")
        assert shown["query"].startswith("username={user}&password={password}")
        assert api.url in ready.done("trunk", "list")
        assert "answers" in ready.done("trunk", "test", "api")
        assert "accepted" in ready.done("send", "600123456", "a=b&c").lower()
        assert (api.asked[-1].field("text"), api.asked[-1].field("password")) == ("a=b&c", "S3cret")
        ready.done("trunk", "edit", "api", "--option", "window=3")
        assert ready.json("trunk", "show", "api")["window"] == 3
    assert "does not answer" in ready.refused("trunk", "test", "api")
    http = ("trunk", "add", "new", "--kind", "http", "--option")
    assert "NAME=VALUE" in ready.refused(*http, "url")
    assert 'no option "colour"' in ready.refused(*http, "colour=red")
    assert 'no option "password"' in ready.refused(*http, "password=x")
    assert "needs the url" in ready.refused(*http, "method=POST")
    assert "nothing to change" in ready.refused("trunk", "edit", "api")

    assert "webhook_port" in ready.refused("trunk", "webhook", "api")
    monkeypatch.setenv("IXXSMS_WEBHOOK_PORT", "8443")
    address = ready.done("trunk", "webhook", "api").strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:8443/hook/api/[0-9a-f]{32}", address)
    monkeypatch.setenv("IXXSMS_WEBHOOK_URL", "https://sms.example.net/")
    assert ready.json("trunk", "webhook", "api")["url"].startswith("https://sms.example.net/hook/api/")
    ready.done("trunk", "add", "local", "--kind", "smpp", "--preset", "local", "--user", "u", "--password", "p")
    assert "has no webhook" in ready.refused("trunk", "webhook", "local")
    ready.done(*http, "url=http://127.0.0.1:9/")
    assert "needs a password" in ready.refused("trunk", "webhook", "new")
    for output in (ready.done("trunk", "show", "api"), ready.done("trunk", "list"), ready.done("status")):
        assert "S3cret" not in output


def test_a_trunk_test_says_which_binds_do_not_answer(ready, monkeypatch):
    monkeypatch.setattr("ixxsms.cli.trunk.TEST_SECONDS", 3.0)
    with FakeSMSC(max_binds=1) as smsc:
        where = ("--kind", "smpp", "--host", "127.0.0.1", "--port", str(smsc.port), "--user", "me")
        ready.done("trunk", "add", "two", *where, "--password", "x", "--option", "binds=2")
        assert "answers, but not all of it: 1 of 2 binds are up" in ready.done("trunk", "test", "two")
        smsc.max_binds = 2
        assert ready.json("trunk", "test", "two") == {"name": "two", "link": "up", "why": ""}


def test_no_secret_of_a_trunk_is_shown(ready, home):
    (home / "rx").write_text("hid3den\n")
    ready.done(
        *("trunk", "add", "two", "--kind", "smpp", "--host", "127.0.0.1", "--user", "me", "--bind", "tx+rx"),
        *("--password", "hid2den", "--rx-password-file", str(home / "rx")),
    )
    shown = ready.json("trunk", "show", "two")
    assert (shown["password"], shown["rx_password"], shown["bind"]) == (True, True, "tx+rx")
    for arguments in (["show", "two"], ["show", "two", "--json"], ["list"], ["list", "--json"]):
        output = ready.done("trunk", *arguments)
        assert "hid2den" not in output and "hid3den" not in output
    assert "not set" not in ready.done("trunk", "show", "two")
    ready.done("trunk", "edit", "two", "--option", "rx_password=")
    assert ready.json("trunk", "show", "two")["rx_password"] is False


def test_a_trunk_that_cannot_be_is_refused_and_not_added(ready, home):
    write_script(home, "note")
    write_script(home, "plain", mode=0o644)
    write_script(home, "open", mode=0o757)
    script = ("trunk", "add", "new", "--kind", "script", "--script")
    assert "not a path" in ready.refused(*script, "../note")
    assert "not a path" in ready.refused(*script, str(home / "scripts" / "note"))
    assert "no script" in ready.refused(*script, "missing")
    assert "chmod +x" in ready.refused(*script, "plain")
    assert "chmod o-w" in ready.refused(*script, "open")
    assert '"script"' in ready.refused("trunk", "add", "new", "--kind", "smpp", "--host", "h", "--script", "note")
    assert '"host"' in ready.refused(*script, "note", "--host", "h")
    smpp = ("trunk", "add", "new", "--kind", "smpp")
    assert "host name" in ready.refused(*smpp)
    assert "carrier" in ready.refused("trunk", "add", "new", "--kind", "carrier")
    assert "preset" in ready.refused(*smpp, "--preset", "nobody")
    assert "sender id" in ready.refused(*smpp, "--host", "h", "--sender-id", "far too long a name")
    assert "priority" in ready.refused(*smpp, "--host", "h", "--priority", "0")
    assert "bind" in ready.refused(*smpp, "--host", "h", "--bind", "both")
    assert "port" in ready.refused(*smpp, "--host", "h", "--port", "99999")
    assert "not both" in ready.refused(*smpp, "--host", "h", "--password", "x", "--password-file", "y")
    assert "cannot be read" in ready.refused(*smpp, "--host", "h", "--password-file", "missing")
    assert ready.json("trunk", "list") == []
    ready.done("trunk", "add", "note", "--kind", "script", "--script", "note")
    assert "already" in ready.refused("trunk", "add", "note", "--kind", "script", "--script", "note")
    assert "nothing to change" in ready.refused("trunk", "edit", "note")
    for verb in ("show", "enable", "disable", "remove", "test"):
        assert ready.refused("trunk", verb, "nobody") == 'There is no trunk "nobody".'


def test_a_trunk_that_does_not_answer_says_why(ready, home):
    with FakeSMSC(accounts={"me": "right"}) as smsc:
        where = ("--kind", "smpp", "--host", "127.0.0.1", "--port", str(smsc.port))
        ready.done("trunk", "add", "wrong", *where, "--user", "me", "--password", "wr0ng")
        sentence = ready.refused("trunk", "test", "wrong")
        assert "password" in sentence.lower() and "wr0ng" not in sentence
        assert "password" in ready.refused("send", "600123456", "x").lower()
    answer = ready("trunk", "test", "wrong", "--json")
    assert (answer.code, json.loads(answer.out)["link"]) == (1, "down")
    write_script(home, "gone")
    ready.done("trunk", "add", "gone", "--kind", "script", "--script", "gone")
    (home / "scripts" / "gone").unlink()
    assert "no script" in ready.refused("trunk", "test", "gone")


def test_a_trunk_through_asterisk_is_added_and_says_that_nobody_is_there(ready):
    to = "pjsip:provider/sip:+{number}@sip.example.net"
    asterisk = ("trunk", "add", "sip", "--kind", "asterisk", "--port", "1", "--password", "S3cret")
    assert "needs to=" in ready.refused(*asterisk)
    ready.done(*asterisk, "--option", f"to={to}")
    shown = ready.json("trunk", "show", "sip")
    assert (shown["via"], shown["to"], shown["port"], shown["user"]) == ("message", to, 1, "ixxsms")
    assert "Asterisk cannot be reached" in ready.refused("trunk", "test", "sip")


# -- routes --------------------------------------------------------------------------------------------------------


@pytest.fixture
def routed(ready, home):
    """Two script trunks."""
    write_script(home, "note")
    for name, price in (("direct", "0.04"), ("other", "0.02")):
        ready.done("trunk", "add", name, "--kind", "script", "--script", "note", "--price", price)
    return ready


def test_a_route_is_added_shown_changed_and_removed(routed, home):
    routed.done("send", "600000001", "hola", "--queue")
    said = routed.done("route", "add", "mobile", "--prefix", "34600,34601", "--trunk", "direct", "--trunk", "other")
    assert said == "The route mobile is added; 1 queued message goes another way now.\n"
    shown = routed.json("route", "show", "mobile")
    assert (shown["method"], shown["prefixes"]) == ("priority", ["34600", "34601"])
    assert [(on["trunk"], on["weight"], on["price"]) for on in shown["trunks"]] == [
        ("direct", 1, 0.04),
        ("other", 1, 0.02),
    ]
    routed.done("route", "set", "mobile", "--method", "cost")
    assert "other (0.02), direct (0.04)" in routed.done("route", "list")
    routed.done("route", "set", "mobile", "--method", "weight", "--trunk", "direct", "--trunk", "other:3")
    routed.done("route", "set", "mobile", "--prefix", "34600")
    assert "direct:1, other:3" in routed.done("route", "show", "mobile")
    (home / "table.csv").write_text("prefix;route\n34601;mobile\n34602;mobile\n")
    assert "Prefixes added: 2" in routed.done("route", "import", "table.csv")
    assert routed.json("route", "list")[0]["prefixes"] == ["34600", "34601", "34602"]
    assert "mobile" in routed.refused("trunk", "remove", "direct")
    assert "1 queued message goes another way now" in routed.done("route", "remove", "mobile")
    assert routed.json("route", "list") == []


def test_a_route_is_explained(routed, home):
    routed.done(
        "route", "add", "mobile", "--prefix", "346", "--trunk", "direct", "--trunk", "other", "--method", "cost"
    )
    routed.done("trunk", "disable", "direct")
    said = routed.done("route", "explain", "600 12 34 56").splitlines()
    assert said[0] == "34600123456 begins with 346: route mobile, the cheapest first."
    assert [line.split()[:4] for line in said[3:5]] == [
        ["1", "other", "0.02", "no"],
        ["-", "direct", "0.04", "disabled"],
    ]
    assert said[-1].startswith("No ixxmassivesms is alive")
    assert routed.json("route", "explain", "600123456")["ways"][0]["trunk"] == "other"
    assert "has no route" in routed.done("route", "explain", "700123456")
    routed.done("trunk", "disable", "other")
    assert "No trunk may take it now" in routed.done("route", "explain", "700123456")


def test_a_route_that_cannot_be_is_refused(routed):
    assert "at least one trunk" in routed.refused("route", "add", "mobile", "--prefix", "34600")
    assert '"nobody"' in routed.refused("route", "add", "mobile", "--trunk", "nobody")
    assert "nothing to change" in routed.refused("route", "set", "mobile")
    for verb in ("show", "remove"):
        assert routed.refused("route", verb, "mobile") == 'There is no route "mobile".'
    said = routed.refused("route", "import", "-", stdin=b"34600,nobody\n")
    assert said == 'Line 1: there is no route "nobody"; nothing was imported.'
    assert "cannot be written to" in routed.refused("route", "explain", "anonymous")


def test_a_part_of_what_was_asked_is_not_left_out_without_a_word(routed):
    route = ("route", "add", "mobile", "--trunk", "direct")
    assert "names no prefix" in routed.refused(*route, "--prefix", "")
    assert "method weight only" in routed.refused(*route, "--trunk", "other:2")
    assert "method weight only" in routed.refused(*route, "--trunk", "other:2", "--method", "cost")
    routed.done(*route, "--prefix", "346")
    assert "method weight only" in routed.refused("route", "set", "mobile", "--trunk", "other:2")
    routed.done("route", "set", "mobile", "--prefix", "")
    assert routed.json("route", "show", "mobile")["prefixes"] == []
    for prefixes in ("", " , "):
        assert "prefixes are empty" in routed.refused("numbering", "set", "--mobile-prefixes", prefixes)
    routed.done("trunk", "add", "p", "--kind", "smpp", "--host", "127.0.0.1")
    assert "not both" in routed.refused("trunk", "errors", "p", "--set", "0x14=throttle", "--reset")


# -- lists ---------------------------------------------------------------------------------------------------------

NUMBERS = "móvil;texto\n600123001;\n600123002;Hola, señor €\n+34 600 123 001;dup\nanonymous;\n6.00123456E+8;\n\n"


def test_a_list_is_filled_from_files_by_hand_and_from_standard_input(ready, home):
    (home / "n.csv").write_text(NUMBERS, encoding="latin-1", errors="replace")
    created = ready.json("list", "create", "clients", "--csv", "n.csv")
    report = created["import"]
    assert {"rows_read": 5, "new": 2, "already_there": 0, "duplicates": 1, "refused": 2}.items() <= report.items()
    assert report["refused_rows"][0] == {"line": 5, "value": "anonymous", "reason": "withheld"}
    told = ready.done("list", "import", "clients", "n.csv")
    assert re.search(r"^already there +2$", told, re.M) and re.search(r"^ +5 +anonymous +withheld$", told, re.M)
    assert ready.json("list", "import", "clients", "-", stdin=b"600123003\r\n")["new"] == 1
    ready.done("list", "add", "clients", "600 123 004", "--text", "propio")
    assert ready.json("list", "add", "clients", "600123004") == {
        "name": "clients",
        "number": "34600123004",
        "added": False,
    }
    ready.done("list", "exclude", "clients", "+34600123004")
    shown = ready.json("list", "show", "clients")
    assert (shown["name"], shown["total"], len(shown["members"])) == ("clients", 4, 4)
    assert shown["members"][3] == {"number": "34600123004", "text": "propio", "excluded": True, "source": "hand"}
    assert ready.json("list", "show", "clients", "--filter", "3004")["total"] == 1
    assert "… and 3 more" in ready.done("list", "show", "clients", "--limit", "1")
    ready.done("list", "include", "clients", "600123004")
    assert ready.json("list", "show", "clients", "--filter", "propio")["members"][0]["excluded"] is False
    assert [(row["name"], row["total"], row["excluded"]) for row in ready.json("list", "list")] == [("clients", 4, 0)]
    assert "clients" in ready.done("list", "list")


@pytest.mark.parametrize(
    "command",
    [
        ["list", "import", "clients", "-"],
        ["list", "import", "clients", "/dev/stdin"],
        ["list", "create", "new", "--csv", "-"],
        ["optout", "import", "-"],
        ["campaign", "create", "spring", "--text", "Hola", "--csv", "-"],
    ],
    ids=" ".join,
)
def test_other_programs_may_write_while_numbers_come_slowly_on_standard_input(ready, home, command):
    ready.done("list", "create", "clients")
    numbers = b"".join(b"600%06d\n" % n for n in range(20_000))  # more than a pipe holds: it has begun to read
    with subprocess.Popen([*PROGRAM, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as importing:
        importing.stdin.write(numbers)
        others_may_write(home)
        said, _ = importing.communicate(b"600100001\n")
    assert importing.returncode == 0
    assert re.search(rb"^new +20001$", said, re.M)


def test_a_pipe_is_read_as_a_file_of_numbers_and_a_folder_is_none(ready, home):
    ready.done("list", "create", "clients")
    os.mkfifo(home / "pipe")
    with subprocess.Popen(["sh", "-c", "echo 600123005 > pipe"]):
        assert ready.json("list", "import", "clients", "pipe")["new"] == 1
    assert "cannot be read: Is a directory" in ready.refused("list", "import", "clients", str(home))


def test_an_export_is_imported_again_as_it_was_and_its_file_is_private(ready, home):
    ready.done("list", "create", "a", "--csv", "-", stdin=b'600123001,"=1+1, ""x""\nb"\n+447911123456,\n')
    ready.done("list", "exclude", "a", "600123001")
    exported = ready.done("list", "export", "a")
    assert list(csv.reader(io.StringIO(exported))) == [
        ["number", "text", "excluded"],
        ["+447911123456", "", "no"],
        ["34600123001", '=1+1, "x"\nb', "yes"],
    ]
    (home / "open.csv").touch()
    (home / "open.csv").chmod(0o644)
    for file, mode in (("a.csv", 0o600), ("open.csv", 0o644)):
        ready.done("list", "export", "a", file)
        assert (home / file).read_text() == exported
        assert (home / file).stat().st_mode & 0o777 == mode
    ready.done("list", "create", "b", "--csv", "a.csv")
    texts = {member["number"]: member["text"] for member in ready.json("list", "show", "b")["members"]}
    assert texts == {"+447911123456": None, "34600123001": '=1+1, "x"\nb'}
    ready.done("list", "delete", "a")
    assert [row["name"] for row in ready.json("list", "list")] == ["b"]


def test_what_cannot_be_done_with_lists_leaves_nothing_half_done(ready, home):
    (home / "n.csv").write_text(NUMBERS)
    (home / "binary.csv").write_bytes(bytes(range(256)) * 10)
    assert "cannot be read" in ready.refused("list", "create", "new", "--csv", "missing.csv")
    assert "cannot be read" in ready.refused("list", "create", "new", "--csv", str(home))
    assert "binary" in ready.refused("list", "create", "new", "--csv", "binary.csv")
    assert "no numbers" in ready.refused("list", "create", "new", "--csv", "-")
    assert ready.json("list", "list") == []
    ready.done("list", "create", "old")
    assert "already" in ready.refused("list", "create", "old", "--csv", "n.csv")
    assert "2 lines are refused" in ready.refused("list", "import", "old", "n.csv", "--strict")
    assert ready.json("list", "show", "old")["total"] == 0
    assert "too short" in ready.refused("list", "add", "old", "12")
    assert "not in the list" in ready.refused("list", "exclude", "old", "600123456")
    assert "cannot be written" in ready.refused("list", "export", "old", str(home / "no" / "where"))
    assert "empty" in ready.refused("list", "create", " ")
    for arguments in (["show"], ["delete"], ["export"], ["import", "n.csv"], ["add", "600123456"], ["exclude", "1"]):
        assert ready.refused("list", arguments[0], "nobody", *arguments[1:]) == 'There is no list "nobody".'
    assert not (home / "nobody").exists()


# -- harvest -------------------------------------------------------------------------------------------------------

CALLS = [("600100001", "912345678"), ("0034600100001", "912345678"), ("anonymous", "9"), ("101", "600100003")]


def test_a_harvest_takes_only_what_is_new(ready, home):
    write_calls(home, *CALLS)
    dry = ready.json("harvest", "callers", "--dry-run")
    assert (dry["dry_run"], dry["rows_read"], dry["new"]) == (True, 4, 2)
    report = ready.json("harvest", "callers")
    assert (report["rows_read"], report["new"], report["already_there"]) == (4, 2, 0)
    assert ready.json("list", "show", "callers")["total"] == 2
    assert ready.json("harvest", "callers")["new"] == 0
    assert re.search(r"^new +0$", ready.done("harvest", "callers", "--all"), re.M)
    only = ("--direction", "out", "--since", "2026-11-10", "--until", "2026-11-11 00:00", "--disposition", "ANSWERED")
    more = ("--min-billsec", "5", "--min-calls", "1", "--context", "from-trunk")
    assert ready.json("harvest", "out", *only, *more)["new"] == 1


def test_a_list_is_created_from_the_call_records(ready, home):
    write_calls(home, *CALLS)
    assert ready.json("list", "create", "callers", "--cdr")["harvest"]["new"] == 2
    assert {member["source"] for member in ready.json("list", "show", "callers")["members"]} == {"cdr"}


def test_other_programs_may_write_while_the_call_records_for_a_new_list_are_read(ready, home, monkeypatch):
    class Slow:
        def __init__(self, *where):
            self._source = open_cdr(*where)
            self.identity = self._source.identity

        def read(self, *args, **kwargs):
            for batch in self._source.read(*args, **kwargs):
                others_may_write(home)
                yield batch

    monkeypatch.setattr("ixxsms.asterisk.cdr.open_cdr", Slow)
    write_calls(home, *CALLS)
    assert ready.json("list", "create", "callers", "--cdr")["harvest"]["new"] == 2


def test_a_number_of_the_file_and_of_the_call_records_is_new_on_the_list_once(ready, home):
    write_calls(home, *CALLS)
    created = ready.json("list", "create", "both", "--csv", "-", "--cdr", stdin=b"600100001\n600100009\n")
    assert created["import"]["new"] == 2
    assert {"mobiles": 2, "new": 1, "already_there": 1}.items() <= created["harvest"].items()
    assert ready.json("list", "show", "both")["total"] == 3


def test_call_records_that_cannot_be_read_leave_no_list(ready, home, monkeypatch):
    for url in (f"sqlite:///{home / 'missing.db'}", "nonsense://x", str(home / "Master.csv")):
        monkeypatch.setenv("IXXSMS_CDR_URL", url)
        ready.refused("list", "create", "callers", "--cdr")
        ready.refused("harvest", "callers")
    sqlite3.connect(home / "empty.db").close()
    ready.refused("harvest", "callers", "--cdr-url", f"sqlite:///{home / 'empty.db'}")
    monkeypatch.setenv("IXXSMS_CDR_URL", "")
    assert "cdr_url" in ready.refused("harvest", "callers")
    assert "cdr_url" in ready.refused("list", "create", "callers", "--cdr")
    write_calls(home, *CALLS)
    url = f"sqlite:///{home / 'cdr.db'}"
    for wrong in (["--since", "yesterday"], ["--until", "31/12/2026"], ["--direction", "up"]):
        ready.refused("harvest", "callers", "--cdr-url", url, *wrong)
    assert ready.json("list", "list") == []


# -- campaigns -----------------------------------------------------------------------------------------------------


@pytest.fixture
def clients(ready):
    """Three members: one excluded, one with its own text."""
    ready.done("list", "create", "clients", "--csv", "-", stdin="600100001\n600100002;=Hola ñ\n600100003\n".encode())
    ready.done("list", "exclude", "clients", "600100003")
    return ready


def test_a_campaign_from_its_creation_to_its_end(clients, home):
    write_script(home, "note")
    clients.done("trunk", "add", "note", "--kind", "script", "--script", "note")
    created = clients.json("campaign", "create", "spring", "--text", "Hola [x]", "--list", "clients", "--trunk", "note")
    assert created == {"name": "spring", "state": "paused", "total": 3, "segments": 2}
    clients.done("campaign", "edit", "spring", "--text", "Adiós", "--from", "20:00", "--to", "02:00")
    clients.done("campaign", "edit", "spring", "--start", "2020-01-01 09:30")
    shown = clients.json("campaign", "show", "spring")
    assert (shown["text"], shown["hours"], shown["start_at"][:16]) == ("Adiós", "20:00-02:00", "2020-01-01T09:30")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", shown["created_at"])
    clients.done("campaign", "edit", "spring", "--from", "00:00", "--to", "24:00")
    assert "running" in clients.done("campaign", "resume", "spring")
    assert [view["name"] for view in clients.json("campaign", "list", "--state", "running")] == ["spring"]
    service = subprocess.run([sys.executable, "-m", "ixxsms.daemon", "--drain"], capture_output=True, timeout=60)
    assert service.returncode == 0, service.stderr
    shown = clients.json("campaign", "show", "spring")
    assert (shown["state"], shown["total"], shown["done"], shown["progress"]) == ("finished", 3, 3, 1.0)
    assert (shown["states"]["accepted"], shown["states"]["excluded"], shown["time_left_seconds"]) == (2, 1, None)
    rows = clients.json("campaign", "numbers", "spring")
    assert [(row["number"], row["state"], row["trunk"]) for row in rows] == [
        ("34600100001", "accepted", "note"),
        ("34600100002", "accepted", "note"),
        ("34600100003", "excluded", ""),
    ]
    rows = list(csv.DictReader(io.StringIO(clients.done("campaign", "numbers", "spring", "--csv"))))
    assert [row["text"] for row in rows] == ["", "'=Hola ñ", ""]
    assert clients.json("campaign", "numbers", "spring", "--state", "refused") == []
    assert "34600100001  accepted" in clients.done("campaign", "numbers", "spring", "--limit", "1")
    assert "finished" in clients("campaign", "show", "spring", "--follow").err
    clients.done("campaign", "delete", "spring")
    assert [view["name"] for view in clients.json("campaign", "list")] == ["outgoing queue"]


def test_what_an_smsc_wrote_is_no_formula_in_the_csv_of_a_campaign(clients):
    clients.done("campaign", "create", "spring", "--text", "Hola", "--list", "clients")
    with package.open() as pbx, pbx.database.write() as session:
        session.execute(update(Message).values(remote_id="=1+1", reason="@SUM(A1)"))
    rows = list(csv.DictReader(io.StringIO(clients.done("campaign", "numbers", "spring", "--csv"))))
    assert {(row["remote_id"], row["reason"]) for row in rows} == {("'=1+1", "'@SUM(A1)")}


def test_a_campaign_from_a_file_and_a_list(clients, home):
    (home / "n.csv").write_text("600100001;Suyo\n600100003\n600100009\nanonymous\n")
    options = ("--list", "clients", "--csv", "n.csv", "--from", "08:00", "--to", "20:00", "--run")
    told = clients.done("campaign", "create", "both", "--text", "-", *options, stdin=b"Hola\n")
    assert "running: 4 numbers, 3 segments to send" in told and "anonymous" in told
    states = {row["number"]: row["state"] for row in clients.json("campaign", "numbers", "both")}
    assert states["34600100003"] == "excluded"
    held = clients.json("list", "exclude", "clients", "600100001")
    assert held["held_back"] == 1
    assert "paused" in clients.done("campaign", "stop", "both")
    assert "both" in clients.done("campaign", "list")


def test_what_cannot_be_done_with_campaigns_leaves_nothing_half_done(clients, home):
    create = ("campaign", "create", "new", "--list", "clients", "--text")
    assert "empty" in clients.refused(*create, "")
    assert "empty" in clients.refused(*create, "-", stdin=b"\n")
    assert "segments" in clients.refused(*create, "x" * 5000)
    for day in ("tomorrow", "2026-13-01", "2026-02-30 10:00"):
        assert "no date" in clients.refused(*create, "x", "--start", day)
    for first, last in (("25:00", "26:00"), ("8", "9"), ("08:60", "09:00"), ("ocho", "nueve")):
        assert "no time of the day" in clients.refused(*create, "x", "--from", first, "--to", last)
    assert "leave no time" in clients.refused(*create, "x", "--from", "08:00", "--to", "08:00")
    assert "both" in clients.refused(*create, "x", "--from", "08:00")
    assert "sender id" in clients.refused(*create, "x", "--sender-id", "ñ")
    assert "no trunk" in clients.refused(*create, "x", "--trunk", "nobody")
    assert "no list" in clients.refused("campaign", "create", "new", "--text", "x", "--list", "nobody")
    assert "list or a file" in clients.refused("campaign", "create", "new", "--text", "x")
    assert "cannot be read" in clients.refused("campaign", "create", "new", "--text", "x", "--csv", "missing.csv")
    assert "valid number" in clients.refused("campaign", "create", "new", "--text", "x", "--csv", "-", stdin=b"1\n2\n")
    assert "already" in clients.refused("campaign", "create", "outgoing queue", "--text", "x", "--list", "clients")
    assert [view["name"] for view in clients.json("campaign", "list")] == ["outgoing queue"]
    assert [row["name"] for row in clients.json("list", "list")] == ["clients"]
    clients.done("campaign", "create", "old", "--text", "x", "--list", "clients", "--run")
    assert "already" in clients.refused("campaign", "create", "old", "--text", "x", "--list", "clients")
    assert "paused" in clients.refused("campaign", "edit", "old", "--text", "y")
    assert "stop it first" in clients.refused("campaign", "delete", "old")
    assert "nothing to change" in clients.refused("campaign", "edit", "old")
    assert "no state" in clients.refused("campaign", "list", "--state", "nonsense")
    assert "no state" in clients.refused("campaign", "numbers", "old", "--state", "nonsense")
    assert "always there" in clients.refused("campaign", "delete", "outgoing queue")
    for verb in ("show", "numbers", "stop", "resume", "delete"):
        assert clients.refused("campaign", verb, "nobody") == 'There is no campaign "nobody".'


# -- messages ------------------------------------------------------------------------------------------------------


def test_the_outgoing_queue(ready, home):
    write_script(home, "note")
    ready.done("trunk", "add", "note", "--kind", "script", "--script", "note")
    first = ready.json("send", "600123456", "uno", "--queue")
    assert first == {"id": first["id"], "state": "queued"}
    assert "Queued as message" in ready.done("send", "600123457", "dos", "--queue")
    rows = ready.json("outbox")
    assert [(row["number"], row["text"]) for row in rows] == [("34600123457", "dos"), ("34600123456", "uno")]
    assert ready.json("outbox", "--limit", "1", "--state", "queued") == rows[:1]
    assert "34600123456  queued" in ready.done("outbox")
    assert ready.json("campaign", "list")[0]["total"] == 2
    assert "no state" in ready.refused("outbox", "--state", "nonsense")
    status = ready.json("status")
    assert (status["daemons"], status["queued"], status["outgoing_queue"], status["in_doubt"]) == ([], 2, 2, 0)
    assert [(trunk["name"], trunk["link"]) for trunk in status["trunks"]] == [("note", "no daemon")]
    assert ready.done("status").startswith("No ixxmassivesms is alive")


@pytest.mark.parametrize(("heartbeat", "age", "late"), [("5", 9, False), ("0.1", 9, False), ("5", 13, True)])
def test_the_status_says_when_a_daemon_that_runs_shows_no_life(ready, monkeypatch, heartbeat, age, late):
    monkeypatch.setenv("IXXSMS_HEARTBEAT_SECONDS", heartbeat)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)  # a slow machine takes some seconds for the commands
    with package.open() as pbx, pbx.database.write() as session:
        daemons.register(session, [], now - age)
    why = ready.json("status")["daemons"][0]["why"]
    assert why == ("its last sign of life is 13 s old; see its log" if late else "")
    assert ("\nBut its last sign of life is 13 s old" in ready.done("status")) is late


def test_a_send_that_is_not_accepted_says_so(ready, home):
    assert ready.refused("send", "600123456", "x") == "There is no active trunk; run: ixxsms trunk add"
    assert "too short" in ready.refused("send", "12", "x", "--queue")
    write_script(home, "refusing", 'echo "7;no such\tnumber;0;1"')
    write_script(home, "silent", "exit 0")
    ready.done("trunk", "add", "refusing", "--kind", "script", "--script", "refusing")
    ready.done("trunk", "add", "silent", "--kind", "script", "--script", "silent", "--priority", "2")
    assert "too short" in ready.refused("send", "12", "x")
    assert "empty" in ready.refused("send", "600123456", " ")
    assert "no trunk" in ready.refused("send", "600123456", "x", "--trunk", "nobody")
    assert "sender id" in ready.refused("send", "600123456", "x", "--sender-id", "far too long a name")
    assert ready.json("outbox") == []
    refused = ready.refused("send", "600123456", "x", "--trunk", "refusing")
    assert refused == "The message to 34600123456 was refused: no such number."
    answer = ready("send", "600123456", "x", "--trunk", "silent", "--json")
    assert (answer.code, json.loads(answer.out)["state"]) == (1, "in_doubt")
    assert "in doubt, it may have been sent" in answer.err


def test_a_hint_can_be_typed_as_it_stands(ready, home):
    write_script(home, "note")
    said = ready.done("trunk", "add", "my way", "--kind", "script", "--script", "note", "--inactive")
    assert said.endswith("ixxsms trunk test 'my way'\n")
    refused = ready.refused("send", "600123456", "x")
    assert refused == "There is no active trunk; run: ixxsms trunk enable 'my way'"
    created = ready.done("campaign", "create", "it's on", "--text", "x", "--csv", "-", stdin=b"600123456\n")
    assert created.endswith("Let it run: ixxsms campaign resume 'it'\"'\"'s on'\n")


def test_a_value_that_is_not_utf8_is_refused(ready, home):
    write_script(home, "note")
    ready.done("trunk", "add", "note", "--kind", "script", "--script", "note")
    assert "UTF-8" in ready.refused("send", "600123456", "\udcff", "--queue")
    assert "printable" in ready.refused("list", "create", "\udcff")


HUGE = str(10**30)


@pytest.mark.parametrize(
    "arguments",
    ["outbox", "outbox doubt", "inbox", "optout list", "receipts unmatched", "list show a", "campaign numbers c"],
)
@pytest.mark.parametrize("limit", [HUGE, str(2**63 - 1)])
def test_a_limit_that_no_database_takes_is_a_mistake_of_usage(ready, arguments, limit):
    ran = ready(*arguments.split(), "--limit", limit)
    assert (ran.code, ran.out) == (2, "") and "--limit" in ran.err


def test_a_number_that_no_database_can_hold_is_one_sentence(ready, home):
    write_script(home, "note")
    ready.done("trunk", "add", "note", "--kind", "script", "--script", "note")
    for option in ("--priority", "--most-daemons"):
        assert "2147483647" in ready.refused("trunk", "edit", "note", option, HUGE)
        assert "2147483647" in ready.refused("trunk", "add", "b", "--kind", "script", "--script", "note", option, HUGE)
    assert "larger than" in ready.refused("outbox", "resolve", HUGE, "--as", "sent")
    with package.open() as pbx, pytest.raises(package.Error, match="larger than"):
        pbx.message(10**30)


def test_a_pace_that_is_no_number_is_refused(ready, home):
    write_script(home, "note")
    options = ("--kind", "script", "--script", "note")
    ready.done("trunk", "add", "note", *options)
    for pace in ("nan", "inf", "-inf", "-1"):
        assert "pace of a trunk" in ready.refused("trunk", "add", "b", *options, "--pace", pace)
        assert "pace of a trunk" in ready.refused("trunk", "edit", "note", "--pace", pace)
    assert ready.json("trunk", "show", "note")["pace"] == 0


def test_hours_between_two_sms_that_never_end_are_refused(ready):
    options = ("--event", "missed_call", "--text", "x", "--every-hours", "inf")
    assert "hours between two SMS" in ready.refused("hook", "add", "h", *options)


# -- configuration and database ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["nonsense", "nonsense://host/db", "sqlite://", "sqlite:////dev/null/ixxsms.db", "oracle+nonsense://host/db"],
)
def test_a_wrong_database_url_is_one_sentence(program, monkeypatch, url):
    monkeypatch.setenv("IXXSMS_DATABASE_URL", url)
    program.refused("status")
    program.refused("init")


def test_a_database_url_never_shows_its_password(program, monkeypatch):
    monkeypatch.setenv("IXXSMS_DATABASE_URL", "nonsense://me:s3cret@host/db")
    assert "s3cret" not in program.refused("status")
    monkeypatch.setenv("IXXSMS_DATABASE_URL", "mysql://me:s3cret@host:port/db")
    assert "s3cret" not in program.refused("init")


def test_a_file_that_is_no_database_is_one_sentence(program, home):
    (home / "ixxsms.db").write_text("this is not a database at all, it is a text " * 50)
    assert "cannot be used" in program.refused("status")
    assert "cannot be used" in program.refused("init")


def test_a_broken_configuration_is_one_sentence(program, home, monkeypatch):
    monkeypatch.delenv("IXXSMS_DATABASE_URL")
    assert "ixxsms init" in program.refused("status")
    (home / "etc").mkdir()
    for text in ("nonsense", "[ixxsms]\nnonsense = 1\n", "[ixxsms]\nmax_segments = many\n", "[ixxsms]\n"):
        (home / "etc" / "ixxsms.conf").write_text(text)
        program.refused("status")


def test_the_version(program):
    assert program.done("--version") == f"ixxsms {package.__version__}\n"


# -- errors, receipts, messages in doubt -----------------------------------------------------------------------------


@pytest.fixture
def doubtful(ready, home):
    """Twelve messages in doubt through the trunk p; their ids."""
    ready.done("trunk", "add", "p", "--kind", "smpp", "--host", "127.0.0.1", "--inactive")
    for n in range(12):
        ready.done("send", f"6000000{n:02}", "hola", "--queue")
    with package.open() as pbx:
        trunk_id = pbx.trunks.get("p").id
        with pbx.database.write() as session:
            claimed = outbox.claim(session, trunk_id, 1, [outbox.Source()], room=100, better=(), now=time.time())
            events = [InDoubt(message.id, "the link was lost") for message in claimed]
            retry = outbox.Retry(max_attempts=5, first_wait=30.0)
            outbox.record(session, trunk_id, Heard(events), now=time.time(), retry=retry)
        return [message.id for message in claimed]


def test_messages_in_doubt_are_shown_with_their_ids_and_resolved(ready, doubtful):
    assert [row["id"] for row in ready.json("outbox", "doubt")] == doubtful
    table = ready.done("outbox", "doubt", "--limit", "2", "--trunk", "p")
    assert f"{doubtful[0]}  34600000000  in_doubt" in table and "10 more" in table
    first, second, third = map(str, doubtful[:3])
    assert ready.done("outbox", "resolve", first, "--as", "sent") == "1 message in doubt resolved as sent.\n"
    assert ready.json("outbox", "resolve", second, third, "--as", "resend") == {
        "as": "resend",
        "resolved": 2,
        "opted_out": 0,
    }
    assert (
        ready.done("outbox", "resolve", "--trunk", "p", "--as", "failed") == "9 messages in doubt resolved as failed.\n"
    )
    states = {row["id"]: row["state"] for row in ready.json("outbox")}
    assert [states[message_id] for message_id in doubtful] == ["accepted", "queued", "queued", *["refused"] * 9]
    assert ready.json("outbox", "doubt") == []


def test_many_messages_are_resolved_only_after_a_question(ready, doubtful):
    assert "12 messages would be settled; say --yes" in ready.refused("outbox", "resolve", "--all", "--as", "sent")
    assert len(ready.json("outbox", "doubt")) == 12
    assert "12 messages" in ready.done("outbox", "resolve", "--all", "--as", "sent", "--yes")


def test_what_cannot_be_resolved_is_refused_as_a_whole(ready, doubtful):
    assert "Say which" in ready.refused("outbox", "resolve", "--as", "sent")
    assert "Not in doubt: 4711" in ready.refused("outbox", "resolve", str(doubtful[0]), "4711", "--as", "sent")
    assert "sent, failed, resend" in ready.refused("outbox", "resolve", str(doubtful[0]), "--as", "perhaps")
    assert "no campaign" in ready.refused("outbox", "resolve", "--campaign", "nobody", "--as", "sent")
    assert len(ready.json("outbox", "doubt")) == 12


def test_error_codes_are_shown_changed_and_reset(ready):
    ready.done("trunk", "add", "p", "--kind", "smpp", "--host", "127.0.0.1", "--receipt-failover")
    assert ready.json("trunk", "show", "p")["receipt_failover"] is True
    ready.done("trunk", "edit", "p", "--no-receipt-failover")
    assert ready.json("trunk", "show", "p")["receipt_failover"] is False
    table = ready.done("trunk", "errors", "p", "--set", "0x14=throttle", "--provider", "hollatags")
    assert re.search(r"^0x14 +throttle +trunk", table, re.M) and re.search(r"^0x0401 +stop +hollatags", table, re.M)
    with package.open() as pbx, pbx.database.write() as session:
        codes.note(session, trunks.get(session, "p").id, [("0x58", "too fast")] * 2, time.time())
    (seen,) = ready.json("trunk", "errors", "p", "--seen", "--reset")
    assert (seen["code"], seen["class"], seen["from"], seen["count"]) == ("0x58", "throttle", "default", 2)
    assert "0x14=throttle" in ready.refused("trunk", "errors", "p", "--set", "0x14=never")
    assert re.search(r"^0x14 +retry +default", ready.done("trunk", "errors", "p", "--provider", ""), re.M)


def test_receipts_that_found_no_message_are_shown(ready):
    ready.done("trunk", "add", "p", "--kind", "smpp", "--host", "127.0.0.1")
    with package.open() as pbx, pbx.database.write() as session:
        heard = [Receipt("39f9", False, "UNDELIV", "27", "34600000001")]
        receipts.store(session, trunks.get(session, "p").id, heard, time.time())
    (row,) = ready.json("receipts", "unmatched", "--trunk", "p")
    assert (row["trunk"], row["remote_id"], row["delivered"], row["code"]) == ("p", "39f9", False, "27")
    assert "p      39f9       34600000001  failed  UNDELIV 27" in ready.done("receipts", "unmatched")


def test_numbers_opt_out_are_asked_for_and_come_back(ready, home):
    assert ready.done("optout", "add", "600 123 456", "--note", "=cmd|' /C calc") == "34600123456 has opted out.\n"
    assert ready.done("optout", "add", "600123456") == "34600123456 had opted out already.\n"
    assert ready.json("optout", "add", "600000001") == {"number": "34600000001", "added": True}
    shown = ready.json("optout", "list", "--filter", "6001")
    assert (shown["total"], shown["numbers"][0]["source"]) == (1, "hand")
    table = ready.done("optout", "list")
    assert table.startswith("2 numbers\n") and max(map(len, table.splitlines())) <= 80
    found = ready.json("optout", "check", "+34600123456")
    assert (found["number"], found["opted_out"], found["note"]) == ("34600123456", True, "=cmd|' /C calc")
    assert ready.json("optout", "check", "600000002") == {"number": "34600000002", "opted_out": False}
    assert ready("send", "600123456", "hola", "--queue").err == (
        "ixxsms: The number 34600123456 has opted out: it must not be written to.\n"
    )
    exported = list(csv.reader(io.StringIO(ready.done("optout", "export"))))
    assert exported[0] == ["number", "note", "source", "since"]
    assert [row[:3] for row in exported[1:]] == [
        ["34600000001", "", "hand"],
        ["34600123456", "'=cmd|' /C calc", "hand"],
    ]
    assert ready.done("optout", "remove", "600123456") == "34600123456 may be written to again.\n"
    ran = ready("optout", "remove", "600123456")
    assert (ran.code, ran.err) == (1, "ixxsms: The number 34600123456 has not opted out.\n")
    assert ready("optout", "add", "12").err == 'ixxsms: The number "12" cannot opt out: too short.\n'
    assert "Queued" in ready.done("send", "600123456", "hola", "--queue")


def test_a_file_of_numbers_opts_out_and_what_is_exported_can_be_imported(ready, home):
    (home / "no.csv").write_text("phone;why\n600000001;Ana\n600000001;twice\nabc;\n", encoding="utf-8")
    found = ready.json("optout", "import", "no.csv")
    assert (found["rows_read"], found["new"], found["duplicates"], found["refused"]) == (3, 1, 1, 1)
    assert ready("optout", "import", "no.csv", "--strict").err.startswith("ixxsms: Nothing was imported, 1 line is")
    ready.done("optout", "export", "out.csv")
    ready.done("optout", "remove", "600000001")
    assert "new                1" in ready.done("optout", "import", "-", stdin=(home / "out.csv").read_bytes())
    assert ready.json("optout", "check", "600000001")["note"] == "Ana"


def test_what_came_in_is_shown(ready, home):
    from ixxsms import inbox
    from ixxsms.events import Received

    with package.open() as pbx, pbx.database.write() as session:
        inbox.store(session, 99, [Received("34600000001", "34900123123", "hola\x1b[31m\nsegunda")], 1_800_000_000.0)
        inbox.store(session, 99, [Received("34600000002", "34900123123", "a", 7, 1, 2)], 1_800_000_000.0)
        inbox.give_up(session, 1_900_000_000.0)
    first, second = ready.json("inbox")
    assert (first["text"], first["whole"], first["from"]) == ("a[…]", False, "34600000002")
    assert (second["text"], second["whole"], second["trunk"]) == ("hola\x1b[31m\nsegunda", True, "(removed)")
    shown = ready.done("inbox", "--limit", "1")
    assert "a[…]" in shown and "segunda" not in shown
    assert "\x1b" not in ready.done("inbox")
