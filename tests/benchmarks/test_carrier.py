import asyncio
import json
from collections.abc import Sequence

from benchmarks.carrier import Connection, Server
from benchmarks.load import request

BODY = {"to_number": "+14152000000", "message": "Hello", "reference": "a"}


def responses(server: Server, sent: Sequence[bytes]) -> list[bytes]:
    """What the carrier responds to each of these on one connection; an empty piece is not answered."""

    async def talk() -> list[bytes]:
        listener = await asyncio.get_running_loop().create_server(lambda: Connection(server), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
        found = []
        for each in sent:
            for piece in (each[:20], each[20:-1], each[-1:]):  # a request may arrive in pieces
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.partition(b"Content-Length: ")[2].split()[0])
            found.append(await reader.readexactly(length))
        writer.close()
        listener.close()
        return found

    return asyncio.run(talk())


def test_it_accepts_each_message_with_an_id_of_its_own_and_tells_what_it_received() -> None:
    post = request("POST", "/provider1", BODY)

    first, second, count, calls = responses(Server(), [post, post, request("GET", "/"), request("GET", "/calls")])

    assert [json.loads(first), json.loads(second)] == [{"message_id": "carrier-1"}, {"message_id": "carrier-2"}]
    assert json.loads(count)["count"] == 2
    assert [content for _, content in json.loads(calls)] == [BODY, BODY]


def test_a_reset_forgets_the_calls_and_sets_the_delay() -> None:
    server = Server()

    *_, count = responses(
        server, [request("POST", "/provider1", BODY), request("DELETE", "/calls?delay=0.25"), request("GET", "/")]
    )

    assert json.loads(count) == {"count": 0}
    assert server.delay == 0.25
