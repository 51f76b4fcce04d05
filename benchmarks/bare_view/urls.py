"""One view with one insert, in autocommit."""

import json
from typing import ClassVar

from django.db import models
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt


class Row(models.Model):
    """A small row: a number, a text and a time."""

    to_number = models.CharField(max_length=16)
    text = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager["Row"]] = models.Manager()

    class Meta:
        app_label = "bare_view"
        db_table = "bare_row"


@csrf_exempt
def insert(request: HttpRequest) -> JsonResponse:
    content = json.loads(request.body)
    row = Row.objects.create(to_number=content["to"], text=content["message"])
    return JsonResponse({"id": row.pk}, status=202)


def healthz(_request: HttpRequest) -> JsonResponse:
    return JsonResponse({})


urlpatterns = [path("rows/", insert), path("healthz", healthz)]
