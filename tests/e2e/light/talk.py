"""A conversation that says how it goes: `serve PORT` echoes lines, `dial ADDRESS PORT` sends one after
the other and prints each that came back, and `ended` when none does for some seconds."""

import socket
import socketserver
import sys
import time


class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def dial(address, port):
    connection = socket.create_connection((address, port), timeout=6)
    stream = connection.makefile("rwb", buffering=0)
    for number in range(1_000_000):
        stream.write(b"%d\n" % number)
        print(int(stream.readline()), flush=True)
        time.sleep(0.05)


match sys.argv[1:]:
    case ["serve", port]:
        Server(("", int(port)), Echo).serve_forever()
    case ["dial", address, port]:
        try:
            dial(address, int(port))
        except (OSError, ValueError):
            print("ended", flush=True)
