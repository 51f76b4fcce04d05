"""TwiML: what is read from the answers of applications."""

import pytest
from twilio.twiml.messaging_response import MessagingResponse

from messaging import twiml
from messaging.twiml import Document, Redirect, Reply, UnreadableAnswer

URL = "https://app.example.com/sms/in?tenant=1"
XML = "text/xml; charset=utf-8"


def read(answer: str | bytes, content_type: str = XML) -> Document:
    body = answer.encode() if isinstance(answer, str) else answer
    return twiml.read(body, content_type=content_type, url=URL)


def response(inner: str) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Response>{inner}</Response>'


MESSAGES = {
    "<Message>Hello</Message>": [Reply("Hello")],
    "<Message>\n  Hello,\n  you\n</Message>": [Reply("Hello,\n  you")],
    "<Message><Body>Hello</Body></Message>": [Reply("Hello")],
    "<Message>\n  <Body>Hello</Body>\n</Message>": [Reply("Hello")],
    "<Message>One</Message><Message>Two</Message>": [Reply("One"), Reply("Two")],
    "<Sms>Old</Sms>": [Reply("Old")],
    "<Message>Tom &amp; &#233;mile &lt;3 &#x1F600;</Message>": [Reply("Tom & émile <3 😀")],
    "<Message><![CDATA[<b>&]]></Message>": [Reply("<b>&")],
    "<Message>a<!-- not this -->b</Message>": [Reply("ab")],
    '<Message to="+14155550102" from="+15005550006">Hi</Message>': [Reply("Hi", "+14155550102", "+15005550006")],
    '<Message statusCallback="/status">Hi</Message>': [Reply("Hi", status_callback="https://app.example.com/status")],
    '<Message statusCallback=" status?a=b&amp;c=d ">Hi</Message>': [
        Reply("Hi", status_callback="https://app.example.com/sms/status?a=b&c=d")
    ],
    '<Message statusCallback="https://o.example.com/s">Hi</Message>': [
        Reply("Hi", status_callback="https://o.example.com/s")
    ],
    "<Message><Body>Look</Body><Media> https://m.example.com/a.png </Media></Message>": [
        Reply("Look", media=("https://m.example.com/a.png",))
    ],
    "<Message><Body>Look</Body><Media/><Media> </Media></Message>": [Reply("Look")],
    "<Message>Look <Media>/a.png</Media> here</Message>": [
        Reply("Look  here", media=("https://app.example.com/a.png",))
    ],
    "": [],
    "\n  \n": [],
}


@pytest.mark.parametrize("inner", MESSAGES)
def test_messages_are_read(inner: str) -> None:
    assert read(response(inner)) == Document(tuple(MESSAGES[inner]))


@pytest.mark.parametrize(
    ("inner", "replies", "note"),
    [
        ("<Say>Hello</Say><Message>Hi</Message>", ["Hi"], "<Say> is ignored."),
        (f"<{'a' * 60}/>", [], f"<{'a' * 20}> is ignored."),
        ("<message>Hi</message>", [], "<message> is ignored."),
        ("<Message/>", [], "A message without text is not sent."),
        ("<Message>  </Message><Message>Hi</Message>", ["Hi"], "A message without text is not sent."),
        ('<Message action="/next">Hi</Message>', ["Hi"], "`action` is not called; use `statusCallback`."),
        ('<Message statusCallback="http://[x/">Hi</Message>', ["Hi"], "An address in the answer is not valid."),
        ("<Redirect>http://[x/</Redirect>", [], "An address in the answer is not valid."),
        ("<Message>a</Message>" * 101, ["a"] * 100, "Only the first 100 messages of the answer are sent."),
    ],
)
def test_what_is_left_out_is_noted(inner: str, replies: list[str], note: str) -> None:
    document = read(response(inner))

    assert [reply.text for reply in document.replies] == replies
    assert (document.notes, document.redirect) == ((note,), None)


