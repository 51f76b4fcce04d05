"""URLs under /api/v1/ that belong to messaging."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from messaging.api.auth import LogoutViewSet, TokenViewSet
from messaging.api.budgets import BudgetViewSet
from messaging.api.conversion import ConversionViewSet
from messaging.api.costs import CostsViewSet
from messaging.api.limits import PrefixRuleViewSet, VelocityLimitViewSet
from messaging.api.live import LiveStreamViewSet, LiveWaitViewSet
from messaging.api.message_media import MessageMediaViewSet
from messaging.api.messages import MessageViewSet
from messaging.api.opt_out_cases import OptOutCaseViewSet
from messaging.api.phone_numbers import PhoneNumberViewSet
from messaging.api.policy import PolicyViewSet
from messaging.api.providers import ProviderViewSet
from messaging.api.queues import QueueViewSet
from messaging.api.stats import StatsViewSet
from messaging.api.suppressions import SuppressionViewSet
from messaging.api.templates import TemplateViewSet
from messaging.api.verifications import VerificationViewSet
from messaging.api.webhook_endpoints import WebhookEndpointViewSet

router = SimpleRouter(use_regex_path=False)
router.register("messages", MessageViewSet, basename="messages")
router.register("queues", QueueViewSet, basename="queues")
router.register("budgets", BudgetViewSet, basename="budgets")
router.register("suppressions", SuppressionViewSet, basename="suppressions")
router.register("opt-out-cases", OptOutCaseViewSet, basename="opt-out-cases")
router.register("templates", TemplateViewSet, basename="templates")
router.register("providers", ProviderViewSet, basename="providers")
router.register("phone-numbers", PhoneNumberViewSet, basename="phone-numbers")
router.register("verifications", VerificationViewSet, basename="verifications")
router.register("prefix-rules", PrefixRuleViewSet, basename="prefix-rules")
router.register("velocity-limits", VelocityLimitViewSet, basename="velocity-limits")
router.register("webhook-endpoints", WebhookEndpointViewSet, basename="webhook-endpoints")

urlpatterns = [
    path("auth/token/", TokenViewSet.as_view({"post": "create"}, basename="auth-token"), name="auth-token"),
    path("auth/logout/", LogoutViewSet.as_view({"post": "create"}, basename="auth-logout"), name="auth-logout"),
    path(
        "messages/<uuid:pk>/media/",
        MessageMediaViewSet.as_view({"get": "list", "post": "create"}, basename="messages-media"),
        name="messages-media",
    ),
    path("live/events/", LiveStreamViewSet.as_view({"get": "events"}, basename="live"), name="live-events"),
    path(
        "live/messages/<uuid:pk>/", LiveStreamViewSet.as_view({"get": "message"}, basename="live"), name="live-message"
    ),
    path("live/messages/<uuid:pk>/wait/", LiveWaitViewSet.as_view({"get": "wait"}, basename="live"), name="live-wait"),
    path(
        "policy/",
        PolicyViewSet.as_view({"get": "retrieve", "patch": "partial_update"}, basename="policy"),
        name="policy",
    ),
    path("stats/", StatsViewSet.as_view({"get": "retrieve"}, basename="stats"), name="stats"),
    path(
        "stats/conversion/",
        ConversionViewSet.as_view({"get": "retrieve"}, basename="stats-conversion"),
        name="stats-conversion",
    ),
    path("stats/costs/", CostsViewSet.as_view({"get": "retrieve"}, basename="stats-costs"), name="stats-costs"),
    path("integrations/", include("messaging.api.integrations.urls")),
    *router.urls,
]
