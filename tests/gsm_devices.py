"""An AMI server with GSM devices behind it, for tests: it speaks as chan_dongle and chan_quectel do in their sources.

No real device was ever behind it. `manner`: "old" (an ID in the answer, SMSStatus events), "new" (a Payload, Report
events).
"""

from __future__ import annotations

import asyncio
import base64
import threading
from contextlib import suppress


class GsmDevices:
    """Use it in a `with`. `sent`: the headers of each SMS; `silent`: take SMS and say no more of them."""

    def __init__(self, prefix: str = "Dongle", manner: str = "new", secret: str = "secret") -> None:
        self.prefix, self.manner, self.secret = prefix, manner, secret
        self.sent: list[dict[str, str]] = []
        self.logins: list[dict[str, str]] = []
        #: What becomes of the SMS to a number: "" it is sent, "fail", "refuse" (not even queued), "silent", "early".
        self.fates: dict[str, str] = {}
        self.deny = False  #: the user may send nothing
        self.mute = False  #: SMS are not even answered
        self._writers: list[asyncio.StreamWriter] = []
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._talk, "127.0.0.1", 0))
        self.port = int(self._server.sockets[0].getsockname()[1])
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> GsmDevices:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    def cut(self) -> None:
        """Lose every connection."""
        done = threading.Event()

        def close() -> None:
            for writer in self._writers:
                writer.transport.abort()
            self._writers.clear()
            done.set()

        self._loop.call_soon_threadsafe(close)
        done.wait(10)

    def say(self, event: str, **headers: str) -> None:
        """An event of the devices to whoever listens."""
        self._loop.call_soon_threadsafe(self._event, event, headers)

    def deliver(self, device: str, source: str, text: str) -> None:
        """An SMS from outside, as both events that the drivers send."""
        message = base64.b64encode(text.encode()).decode()
        self.say("NewSMS", Device=device, From=source, LineCount="1", MessageLine0=f"{text[:10]}\r\n")
        self.say("NewSMSBase64", Device=device, From=source, Message=message)

    def report(self, sms: dict[str, str], success: bool, kind: str = "1") -> None:
        headers = {"Device": sms["Device"], "Payload": sms["Payload"], "SCTS": "", "DT": ""}
        self.say("Report", **headers, Success=str(int(success)), Type=kind, Report="000," if success else "064,")

    # -- the loop's thread -----------------------------------------------------------------------------------------

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        writer.write(b"Asterisk Call Manager/9.0.0\r\n")
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                packet = (await reader.readuntil(b"\r\n\r\n")).decode()
                headers = dict(line.split(": ", 1) for line in packet.split("\r\n") if line)
                self._answer(writer, headers)
        writer.close()

    def _answer(self, writer: asyncio.StreamWriter, headers: dict[str, str]) -> None:
        action = headers["Action"]
        if action == "Login":
            self.logins.append(headers)
            ok = headers["Secret"] == self.secret
            self._respond(writer, headers, ok, "Authentication accepted" if ok else "Authentication failed")
            if ok:
                writer.write(b"Event: FullyBooted\r\nPrivilege: system,all\r\nStatus: Fully Booted\r\n\r\n")
        elif action == f"{self.prefix}SendSMS":
            self._send(writer, headers)
        elif action == "Ping":
            self._respond(writer, headers, True, "Pong")
        else:
            said = f"Invalid/unknown command: {action}. Use Action: ListCommands to show available commands."
            self._respond(writer, headers, False, said)

    def _send(self, writer: asyncio.StreamWriter, sms: dict[str, str]) -> None:
        fate = self.fates.get(sms["Number"], "")
        if self.mute:
            self.sent.append(sms)
            return
        if self.deny:
            self._respond(writer, sms, False, "Permission denied")
            return
        if fate == "refuse":
            self._respond(writer, sms, False, f"[{sms['Device']}] Device not connected / initialized / registered")
            return
        self.sent.append(sms)
        ident = f"0x7f{len(self.sent):06x}"
        if fate == "early":
            self._event("SMSStatus", {"Device": sms["Device"], "ID": ident, "Status": "Sent"})
        queued = f"[{sms['Device']}] SMS queued for send"
        self._respond(writer, sms, True, queued + (f"\r\nID: {ident}" if self.manner == "old" else ""))
        if fate in ("silent", "early"):
            return
        if self.manner == "old":
            self._event("SMSStatus", {"Device": sms["Device"], "ID": ident, "Status": "NotSent" if fate else "Sent"})
        elif fate or sms["Report"] == "no":
            kind = {"Payload": sms["Payload"], "SCTS": "", "DT": "", "Success": "0" if fate else "1", "Type": "0"}
            self._event("Report", {"Device": sms["Device"], **kind, "Report": ""})

    def _respond(self, writer: asyncio.StreamWriter, headers: dict[str, str], ok: bool, message: str) -> None:
        ident = f"\r\nActionID: {headers['ActionID']}" if "ActionID" in headers else ""
        writer.write(f"Response: {'Success' if ok else 'Error'}{ident}\r\nMessage: {message}\r\n\r\n".encode())

    def _event(self, event: str, headers: dict[str, str]) -> None:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        for writer in self._writers:
            writer.write(f"Event: {self.prefix}{event}\r\nPrivilege: call,all\r\n{lines}\r\n".encode())
