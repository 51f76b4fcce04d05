"""Addresses under /api/v1/."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from messaging.api.auth import LogoutView, TokenView
from messaging.api.live import LiveStreamViewSet, LiveWaitViewSet
from messaging.api.message_media import MessageMediaViewSet
from messaging.api.messages import MessageViewSet
from messaging.api.phone_numbers import PhoneNumberViewSet
from messaging.api.providers import ProviderViewSet
from messaging.api.queues import QueueViewSet
from messaging.api.stats import StatsViewSet
from messaging.api.suppressions import SuppressionViewSet
from messaging.api.webhook_endpoints import WebhookEndpointViewSet

router = SimpleRouter(use_regex_path=False)
router.register("messages", MessageViewSet, basename="messages")
router.register("queues", QueueViewSet, basename="queues")
router.register("suppressions", SuppressionViewSet, basename="suppressions")
router.register("providers", ProviderViewSet, basename="providers")
router.register("phone-numbers", PhoneNumberViewSet, basename="phone-numbers")
router.register("webhook-endpoints", WebhookEndpointViewSet, basename="webhook-endpoints")

urlpatterns = [
    path("auth/token/", TokenView.as_view(), name="auth-token"),
    path("auth/logout/", LogoutView.as_view(), name="auth-logout"),
    path(
        "messages/<uuid:pk>/media/",
        MessageMediaViewSet.as_view({"get": "list", "post": "create"}),
        name="messages-media",
    ),
    path("live/events/", LiveStreamViewSet.as_view({"get": "events"}), name="live-events"),
    path("live/messages/<uuid:pk>/", LiveStreamViewSet.as_view({"get": "message"}), name="live-message"),
    path("live/messages/<uuid:pk>/wait/", LiveWaitViewSet.as_view({"get": "wait"}), name="live-wait"),
    path("stats/", StatsViewSet.as_view({"get": "retrieve"}), name="stats"),
    *router.urls,
]
