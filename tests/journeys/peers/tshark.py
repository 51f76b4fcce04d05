"""Wireshark's reading of PDUs. They are written to a file of packets, so no right to capture is needed."""

import json
import os
import shutil
import struct
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

TSHARK = shutil.which("tshark")
MISSING = "" if TSHARK else "tshark is not installed (apt-get install tshark)"
SECONDS = 60.0
PORT, CLIENT_PORT = 2775, 40_000
ETHERNET = bytes.fromhex("020000000002 020000000001 0800")
MAX_SEGMENT = 1400
TCP, PUSH_ACK = 6, 0x18


def decode(pdus: Iterable[bytes], *, fields: Sequence[str], folder: Path) -> list[dict[str, list[str]]]:
    """For each PDU, the values of these fields; without values, an empty list. PDUs that Wireshark calls malformed fail."""
    file = folder / "pdus.pcap"
    file.write_bytes(_capture(pdus))
    command = [
        str(TSHARK),
        "-r",
        str(file),
        "-d",
        f"tcp.port=={PORT},smpp",
        "-T",
        "json",
        "-J",
        "smpp _ws.malformed",
        "--no-duplicate-keys",
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",  # it writes the halves of surrogate pairs
        check=True,
        timeout=SECONDS,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8"},
    )
    assert "_ws.malformed" not in done.stdout, done.stdout
    layers = [layer for packet in json.loads(done.stdout) for layer in _layers(packet["_source"]["layers"])]
    return [{field: list(_values(layer, field)) for field in fields} for layer in layers]


def _layers(layers: dict[str, Any]) -> Iterable[Any]:
    found = layers.get("smpp", [])
    return found if isinstance(found, list) else [found]


def _values(tree: Any, field: str) -> Iterable[str]:
    for name, value in tree.items() if isinstance(tree, dict) else ():
        if name == field:
            yield from value if isinstance(value, list) else [value]
        elif isinstance(value, dict | list):
            for each in value if isinstance(value, list) else [value]:
                yield from _values(each, field)


def _capture(pdus: Iterable[bytes]) -> bytes:
    """The file of a capture: one TCP stream to the port of a carrier, each PDU in packets of its own."""
    packets = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)]
    sequence = 1
    for pdu in pdus:
        for start in range(0, len(pdu), MAX_SEGMENT):
            payload = pdu[start : start + MAX_SEGMENT]
            packet = ETHERNET + _internet(payload, sequence)
            packets.append(struct.pack("<IIII", len(packets), 0, len(packet), len(packet)) + packet)
            sequence += len(payload)
    return b"".join(packets)


def _internet(payload: bytes, sequence: int) -> bytes:
    """IPv4 and TCP without checksums, which Wireshark does not check by default."""
    address = bytes([127, 0, 0, 1])
    tcp = struct.pack(">HHIIBBHHH", CLIENT_PORT, PORT, sequence, 1, 5 << 4, PUSH_ACK, 65_535, 0, 0) + payload
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 1, 0, 64, TCP, 0) + address + address + tcp
