"""SMPP over TLS: real handshakes on loopback, with certificates that are right and wrong."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from smpp_trunks import Make, drivers, message, send, until

from ixxsms.drivers import tls
from ixxsms.drivers.base import Link
from ixxsms.events import Accepted, Deferred, InDoubt
from ixxsms.testing import FakeSMSC


@pytest.fixture
def driver() -> Iterator[Make]:
    with drivers() as make:
        yield make


def certificate(folder: Path, name: str, days: int = 2, signer: tuple[Path, Path] | None = None) -> tuple[Path, Path]:
    """(certificate, key) for that name, signed by itself or by another; of negative days it has expired."""
    request, names, made, key = (folder / file for file in ("request", "names", "made.pem", "made.key"))
    names.write_text(f"subjectAltName={name}\nbasicConstraints=CA:TRUE")
    signed = ["-CA", signer[0], "-CAkey", signer[1], "-CAcreateserial"] if signer else ["-signkey", key]
    for command in (
        ["req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=smsc", "-out", request, "-keyout", key],
        ["x509", "-req", "-in", request, "-days", str(days), "-extfile", names, "-out", made, *signed],
    ):
        subprocess.run(["openssl", *command], capture_output=True, check=True)
    return made, key


def test_messages_go_and_receipts_come_over_tls(driver: Make) -> None:
    with FakeSMSC(tls=True, fragment=1000) as smsc:
        opened = driver(smsc.port, tls="yes", tls_ca=smsc.certificate, window=100, receipts=True)
        events = send(opened, [message(number) for number in range(1000)])
        accepted = Counter(event.message_id for event in events if isinstance(event, Accepted))
        assert accepted == Counter(range(1000))
        until(opened, lambda _: smsc.acknowledged >= len(events) - 1000)


def test_the_name_is_told_to_the_smsc_and_tls_is_at_least_1_2(driver: Make) -> None:
    names: list[str] = []
    with FakeSMSC(tls=True, host="localhost") as smsc:
        assert smsc._context is not None
        smsc._context.sni_callback = lambda _, name, __: names.append(name)
        opened = driver(smsc.port, tls="yes", tls_ca=smsc.certificate, host="localhost")
        assert names == ["localhost"]
        link = opened._links[0]._socket
        assert isinstance(link, ssl.SSLSocket)
        assert link.context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_tls_over_ipv6(driver: Make) -> None:
    with FakeSMSC(tls=True, host="::1") as smsc:
        driver(smsc.port, tls="yes", tls_ca=smsc.certificate, host="::1", binds=2)


@pytest.mark.parametrize(
    ("days", "name", "host", "sentence"),
    [
        (2, "DNS:sms.example", "127.0.0.1", "is for another address than 127.0.0.1."),
        (2, "DNS:sms.example", "localhost", "is for another host than localhost."),
        (-1, "DNS:localhost,IP:127.0.0.1", "127.0.0.1", "has expired."),
    ],
)
def test_a_certificate_that_is_wrong_is_said_to_be_and_nothing_is_sent(
    days: int, name: str, host: str, sentence: str, driver: Make, tmp_path: Path
) -> None:
    made, key = certificate(tmp_path, name, days)
    with FakeSMSC(tls=(made, key)) as smsc:
        opened = driver(smsc.port, up=False, tls="yes", tls_ca=str(made), host=host, password="hush")
        until(opened, lambda _: opened.link is Link.DOWN)
        assert opened.why == f"The SMSC's certificate {sentence}"
        assert smsc.logins == []


def test_a_certificate_of_nobody_known_is_taken_only_where_that_is_said(driver: Make) -> None:
    with FakeSMSC(tls=True) as smsc:
        opened = driver(smsc.port, up=False, tls="yes")
        until(opened, lambda _: opened.link is Link.DOWN)
        assert opened.why == "The SMSC's certificate is signed by itself, and not known here (option tls_ca)."
        assert smsc.logins == []
        driver(smsc.port, tls="yes", tls_verify="no")


def test_a_certificate_of_an_unknown_authority_is_refused(driver: Make, tmp_path: Path) -> None:
    folder = tmp_path / "authority"
    folder.mkdir()
    authority = certificate(folder, "DNS:authority")
    made, key = certificate(tmp_path, "IP:127.0.0.1", signer=authority)
    with FakeSMSC(tls=(made, key)) as smsc:
        opened = driver(smsc.port, up=False, tls="yes")
        until(opened, lambda _: opened.link is Link.DOWN)
        assert opened.why == "The SMSC's certificate is of an authority that is not known here (option tls_ca)."
        driver(smsc.port, tls="yes", tls_ca=str(authority[0]))


def test_a_file_of_authorities_that_cannot_be_read_is_named(driver: Make, tmp_path: Path) -> None:
    with FakeSMSC(tls=True) as smsc:
        opened = driver(smsc.port, up=False, tls="yes", tls_ca=str(tmp_path / "none.pem"))
        until(opened, lambda _: opened.link is Link.DOWN)
        assert opened.why == f"The certificates in {tmp_path}/none.pem cannot be read: No such file or directory."


def test_a_port_without_tls_is_said_to_be_one(driver: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeSMSC() as smsc:
        opened = driver(smsc.port, up=False, tls="yes")
        until(opened, lambda _: opened.link is Link.DOWN)
        assert opened.why == "The SMSC closed the link before it was encrypted."
    with socket.create_server(("127.0.0.1", 0)) as server:
        opened = driver(server.getsockname()[1], up=False, tls="yes")
        opened.poll(0.0)
        peer, _ = server.accept()
        with peer:
            peer.sendall(b"220 mail.example ESMTP\r\n")
            until(opened, lambda _: opened.link is Link.DOWN)
            assert opened.why == "The SMSC does not speak TLS on this port."
    monkeypatch.setattr("ixxsms.drivers.smpp_link.CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        opened = driver(silent.getsockname()[1], up=False, tls="yes")
        until(opened, lambda _: opened.link is Link.DOWN)
        assert opened.why == "The SMSC does not answer the TLS handshake; is it a port without TLS?"


def test_an_smsc_that_reads_slowly_gets_everything_once(driver: Make) -> None:
    with FakeSMSC(tls=True, receipts=False, read_rate=400_000) as smsc:
        opened = driver(smsc.port, tls="yes", tls_ca=smsc.certificate, window=1000)
        events = send(opened, [message(number, "x" * 160) for number in range(1000)])
        assert Counter(event.message_id for event in events if isinstance(event, Accepted)) == Counter(range(1000))
        assert len(smsc.received) == 1000


def test_what_a_cut_took_away_half_written_is_never_handed_back_as_unsent(driver: Make) -> None:
    with FakeSMSC(tls=True, mute=True, read_rate=100_000) as smsc:
        opened = driver(smsc.port, tls="yes", tls_ca=smsc.certificate, window=1000)
        batch = [message(number, "x" * 160) for number in range(1000)]
        opened.submit(batch)
        until(opened, lambda _: len(smsc.received) > 100)
        smsc.drop()
        events = until(opened, lambda events: len(events) == 1000)
        unsent = {batch[event.message_id].destination for event in events if isinstance(event, Deferred)}
        assert {type(event) for event in events} <= {InDoubt, Deferred}
        assert unsent.isdisjoint(taken.destination for taken in smsc.received)


def test_a_failure_that_openssl_names_is_told_in_its_words() -> None:
    assert tls.words_of(ConnectionResetError(104, "Connection reset by peer"), "h").startswith("The SMSC closed")
    error = ssl.SSLError(1, "[SSL: NO_PROTOCOLS_AVAILABLE] no protocols available")
    assert tls.words_of(error, "h").startswith("The link to the SMSC cannot be encrypted: ")
