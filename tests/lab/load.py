#!/usr/bin/env python3
"""Lab traffic as fast as it goes, watched by the program and by tcpdump on the same interfaces at the same time: who drops?

  load.py PROGRAM [SECONDS] [small]       (20 s; 'small' switches segmentation offload off: packets of 1,500 bytes instead of 64 KiB)

Never more than 120 s. Prints packets and drops of both, and whether the program saw each byte that the kernels exchanged.
"""
import json, os, re, signal, subprocess, sys, tempfile, time

import flood
from flood import C, S, app, ask, sh


def main():
    program = os.path.abspath(sys.argv[1])
    seconds = min(float(sys.argv[2]) if len(sys.argv) > 2 else 20, 120)
    small = 'small' in sys.argv
    flood.two_paths()
    if small:
        for namespace in C, S:
            for path in 'p1', 'p2':
                sh('ip netns exec %s ethtool -K %s tso off gso off gro off >/dev/null' % (namespace, path))
    out, log = tempfile.TemporaryFile('w+'), tempfile.TemporaryFile('w+')
    inspect = subprocess.Popen(['ip', 'netns', 'exec', C, program, '-q', '-F', 'json', '-i', 'p1', '-i', 'p2'], stdout=out)
    dumps = [subprocess.Popen(['ip', 'netns', 'exec', C, 'tcpdump', '-Z', 'root', '-n', '-i', path, '-w', '/dev/null'], stderr=log) for path in ('p1', 'p2')]
    time.sleep(1.5)
    server = app(S, 'server', '0.0.0.0', '9091')
    server.stdout.readline()
    client = app(C, 'client', '10.77.1.2', '9091')
    client.stdout.readline(), server.stdout.readline()
    time.sleep(0.5)
    began, sent = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        ask((server, 'receive 200000000'), (client, 'send 200000000'))
        sent += 200_000_000
    took = time.monotonic() - began
    ask((client, 'close'))
    ask((server, 'close'))
    time.sleep(0.5)
    for process in (inspect, *dumps):
        process.send_signal(signal.SIGINT)
    for process in (inspect, *dumps):
        process.wait(60)
    out.seek(0), log.seek(0)
    report, text = json.load(out), log.read()
    count = lambda pattern: [int(number) for number in re.findall(pattern, text)]
    print('traffic: %.1f GB in %.1f s, %.2f Gbit/s' % (sent / 1e9, took, sent * 8 / took / 1e9))
    print('tcpdump: %d packets captured, %d dropped' % (sum(count(r'(\d+) packets? captured')), sum(count(r'(\d+) packets? dropped by kernel'))))
    print('program: %d packets, %d dropped' % (report['capture']['packets'], report['inputs'][0]['dropped']))
    seen = sum(one['directions']['client_to_server']['bytes'] for one in report['connections'])
    print('data: %d bytes seen of %d sent' % (seen, sent))


if __name__ == '__main__':
    try:
        main()
    finally:
        flood.remove()
