#!/usr/bin/env python3
"""SYN flood of MP_CAPABLE and MP_JOIN against the live capture, inside two namespaces of its own: does memory stay flat?

  flood.py PROGRAM [SECONDS] [PACKETS_PER_SECOND]      (600 s and 10,000/s; never more than 3,600 s and 50,000/s)

A third of the SYNs is never answered, a third gets a SYN/ACK and no more, a third a RST. Half of them carry MP_CAPABLE with random
keys, half MP_JOIN with random tokens; every address and port is new. In the end the kernels of both namespaces make a real connection
with a join through the flood. Prints the resident memory of the program every ten seconds, and what its report says of the end.
"""
import json, os, random, signal, socket, struct, subprocess, sys, time

here = os.path.dirname(os.path.abspath(__file__))
C, S = 'mpifc%d' % os.getpid(), 'mpifs%d' % os.getpid()


def sh(command):
    subprocess.run(command, shell=True, check=True)


def checksum(data):
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def packet(source, destination, sport, dport, seq, ack, flags, options):
    options += b'\x01' * (-len(options) % 4)
    tcp = struct.pack('!HHIIBBHHH', sport, dport, seq, ack, (5 + len(options) // 4) << 4, flags, 65535, 0, 0) + options
    header = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + len(tcp), random.getrandbits(16), 0, 64, 6, 0, source, destination)
    header = header[:10] + struct.pack('!H', checksum(header)) + header[12:]
    return b'\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x08\0' + header + tcp


def flood(interface, seconds, rate):
    """Runs inside the client's namespace."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.bind((interface, 0))
    server = bytes([10, 77, 1, 2])
    sent, opened, began = 0, 0, time.monotonic()
    while (now := time.monotonic() - began) < seconds:
        while sent < now * rate:
            port = random.randrange(1024, 65536)
            client = bytes([11]) + random.randbytes(3)
            seq = random.getrandbits(32)
            opened += 1
            if opened & 1:
                syn, answer = b'\x1e\x04\x01\x01', b'\x1e\x0c\x01\x01' + random.randbytes(8)
            else:
                syn = b'\x1e\x0c\x10\x02' + random.randbytes(8)
                answer = b'\x1e\x10\x10\x00' + random.randbytes(12)
            mss = b'\x02\x04\x05\xb4'
            sock.send(packet(client, server, port, 8080, seq, 0, 2, mss + syn))
            sent += 1
            kind = opened % 3
            if kind == 1:
                sock.send(packet(server, client, 8080, port, random.getrandbits(32), seq + 1 & 0xffffffff, 0x12, mss + answer))
                sent += 1
            elif kind == 2:
                sock.send(packet(server, client, 8080, port, 0, seq + 1 & 0xffffffff, 0x14, b''))
                sent += 1
        time.sleep(0.005)
    print('%d packets sent in %.1f s' % (sent, time.monotonic() - began), flush=True)


def memory(pid):
    with open('/proc/%d/status' % pid) as status:
        return next(int(line.split()[1]) for line in status if line.startswith('VmRSS'))


def app(namespace, *arguments):
    words = ['ip', 'netns', 'exec', namespace, 'python3', here + '/app.py', *arguments]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask(*pairs):
    for process, command in pairs:
        process.stdin.write(command + '\n')
        process.stdin.flush()
    for process, _ in pairs:
        assert process.stdout.readline() == 'ok\n'


def real_connection():
    server = app(S, 'server', '0.0.0.0', '9090')
    server.stdout.readline()
    client = app(C, 'client', '10.77.1.2', '9090')
    client.stdout.readline(), server.stdout.readline()
    time.sleep(0.5)
    ask((server, 'receive 3000000'), (client, 'send 3000000'))
    ask((client, 'close'))
    ask((server, 'close'))


def two_paths():
    """Two namespaces joined by two veth pairs; the client joins from its second address."""
    for namespace in (C, S):
        sh('ip netns add %s; ip -n %s link set lo up; ip netns exec %s sysctl -qw net.mptcp.enabled=1' % ((namespace,) * 3))
    for path in '1', '2':
        sh('ip link add p%s netns %s type veth peer name p%s netns %s' % (path, C, path, S))
        for namespace, host in (C, 1), (S, 2):
            sh('ip -n %s addr add 10.77.%s.%d/24 dev p%s; ip -n %s link set p%s up' % (namespace, path, host, path, namespace, path))
    sh('ip -n %s mptcp endpoint add 10.77.2.1 dev p2 subflow' % C)


def remove():
    for namespace in (C, S):
        subprocess.run(['ip', 'netns', 'del', namespace])


def main():
    program = os.path.abspath(sys.argv[1])
    seconds = min(int(sys.argv[2]) if len(sys.argv) > 2 else 600, 3600)
    rate = min(int(sys.argv[3]) if len(sys.argv) > 3 else 10_000, 50_000)
    two_paths()
    out = open('/tmp/mpi-flood-%d.json' % os.getpid(), 'w+')
    inspect = subprocess.Popen(['ip', 'netns', 'exec', C, program, '-F', 'json', '-i', 'p1', '-i', 'p2'], stdout=out)
    time.sleep(1)
    generator = subprocess.Popen(['ip', 'netns', 'exec', C, sys.executable, __file__, '--generate', 'p1', str(seconds), str(rate)])
    began, samples = time.monotonic(), []
    while generator.poll() is None:
        time.sleep(min(10, max(1, seconds / 20)))
        samples.append(memory(inspect.pid))
        print('%4d s  %7d kB' % (time.monotonic() - began, samples[-1]), flush=True)
        if time.monotonic() - began > seconds * 0.9 and seconds:
            real_connection()
            break
    generator.wait()
    time.sleep(1)
    inspect.send_signal(signal.SIGINT)
    inspect.wait(120)
    out.seek(0)
    report = json.load(out)
    os.unlink(out.name)
    print('capture', json.dumps(report['capture']), 'dropped', report['inputs'][0]['dropped'], 'held', len(report['connections']))
    real = [one for one in report['connections'] if one['server']['port'] == 9090]
    joins = [path['join']['ack_hmac']['verdict'] for one in real for path in one['subflows'] if path['join']]
    print('the real connection: %s, joins %s' % ([one['outcome'] for one in real], joins))
    half = len(samples) // 3
    flat = max(samples[half:]) <= 1.05 * max(samples[:half + 1])
    print('memory %s: %d kB after a third of the time, %d kB at most after it' % ('flat' if flat else 'GROWS', max(samples[:half + 1]), max(samples[half:])))
    return 0 if flat and joins == ['verified'] else 1


if __name__ == '__main__':
    if sys.argv[1] == '--generate':
        flood(sys.argv[2], float(sys.argv[3]), float(sys.argv[4]))
    else:
        try:
            status = main()
        finally:
            remove()
        sys.exit(status)
