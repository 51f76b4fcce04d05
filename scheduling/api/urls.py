"""Addresses under /api/v1/."""

from rest_framework.routers import SimpleRouter

from scheduling.api.schedules import ScheduleViewSet

router = SimpleRouter(use_regex_path=False)
router.register("schedules", ScheduleViewSet, basename="schedules")

urlpatterns = router.urls
