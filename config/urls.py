"""All URLs."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView, TemplateView
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView

from config import health, metrics
from config.admin.dashboard_page import live
from config.login import login
from messaging.gateway_http import jasmin, kannel
from messaging.twilio_api.urls import verify_patterns
from messaging.webhooks import InboundCallbackView, StatusCallbackView

admin.autodiscover()
admin.site.site_header = admin.site.site_title = "Switchboard"
admin.site.index_title = "Administration"

FAVICON = f"{settings.STATIC_URL}console/icon.svg"
STATUS_CALLBACK = "webhooks/<slug:slug>/status/"
INBOUND_CALLBACK = "webhooks/<slug:slug>/inbound/"

handler500 = "config.problems.server_error"

urlpatterns = [
    # First, because most requests are for them and patterns are tried in order.
    path("api/v1/", include("messaging.api.urls")),
    path("api/v1/", include("media_store.api.urls")),
    path("api/v1/", include("scheduling.api.urls")),
    path("2010-04-01/", include("messaging.twilio_api.urls")),
    path("v2/", include(verify_patterns)),
    path("", TemplateView.as_view(template_name="index.html"), name="index"),
    path("favicon.ico", RedirectView.as_view(url=FAVICON)),
    path("healthz", health.healthz, name="healthz"),
    path("healthz/system", health.system, name="healthz-system"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("admin", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/login/", login),
    path("admin/live/", admin.site.admin_view(live), name="console-live"),
    path("admin/", admin.site.urls),
    path("api/schema/", SpectacularJSONAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path(f"api/v1/{STATUS_CALLBACK}", StatusCallbackView.as_view(), name="webhook-status"),
    path(f"api/v1/{INBOUND_CALLBACK}", InboundCallbackView.as_view(), name="webhook-inbound"),
    # The console shows the short addresses; both work.
    path(STATUS_CALLBACK, StatusCallbackView.as_view(schema=None)),
    path(INBOUND_CALLBACK, InboundCallbackView.as_view(schema=None)),
    # The HTTP interfaces of other gateways: 404 unless ENABLE_KANNEL_API or ENABLE_JASMIN_API is set.
    path("cgi-bin/sendsms", kannel.sendsms),
    path("send", jasmin.send),
    path("rate", jasmin.rate),
    path("balance", jasmin.balance),
    path("ping", jasmin.ping),
]
