"""Clients that keep asking while the daemon is restarted, killed or upgraded under them.

    load.py SOCKET SECONDS REPORT

Each asks on a new connection, again and again. A connection that is refused is a failure of the
service. One that ends without an answer, or with `shutting_down`, is asked again, as every client
must. What was answered goes to REPORT as JSON: the ids of all answered requests, and how often
something went wrong. While REPORT.stop does not exist after SECONDS, it goes on.
"""

import json
import os
import socket
import sys
import threading
import time

CLIENTS = 8
# A daemon that ends may take its whole drain, and the next one has to start.
PATIENCE = 60


class Tally:
    def __init__(self):
        self.lock = threading.Lock()
        self.answered = []
        self.refused = []
        self.again = 0
        self.failed = []
        self.longest = 0.0


def ask(path, number):
    """One request: its reply, or None if it must be asked again."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(path)
        request = {"id": number, "task": "quick", "messages": [{"role": "user", "content": "p"}]}
        try:
            connection.sendall(json.dumps(request).encode() + b"\n")
            line = connection.makefile("rb").readline()
        except (BrokenPipeError, ConnectionResetError):
            return None
    if not line.endswith(b"\n"):
        return None
    reply = json.loads(line)
    if not reply["ok"] and reply["error"]["code"] == "shutting_down":
        return None
    return reply


def client(path, is_over, tally):
    number = 0
    while not is_over():
        number += 1
        began = time.monotonic()
        try:
            reply = ask(path, number)
        except OSError as error:
            with tally.lock:
                tally.refused.append(repr(error))
            time.sleep(0.05)
            continue
        with tally.lock:
            tally.longest = max(tally.longest, time.monotonic() - began)
            if reply is None:
                tally.again += 1
            elif reply["ok"]:
                tally.answered.append(reply["request_id"])
            else:
                tally.failed.append(reply["error"])


def main():
    path, seconds, report = sys.argv[1], float(sys.argv[2]), sys.argv[3]
    until = time.monotonic() + seconds

    def is_over():
        return time.monotonic() > until and os.path.exists(report + ".stop")

    tally = Tally()
    clients = [threading.Thread(target=client, args=(path, is_over, tally)) for _ in range(CLIENTS)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    with open(report, "w", encoding="utf-8") as file:
        told = {
            "answered": tally.answered,
            "refused": tally.refused,
            "again": tally.again,
            "failed": tally.failed,
            "longest_s": round(tally.longest, 3),
        }
        json.dump(told, file)


main()
