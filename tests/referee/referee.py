#!/usr/bin/env python3
"""The referee: what a capture proves, computed a second time with nothing but hashlib, hmac and plain arithmetic.

    referee.py FILE...      one JSON object on standard output; the files are merged by time

It decodes MPTCP (RFC 6824, RFC 8684) on its own and prints each connection's keys, tokens, initial data sequence numbers,
join and ADD_ADDR HMACs, DSS checksum counts and the hash of each data-level stream. tests/referee.rs holds them against
the report of the program. It handles connections whose handshake is in the capture; others it leaves out.
"""

import hashlib
import hmac
import ipaddress
import json
import sys

from packets import ACK, RST, SYN, segments

MPC, JOIN, DSS, ADD_ADDR = 0, 1, 2, 3


def mptcp_options(raw):
    """The kind-30 options of a TCP header, each as its whole bytes; stops at what is cut or malformed."""
    at, found = 0, []
    while at < len(raw) and raw[at] != 0:
        if raw[at] == 1:
            at += 1
            continue
        if at + 1 >= len(raw) or raw[at + 1] < 2 or at + raw[at + 1] > len(raw):
            break
        if raw[at] == 30 and raw[at + 1] >= 3:
            found.append(raw[at:at + raw[at + 1]])
        at += raw[at + 1]
    return found


class Bytes:
    """A sparse byte string: the first copy of each byte wins."""

    def __init__(self):
        self.data, self.have = bytearray(), bytearray()

    def put(self, at, piece):
        if at < 0:
            at, piece = 0, piece[-at:]
        end = at + len(piece)
        if end > len(self.have):
            grow = end - len(self.have)
            self.data.extend(bytes(grow))
            self.have.extend(bytes(grow))
        if self.have.find(1, at, end) < 0:
            self.data[at:end] = piece
        else:
            for index in range(at, end):
                if not self.have[index]:
                    self.data[index] = piece[index - at]
        self.have[at:end] = b"\x01" * len(piece)

    def get(self, start, end):
        """The bytes, or None where some are missing."""
        if start < 0 or end > len(self.have) or self.have.find(0, start, end) >= 0:
            return None
        return bytes(self.data[start:end])

    def pieces(self, start, end):
        """(offset, bytes) of the runs that are there."""
        at, end = max(start, 0), min(end, len(self.have))
        while at < end:
            if not self.have[at]:
                at = self.have.find(1, at, end)
                if at < 0:
                    return
            stop = self.have.find(0, at, end)
            stop = end if stop < 0 else stop
            yield at, bytes(self.data[at:stop])
            at = stop


class Flow:
    """One TCP connection; direction 0 is from the end that sent the SYN."""

    def __init__(self, source, destination):
        self.ends, self.isn, self.syn_data = (source, destination), [None, None], [0, 0]
        self.segments, self.options = [], []  # (direction, segment), (direction, segment, option)

    def add(self, segment):
        direction = 0 if (segment.src, segment.sport) == self.ends[0] else 1
        if segment.flags & SYN and not segment.flags & RST and self.isn[direction] is None:
            self.isn[direction] = segment.seq
            if direction == 0:
                self.syn_data[0] = len(segment.payload)
        self.segments.append((direction, segment))
        self.options.extend((direction, segment, option) for option in mptcp_options(segment.options))

    def position(self, direction, segment):
        """Offset of the segment's first payload byte in the subflow's stream: the byte after the SYN is 0."""
        offset = (segment.seq + (1 if segment.flags & SYN else 0) - self.isn[direction] - 1) & 0xFFFFFFFF
        return offset - 2**32 if offset > 2**31 else offset


def tcp_flows(all_segments):
    current, flows = {}, []
    for segment in all_segments:
        source, destination = (segment.src, segment.sport), (segment.dst, segment.dport)
        key = frozenset((source, destination))
        flow = current.get(key)
        opening = segment.flags & (SYN | ACK | RST) == SYN
        if flow is None or (opening and segment.seq != flow.isn[0]):
            swapped = segment.flags & (SYN | ACK) == SYN | ACK
            flow = Flow(*((destination, source) if swapped else (source, destination)))
            current[key] = flow
            flows.append(flow)
        flow.add(segment)
    return flows


