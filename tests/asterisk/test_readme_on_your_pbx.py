"""README's "On your PBX", line by line as a new user would type it, on a plain Debian with a real Asterisk.

The Debian is this machine's, seen through an overlay, and its only network is a loopback of its own: pip takes what it
needs from a folder, and the provider is a fake SMSC. Asterisk has all the files and modules of Debian's package.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from debian_roots import PATH, install_asterisk, wheelhouse
from namespaces import ROOT, System, need_root
from systems import eventually

CHECKOUT, RECORD = "/usr/src/ixxsms", "/var/tmp/provider.jsonl"

CHECK_OUT = f"""
rm -rf /opt/ixxsms /etc/ixxsms /var/lib/ixxsms /usr/local/bin/ixx* /run/systemd  # should this machine have them
mkdir -p {CHECKOUT}
cp -r {ROOT}/* {CHECKOUT}
rm -rf {CHECKOUT}/build
"""
START_ASTERISK = """
asterisk -U asterisk </dev/null
timeout 30 sh -c 'until asterisk -rx "core waitfullybooted" | grep -q "fully booted"; do sleep 0.1; done'
"""
START_PROVIDER = f"{sys.executable} -m ixxsms fake-smsc --port 2775 --record {RECORD} </dev/null >/dev/null 2>&1 &"

#: The call that README shows, and one that uses the AGI script.
EXTENSIONS = """
[first-calls]
{readme}
exten => 102,1,Set(CALLERID(num)=600123458)
 same => n,Dial(Local/answer@first-calls,5)
exten => answer,1,Answer()
 same => n,Wait(1)
exten => 101,1,AGI(ixxsms-send.agi,600123457,base64:${{BASE64_ENCODE(From the script)}})
"""


def block(heading: str, kind: str = "") -> str:
    """The first block of code of that kind under a heading of README."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = re.search(rf"^##+ {heading}\n(.*?)(?=^##|\Z)", readme, re.M | re.S)[1]
    return re.search(rf"^```{kind}\n(.*?)^```$", section, re.M | re.S)[1]


def commands() -> list[str]:
    lines = block("On your PBX", "sh").replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


@pytest.fixture
def pbx(asterisk_root: Path, tmp_path: Path) -> Iterator[System]:
    """Its Asterisk runs, its provider listens; of ixxsms it has a checkout and nothing else."""
    need_root()
    packages = wheelhouse()
    with ExitStack() as stack:
        made = System(tmp_path, stack, network=True, paths=(asterisk_root, packages))
        made.environ |= {"PATH": PATH, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(packages)}
        made.run("sh", "-ec", CHECK_OUT)
        install_asterisk(made, asterisk_root)
        made.run("sh", "-ec", START_ASTERISK)
        made.run("sh", "-c", START_PROVIDER)
        yield made


def rx(pbx: System, command: str) -> str:
    return pbx.run("asterisk", "-rx", command)


def is_up(pbx: System) -> bool:
    """Whether one daemon is alive, and linked to the provider and to Asterisk."""
    status = json.loads(pbx.run("ixxsms", "status", "--json"))
    links = [(trunk["name"], trunk["link"]) for trunk in status["trunks"]]
    connected = re.findall(r"^ +ixxsms +127\.0\.0\.1 ", rx(pbx, "manager show connected"), re.M)
    return (len(status["daemons"]), links, len(connected)) == (1, [("provider", "up")], 1)


def received(pbx: System) -> list[tuple[str, str, str]]:
    """What the provider got: (sender, number, text)."""
    messages = map(json.loads, pbx.run("cat", RECORD).splitlines())
    return [(m["source_addr"], m["destination"], bytes.fromhex(m["short_message"]).decode("ascii")) for m in messages]


# 22 only: Debian's 16 is of a Debian whose Python is too old. Both read what is installed, in test_installed.py.
@pytest.mark.parametrize("asterisk_root", ["22"], indirect=True)
@pytest.mark.timeout(180, func_only=True)
def test_who_follows_the_readme_sends_an_sms_from_the_dialplan(pbx):
    assert "ixxsms asterisk install" in commands()
    for command in commands():
        pbx.run("bash", "-c", f"cd {CHECKOUT} && {command}")
    eventually(lambda: is_up(pbx), 20)

    example = block("From the dialplan")
    text = re.search(r"Set\(TEXT=(.*)\)$", example, re.M)[1]
    pbx.run("tee", "-a", "/etc/asterisk/extensions.conf", input=EXTENSIONS.format(readme=example))
    rx(pbx, "dialplan reload")
    expected = [("MyCompany", "34600123456", text), ("MyCompany", "34600123457", "From the script")]
    for number, extension in enumerate(("100", "101"), 1):
        rx(pbx, f"channel originate Local/{extension}@first-calls application Wait 5")
        eventually(lambda number=number: len(received(pbx)) >= number, 10)
    assert received(pbx) == expected

    for command in block("Hooks", "sh").splitlines():
        pbx.run("bash", "-c", command)
    rx(pbx, "channel originate Local/102@first-calls application Wait 5")
    eventually(lambda: "34600123458" in pbx.run("ixxsms", "list", "export", "callers"), 20)

    pbx.run("service", "ixxmassivesms", "stop")
    assert received(pbx) == expected
    pbx.run("ixxsms", "asterisk", "uninstall")
    assert "ixxsms" not in pbx.run("cat", "/etc/asterisk/extensions.conf").partition("[first-calls]")[0]
