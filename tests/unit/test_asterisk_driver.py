"""The asterisk trunk against an AMI server that speaks as chan_dongle and chan_quectel do; tests/asterisk has SIP."""

from __future__ import annotations

import time

import pytest
from gsm_devices import GsmDevices

from ixxsms.asterisk.ami import Ami
from ixxsms.drivers import asterisk, kinds
from ixxsms.drivers.asterisk import AsteriskDriver
from ixxsms.drivers.base import Link, TrunkConfig
from ixxsms.errors import BadInput, Error
from ixxsms.events import Accepted, Deferred, InDoubt, Receipt, Received, Stopped, Submission

VIA = {"Dongle": "dongle", "Quectel": "quectel"}


@pytest.fixture(params=[("Dongle", "old"), ("Dongle", "new"), ("Quectel", "new")], ids=" ".join)
def devices(request):
    with GsmDevices(*request.param) as started:
        yield started


@pytest.fixture
def newer():
    with GsmDevices() as started:
        yield started


class Trunk:
    """The driver, polled as the sender does. `events`: everything that it said."""

    def __init__(self, devices, password="secret", patience=30.0, **options):
        given = {"host": "127.0.0.1", "port": devices.port, "via": VIA[devices.prefix], "device": "dongle0", **options}
        checked = kinds.check_options("asterisk", given, "")
        self.driver = kinds.open_driver(TrunkConfig("gsm", "asterisk", checked, password, response_timeout=patience))
        assert isinstance(self.driver, AsteriskDriver)
        self.events = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.events += self.driver.close()

    def until(self, condition, seconds=30.0):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, (self.driver.link, self.driver.why, self.events)
            self.events += self.driver.poll(0.05)

    def up(self):
        self.until(lambda: self.driver.link is Link.UP)
        return self

    def send(self, *numbers, text="hola", national=False):
        messages = [Submission(n, number, text, national=national) for n, number in enumerate(numbers, self.next_id())]
        self.driver.submit(messages)
        return [message.message_id for message in messages]

    def next_id(self):
        return 1 + max((getattr(event, "message_id", 0) for event in self.events), default=0)

    def outcome(self, *numbers, **kwargs):
        before = len(self.events)
        self.send(*numbers, **kwargs)
        self.until(lambda: not self.driver.in_flight())
        return self.events[before:]


def test_an_sms_goes_out_by_the_device_and_is_accepted_when_the_device_sent_it(devices):
    with Trunk(devices).up() as trunk:
        assert trunk.outcome("34600000001", text="¿Qué tal? €") == [Accepted(1)]
    (sms,) = devices.sent
    wanted = {"Device": "dongle0", "Number": "+34600000001", "Message": "¿Qué tal? €", "Report": "no"}
    assert wanted.items() <= sms.items()
    assert sms["Validity"] == "1440"


def test_a_national_number_goes_without_a_plus(devices):
    with Trunk(devices).up() as trunk:
        trunk.outcome("600000001", national=True)
    assert devices.sent[0]["Number"] == "600000001"


def test_what_the_device_cannot_send_the_next_trunk_gets(devices):
    devices.fates = {"+34600000001": "fail", "+34600000002": "refuse"}
    with Trunk(devices).up() as trunk:
        first, second = trunk.outcome("34600000001") + trunk.outcome("34600000002")
    assert isinstance(first, Deferred) and first.elsewhere and first.counted
    assert isinstance(second, Deferred) and second.elsewhere
    assert second.reason == "Asterisk: [dongle0] Device not connected / initialized / registered"


def test_no_more_are_under_way_than_the_window_allows(devices):
    devices.fates = {f"+3460000000{n}": "silent" for n in range(9)}
    with Trunk(devices, window=3).up() as trunk:
        assert trunk.driver.room() == 3
        trunk.send("34600000001", "34600000002")
        assert (trunk.driver.room(), trunk.driver.in_flight()) == (1, 2)


def test_a_device_that_says_nothing_more_leaves_the_message_in_doubt(devices):
    devices.fates = {"+34600000001": "silent"}
    with Trunk(devices, patience=0.3).up() as trunk:
        assert trunk.outcome("34600000001") == [InDoubt(1, "The device did not say in time whether it was sent.")]


def test_a_status_that_comes_before_the_answer_counts():
    with GsmDevices(manner="old") as devices:
        devices.fates = {"+34600000001": "early"}
        with Trunk(devices).up() as trunk:
            assert trunk.outcome("34600000001") == [Accepted(1)]


def test_a_lost_link_leaves_in_doubt_what_was_not_answered_and_comes_back(devices):
    devices.mute = True
    with Trunk(devices).up() as trunk:
        trunk.send("34600000001")
        trunk.until(lambda: devices.sent)
        devices.mute = False
        devices.cut()
        trunk.until(lambda: trunk.events)
        assert isinstance(trunk.events[0], InDoubt)
        trunk.up()
        assert trunk.outcome("34600000002") == [Accepted(2)]


