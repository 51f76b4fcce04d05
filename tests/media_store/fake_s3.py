"""A bucket on loopback: the part of S3 that the media storage uses, with a record of requests."""

import threading
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "pictures"


@dataclass
class Bucket:
    objects: dict[str, bytes] = field(default_factory=dict)
    modified: dict[str, datetime] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)


def _listing(bucket: Bucket, prefix: str) -> str:
    """One level below the prefix, in the format of ListObjects."""
    names = [name for name in sorted(bucket.objects) if name.startswith(prefix)]
    folders = {f"{prefix}{name[len(prefix) :].split('/')[0]}/" for name in names if "/" in name[len(prefix) :]}
    files = [name for name in names if "/" not in name[len(prefix) :]]
    contents = "".join(f"<Contents><Key>{escape(name)}</Key></Contents>" for name in files)
    common = "".join(f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in sorted(folders))
    return f"<ListBucketResult><IsTruncated>false</IsTruncated>{contents}{common}</ListBucketResult>"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def bucket(self) -> Bucket:
        return self.server.bucket

    def _name(self) -> str:
        parts = urlsplit(self.path)
        assert parts.path.startswith(f"/{BUCKET}")
        assert self.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIA/")
        name = unquote(parts.path.removeprefix(f"/{BUCKET}").lstrip("/"))
        self.bucket.calls.append(f"{self.command} {name or 'list'}")
        return name

    def _body(self) -> bytes:
        if "aws-chunked" not in self.headers.get("Content-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():  # the trailing checksum
            pass
        return body

    def _respond(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_PUT(self) -> None:
        name = self._name()
        self.bucket.objects[name] = self._body()
        self.bucket.modified[name] = datetime.now(UTC)
        self._respond(200, ETag='"x"')

    def do_DELETE(self) -> None:
        self.bucket.objects.pop(self._name(), None)
        self._respond(204)

    def do_GET(self) -> None:
        name = self._name()
        if not name:
            prefix = parse_qs(urlsplit(self.path).query).get("prefix", [""])[0]
            self._respond(200, _listing(self.bucket, prefix).encode(), Content_Type="application/xml")
        elif name not in self.bucket.objects:
            self._respond(404)
        else:
            modified = format_datetime(self.bucket.modified[name], usegmt=True)
            self._respond(200, self.bucket.objects[name], Last_Modified=modified, ETag='"x"')

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


class FakeS3:
    def __init__(self) -> None:
        self.bucket = Bucket()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.bucket = self.bucket
        self._server.daemon_threads = True
        self.address = f"s3+http://AKIA:secret@127.0.0.1:{self._server.server_port}/{BUCKET}?prefix=sms"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> "FakeS3":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        with suppress(OSError):
            self._server.server_close()
