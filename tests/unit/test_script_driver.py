"""The script trunk with real scripts: every row of the contract, and texts that want to be commands."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import ixxsms
from ixxsms.drivers.base import Link, TrunkConfig
from ixxsms.drivers.script import ScriptDriver, check_options, check_script
from ixxsms.drivers.script_run import outcome_of
from ixxsms.errors import BadInput
from ixxsms.events import Accepted, Deferred, Event, InDoubt, Refused, Stopped, Submission
from ixxsms.text import Encoding, encoding_of

Write = Callable[..., Path]
Make = Callable[..., ScriptDriver]


@pytest.fixture
def script(tmp_path: Path) -> Write:
    """Writes a script of that body into the script directory."""
    tmp_path.chmod(0o755)

    def write(body: str, name: str = "send", mode: int = 0o755) -> Path:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(mode)
        return path

    return write


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Make]:
    """Makes a driver for the script `send`."""
    made: list[ScriptDriver] = []

    def make(timeout: float = 10.0, **options: object) -> ScriptDriver:
        options = {"script": "send", **options}
        made.append(ScriptDriver(TrunkConfig("t", "script", options, script_dir=tmp_path, script_timeout=timeout)))
        return made[-1]

    yield make
    for opened in made:
        opened.close()


def message(message_id: int = 1, text: str = "hello", sender: str = "acme") -> Submission:
    return Submission(message_id, "34600000001", text, sender)


def run(driver: ScriptDriver, *messages: Submission) -> list[Event]:
    """Submit and collect until every outcome is there."""
    driver.submit(messages)
    events: list[Event] = []
    deadline = time.monotonic() + 20
    while driver.in_flight() and time.monotonic() < deadline:
        events += driver.poll(1.0)
    return events + driver.poll(0.0)


NO_CREDIT = [Deferred(1, "no credit", "5", elsewhere=True, counted=False), Stopped("no credit")]


@pytest.mark.parametrize(
    ("body", "events"),
    [
        ("echo '0;ok;0;0'", [Accepted(1)]),
        ("echo '0;ok;0;1'", [Accepted(1)]),
        ("echo '0;last of the credit;1;0'", [Accepted(1), Stopped("last of the credit")]),
        ("echo '5;no credit;1;0'", NO_CREDIT),
        ("echo '5;no credit;1;1'", NO_CREDIT),
        ("echo '7;no such number;0;1'", [Refused(1, "no such number", "7")]),
        ("echo '8;busy;0;0'", [Deferred(1, "busy", "8", elsewhere=True)]),
        ("echo '-1;busy;0;0'; exit 4", [Deferred(1, "busy", "-1", elsewhere=True)]),
        ("echo '9;;0;0'", [Deferred(1, "The script refused the message (code 9).", "9", elsewhere=True)]),
        ("echo '0;ok;0;0'; exit 3",
         [InDoubt(1, "The script said that the message went, but ended with exit status 3.")]),
        ("exit 0", [InDoubt(1, "The script ended without saying what became of the message.")]),
        ("echo thanks", [InDoubt(1, "The script ended without saying what became of the message.")]),
        ("echo '0;ok;0'", [InDoubt(1, "The script ended without saying what became of the message.")]),
        ("echo '0;ok;0;2'", [InDoubt(1, "The script ended without saying what became of the message.")]),
        ("exit 9", [Deferred(1, "The script ended with exit status 9.", elsewhere=True)]),
        ("echo first >&2; echo 'the gateway is away' >&2; exit 9",
         [Deferred(1, "The script ended with exit status 9: the gateway is away", elsewhere=True)]),
        ("kill -KILL $$", [InDoubt(1, "The script was ended by SIGKILL before it said anything.")]),
        ("echo 'debug'; echo '1;x;0;0'; echo '0;ok;0;0'; echo; echo '  '", [Accepted(1)]),
        ("echo '3;a;b;c;0;1'", [Refused(1, "a;b;c", "3")]),
        ("printf '0 ; ok ; 0 ; 0\\r\\n'", [Accepted(1)]),
        ("printf '0;ok;0;0'", [Accepted(1)]),
        ("printf '7;a\\033[2Jb\\tc\\377;0;1\\n'", [Refused(1, "a [2Jb c", "7")]),
    ],
)  # fmt: skip
def test_the_last_line_and_the_exit_status_decide(body: str, events: list[Event], script: Write, driver: Make) -> None:
    script(body)
    assert run(driver(), message()) == events


def test_a_message_of_a_script_is_bounded(script: Write, driver: Make) -> None:
    script("printf '7;'; head -c 3000 /dev/zero | tr '\\0' x; echo ';0;1'")
    (event,) = run(driver(), message())
    assert event == Refused(1, "x" * 200, "7")


def test_a_script_that_talks_without_end_is_read_and_only_its_end_is_kept(script: Write, driver: Make) -> None:
    script("head -c 3000000 /dev/zero | tr '\\0' y; head -c 300000 /dev/zero >&2; echo; echo '0;ok;0;0'")
    assert run(driver(), message()) == [Accepted(1)]


@pytest.mark.parametrize(
    "text",
    [
        "$(touch pwned) `touch pwned` ; touch pwned | touch pwned & touch pwned",
        "it's \"quoted\" and 'quoted'",
        "two\nlines\r\nand\ttabs",
        "emoji 😀 and ñandú and 中文",
        "-n --help -e",
        "*?[a-z]~ %s %d \\n $HOME ${PATH} !!",
        " leading and trailing ",
        "",
        "x" * 5000,
    ],
)
def test_a_text_arrives_as_it_was_written(text: str, script: Write, driver: Make, tmp_path: Path) -> None:
    script('printf \'%s\' "$3" > said; printf \'%s|%s|%s|%s\' "$1" "$2" "$4" $# > rest; echo \'0;;0;0\'')
    assert run(driver(), message(text=text)) == [Accepted(1)]
    assert (tmp_path / "said").read_bytes() == text.encode()
    assert not (tmp_path / "pwned").exists()
    unicode = "1" if encoding_of(text) is Encoding.UCS2 else "0"
    assert (tmp_path / "rest").read_text() == f"acme|34600000001|{unicode}|4"


def test_a_nul_and_a_lone_surrogate_do_not_stop_a_message(script: Write, driver: Make, tmp_path: Path) -> None:
    script("printf '%s' \"$3\" > said; echo '0;;0;0'")
    assert run(driver(), message(text="a\0b\ud800c")) == [Accepted(1)]
    assert (tmp_path / "said").read_bytes() == b"ab?c"


def test_a_script_gets_an_empty_input_its_own_directory_and_a_small_environment(
    script: Write, driver: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IXXSMS_DATABASE_URL", "mysql://user:secret@host/db")
    script("cat; env > environment; pwd > where; echo '0;;0;0'")
    assert run(driver(), message()) == [Accepted(1)]
    names = {line.split("=")[0] for line in (tmp_path / "environment").read_text().splitlines()}
    assert names - {"PWD", "SHLVL", "_", "OLDPWD"} == {"PATH", "LANG", "HOME"}
    assert Path((tmp_path / "where").read_text().strip()).resolve() == tmp_path.resolve()


def test_a_script_that_does_not_end_is_ended_with_all_that_it_started(
    script: Write, driver: Make, tmp_path: Path
) -> None:
    script("sleep 600 & echo $! > child; sleep 600")
    started = time.monotonic()
    (event,) = run(driver(timeout=0.5), message())
    assert event == InDoubt(1, "The script did not end within 0.5 seconds and was ended.")
    assert time.monotonic() - started < 5
    child = int((tmp_path / "child").read_text())
    for _ in range(100):  # it is dead at once, but somebody has to bury it
        status = Path(f"/proc/{child}/stat")
        if not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return
        time.sleep(0.02)
    with suppress(ProcessLookupError):
        os.kill(child, 9)
    pytest.fail("a child of the script went on")


def test_a_script_that_leaves_a_child_behind_is_over_when_it_ends(script: Write, driver: Make) -> None:
    script("sleep 2 & echo '0;ok;0;0'")
    started = time.monotonic()
    assert run(driver(), message()) == [Accepted(1)]
    assert time.monotonic() - started < 1.5


def test_a_script_that_closes_its_outputs_and_goes_on_is_waited_for_without_spinning(
    script: Write, driver: Make
) -> None:
    script("echo '0;ok;0;0'; exec >&- 2>&-; sleep 0.5")
    opened = driver()
    before = time.process_time()
    assert run(opened, message()) == [Accepted(1)]
    assert time.process_time() - before < 0.25


def test_scripts_run_side_by_side_up_to_the_window(script: Write, driver: Make, tmp_path: Path) -> None:
    (tmp_path / "started").mkdir()
    (tmp_path / "running").mkdir()
    script(
        "touch started/$$ running/$$; ls running | wc -l >> most; "
        "while [ $(ls started | wc -l) -lt 3 ]; do sleep 0.01; done; rm running/$$; echo '0;ok;0;0'"
    )
    opened = driver(window=3)
    assert opened.room() == 3
    opened.submit([message(n) for n in range(1, 7)])
    assert (opened.room(), opened.in_flight()) == (0, 6)
    events = run(opened)  # the first could not end without the third
    assert {event.message_id for event in events if isinstance(event, Accepted)} == set(range(1, 7))
    assert max(map(int, (tmp_path / "most").read_text().split())) <= 3
    assert opened.room() == 3


def test_a_trunk_that_a_script_stopped_hands_back_what_waits(script: Write, driver: Make) -> None:
    script("echo '5;no credit;1;0'")
    opened = driver(window=1)
    events = run(opened, message(1), message(2))
    assert events == [
        Deferred(1, "no credit", "5", elsewhere=True, counted=False),
        Stopped("no credit"),
        Deferred(2, "The trunk is stopped: no credit", elsewhere=True, counted=False),
    ]
    assert (opened.link, opened.why, opened.room()) == (Link.STOPPED, "no credit", 0)


def test_a_script_without_an_interpreter_defers_and_says_why(tmp_path: Path, driver: Make) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "send").write_text("#!/no/such/interpreter\n")
    (tmp_path / "send").chmod(0o755)
    (event,) = run(driver(), message())
    assert isinstance(event, Deferred)
    assert event.elsewhere
    assert event.reason == "The script cannot be started: No such file or directory."


def test_closing_waits_a_second_and_settles_everything(script: Write, driver: Make) -> None:
    script('case "$3" in slow) sleep 600;; esac; echo "0;ok;0;0"')
    opened = driver(window=2)
    opened.submit([message(1, "slow"), message(2), message(3)])
    events = opened.poll(0.0)
    started = time.monotonic()
    events += opened.close()
    assert time.monotonic() - started < 3
    assert {type(event): event.message_id for event in events} == {Deferred: 3, Accepted: 2, InDoubt: 1}  # type: ignore[union-attr]
    assert opened.in_flight() == 0


def test_an_idle_poll_waits_as_long_as_it_was_told(script: Write, driver: Make) -> None:
    script("true")
    opened = driver()
    started = time.monotonic()
    assert opened.poll(0.1) == []
    assert 0.09 < time.monotonic() - started < 1


def test_no_descriptor_and_no_process_is_left_behind(script: Write, driver: Make) -> None:
    script("echo '0;ok;0;0'")
    opened = driver()
    run(opened, message(1))
    before = len(os.listdir("/proc/self/fd")), children()
    run(opened, *(message(n) for n in range(2, 30)))
    assert (len(os.listdir("/proc/self/fd")), children()) == before


def children() -> set[str]:
    """The processes that this one has started and not reaped: the test run's servers may be among them."""
    return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


