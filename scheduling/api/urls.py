"""Addresses under /api/v1/."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from scheduling.api.person_export import PersonExportViewSet
from scheduling.api.schedules import ScheduleViewSet

router = SimpleRouter(use_regex_path=False)
router.register("schedules", ScheduleViewSet, basename="schedules")

urlpatterns = [
    # Here and not with the other paths of phone numbers, because it also has the lists of schedules.
    path(
        "phone-numbers/<str:number>/export/",
        PersonExportViewSet.as_view({"get": "export"}, basename="phone-numbers"),
        name="phone-numbers-export",
    ),
    *router.urls,
]
