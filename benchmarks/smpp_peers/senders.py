"""Senders in Python, each in a process of its own:  python senders.py NAME PORT WINDOW SECONDS TEXT

Sends for so long with so many unanswered at most, waits for the last answer, and prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time

CPU = time.CLOCK_PROCESS_CPUTIME_ID


def ixxsms(port: int, window: int, seconds: float, text: str) -> tuple[int, float, float]:
    """Our driver, in the daemon's loop without the database: poll, hear, submit what there is room for."""
    from ixxsms.drivers.base import Link, TrunkConfig
    from ixxsms.drivers.smpp import SmppDriver
    from ixxsms.events import Accepted, Submission

    options = {"host": "127.0.0.1", "port": port, "user": "user", "window": window}
    driver = SmppDriver(TrunkConfig("bench", "smpp", options, password="secret"))
    while driver.link is not Link.UP:
        driver.poll(1.0)
    answered = number = 0
    cpu, begun = time.clock_gettime(CPU), time.perf_counter()
    while True:
        if time.perf_counter() < begun + seconds:
            room = driver.room()
            driver.submit([Submission(n, f"34{600000000 + n}", text, "acme") for n in range(number, number + room)])
            number += room
        elif not driver.in_flight():
            break
        events = driver.poll(1.0)
        assert all(type(event) is Accepted for event in events), events
        answered += len(events)
    taken, used = time.perf_counter() - begun, time.clock_gettime(CPU) - cpu
    driver.close()
    return answered, taken, used


def smpplib_client(port: int):
    import smpplib.client

    client = smpplib.client.Client("127.0.0.1", port, allow_unknown_opt_params=True)
    client.connect()
    client.bind_transceiver(system_id="user", password="secret")
    client.set_message_sent_handler(lambda pdu: None)  # its own one prints a line for each
    return client


def stopped(client, answered: int, begun: float, cpu: float) -> tuple[int, float, float]:
    taken, used = time.perf_counter() - begun, time.clock_gettime(CPU) - cpu
    client.unbind()
    client.disconnect()
    return answered, taken, used


def smpplib_message(text: str) -> dict[str, object]:
    import smpplib.consts
    import smpplib.gsm

    (part,), data_coding, esm_class = smpplib.gsm.make_parts(text)
    return {
        "source_addr_ton": smpplib.consts.SMPP_TON_ALNUM,
        "source_addr": "acme",
        "dest_addr_ton": smpplib.consts.SMPP_TON_INTL,
        "dest_addr_npi": smpplib.consts.SMPP_NPI_ISDN,
        "short_message": part,
        "data_coding": data_coding,
        "esm_class": esm_class,
        "registered_delivery": True,
    }


def smpplib_synchronous(port: int, window: int, seconds: float, text: str) -> tuple[int, float, float]:
    """smpplib as its README shows it: send, read the answer. Its window is 1. The parts are made once."""
    client, message = smpplib_client(port), smpplib_message(text)
    answered = 0
    cpu, begun = time.clock_gettime(CPU), time.perf_counter()
    while time.perf_counter() < begun + seconds:
        client.send_message(destination_addr=f"34{600000000 + answered}", **message)
        client.read_once()
        answered += 1
    return stopped(client, answered, begun, cpu)


def smpplib_windowed(port: int, window: int, seconds: float, text: str) -> tuple[int, float, float]:
    """smpplib in one thread: send while the window has room, else read one answer. The parts are made once."""
    client, message = smpplib_client(port), smpplib_message(text)
    sent = answered = 0

    def heard(pdu: object) -> None:
        nonlocal answered
        answered += 1

    client.set_message_sent_handler(heard)
    cpu, begun = time.clock_gettime(CPU), time.perf_counter()
    while True:
        if sent - answered < window and time.perf_counter() < begun + seconds:
            client.send_message(destination_addr=f"34{600000000 + sent}", **message)
            sent += 1
        elif sent > answered:
            client.read_once()
        else:
            break
    return stopped(client, answered, begun, cpu)


if __name__ == "__main__":
    name, port, window, seconds, text = sys.argv[1:]
    messages, taken, used = globals()[name](int(port), int(window), float(seconds), text)
    print(json.dumps({"messages": messages, "failed": 0, "seconds": taken, "cpu": used}))
