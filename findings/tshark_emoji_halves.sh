#!/usr/bin/env bash
# Tried: one submit_sm with the text "Hi" and a waving hand (U+1F44B) in data_coding 8, as every gateway sends emoji, in
# a file of packets; tshark 4.0.17 (Debian 12) reads it with -T json, and with -T fields -e smpp.message_text. Python's
# and Node's readers of JSON take the output.
#
# Guess: the text is the letters and the emoji in UTF-8 (f0 9f 91 8b), or, if Wireshark keeps to UCS-2 by the letter, a
# mark for what it cannot show. Either way the JSON is UTF-8 (RFC 8259, 8.1). (A strict decoder in a test of ours had
# failed before this was written down; the octets were not known then.)
#
# Instead: each half of the surrogate pair becomes three octets (ed a0 bd, ed b1 8b). RFC 3629 forbids them, so the
# JSON is no UTF-8. Python's json.load of the file as text raises UnicodeDecodeError; its json.loads of the octets lets
# them pass and gives two halves that cannot be written again; Node reads six replacement characters.
#
# Why it matters: a monitoring script that pipes tshark into a JSON reader stops, or loses its place, at the first text
# with an emoji, and only then. Read the octets of smpp.message and decode them as UTF-16BE, or decode the output with
# errors="replace".
#
# Needs tshark 4.0.17 (apt-get install tshark on Debian 12), no right to capture. Python 3.11, Node 20.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
tshark --version 2>/dev/null | grep -q 'TShark (Wireshark) 4\.0\.17' || { echo "needs tshark 4.0.17" >&2; exit 1; }

cat >packets.py <<'PY'
import struct

text = "Hi \U0001f44b".encode("utf-16-be")
addresses = b"\0\1\1" + b"15005550006\0" + b"\1\1" + b"14155550123\0"
body = addresses + bytes([0, 0, 0]) + b"\0\0" + bytes([0, 0, 8, 0, len(text)]) + text
pdu = struct.pack(">IIII", 16 + len(body), 4, 0, 1) + body
tcp = struct.pack(">HHIIBBHHH", 40000, 2775, 1, 1, 0x50, 0x18, 65535, 0, 0) + pdu
ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0) + bytes([127, 0, 0, 1]) * 2 + tcp
packet = bytes.fromhex("020000000002020000000001" "0800") + ip
with open("packets.pcap", "wb") as file:
    file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
    file.write(struct.pack("<IIII", 1, 0, len(packet), len(packet)) + packet)
PY
python3 packets.py
tshark -r packets.pcap -d tcp.port==2775,smpp -T json -J smpp >out.json 2>/dev/null
tshark -r packets.pcap -d tcp.port==2775,smpp -T fields -e smpp.message_text >out.txt 2>/dev/null

cat >read.py <<'PY'
import json

with open("out.txt", "rb") as file:
    print("smpp.message_text:", file.read().rstrip(b"\n").hex(" "))
try:
    with open("out.json", encoding="utf-8") as file:
        json.load(file)
except UnicodeDecodeError as error:
    print("json.load of the text: UnicodeDecodeError,", error.reason)
with open("out.json", "rb") as file:
    found = json.loads(file.read())[0]["_source"]["layers"]["smpp"]["smpp.message_text"]
print("json.loads of the octets:", ascii(found))
PY
cat >read.js <<'JS'
const text = JSON.parse(require('fs').readFileSync('out.json', 'utf8'))[0]._source.layers.smpp['smpp.message_text'];
console.log('Node:', JSON.stringify(text).replace(/\ufffd/g, '<replacement>'));
JS
{ python3 read.py; node read.js; } >seen

cat >expected <<'EXPECTED'
smpp.message_text: 48 69 20 ed a0 bd ed b1 8b
json.load of the text: UnicodeDecodeError, invalid continuation byte
json.loads of the octets: 'Hi \ud83d\udc4b'
Node: "Hi <replacement><replacement><replacement><replacement><replacement><replacement>"
EXPECTED
cat seen
diff -u expected seen || { echo "CHANGED: the output differs from what this finding recorded" >&2; exit 1; }
echo "ok: still so"
