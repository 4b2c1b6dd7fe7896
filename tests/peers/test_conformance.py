"""What every peer is tried with: the whole way, from the outbox of a running service to the far end and back.

docs/peers.md says the same in a table, which is held to this file.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import ways
from servers import free_port
from systems import eventually
from ways import Way

import ixxsms
from ixxsms.config import with_database
from ixxsms.service import Service

DOCUMENT = Path(__file__).parents[2] / "docs" / "peers.md"
PATIENCE = 60.0
ENDS = {"delivered", "undelivered", "refused"}

#: By the name that the documents use.
PEERS = {"node-smpp": "node", "Net::SMPP": "perl", "Jasmin": "jasmin", "Kannel": "kannel"}
MARKS = {"jasmin": [pytest.mark.jasmin, pytest.mark.timeout(240)]}  # its servers start with the first test
SMPP = ("node", "perl", "jasmin")
ALL = (*SMPP, "kannel")

#: What was tried with which peers.
TRIED: dict[str, set[str]] = {}


def tried(what: str, *by: str) -> Callable[[Any], Any]:
    """A test that is run with these peers; `what` is its row in the documents."""
    TRIED[what] = set(by)
    return pytest.mark.parametrize("way", [pytest.param(name, marks=MARKS.get(name, [])) for name in by], indirect=True)


@pytest.fixture(scope="session")
def jasmin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with ways.jasmin(tmp_path_factory.mktemp("jasmin")) as running:
        yield running


@pytest.fixture
def way(request: pytest.FixtureRequest) -> Iterator[Way]:
    if request.param == "jasmin":
        yield ways.JasminWay(*request.getfixturevalue("jasmin"))
    elif request.param == "kannel":
        folder = request.getfixturevalue("tmp_path")
        with ways.kannel(folder, request.getfixturevalue("run").webhook) as opened:
            yield opened
    else:
        with {"node": ways.node, "perl": ways.perl}[request.param]() as opened:
            yield opened


class Run:
    """A PBX with a service of its own, which starts with the first trunk."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        url = f"sqlite:///{folder / 'ixxsms.db'}"
        self.pbx = stack.enter_context(ixxsms.open(url))
        self.pbx.numbering.change(country="ES")
        port = free_port()
        self.webhook = f"http://127.0.0.1:{port}"
        settings = {"FASTAGI_PORT": "0", "WEBHOOK_PORT": str(port), "POLL_SECONDS": "0.02"}
        settings |= {"RETRY_SECONDS": "0.5", "MAX_ATTEMPTS": "20"}
        config = with_database(url, {f"IXXSMS_{name}": value for name, value in settings.items()})
        self._service = Service(self.pbx.database, config)
        self._thread = threading.Thread(target=self._service.run)
        stack.callback(self._end)

    def trunk(self, fields: dict[str, Any], name: str = "way", up: bool = True) -> None:
        self.pbx.trunks.add(name, **{**fields, "script_dir": "/nowhere"})
        if not self._thread.is_alive():
            self._thread.start()
        if up:
            eventually(lambda: self.link(name).link == "up", PATIENCE)

    def link(self, name: str = "way") -> Any:
        return next(trunk for trunk in self.pbx.status().trunks if trunk.name == name)

    def send(self, number: str, text: str, sender_id: str = "acme") -> int:
        return self.pbx.enqueue(number, text, sender_id=sender_id)

    def state(self, message_id: int) -> str:
        return str(self.pbx.message(message_id).state)

    def ended(self, message_ids: list[int], states: set[str]) -> dict[int, str]:
        """The states of these messages as soon as each is one of `states`."""
        with suppress(AssertionError):  # what they are instead says more
            eventually(lambda: {self.state(message_id) for message_id in message_ids} <= states, PATIENCE)
        messages = [self.pbx.message(message_id) for message_id in message_ids]
        others = [(m.number, str(m.state), m.reason) for m in messages if m.state not in states]
        assert others == [], self.pbx.status().trunks
        return {m.id: str(m.state) for m in messages}

    def _end(self) -> None:
        self._service.stop()
        if self._thread.is_alive():
            self._thread.join(60)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with ExitStack() as stack:
        yield Run(tmp_path, stack)


GSM, UCS2 = "The quick brown fox {jumps} over [the] lazy dog. €" * 9, "ñandú 😀 привет " * 12
MESSAGES = [
    ("600000001", "acme", "Hello {world} [€5]", "delivered"),
    ("600000002", "34600000009", "¿Qué tal, ñandú? 😀 привет", "delivered"),
    ("600000003", "2345", GSM, "delivered"),
    ("600000004", "Acme Shop", UCS2, "delivered"),
    ("691000001", "acme", "This phone is off", "undelivered"),
]


@tried("login; GSM, UCS-2 and long texts; sender ids; receipts", *ALL)
def test_every_text_arrives_as_it_was_written_and_is_reported(way: Way, run: Run) -> None:
    run.trunk(way.trunk)
    sent = [run.send(number, text, sender) for number, sender, text, _ in MESSAGES]
    states = run.ended(sent, ENDS)
    assert [states[message_id] for message_id in sent] == [state for _, _, _, state in MESSAGES]
    assert sorted(way.texts()) == sorted((sender, f"34{number}", text) for number, sender, text, _ in MESSAGES)


