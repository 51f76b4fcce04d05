"""Operations that other systems call."""

INTEGRATION_TEXTS: dict[str, tuple[str, str]] = {
    "integrations_alertmanager_create": (
        "Receive alerts of Alertmanager",
        """
        Takes a webhook of Prometheus Alertmanager and sends its alerts as one text to each recipient: those of the alert
        receiver in `receiver`, or those in `to`. Fields that are not listed here are ignored.

        A webhook with the same group, alerts, states and starts as an earlier one sends nothing and is answered with 200
        and `repeated`. Above the number of texts a minute a notice is `held`, and a digest follows within a minute.
        """,
    ),
    "integrations_grafana_create": (
        "Receive alerts of Grafana",
        """
        Takes a webhook of a Grafana contact point. Recipients, repeats and storms are as with Alertmanager; templates may
        also use Grafana's `title` and `message`.
        """,
    ),
    "integrations_supabase_create": (
        "Send a one-time password of Supabase",
        """
        Takes the "Send SMS" hook of Supabase Auth and sends its one-time password. The hook's secret is stored with an
        alert receiver of the kind Supabase; requests are signed as Standard Webhooks describes and are valid for five
        minutes. A repeat sends nothing.
        """,
    ),
    "integrations_uptime_kuma_create": (
        "Send a notification of Uptime Kuma",
        """
        Sends `body` to the number, or the numbers separated by commas, in `to`. The token is sent as `X-API-Key` or as a
        bearer token; the body is JSON or a form. Storms become digests, as with Alertmanager.
        """,
    ),
    "integrations_uptime_kuma_send": (
        "Send as Uptime Kuma's SMS Gateway",
        """
        The same at the path that Uptime Kuma's notification type "SMS Gateway" adds to its server URL.
        """,
    ),
}
