"""Whatever a text holds, the SMSC gets exactly that text, by every way in, and nothing in it is ever obeyed."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from dialplans import Site

ENDING = " same => n,Set(EXTRA=${INJECTED})\n same => n,Goto(done,s,1)\n"
WAYS = {
    "sub": "Gosub(sub-ixxsms-send,s,1(${NUMBER},TEXT))",
    "base64-fastagi": "AGI(${IXXSMS_AGI}/send,${NUMBER},base64:${BASE64_ENCODE(${TEXT})})",
    "url": "AGI(${IXXSMS_AGI}/send?number=${NUMBER}&text=${URIENCODE(${TEXT})})",
    "base64-script": "AGI(ixxsms-send.agi,${NUMBER},base64:${BASE64_ENCODE(${TEXT})})",
    "quoted-script": "AGI(ixxsms-send.agi,${NUMBER},${QUOTE(${TEXT})})",
}
DIALPLAN = "[t]\n" + "".join(
    f"exten => {name},1,Gosub(text,s,1)\n same => n,{application}\n{ENDING}" for name, application in WAYS.items()
)

TEXTS = {
    "plain": "Hola",
    "quotes": 'di "hola" y \'adiós\' y "',
    "commas": "uno,dos,,tres",
    "semicolons": "uno;dos; tres;",
    "line breaks": "uno\ndos\r\ntres\n",
    "emoji": "😀👍🏽 ñandú €uro Привет",
    "backslashes": 'C:\\temp\\n \\, \\; \\" \\\\ \\',
    "a shell": "${SHELL(id)} $(id) `id` ; rm -rf / | cat && true",
    "an expression": "$[1+1] ${EXTEN} ${CALLERID(num)} $",
    "brackets": "(a) [b] {c} <d> } ] ) ${ $[",
    "percent": "100% %s %d %41 a+b&c=d?e",
    "tabs": "a\tb\t",
    "blanks": "  in front and behind  ",
    "an AGI command": 'x\nSET VARIABLE INJECTED yes\nSET VARIABLE "INJECTED" "yes"\n',
    "an AGI answer": "x\n\n200 result=1\nHANGUP\n510 Invalid or unknown command",
    "an AGI argument": "x\nagi_arg_3: nix\nagi_callerid: 1\n\n",
    "an AMI action": "x\r\n\r\nAction: Originate\r\nChannel: Local/1@t\r\nApplication: Wait\r\n\r\n",
    "a base64 text": "base64:aG9sYQ==",
    "an SMS command": "\x01\x07\x1b[31m red",
    "a colon and a question": "a?b:c",
    "4,000 octets": '4,000 octets of a "long" text; ' * 125,
    "4,000 octets of emoji": "😀" * 1000,
}
#: One argument does not hold them, and what begins like base64 is taken for it: the subroutine carries these too.
CANNOT = {(way, "a base64 text") for way in ("quoted-script", "url")}
CANNOT |= {(way, name) for way in WAYS if way != "sub" for name in TEXTS if name.startswith("4,000")}
CANNOT -= {("quoted-script", "4,000 octets of emoji")}
CASES = [(way, name) for way in WAYS for name in TEXTS if (way, name) not in CANNOT]


@pytest.fixture(scope="module")
def site(asterisk_root, set_up, tmp_path_factory):
    with ExitStack() as stack:
        made = Site(tmp_path_factory.mktemp("site"), asterisk_root, set_up("sqlite"), DIALPLAN, stack)
        stack.enter_context(made.daemon(max_segments="60"))
        yield made


@pytest.mark.parametrize(("way", "name"), CASES)
def test_the_smsc_gets_exactly_the_text(site, way, name):
    before = len(site.smsc.texts())
    status, _, _, error, injected = site.call(way, TEXTS[name], NUMBER="600123456")
    assert (status, error, injected) == ("SENT", "", "")
    assert site.smsc.texts()[before:] == [("34600123456", TEXTS[name])]


CUT = [
    *[(way, "x" * length) for way in ("base64-fastagi", "base64-script") for length in (3071, 4000, 4200)],
    *[("url", text) for text in ("x" * 4090, "ñ" * 683, "😀" * 1000)],
    *[("quoted-script", text) for text in ("x" * 4090, "x" * 4200, '"' * 2050, '"\\' * 1100, '\n"' * 1500)],
]


@pytest.mark.parametrize(("way", "text"), CUT, ids=[f"{way}-{len(text)}" for way, text in CUT])
def test_a_text_that_asterisk_has_cut_is_refused_and_not_sent_in_part(site, way, text):
    before = len(site.smsc.texts())
    status, _, _, error, _ = site.call(way, text, NUMBER="600123456")
    assert (status, error.startswith("Asterisk has cut the text")) == ("REFUSED", True)
    assert len(site.smsc.texts()) == before


@pytest.mark.parametrize("way", WAYS)
def test_an_empty_text_is_refused(site, way):
    status, _, _, error, _ = site.call(way, "", NUMBER="600123456")
    assert (status, error) == ("REFUSED", "The text must not be empty.")
