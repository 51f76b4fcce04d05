#!/usr/bin/env bash
# Tried: a response of two writes (headers, then a body a moment later, as a stream sends them) by uvicorn 0.54.0, once on a
# port that uvicorn opens itself, once on a listening socket that is handed to `Server.serve(sockets=…)`, as programs and
# process managers do that open their port before they start it. One client, one connection, one request after the other.
#
# Guess: the same time for both, well below 10 ms: asyncio sets TCP_NODELAY on every TCP connection.
#
# Instead: on the socket that was handed over each response takes about 40 ms longer. asyncio sets TCP_NODELAY only where the
# socket's `proto` is IPPROTO_TCP. Sockets that asyncio opens get that from getaddrinfo; `socket.create_server`, and any
# `socket.socket(AF_INET, SOCK_STREAM)`, leave it 0, which means TCP too. So Nagle's algorithm holds the second write back
# until the client's delayed acknowledgment comes.
#
# Why it matters: whatever answers in two writes (an SMPP or HTTP gateway that says "accepted" first, server-sent events)
# drops to 25 exchanges a second and connection, with idle processors. Set TCP_NODELAY on the accepted connections, or make
# the socket with proto=socket.IPPROTO_TCP, as the third row shows.
#
# Linux (40 ms is its delayed acknowledgment), Python 3.11.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
python3 -m venv venv
venv/bin/pip install -q uvicorn==0.54.0 h11==0.16.0 click==8.3.1 >install.log 2>&1 || { cat install.log >&2; exit 1; }

cat >nagle.py <<'PY'
import asyncio
import http.client
import socket
import statistics
import threading
import time

import uvicorn

REQUESTS = 25


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await asyncio.sleep(0.001)
    await send({"type": "http.response.body", "body": b"done"})


def serve(sockets, ready):
    config = uvicorn.Config(app, port=0, lifespan="off", http="h11", log_config=None, access_log=False)
    server = uvicorn.Server(config)

    async def run():
        task = asyncio.create_task(server.serve(sockets=sockets))
        while not server.started:
            await asyncio.sleep(0.01)
        ready(server.servers[0].sockets[0].getsockname()[1], server)
        await task

    asyncio.run(run())


def median_ms(sockets):
    started = threading.Event()
    found = {}

    def ready(port, server):
        found.update(port=port, server=server)
        started.set()

    thread = threading.Thread(target=serve, args=(sockets, ready))
    thread.start()
    started.wait()
    connection = http.client.HTTPConnection("127.0.0.1", found["port"])
    times = []
    for _ in range(REQUESTS):
        begun = time.perf_counter()
        connection.request("GET", "/")
        connection.getresponse().read()
        times.append(time.perf_counter() - begun)
    connection.close()
    found["server"].should_exit = True
    thread.join()
    return statistics.median(times) * 1000


def listening(proto):
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, proto)
    made.bind(("127.0.0.1", 0))
    made.listen()
    return made


for name, sockets in (
    ("a port that uvicorn opens", None),
    ("a socket of create_server", [socket.create_server(("127.0.0.1", 0))]),
    ("a socket with proto=IPPROTO_TCP", [listening(socket.IPPROTO_TCP)]),
):
    print(f"{name}:", "about 40 ms more" if median_ms(sockets) > 25 else "a few milliseconds")
PY
venv/bin/python nagle.py >seen

cat >expected <<'EXPECTED'
a port that uvicorn opens: a few milliseconds
a socket of create_server: about 40 ms more
a socket with proto=IPPROTO_TCP: a few milliseconds
EXPECTED
cat seen
diff -u expected seen || { echo "CHANGED: the output differs from what this finding recorded" >&2; exit 1; }
echo "ok: still so"
