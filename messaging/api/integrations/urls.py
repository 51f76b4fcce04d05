"""URLs under /api/v1/integrations/."""

from django.urls import path

from messaging.api.integrations.alerts import AlertmanagerViewSet, GrafanaViewSet
from messaging.api.integrations.supabase import SupabaseViewSet
from messaging.api.integrations.uptime_kuma import UptimeKumaViewSet

KUMA = "integrations-uptime-kuma"

urlpatterns = [
    path("alertmanager/", AlertmanagerViewSet.as_view({"post": "create"}, basename="integrations-alertmanager")),
    path("grafana/", GrafanaViewSet.as_view({"post": "create"}, basename="integrations-grafana")),
    path("supabase/", SupabaseViewSet.as_view({"post": "create"}, basename="integrations-supabase")),
    path("uptime-kuma/", UptimeKumaViewSet.as_view({"post": "create"}, basename=KUMA)),
    path("uptime-kuma/api/v1/sms/send/", UptimeKumaViewSet.as_view({"post": "send"}, basename=KUMA)),
]