class Connection:
    def __init__(self, flow):
        self.initial, self.keys, self.joins, self.completed = flow, [None, None], [], False
        versions, self.flags = [None, None], [None, None]
        for direction, segment, option in flow.options:
            if option[2] >> 4 != MPC or len(option) < 4:
                continue
            syn = bool(segment.flags & SYN)
            if syn:
                versions[direction], self.flags[direction] = option[2] & 15, option[3]
            if syn and len(option) == 12:
                self.keys[direction] = option[4:12]
            elif not syn and direction == 0 and len(option) >= 20:
                self.keys, self.completed = [option[4:12], option[12:20]], True
        self.version = versions[1] if versions[1] is not None and self.keys[1] else versions[0]
        self.hash = hashlib.sha256 if self.version == 1 else hashlib.sha1
        self.checksum = any(flags is not None and flags & 0x80 for flags in self.flags)
        digests = [self.hash(key).digest() if key else None for key in self.keys]
        self.tokens = [digest[:4].hex() if digest else None for digest in digests]
        self.idsn = [int.from_bytes(digest[-8:], "big") if digest else None for digest in digests]

    def mac(self, first, second, message):
        return hmac.new(self.keys[first] + self.keys[second], message, self.hash).digest()

    def expand(self, value, size, expected):
        """The 64-bit number nearest to `expected` with these low bits."""
        if size == 8:
            return value
        return min(((expected >> 32) + carry << 32 | value for carry in (-1, 0, 1)), key=lambda full: abs(full - expected))


class Join:
    """An MP_JOIN subflow; several flows if an address translator shows it under several 4-tuples."""

    def __init__(self, flow):
        self.flows, self.token, self.nonces, self.ids, self.backup = [flow], None, [None, None], [None, None], [False, False]
        self.macs = [None, None]  # of the third ACK, of the SYN/ACK
        for direction, segment, option in flow.options:
            if option[2] >> 4 != JOIN:
                continue
            if len(option) == 12 and direction == 0:
                self.token, self.nonces[0] = option[4:8].hex(), option[8:12]
            elif len(option) == 16 and direction == 1:
                self.macs[1], self.nonces[1] = option[4:12], option[12:16]
            elif len(option) == 24 and direction == 0:
                self.macs[0] = option[4:24]
            if segment.flags & SYN:
                self.ids[direction], self.backup[direction] = option[3], bool(option[2] & 1)

    def report(self, connection):
        initiator = 0 if self.token == connection.tokens[1] else 1
        verdicts = [None, None]
        if None not in connection.keys and None not in self.nonces:
            for sender in (0, 1):
                first, second = (initiator, 1 - initiator) if sender == 0 else (1 - initiator, initiator)
                if self.macs[sender]:
                    digest = connection.mac(first, second, self.nonces[sender] + self.nonces[1 - sender])
                    verdicts[sender] = digest[:len(self.macs[sender])] == self.macs[sender]
        return {
            "flows": [tuple_text(flow) for flow in self.flows], "initiator": ("client", "server")[initiator],
            "token": self.token, "address_ids": self.ids, "backup_in_syn": self.backup,
            "ack_hmac": verdicts[0], "syn_ack_hmac": verdicts[1],
        }


def tuple_text(flow):
    return ">".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in flow.ends)


def dss_fields(option):
    """(dsn, size of dsn, ssn, length, checksum or None, data_fin) of a DSS with a mapping, else None."""
    flags = option[3] if len(option) > 3 else 0
    if not flags & 4:
        return None
    at = 4 + ((8 if flags & 2 else 4) if flags & 1 else 0)
    size = 8 if flags & 8 else 4
    if len(option) not in (at + size + 6, at + size + 8):
        return None
    number = lambda start, length: int.from_bytes(option[start:start + length], "big")
    checksum = number(at + size + 6, 2) if len(option) == at + size + 8 else None
    return number(at, size), size, number(at + size, 4), number(at + size + 4, 2), checksum, bool(flags & 16)