@tried("a transmitter and a receiver (tx+rx), two binds of the first", *SMPP)
def test_what_one_link_sends_the_other_reports(way: Way, run: Run) -> None:
    run.trunk({**way.trunk, "bind": "tx+rx", "binds": 2})
    sent = [run.send(f"60003000{n}", "By another link") for n in range(6)]
    run.ended(sent, {"delivered"})
    assert len(way.texts()) == 6
    way.reply("34600000007", "34600000009", "Yes please")
    eventually(lambda: [sms.text for sms in run.pbx.inbox.latest()] == ["Yes please"], PATIENCE)


@pytest.mark.parametrize("long", ["udh16", "sar", "payload"])
@tried("long texts as udh16, sar and payload", *SMPP)
def test_a_long_text_arrives_in_each_form(way: Way, run: Run, long: str) -> None:
    run.trunk({**way.trunk, "long": long})
    run.ended([run.send("600000008", GSM), run.send("600000009", UCS2)], {"delivered"})
    assert sorted(way.texts()) == [("acme", "34600000008", GSM), ("acme", "34600000009", UCS2)]


@tried("a number that it refuses", *ALL)
def test_what_it_refuses_is_refused_with_its_reason(way: Way, run: Run) -> None:
    run.trunk(way.trunk)
    refused = run.send("692000001", "No such number")
    run.ended([refused], ENDS)
    message = run.pbx.message(refused)
    state, why = way.refused
    assert (message.state, why in message.reason) == (state, True)
    assert way.texts() == []


@tried("a wrong password", *ALL)
def test_a_wrong_password_is_told(way: Way, run: Run) -> None:
    run.trunk({**way.trunk, "password": "wrong"}, up=False)
    waiting = run.send("600000005", "Not yet")
    eventually(lambda: way.forbidden in run.link().why, PATIENCE)
    run.ended([waiting], {"queued"})
    run.pbx.trunks.edit("way", password=way.trunk["password"])
    run.ended([waiting], {"delivered"})


@tried("enquire_link both ways", *SMPP)
def test_a_silent_link_is_tested_both_ways_and_stays(way: Way, run: Run) -> None:
    before = way.enquiries()
    run.trunk({**way.trunk, "enquire_link": 3600}, "theirs")
    run.trunk({**way.trunk, "enquire_link": 5}, "ours")
    since = {trunk.name: trunk.since for trunk in run.pbx.status().trunks}
    way.enquire()
    eventually(lambda: way.enquiries() > before, PATIENCE)
    assert {trunk.name: (trunk.link, trunk.since) for trunk in run.pbx.status().trunks} == {
        name: ("up", moment) for name, moment in since.items()
    }


@tried("throttling", *SMPP)
def test_what_it_throttles_goes_out_later_once_each(way: Way, run: Run) -> None:
    before = way.throttled()
    run.trunk(way.slow)
    numbers = [f"69300000{n}" for n in range(4)]
    run.ended([run.send(number, "Too fast") for number in numbers], {"delivered"})
    assert way.throttled() > before
    assert sorted(destination for _, destination, _ in way.texts()) == [f"34{number}" for number in numbers]


@tried("it unbinds", *SMPP)
def test_a_link_that_it_unbinds_comes_back(way: Way, run: Run) -> None:
    run.trunk(way.trunk)
    since = run.link().since
    way.unbind()
    eventually(lambda: run.link().link == "up" and run.link().since != since, PATIENCE)
    run.ended([run.send("600000006", "Still there")], {"delivered"})


@tried("it is killed in the middle and comes back", *ALL)
def test_nothing_is_lost_and_nothing_sent_twice_when_it_is_killed(way: Way, run: Run) -> None:
    run.trunk({**way.trunk, "window": 10})
    numbers = {run.send(f"6001{n:05}", "In the middle"): f"346001{n:05}" for n in range(150)}
    eventually(lambda: len(way.texts()) >= 30, PATIENCE)
    way.kill()
    numbers |= {run.send(f"6002{n:05}", "While it is away"): f"346002{n:05}" for n in range(10)}
    eventually(lambda: run.link().link == "down", PATIENCE)
    way.start()
    # Receipts that it owed died with it, and what it had not answered nobody can know.
    states = run.ended(list(numbers), {"accepted", "delivered", "in_doubt"})
    eventually(
        lambda: {d for _, d, _ in way.texts()} >= {numbers[m] for m, state in states.items() if state != "in_doubt"},
        PATIENCE,
    )
    taken = [destination for destination in way.taken() if destination in numbers.values()]
    assert len(taken) == len(set(taken))
    assert len([state for state in states.values() if state == "in_doubt"]) <= 10


@tried("SMS from outside: GSM, UCS-2 and long texts", *ALL)
def test_an_sms_from_outside_is_in_the_inbox(way: Way, run: Run) -> None:
    run.trunk(way.trunk)
    texts = ["Yes please", "¿Qué tal? 😀", "Mañana está", "Привет", "[{€}] @_$", UCS2]
    for text in texts:
        way.reply("34600000007", "34600000009", text)
    eventually(lambda: len(run.pbx.inbox.latest()) >= len(texts), PATIENCE)
    came = [(sms.source, sms.destination, sms.text) for sms in run.pbx.inbox.latest()]
    assert sorted(came) == sorted(("34600000007", "34600000009", text) for text in texts)


def test_the_documents_say_what_was_tried() -> None:
    rows = re.findall(r"^\| (.*) \|$", DOCUMENT.read_text(encoding="utf-8"), re.M)
    header, *table = [[cell.strip() for cell in row.split("|")] for row in rows]
    assert {
        what: {PEERS[name] for name, cell in zip(header[1:], cells, strict=True) if cell == "yes"}
        for what, *cells in table
    } == TRIED