@pytest.mark.parametrize(
    ("verb", "redirect"),
    [
        ("<Redirect>/next</Redirect>", Redirect("https://app.example.com/next", "POST")),
        ("<Redirect> ?step=2 </Redirect>", Redirect("https://app.example.com/sms/in?step=2", "POST")),
        ('<Redirect method="get">next</Redirect>', Redirect("https://app.example.com/sms/next", "GET")),
        ('<Redirect method="DELETE">/n</Redirect>', Redirect("https://app.example.com/n", "POST")),
        ("<Redirect>http://o.example.com:8080/n</Redirect>", Redirect("http://o.example.com:8080/n", "POST")),
        ("<Redirect/>", Redirect(URL, "POST")),
    ],
)
def test_a_redirect_ends_the_answer(verb: str, redirect: Redirect) -> None:
    document = read(response(f"<Message>Before</Message>{verb}<Message>After</Message>"))

    assert document == Document((Reply("Before"),), redirect)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (response("<Message>é</Message>").encode(), "application/xml"),
        (response("<Message>é</Message>").encode(), "text/html; charset=utf-8"),
        (response("<Message>é</Message>").encode(), ""),
        (response("<Message>é</Message>").encode(), "TEXT/XML;Charset='UTF-8'"),
        ("<Response><Message>é</Message></Response>".encode("latin-1"), "text/xml; charset=ISO-8859-1"),
        (
            '<?xml version="1.0" encoding="ISO-8859-1"?><Response><Message>é</Message></Response>'.encode("latin-1"),
            "text/xml",
        ),
        (
            '<?xml version="1.0" encoding="UTF-16"?><Response><Message>é</Message></Response>'.encode("utf-16"),
            "text/xml",
        ),
        (b"\xef\xbb\xbf" + response("<Message>é</Message>").encode(), "text/xml"),
        (f"\n\n{response('<Message>é</Message>')}".encode(), "text/xml"),
        ('<Response xmlns="urn:x"><Message>é</Message></Response>'.encode(), "text/xml"),
    ],
)
def test_charsets_and_content_types_of_applications_are_read(body: bytes, content_type: str) -> None:
    assert read(body, content_type).replies == (Reply("é"),)


@pytest.mark.parametrize(
    ("body", "content_type", "texts"),
    [
        ("Thanks!\n", "text/plain", ["Thanks!"]),
        ("\ufeffÉmile".encode(), "text/plain; charset=utf-8", ["Émile"]),
        ("Émile".encode("latin-1"), 'text/plain; charset="iso-8859-1"', ["Émile"]),
        ("<Response/>", "text/plain", ["<Response/>"]),
        (" \r\n", "text/plain", []),
        ("", "application/json", []),
        (" ", "", []),
    ],
)
def test_plain_text_is_one_reply(body: str | bytes, content_type: str, texts: list[str]) -> None:
    assert [reply.text for reply in read(body, content_type).replies] == texts


BOMB = '<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><Response><Message>&b;</Message></Response>'
UNREADABLE = [
    (response("<Message>Hi"), XML, "not well-formed XML (line 2, column 23)"),
    ("OK", "text/html", "not well-formed"),
    ("<html><body>Hi</body></html>", "text/html", "root element is not <Response>"),
    ('{"ok": true}', "application/json", "neither XML nor plain text"),
    ("x" * 65_537, "text/plain", "longer than 64 KiB"),
    (BOMB, XML, "a document type or an entity"),
    ("<!DOCTYPE html><Response/>", XML, "a document type or an entity"),
    ('<!DOCTYPE r SYSTEM "file:///etc/passwd"><Response/>', XML, "a document type or an entity"),
    ('<?xml version="1.0" encoding="klingon"?><Response/>', "text/xml", "not XML in a known encoding"),
    (response("<Message>&#0;</Message>"), XML, "not well-formed"),
    ("a\0b", "text/plain", "NUL"),
    (b"\xff\xfe\xfd", "text/plain", "not text in its charset"),
    ("Hi", "text/plain; charset=rot13", "a charset that is not known"),
    ("Hi", "text/plain; charset=unicode_escape", "a charset that is not known"),
    (b"\x1f\x8b\x08\x00\x00", "text/xml", "not well-formed"),
    ("<Response>" + "<a>" * 8_000, XML, "not well-formed"),
]


@pytest.mark.parametrize(("body", "content_type", "reason"), UNREADABLE)
def test_what_cannot_be_read_is_one_sentence_without_the_answer(
    body: str | bytes, content_type: str, reason: str
) -> None:
    with pytest.raises(UnreadableAnswer) as raised:
        read(body, content_type)

    assert reason in str(raised.value)
    assert len(str(raised.value)) < 100
    assert raised.value.__cause__ is None


def test_deep_nesting_is_read_without_recursion() -> None:
    assert read("<Response><Message>" + "<a>" * 8_000 + "</a>" * 8_000 + "Hi</Message></Response>").replies == (
        Reply("Hi"),
    )


def test_the_answer_of_the_official_sdk_is_read() -> None:
    answer = MessagingResponse()
    answer.message("Hello", to="+14155550102", status_callback="/status")
    with_media = answer.message()
    with_media.body("Look")
    with_media.media("https://m.example.com/a.png")
    answer.redirect("/next", method="GET")

    assert read(str(answer)) == Document(
        (
            Reply("Hello", "+14155550102", status_callback="https://app.example.com/status"),
            Reply("Look", media=("https://m.example.com/a.png",)),
        ),
        Redirect("https://app.example.com/next", "GET"),
    )
