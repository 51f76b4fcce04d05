from pathlib import Path

from benchmarks import load
from benchmarks.against import HERE
from benchmarks.builds import Cpu, command


def test_commands_are_those_of_the_procfile_on_loopback() -> None:
    shell, flag, web = command(HERE, "web")

    assert (shell, flag) == ("sh", "-c")
    assert web.startswith("exec granian --interface asginl ")
    assert "--host 127.0.0.1 " in web
    assert web.endswith(" config.asgi:application")
    assert command(HERE, "worker")[2].startswith("exec celery ")
    assert command(HERE, "web", application="benchmarks.bare_view.asgi:application")[2] == web.replace(
        "config.asgi:application", "benchmarks.bare_view.asgi:application"
    )


def test_the_procfile_of_another_checkout_is_its_own(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("web: other --host 0.0.0.0 config.asgi:application\n")

    assert command(tmp_path, "web") == ("sh", "-c", "exec other --host 127.0.0.1 config.asgi:application")


def test_cpu_is_the_difference_and_new_backends_began_at_zero() -> None:
    earlier = Cpu({"web": 1.0, "worker": 2.0}, {10: 5.0, 11: 1.0}, 3.0)
    later = Cpu({"web": 1.5, "worker": 2.25}, {10: 5.5, 12: 0.25}, 3.125)

    assert later.since(earlier) == {"web": 0.5, "worker": 0.25, "postgresql": 0.75, "redis": 0.125}


def test_a_request_is_prepared_as_it_is_sent() -> None:
    sent = load.request("POST", "/rows/", {"to": "+1"}, {"Idempotency-Key": "k"})

    assert sent == (
        b"POST /rows/ HTTP/1.1\r\nHost: 127.0.0.1\r\nIdempotency-Key: k\r\nContent-Type: application/json\r\n"
        b'Content-Length: 12\r\n\r\n{"to": "+1"}'
    )
    assert load.request("GET", "/x") == b"GET /x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
