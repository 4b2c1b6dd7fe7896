"""SMPP 3.4 without IO: bytes and the time go in, events and bytes come out. smpplib has the constants and rare PDUs."""
