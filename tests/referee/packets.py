"""Reads captures for the referee: pcap, pcapng, gzip and zstd; strips link layers and tunnels down to TCP.

Written from the file format and protocol descriptions, sharing nothing with the program under test. It favours being
plain over being fast and does no more than the test captures need.
"""

import gzip
import ipaddress
import struct
import subprocess
from collections import namedtuple

# time is in nanoseconds; seq and ack are raw; options are the raw option bytes; payload is what the capture holds of it;
# payload_len is what the IP header promises; options_cut tells that the snap length cut the TCP header.
Tcp = namedtuple("Tcp", "file frame time src sport dst dport seq ack flags options options_cut payload payload_len")
FIN, SYN, RST, ACK = 1, 2, 4, 16


def content(path):
    with open(path, "rb") as file:
        data = file.read()
    if data[:2] == b"\x1f\x8b":
        return gzip.decompress(data)
    if data[:4] == b"\x28\xb5\x2f\xfd":
        return subprocess.run(["zstd", "-dcq"], input=data, check=True, capture_output=True).stdout
    return data


def frames(path):
    """Yields (number, nanoseconds, link type, bytes); ends quietly where the file is cut."""
    data = content(path)
    magic = data[:4]
    if magic == b"\x0a\x0d\x0d\x0a":
        yield from pcapng_frames(data)
        return
    order = "<" if magic in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    fraction = 1 if magic in (b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d") else 1000
    link = struct.unpack(order + "I", data[20:24])[0] & 0xFFFF
    at, number = 24, 0
    while at + 16 <= len(data):
        seconds, part, kept, _ = struct.unpack(order + "IIII", data[at:at + 16])
        if at + 16 + kept > len(data):
            return
        number += 1
        yield number, seconds * 10**9 + part * fraction, link, data[at + 16:at + 16 + kept]
        at += 16 + kept


def pcapng_frames(data):
    at, number, order, interfaces = 0, 0, "<", []
    while at + 12 <= len(data):
        kind = struct.unpack(order + "I", data[at:at + 4])[0]
        if data[at:at + 4] == b"\x0a\x0d\x0d\x0a":
            order = "<" if data[at + 8:at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            interfaces = []
        length = struct.unpack(order + "I", data[at + 4:at + 8])[0]
        if length < 12 or at + length > len(data):
            return
        body = data[at + 8:at + length - 4]
        if kind == 1:
            unit, option = 10**6, 8
            while option + 4 <= len(body):
                code, size = struct.unpack(order + "HH", body[option:option + 4])
                if code == 9:
                    exponent = body[option + 4]
                    unit = 2 ** (exponent & 0x7F) if exponent & 0x80 else 10**exponent
                option += 4 + (size + 3) // 4 * 4
            interfaces.append((struct.unpack(order + "H", body[:2])[0], unit))
        elif kind == 6:
            interface, high, low, kept, _ = struct.unpack(order + "IIIII", body[:20])
            link, unit = interfaces[interface]
            number += 1
            yield number, (high << 32 | low) * 10**9 // unit, link, body[20:20 + kept]
        at += length


def link_payload(link, data):
    """(ethertype, rest) of a frame."""
    if link == 1:
        return ether(int.from_bytes(data[12:14], "big"), data[14:])
    if link == 113:
        return ether(int.from_bytes(data[14:16], "big"), data[16:])
    if link == 276:
        return ether(int.from_bytes(data[0:2], "big"), data[20:])
    if link in (12, 101, 228, 229) and data:
        return (0x0800 if data[0] >> 4 == 4 else 0x86DD), data
    if link in (0, 108) and len(data) > 4:
        return (0x0800 if data[4] >> 4 == 4 else 0x86DD), data[4:]
    return None, b""


def ether(kind, data):
    """Strips VLAN tags, LLC/SNAP, PPPoE and MPLS."""
    while True:
        if kind in (0x8100, 0x88A8, 0x9100):
            kind, data = int.from_bytes(data[2:4], "big"), data[4:]
        elif kind <= 1500 and data[:3] == b"\xaa\xaa\x03":
            kind, data = int.from_bytes(data[6:8], "big"), data[8:kind]
        elif kind == 0x8864:
            kind, data = {0x0021: 0x0800, 0x0057: 0x86DD}.get(int.from_bytes(data[6:8], "big"), 0), data[8:]
        elif kind == 0x8847:
            bottom = False
            while len(data) >= 4 and not bottom:
                bottom, data = bool(data[2] & 1), data[4:]
            kind = 0x0800 if data and data[0] >> 4 == 4 else 0x86DD
        else:
            return kind, data


def inner_tcp(kind, data):
    """(source, destination, TCP bytes, length the IP header promises) of the innermost TCP segment, or None."""
    if kind == 0x0800 and len(data) >= 20 and data[0] >> 4 == 4:
        if int.from_bytes(data[6:8], "big") & 0x3FFF:
            return None
        head, total = (data[0] & 15) * 4, int.from_bytes(data[2:4], "big")
        src, dst, protocol = ipaddress.ip_address(data[12:16]), ipaddress.ip_address(data[16:20]), data[9]
        return upper(src, dst, protocol, data[head:total or len(data)], total - head if total else len(data) - head)
    if kind == 0x86DD and len(data) >= 40:
        src, dst, protocol = ipaddress.ip_address(data[8:24]), ipaddress.ip_address(data[24:40]), data[6]
        left = int.from_bytes(data[4:6], "big")
        data, left = data[40:40 + left] if left else data[40:], left or len(data) - 40
        while protocol in (0, 43, 44, 60) and len(data) >= 8:
            if protocol == 44 and int.from_bytes(data[2:4], "big") & 0xFFF9:
                return None
            size = 8 if protocol == 44 else (data[1] + 1) * 8
            protocol, data, left = data[0], data[size:], left - size
        return upper(src, dst, protocol, data, left)
    return None


def upper(src, dst, protocol, data, length):
    if protocol == 6:
        return (src, dst, data, length) if len(data) >= 20 else None
    if protocol == 4:
        return inner_tcp(0x0800, data)
    if protocol == 41:
        return inner_tcp(0x86DD, data)
    if protocol == 17 and len(data) > 16:
        port, data = int.from_bytes(data[2:4], "big"), data[8:]
        if port in (4789, 8472):
            return inner_tcp(*ether(int.from_bytes(data[20:22], "big"), data[22:]))
        if port == 2152 and data[1] == 0xFF:
            at = 8
            if data[0] & 7:
                following, at = data[11], 12
                while following and at < len(data):
                    size = data[at] * 4
                    following, at = data[at + size - 1], at + size
            return inner_tcp(0x0800 if data[at] >> 4 == 4 else 0x86DD, data[at:])
    return None


def segments(paths):
    """All TCP segments of the files, merged by time (stable)."""
    found = []
    for index, path in enumerate(paths):
        for number, time, link, data in frames(path):
            try:
                got = inner_tcp(*link_payload(link, data))
            except (IndexError, ValueError, struct.error):
                got = None
            if got is None:
                continue
            src, dst, tcp, length = got
            sport, dport, seq, ack, offset, flags = struct.unpack(">HHIIBB", tcp[:14])
            head = (offset >> 4) * 4
            if head < 20:
                continue
            found.append(Tcp(index, number, time, str(src), sport, str(dst), dport, seq, ack, flags, tcp[20:head],
                             len(tcp) < head, tcp[head:], length - head))
    found.sort(key=lambda segment: segment.time)
    return found