def checksum_of(dsn, ssn, length, covered):
    data = dsn.to_bytes(8, "big") + ssn.to_bytes(4, "big") + length.to_bytes(2, "big") + b"\0\0" + covered
    total = sum(int.from_bytes(data[at:at + 2].ljust(2, b"\0"), "big") for at in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def direction_report(connection, side):
    """Checksums and stream of what one end (0 client, 1 server) sent."""
    if connection.idsn[side] is None:
        return None
    first = connection.idsn[side] + 1
    subflows = [([connection.initial], side)]
    subflows += [(join.flows, side if join.token == connection.tokens[1] else 1 - side) for join in connection.joins]
    counts, mappings, stores, fin, expected = {"verified": 0, "mismatch": 0, "unverifiable": 0}, {}, [], None, first
    for index, (flows, direction) in enumerate(subflows):
        store = Bytes()
        stores.append(store)
        for flow in flows:
            if flow.isn[direction] is None:
                continue
            for sender, segment in flow.segments:
                if sender == direction and segment.payload:
                    store.put(flow.position(sender, segment), segment.payload)
    events = sorted(((segment.time, index, segment, option) for index, (flows, direction) in enumerate(subflows) for flow in flows
                     for sender, segment, option in flow.options if sender == direction), key=lambda event: event[0])
    for _, index, segment, option in events:
        if option[2] >> 4 == MPC and len(option) in (22, 24) and connection.version == 1:
            checksum = int.from_bytes(option[22:24], "big") if len(option) == 24 else None
            fields = (first & 2**64 - 1, 8, 1, int.from_bytes(option[20:22], "big"), checksum, False)
        elif option[2] >> 4 == DSS:
            fields = dss_fields(option)
        else:
            continue
        if fields is None:
            continue
        dsn, size, ssn, length, checksum, data_fin = fields
        dsn = connection.expand(dsn, size, expected)
        expected = max(expected, dsn)
        if data_fin and length:
            fin = dsn + length - 1
        mappings.setdefault((index, dsn, ssn, length), (checksum, data_fin))
    stream, doubtful, infinite = Bytes(), [], []
    for (index, dsn, ssn, length), (checksum, data_fin) in mappings.items():
        flows, direction = subflows[index]
        start = ssn - 1 + flows[0].syn_data[direction]
        if length == 0:
            infinite.append((dsn - first, start, stores[index]))
            continue
        end = start + length - (1 if data_fin else 0)
        good = True
        if checksum is not None:
            covered = b"" if start == end or ssn == 0 else stores[index].get(start, end)
            if covered is None:
                counts["unverifiable"] += 1
            else:
                good = checksum_of(dsn & 2**64 - 1, ssn, length, covered) == checksum
                counts["verified" if good else "mismatch"] += 1
        if ssn:
            pieces = [(dsn - first + at - start, piece) for at, piece in stores[index].pieces(start, end)]
            if good:
                for piece in pieces:
                    stream.put(*piece)
            else:
                doubtful.extend(pieces)
    for at, start, store in infinite:
        for offset, piece in store.pieces(start, len(store.have)):
            stream.put(at + offset - start, piece)
    for piece in doubtful:
        stream.put(*piece)
    total = stream.have.count(1)
    data = bytes(stream.data)
    # A DATA_FIN tells how long the stream is, even where its last bytes were not captured.
    length = len(data) if fin is None else max(len(data), fin - first)
    syn_data = connection.initial.syn_data[0] if side == 0 else 0
    opening = next((bytes(s.payload) for d, s in connection.initial.segments if d == side and s.flags & SYN and s.payload), b"")
    return {"bytes": total, "missing_bytes": length - total, "data_fin": fin is not None, "checksums": counts, "mappings": len(mappings),
            "infinite": bool(infinite), "fast_open_bytes": syn_data, "sha256": hashlib.sha256(opening + data).hexdigest()}


def addresses(connection):
    """ADD_ADDRs with an HMAC: distinct (by, id, address, port), with the variant of the algorithm that matches."""
    found = {}
    flows = [(connection.initial, False)]
    flows += [(flow, join.token == connection.tokens[0]) for join in connection.joins for flow in join.flows]
    for flow, swapped in flows:
        for direction, _, option in flow.options:
            if option[2] >> 4 != ADD_ADDR:
                continue
            by, low = direction ^ swapped, option[2] & 15
            size, mac = len(option) - 4, None
            if connection.version == 1 and low & 1:
                continue
            if connection.version == 1 and low in (0, 1):
                size, mac = size - 8, option[-8:]
            wide = 16 if size >= 16 else 4
            port = option[4 + wide:4 + size]
            address = str(ipaddress.ip_address(option[4:4 + wide]))
            verdict = None
            if mac and None not in connection.keys:
                digest = connection.mac(by, 1 - by, option[3:4] + option[4:4 + wide] + (port or b"\0\0"))
                verdict = "right" if digest[-8:] == mac else "left" if digest[:8] == mac else "mismatch"
            found[by, option[3], address, int.from_bytes(port, "big") if port else None] = verdict
    return [{"by": ("client", "server")[by], "id": number, "address": address, "port": port, "hmac": verdict}
            for (by, number, address, port), verdict in found.items()]


def judge(paths):
    everything = segments(paths)
    flows = tcp_flows(everything)
    connections = [Connection(flow) for flow in flows if any(o[2] >> 4 == MPC for _, s, o in flow.options if s.flags & SYN)]
    joins, by_nonce = [], {}
    for flow in flows:
        join = Join(flow)
        if join.token is None:
            continue
        known = by_nonce.setdefault((join.token, join.nonces[0], join.nonces[1]), join)
        if known is join:
            joins.append(join)
        else:
            known.flows.append(flow)
    orphans = []
    for join in joins:
        owner = next((c for c in reversed(connections) if join.token in c.tokens), None)
        (owner.joins if owner else orphans).append(join)
    return {
        "connections": [{
            "initial": tuple_text(c.initial), "version": c.version, "completed": c.completed, "checksum": c.checksum,
            "keys": [key.hex() if key else None for key in c.keys], "tokens": c.tokens,
            "idsn": [None if idsn is None else str(idsn) for idsn in c.idsn], "joins": [join.report(c) for join in c.joins],
            "addresses": addresses(c), "client_to_server": direction_report(c, 0), "server_to_client": direction_report(c, 1),
        } for c in connections],
        "payload_cut": any(s.payload_len > len(s.payload) or s.options_cut for s in everything),
        "orphans": sorted({join.token for join in orphans}),
    }


if __name__ == "__main__":
    json.dump(judge(sys.argv[1:]), sys.stdout, indent=1)