# Which scripts may run


def test_a_good_script_is_found(script: Write, tmp_path: Path) -> None:
    written = script("true")
    assert check_script("send", tmp_path) == written.resolve()


@pytest.mark.parametrize("name", ["../send", "/bin/true", "a/b", ".hidden", "..", ".", "a\0b"])
def test_a_path_is_not_a_name(name: str, script: Write, tmp_path: Path) -> None:
    script("true")
    with pytest.raises(BadInput, match="name of a file in"):
        check_script(name, tmp_path)


def test_an_empty_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="needs the name"):
        check_script("", tmp_path)


def test_a_script_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r'There is no script "nope" in'):
        check_script("nope", tmp_path)
    with pytest.raises(BadInput, match=r'There is no script "nope" in'):
        check_script("nope", tmp_path / "missing")


def test_a_directory_is_not_a_script(script: Write, tmp_path: Path) -> None:
    script("true")
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadInput, match="not a regular file"):
        check_script("folder", tmp_path)


def test_a_link_may_not_lead_outside(script: Write, tmp_path: Path) -> None:
    inside = script("true")
    (tmp_path / "good").symlink_to(inside)
    (tmp_path / "bad").symlink_to("/bin/sh")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert check_script("good", tmp_path) == inside.resolve()
    with pytest.raises(BadInput, match="a link to a file outside"):
        check_script("bad", tmp_path)
    with pytest.raises(BadInput, match="There is no script"):
        check_script("loop", tmp_path)


