"""The beginnings of files that are no images, as phones and gateways write them."""

MP3_FRAME = b"\xff\xfb\x90\x00" + bytes(413)  # 128 kbit/s at 44.1 kHz
ADTS_FRAME = bytes([0xFF, 0xF1, 0x50, 0x80, 0x04, 0x1F, 0xFC]) + bytes(25)
CARD = "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ada Example\r\nEND:VCARD\r\n"


def ftyp(brand: bytes, *compatible: bytes) -> bytes:
    content = b"ftyp" + brand + bytes(4) + b"".join(compatible)
    return (len(content) + 4).to_bytes(4, "big") + content + bytes(64)


def ogg(packet: bytes) -> bytes:
    return b"OggS\x00\x02" + bytes(20) + b"\x01" + bytes([len(packet)]) + packet


def ebml(doctype: bytes) -> bytes:
    head = b"\x42\x86\x81\x01\x42\xf7\x81\x01\x42\xf2\x81\x04\x42\xf3\x81\x08\x42\x82"
    content = head + bytes([0x80 | len(doctype)]) + doctype
    return b"\x1a\x45\xdf\xa3" + bytes([0x80 | len(content)]) + content + bytes(32)


def id3(content: bytes, *, size: int) -> bytes:
    octets = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\x00\x00" + octets + bytes(size) + content


KINDS: dict[str, tuple[str, bytes]] = {
    "pdf": ("application/pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"),
    "pdf behind a mark": ("application/pdf", b"\xef\xbb\xbf%PDF-1.4\n"),
    "vcard": ("text/vcard", CARD.encode()),
    "vcard in small letters": ("text/vcard", b"begin:vcard\nversion:2.1\nN:Example;Ada\n"),
    "vcard with a mark": ("text/vcard", b"\xef\xbb\xbf" + CARD.encode()),
    "vcard behind a line": ("text/vcard", b"\r\n" + CARD.encode()),
    "vcard in UTF-16": ("text/vcard", CARD.encode("utf-16")),
    "vcard in UTF-16BE with a mark": ("text/vcard", b"\xfe\xff" + CARD.encode("utf-16-be")),
    "vcard in UTF-16BE": ("text/vcard", CARD.encode("utf-16-be")),
    "vcard in UTF-16LE": ("text/vcard", CARD.encode("utf-16-le")),
    "vcard in Latin-1": ("text/vcard", CARD.replace("Ada", "Adé").encode("latin-1")),
    "amr": ("audio/amr", b"#!AMR\n\x3c" + bytes(31)),
    "amr wide-band": ("audio/amr", b"#!AMR-WB\n" + bytes(31)),
    "mp3": ("audio/mpeg", MP3_FRAME * 3),
    "mp3 of MPEG 2.5": ("audio/mpeg", (b"\xff\xe3\x18\xc4" + bytes(68)) * 3),
    "layer 2": ("audio/mpeg", (b"\xff\xfd\x84\x00" + bytes(380)) * 3),
    "layer 1": ("audio/mpeg", (b"\xff\xff\x14\x00" + bytes(28)) * 3),
    "mp3 with a tag": ("audio/mpeg", id3(MP3_FRAME * 2, size=9_000)),
    "aac with a tag": ("audio/aac", id3(ADTS_FRAME * 2, size=73)),
    "aac": ("audio/aac", ADTS_FRAME * 4),
    "opus": ("audio/ogg", ogg(b"OpusHead\x01\x02")),
    "vorbis": ("audio/ogg", ogg(b"\x01vorbis\x00")),
    "wav": ("audio/wav", b"RIFF\x24\x00\x00\x00WAVEfmt "),
    "m4a": ("audio/mp4", ftyp(b"M4A ", b"mp42", b"isom")),
    "mp4": ("video/mp4", ftyp(b"isom", b"iso2", b"avc1")),
    "mp4 of a stream": ("video/mp4", ftyp(b"iso5", b"dash")),
    "mp4 of an unknown brand": ("video/mp4", ftyp(b"xyzw", b"mp42")),
    "mp4 that also names a picture's brand": ("video/mp4", ftyp(b"isom", b"mif1", b"avif", b"mp42")),
    "3gp": ("video/3gpp", ftyp(b"3gp4", b"isom", b"3gp4")),
    "quicktime": ("video/quicktime", ftyp(b"qt  ")),
    "webm": ("video/webm", ebml(b"webm")),
}

# Files that look alike, or that a browser would run.
NONE_OF_THEM: dict[str, bytes] = {
    "empty": b"",
    "one octet": b"\xff",
    "text": b"BEGIN: a story\n",
    "a card's first line only": b"BEGIN:VCARD",
    "a calendar": b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n",
    "html": b"<html><script>alert(1)</script>",
    "html with %PDF- inside": b"<html>%PDF-1.4",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "zip": b"PK\x03\x04" + bytes(30),
    "program": b"MZ" + bytes(60),
    "jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00",
    "webp": b"RIFF\x24\x00\x00\x00WEBPVP8 ",
    "avi": b"RIFF\x24\x00\x00\x00AVI LIST",
    "heic": ftyp(b"heic", b"mif1", b"heic"),
    "heic as a collection": ftyp(b"mif1", b"heic", b"mp42"),
    "avif": ftyp(b"avif", b"mif1", b"miaf"),
    "heic of a newer container": ftyp(b"mif2", b"heic", b"mp42"),
    "heic of several layers": ftyp(b"hevm", b"isom", b"mp42"),
    "an unknown brand": ftyp(b"crx ", b"CRX "),
    "a box that is longer than the head": b"\x00\x00\xff\xffftypisom" + bytes(64),
    "matroska": ebml(b"matroska"),
    "ogg video": ogg(b"\x80theora"),
    "one frame of MP3": MP3_FRAME,
    "one frame of AAC": ADTS_FRAME,
    "twelve bits as in a frame": b"\xff\xfb" + bytes(500),
    "a tag with a size that is none": b"ID3\x03\x00\x00\xff\xff\xff\xff" + bytes(30),
    "UTF-16 text": "hello".encode("utf-16"),
}
