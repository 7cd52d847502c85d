"""A server and a client that speak MPTCP through the kernel. One command a line on standard input, one answer a line.

  app.py server ADDRESS PORT          accepts one connection after the other
  app.py client ADDRESS PORT          connects
Commands: "send N" (N bytes to the peer), "receive N", "close". Answers: "ready", "ok", or the traceback on standard error.
"""
import socket, sys

IPPROTO_MPTCP = 262
CHUNK = bytes(range(256)) * 256


def send(peer, count):
    while count > 0:
        peer.sendall(CHUNK[:count])
        count -= min(count, len(CHUNK))


def receive(peer, count):
    while count > 0:
        got = len(peer.recv(min(count, 1 << 20)))
        if got == 0:
            raise EOFError('the peer closed %d bytes early' % count)
        count -= got


def main(role, address, port):
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, IPPROTO_MPTCP)
    if role == 'server':
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.listen(16)
        print('ready', flush=True)
        peer = sock.accept()[0]
    else:
        sock.connect((address, port))
        peer = sock
    print('ok', flush=True)
    for line in sys.stdin:
        command, *argument = line.split()
        if command == 'send':
            send(peer, int(argument[0]))
        elif command == 'receive':
            receive(peer, int(argument[0]))
        elif command == 'close':
            peer.close()
        print('ok', flush=True)


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