def test_a_script_must_be_executable(script: Write, tmp_path: Path) -> None:
    script("true", mode=0o644)
    with pytest.raises(BadInput, match=r"cannot be executed: chmod \+x"):
        check_script("send", tmp_path)


def test_a_script_that_every_user_may_change_is_refused(script: Write, tmp_path: Path) -> None:
    script("true", mode=0o757)
    with pytest.raises(BadInput, match="Every user may change the script"):
        check_script("send", tmp_path)


def test_a_script_directory_that_every_user_may_write_is_refused(script: Write, tmp_path: Path) -> None:
    script("true")
    tmp_path.chmod(0o757)
    with pytest.raises(BadInput, match="Every user may write into the script directory"):
        check_script("send", tmp_path)


def test_a_trunk_whose_script_is_not_fine_is_stopped_and_says_why(driver: Make) -> None:
    opened = driver(script="nope")
    assert opened.link is Link.STOPPED
    assert 'There is no script "nope"' in opened.why
    assert opened.room() == 0
    (event,) = run(opened, message())
    assert isinstance(event, Deferred)


def test_the_options_are_checked(script: Write, tmp_path: Path) -> None:
    script("true")
    assert check_options({"script": "send"}, tmp_path) == {"script": "send", "window": 4}
    assert check_options({"script": "send", "window": "9"}, tmp_path)["window"] == 9
    for options in (
        {"script": "send", "window": 0},
        {"script": "send", "window": "x"},
        {"script": "send", "port": 1},
        {},
    ):
        with pytest.raises(BadInput):
            check_options(options, tmp_path)


def test_what_a_script_prints_is_never_trusted_to_be_text() -> None:
    outcome, stopped = outcome_of(1, 0, b"7;\xff\xfe\x00;0;1", b"")
    assert outcome == Refused(1, "The script refused the message (code 7).", "7")
    assert stopped is None


def test_the_sample_script_works(tmp_path: Path, driver: Make) -> None:
    tmp_path.chmod(0o755)
    sample = Path(ixxsms.__file__).parent / "data" / "scripts" / "sample"
    assert sample.stat().st_mode & stat.S_IXUSR
    shutil.copy(sample, tmp_path / "send")
    assert run(driver(), message(text="$(id) 😀")) == [Accepted(1)]
    said = subprocess.run([tmp_path / "send", "acme", "", "x", "0"], capture_output=True, text=True, check=True)
    assert said.stdout == "1;there is no destination;0;1\n"