def test_what_an_id_was_queued_under_is_in_doubt_when_the_link_is_lost():
    with GsmDevices(manner="old") as devices:
        devices.fates = {"+34600000001": "silent"}
        with Trunk(devices).up() as trunk:
            trunk.send("34600000001")
            trunk.until(lambda: devices.sent)
            trunk.driver.poll(0.2)
            devices.cut()
            trunk.until(lambda: trunk.events)
            assert isinstance(trunk.events[0], InDoubt)


def test_a_report_is_still_understood_after_the_link_was_lost(newer):
    newer.fates = {"+34600000001": "silent"}
    with Trunk(newer).up() as trunk:
        trunk.send("34600000001")
        trunk.until(lambda: newer.sent)
        newer.cut()
        trunk.until(lambda: len(newer.logins) == 2)
        trunk.up()
        newer.report(newer.sent[0], True, "0")
        trunk.until(lambda: trunk.events)
        assert trunk.events == [Accepted(1)]


def test_a_report_that_comes_too_late_settles_what_was_in_doubt(newer):
    newer.fates = {"+34600000001": "silent"}
    with Trunk(newer, patience=0.2).up() as trunk:
        trunk.outcome("34600000001")
        newer.report({**newer.sent[0], "Payload": "ixx1-ffffffff0000"}, True, "0")  # of another installation
        newer.report(newer.sent[0], True, "0")
        trunk.until(lambda: trunk.events[1:])
        assert trunk.events[1:] == [Accepted(1)]


def test_with_reports_the_network_tells_what_became_of_it(newer):
    with Trunk(newer, reports="yes").up() as trunk:
        first, second, third = trunk.outcome("34600000001", "34600000002", "34600000003")
        assert isinstance(first, Accepted) and isinstance(second, Accepted) and isinstance(third, Accepted)
        assert [newer.sent[0]["Report"], first.remote_ids] == ["yes", (newer.sent[0]["Payload"],)]
        newer.report(newer.sent[0], True)
        newer.report(newer.sent[1], False)
        newer.report({**newer.sent[1], "Payload": "somebody else's"}, True)
        newer.report(newer.sent[2], False, "2")  # none came in time: nobody knows
        newer.report(newer.sent[2], False, "0")  # the device itself failed
        before = len(trunk.events)
        trunk.until(lambda: len(trunk.events) >= before + 3)
        assert trunk.events[before:] == [
            Receipt(first.remote_ids[0], True, "DELIVRD", "000"),
            Receipt(second.remote_ids[0], False, "UNDELIV", "064"),
            Receipt(third.remote_ids[0], False, "UNDELIV", "064"),
        ]


def test_line_breaks_and_backslashes_are_written_as_the_newer_manner_reads_them(newer):
    with Trunk(newer).up() as trunk:
        trunk.outcome("34600000001", text="a\r\nb\nc\\n\tAction: Originate")
    assert newer.sent[0]["Message"] == "a\\nb\\nc\\\\n Action: Originate"


def test_the_older_manner_gets_one_line_as_soon_as_it_is_known():
    with GsmDevices(manner="old") as devices, Trunk(devices).up() as trunk:
        trunk.outcome("34600000001")
        trunk.outcome("34600000002", text="a\nb\\n")
        assert devices.sent[1]["Message"] == "a b\\n"


def test_a_text_that_no_line_of_the_interface_takes_goes_to_the_next_trunk(newer):
    with Trunk(newer).up() as trunk:
        (outcome,) = trunk.outcome("34600000001", text="ñ" * 500)
    assert isinstance(outcome, Deferred) and outcome.elsewhere
    assert "over 1000 bytes" in outcome.reason
    assert newer.sent == []


@pytest.mark.parametrize("text", ["hola", "ñ € 😀\nsecond line \\n", "x" * 2000])
def test_an_sms_from_outside_is_received_whole_and_once(devices, text):
    with Trunk(devices, number="34900100100").up() as trunk:
        devices.deliver("dongle1", "+34600999999", "for another device")
        devices.deliver("dongle0", "+34600123456", text)
        trunk.until(lambda: trunk.events)
        trunk.events += trunk.driver.poll(0.1)
        assert trunk.events == [Received("+34600123456", "34900100100", text)]


def test_an_sms_that_could_not_be_stored_comes_again_and_is_not_lost_when_the_trunk_closes(newer, monkeypatch):
    monkeypatch.setattr(asterisk, "AGAIN", 0.2)
    with Trunk(newer, number="34900100100").up() as trunk:
        newer.deliver("dongle0", "+34600123456", "hola")
        for times in (1, 2):
            trunk.until(lambda times=times: len(trunk.events) == times)
            trunk.driver.refuse([trunk.events[-1].token])
    assert trunk.events == [Received("+34600123456", "34900100100", "hola")] * 3


def test_an_sms_that_cannot_be_read_ends_nothing(devices):
    with Trunk(devices).up() as trunk:
        devices.say("NewSMSBase64", Device="dongle0", From="x", Message="a")
        assert trunk.outcome("34600000001") == [Accepted(1)]


