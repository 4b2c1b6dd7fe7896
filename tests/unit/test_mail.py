"""An SMS as a mail: nothing that a stranger wrote is more than text in it."""

from __future__ import annotations

from email import message_from_bytes, policy

import pytest

from ixxsms.asterisk import mail

OURS = ["From", "To", "Subject", "Date", "Message-ID", "Content-Type", "Content-Transfer-Encoding", "MIME-Version"]


@pytest.mark.parametrize(
    ("number", "subject"),
    [
        ("34600123456", "SMS from 34600123456 to 34900100100"),
        ("Señora ☕", "SMS from Señora ☕ to 34900100100"),
        ("a\r\nX: y", "SMS from a  X: y to 34900100100"),
        ("=?utf-8?q?=0D=0AX:y?=", "SMS from = ?utf-8?q?=0D=0AX:y?= to 34900100100"),
        ("=?utf-8?b?DQpYOiB5?=", "SMS from = ?utf-8?b?DQpYOiB5?= to 34900100100"),
        ("ñ=?utf-8?q?=0AX:y?=", "SMS from ñ= ?utf-8?q?=0AX:y?= to 34900100100"),
        ("==??q?=0AX:y?=", "SMS from == ??q?=0AX:y?= to 34900100100"),
    ],
)
def test_a_sender_whatever_he_is_called_gets_into_the_subject_and_makes_no_header(number, subject):
    for form in (policy.default, policy.SMTP):
        octets = mail.compose("ixxsms@localhost", "ana@example.net", number, "34900100100", "hola").as_bytes(
            policy=form
        )
        read = message_from_bytes(octets, policy=policy.default)
        assert sorted(read.keys()) == sorted(OURS)
        assert read["Subject"] == subject
        assert read.get_content().strip() == "hola"
