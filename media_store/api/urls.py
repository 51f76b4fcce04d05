"""URLs below /api/v1/."""

from rest_framework.routers import SimpleRouter

from media_store.api.media import MediaViewSet

router = SimpleRouter(use_regex_path=False)
router.register("media", MediaViewSet, basename="media")

urlpatterns = router.urls