def test_a_user_without_the_right_stops_the_trunk(devices):
    devices.deny = True
    with Trunk(devices).up() as trunk:
        stopped, outcome = trunk.outcome("34600000001")
        assert stopped == Stopped("Asterisk refuses what the trunk needs: Permission denied.")
        assert isinstance(outcome, Deferred) and outcome.elsewhere and not outcome.counted
        assert trunk.driver.link is Link.STOPPED


def test_a_module_that_is_not_loaded_stops_the_trunk(newer):
    with Trunk(newer, via="quectel").up() as trunk:
        stopped, outcome = trunk.outcome("34600000001")
        assert "Invalid/unknown command: QuectelSendSMS" in stopped.reason
        assert isinstance(outcome, Deferred) and outcome.elsewhere


def test_a_wrong_secret_is_said_and_never_shown(devices):
    with Trunk(devices, password="wr0ng") as trunk:
        trunk.until(lambda: trunk.driver.link is Link.DOWN)
        assert trunk.driver.why == "Asterisk refuses the login: Authentication failed"
        assert "wr0ng" not in repr(vars(trunk.driver)) + repr(trunk.driver._sending._settings)
        assert trunk.driver.room() == 0


def test_an_asterisk_that_is_not_there_is_down_and_nothing_was_written():
    with GsmDevices() as devices:
        pass
    with Trunk(devices) as trunk:
        trunk.until(lambda: trunk.driver.link is Link.DOWN)
        (outcome,) = trunk.outcome("34600000001")
    assert isinstance(outcome, Deferred) and not outcome.counted


def test_closing_says_something_of_every_message(devices):
    devices.fates = {"+34600000001": "silent", "+34600000002": "silent"}
    with Trunk(devices).up() as trunk:
        trunk.send("34600000001", "34600000002")
        trunk.until(lambda: len(devices.sent) == 2)
    assert {type(event) for event in trunk.events} == {InDoubt}
    assert {event.message_id for event in trunk.events} == {1, 2}


@pytest.mark.parametrize("password", ["two\r\nAction: x", "two\nlines", "nul\0", "ñ" * 451])
def test_a_password_that_no_line_can_carry_is_refused_in_one_sentence_that_does_not_show_it(newer, password):
    with pytest.raises(BadInput) as refused:
        Trunk(newer, password=password)
    assert str(refused.value) == "The password of an asterisk trunk must be one line of 900 bytes at most."


def test_the_longest_password_is_sent(newer):
    with Trunk(newer, password="ñ" * 450) as trunk:
        trunk.until(lambda: trunk.driver.why == "Asterisk refuses the login: Authentication failed")


def test_a_link_whose_thread_ended_by_a_mistake_is_down_and_says_so_to_who_polls(newer, monkeypatch, caplog):
    async def mistaken(_):
        raise RuntimeError("what nobody thought of")

    monkeypatch.setattr(Ami, "run", mistaken)
    with Trunk(newer) as trunk, pytest.raises(Error, match="The thread of the link to Asterisk has ended"):
        trunk.until(lambda: False)
    assert (trunk.driver.link, trunk.driver.room()) == (Link.DOWN, 0)
    assert "what nobody thought of" in caplog.text


def test_a_link_that_ended_by_a_mistake_says_something_of_every_message(newer, monkeypatch):
    newer.fates = {"+34600000001": "silent"}
    with Trunk(newer).up() as trunk:
        trunk.send("34600000001")
        trunk.until(lambda: len(newer.sent) == 1)
        monkeypatch.setattr(Ami, "_tell", None)  # called as soon as the link is lost
        newer.cut()
        with pytest.raises(Error):
            trunk.until(lambda: False)
    assert [type(event) for event in trunk.events] == [InDoubt]


def test_waking_ends_a_wait(devices):
    with Trunk(devices).up() as trunk:
        trunk.driver.poll(0)
        trunk.driver.wake()
        began = time.monotonic()
        trunk.driver.poll(60)
        assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "An asterisk trunk needs to="),
        ({"to": "pjsip:trunk"}, "An asterisk trunk needs to="),
        ({"to": "pjsip:{number}@{host}"}, "knows {number}, and no other braces"),
        ({"to": "pjsip:{number}@t\r\nAction: x"}, "must be one line"),
        ({"via": "pigeon"}, "must be one of message, dongle, quectel"),
        ({"via": "dongle"}, "needs the name of its device"),
        ({"via": "dongle", "device": "a b"}, "letters, digits"),
        ({"via": "dongle", "device": "d", "port": "0"}, "must be a number from 1 to 65535"),
        ({"via": "dongle", "device": "d", "reports": "maybe"}, "must be yes or no"),
        ({"via": "dongle", "device": "d", "host": ""}, "needs the host"),
        ({"via": "dongle", "device": "d", "colour": "red"}, 'has no option "colour"'),
    ],
)
def test_options_that_cannot_be_are_refused_in_one_sentence(options, sentence):
    with pytest.raises(BadInput) as refused:
        kinds.check_options("asterisk", options, "")
    assert sentence in str(refused.value)
