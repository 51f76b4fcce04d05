"""Every address of the product."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView, TemplateView
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView

from config import health
from config.login import login
from messaging.webhooks import StatusCallbackView

admin.site.site_header = admin.site.site_title = "Switchboard"
admin.site.index_title = "Administration"

FAVICON = f"{settings.STATIC_URL}drf_spectacular_sidecar/swagger-ui-dist/favicon-32x32.png"
STATUS_CALLBACK = "webhooks/<slug:slug>/status/"

urlpatterns = [
    path("", TemplateView.as_view(template_name="index.html"), name="index"),
    path("favicon.ico", RedirectView.as_view(url=FAVICON)),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("admin", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/login/", login),
    path("admin/", admin.site.urls),
    path("api/schema/", SpectacularJSONAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path("api/v1/", include("messaging.api.urls")),
    path("api/v1/", include("scheduling.api.urls")),
    path(f"api/v1/{STATUS_CALLBACK}", StatusCallbackView.as_view(), name="webhook-status"),
    # The address that we hand out is the short one; the same view answers at both.
    path(STATUS_CALLBACK, StatusCallbackView.as_view(schema=None)),
]
