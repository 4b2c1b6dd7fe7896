"""A little SIP phone for tests: it registers, sends MESSAGE, receives MESSAGE and answers OPTIONS; UDP, no calls."""

from __future__ import annotations

import hashlib
import queue
import re
import socket
import threading
import uuid
from dataclasses import dataclass

_REASONS = {200: "OK", 202: "Accepted", 480: "Temporarily Unavailable", 486: "Busy Here", 603: "Decline"}


@dataclass(frozen=True)
class Packet:
    """A request or a response. `start`: its first line; `headers`: by name in lower case."""

    start: str
    headers: dict[str, str]
    body: bytes

    @property
    def method(self) -> str:
        return self.start.split()[0]

    @property
    def status(self) -> int:
        return int(self.start.split()[1])

    @property
    def text(self) -> str:
        return self.body.decode("utf-8")


class SipAgent:
    """The phone of `user` at the server on a loopback port; use it in a `with`.

    `answer`: the status with which it answers a MESSAGE.
    """

    def __init__(self, user: str, server_port: int, password: str = "", answer: int = 200) -> None:
        self.user, self.password, self.answer = user, password, answer
        self.messages: queue.Queue[Packet] = queue.Queue()
        self._server = ("127.0.0.1", server_port)
        self._responses: queue.Queue[Packet] = queue.Queue()
        self._sequence = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def __enter__(self) -> SipAgent:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.sendto(b"", ("127.0.0.1", self.port))  # it wakes the thread up
        self._thread.join()
        self._socket.close()

    def register(self, seconds: int = 300) -> int:
        """Returns the status; 0 seconds unregisters."""
        contact = f"<sip:{self.user}@127.0.0.1:{self.port}>"
        return self.request("REGISTER", self.user, f"Contact: {contact}", f"Expires: {seconds}")

    def message(self, to: str, text: str | bytes, *headers: str, content_type: str = "text/plain") -> int:
        """Returns the status."""
        body = text.encode() if isinstance(text, str) else text
        return self.request("MESSAGE", to, f"Content-Type: {content_type}", *headers, body=body)

    def next_message(self, seconds: float = 5) -> Packet:
        """The next MESSAGE that came in; raises queue.Empty."""
        return self.messages.get(timeout=seconds)

    def request(self, method: str, to: str, *headers: str, body: bytes = b"") -> int:
        """The status of the final response, after answering a challenge; raises queue.Empty after 5 s of silence."""
        host = f"127.0.0.1:{self._server[1]}"
        uri = f"sip:{host}" if method == "REGISTER" else f"sip:{to}@{host}"
        call, tag = uuid.uuid4().hex, uuid.uuid4().hex[:8]
        response = self._ask(method, uri, to, call, tag, headers, body)
        if response.status == 401 and self.password:
            answer = digest(response.headers["www-authenticate"], method, uri, self.user, self.password)
            response = self._ask(method, uri, to, call, tag, (*headers, f"Authorization: {answer}"), body)
        return response.status

    def _ask(
        self, method: str, uri: str, to: str, call: str, tag: str, headers: tuple[str, ...], body: bytes
    ) -> Packet:
        self._sequence += 1
        given = {header.split(":")[0].lower() for header in headers}
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bK{uuid.uuid4().hex};rport",
            *([] if "from" in given else [f"From: <sip:{self.user}@127.0.0.1>;tag={tag}"]),
            f"To: <sip:{to}@127.0.0.1>",
            f"Call-ID: {call}",
            f"CSeq: {self._sequence} {method}",
            "Max-Forwards: 70",
            *headers,
            f"Content-Length: {len(body)}",
        ]
        self._socket.sendto("\r\n".join([*lines, "", ""]).encode() + body, self._server)
        while True:
            response = self._responses.get(timeout=5)
            if response.headers["cseq"] == f"{self._sequence} {method}" and response.status >= 200:
                return response

    def _listen(self) -> None:
        while datagram := self._socket.recvfrom(65535):
            data, sender = datagram
            if not data:
                return
            packet = _parse(data)
            if packet.start.startswith("SIP/2.0"):
                self._responses.put(packet)
            elif packet.method != "ACK":
                self._socket.sendto(self._answer_to(packet), sender)
                if packet.method == "MESSAGE":
                    self.messages.put(packet)

    def _answer_to(self, packet: Packet) -> bytes:
        status = self.answer if packet.method == "MESSAGE" else 200
        kept = [f"{name}: {packet.headers[name]}" for name in ("via", "from", "call-id", "cseq")]
        to = packet.headers["to"]
        kept.append(f"to: {to}" if ";tag=" in to else f"to: {to};tag=agent")
        return "\r\n".join(
            [f"SIP/2.0 {status} {_REASONS.get(status, 'Answer')}", *kept, "Content-Length: 0", "", ""]
        ).encode()


def digest(challenge: str, method: str, uri: str, user: str, password: str) -> str:
    """The Authorization header for a challenge by MD5 (RFC 2617)."""
    asked = dict(re.findall(r'(\w+)="?([^",]+)"?', challenge))
    secret = _md5(f"{user}:{asked['realm']}:{password}")
    request = _md5(f"{method}:{uri}")
    fields = f'username="{user}",realm="{asked["realm"]}",nonce="{asked["nonce"]}",uri="{uri}",algorithm=MD5'
    if "opaque" in asked:
        fields += f',opaque="{asked["opaque"]}"'
    nonce, count, ours = asked["nonce"], "00000001", uuid.uuid4().hex
    if "qop" not in asked:
        return f'Digest {fields},response="{_md5(f"{secret}:{nonce}:{request}")}"'
    response = _md5(f"{secret}:{nonce}:{count}:{ours}:auth:{request}")
    return f'Digest {fields},qop=auth,nc={count},cnonce="{ours}",response="{response}"'


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _parse(data: bytes) -> Packet:
    head, _, body = data.partition(b"\r\n\r\n")
    start, *lines = head.decode("utf-8", "replace").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return Packet(start, {name.strip().lower(): value.strip() for name, _, value in pairs}, body)
