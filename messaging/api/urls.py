"""Addresses under /api/v1/."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from messaging.api.auth import LogoutView, TokenView
from messaging.api.messages import MessageViewSet
from messaging.api.phone_numbers import PhoneNumberViewSet
from messaging.api.queues import QueueViewSet

router = SimpleRouter(use_regex_path=False)
router.register("messages", MessageViewSet, basename="messages")
router.register("queues", QueueViewSet, basename="queues")
router.register("phone-numbers", PhoneNumberViewSet, basename="phone-numbers")

urlpatterns = [
    path("auth/token/", TokenView.as_view(), name="auth-token"),
    path("auth/logout/", LogoutView.as_view(), name="auth-logout"),
    *router.urls,
]
