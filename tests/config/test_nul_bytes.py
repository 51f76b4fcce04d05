"""A NUL byte anywhere in a console request is 400, on both databases and before anything is changed."""

import asyncio

import pytest
from django.http import HttpRequest, HttpResponse, QueryDict
from django.test import Client

from config.nul_bytes import BadRequest, NulByteMiddleware
from messaging.models import OutboundQueue
from tests.factories import QueueFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(UserFactory(is_staff=True, is_superuser=True))
    return client


@pytest.mark.parametrize(
    "path",
    [
        "messaging/message/?status__exact=%00",
        "messaging/message/?q=a%00b",
        "messaging/message/?%00=1",
        "messaging/message/export/?queue__exact=%00",
        "scheduling/schedule/?status__exact=%00",
        "media_store/mediaasset/?content_type=%00",
        "providers/providerevent/?kind=%00",
        "autocomplete/?app_label=scheduling&model_name=schedulerun&field_name=schedule&term=%00",
        "messaging/outboundqueue/%00/change/",
        "providers/provideraccount/%00/test/",
        "messaging/phonenumber/%00/change/",
        "login/?next=%00",
    ],
)
def test_it_is_refused_in_an_address(admin: Client, path: str) -> None:
    answer = admin.get(f"/admin/{path}")

    assert answer.status_code == 400
    assert "<h1>" in answer.content.decode()


def test_and_in_a_form(admin: Client) -> None:
    QueueFactory()
    page = "/admin/messaging/outboundqueue/express/change/"
    form = {"description": "x", "routing_strategy": "weighted", "_reason": "r"}

    answers = [admin.post(page, {**form, name: "\x00"}).status_code for name in ("_reason", "description", "next")]

    assert answers == [400, 400, 400]
    assert OutboundQueue.objects.get().description == ""


@pytest.mark.parametrize("path", ["/api/v1/messages/", "/adminx/", "/"])
def test_elsewhere_others_decide(path: str) -> None:
    request = HttpRequest()
    request.path_info, request.GET = path, QueryDict("a=%00")

    assert NulByteMiddleware(lambda _request: HttpResponse())(request).status_code == 200


def test_an_asynchronous_server_refuses_the_same() -> None:
    async def answer(_request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    def through(query: str) -> HttpResponse:
        request = HttpRequest()
        request.path_info, request.GET = "/admin/", QueryDict(query)
        return asyncio.run(NulByteMiddleware(answer)(request))

    assert through("a=b").status_code == 200
    with pytest.raises(BadRequest):
        through("a=%00")
