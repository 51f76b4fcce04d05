"""Django settings, read from the environment. README.md documents the variables."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from media_store import storage_address
from media_store.content_types import FILE_GROUPS

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
if (BASE_DIR / ".env").is_file():
    env.read_env(BASE_DIR / ".env")

# --- Paths and data ---------------------------------------------------------------------------------------------------

LOCAL_DIR = Path(env.str("LOCAL_DIR", default=str(BASE_DIR / ".local")))
DATABASE_URL: str = env.str("DATABASE_URL", default="")
EMBEDDED = not DATABASE_URL


def _local_run() -> dict[str, str]:
    """The values of a running `make run` (broker address, secret key, public address), for `manage.py`."""
    try:
        values: dict[str, str] = json.loads((LOCAL_DIR / "run.json").read_text())
    except (OSError, ValueError):
        return {}
    return values


def _local_secret_key() -> str:
    """The key that `make run` stored in this folder."""
    try:
        return (LOCAL_DIR / "secret_key").read_text().strip()
    except OSError:
        return ""


_RUN = _local_run()
REDIS_URL: str = env.str("REDIS_URL", default="") or _RUN.get("redis_url", "redis://127.0.0.1:6379/0")

# --- Identity and security --------------------------------------------------------------------------------------------

DEBUG: bool = env.bool("DEBUG", default=False)
SECRET_KEY: str = env.str("SECRET_KEY", default="") or _RUN.get("secret_key", "") or _local_secret_key()
if not SECRET_KEY:
    raise ImproperlyConfigured("SECRET_KEY is not set (`make run` creates one and stores it in .local/)")
SECRET_KEY_FALLBACKS: list[str] = env.list("SECRET_KEY_FALLBACKS", default=[])

PUBLIC_URL: str = env.str("PUBLIC_URL", default=_RUN.get("public_url", "http://127.0.0.1:8000")).rstrip("/")
_public = urlsplit(PUBLIC_URL)
if _public.scheme not in {"http", "https"} or not _public.hostname:
    raise ImproperlyConfigured("PUBLIC_URL must be an absolute http(s) address, such as https://sms.example.org")
HTTPS = _public.scheme == "https"

ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=[]) + [_public.hostname, "localhost", "127.0.0.1", "[::1]"]
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[]) + [
    f"{_public.scheme}://{_public.netloc}"
]
TRUSTED_PROXY_COUNT: int = env.int("TRUSTED_PROXY_COUNT", default=0)
if TRUSTED_PROXY_COUNT:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz(/system)?$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS: int = env.int("SECURE_HSTS_SECONDS", default=31_536_000 if HTTPS else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
CONTENT_SECURITY_POLICY = {  # config.content_security adds one source under /admin/
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

# --- Applications -----------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "unfold",  # before the admin: templates of the first application win
    "unfold.contrib.filters",
    "config.admin_app.AdminConfig",
    "django.contrib.auth",
    "django.contrib.humanize",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.forms",
    "django_celery_beat",
    "django_filters",
    "phonenumber_field",
    "rest_framework",
    "knox",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "config.apps.ConfigConfig",
    "providers.apps.ProvidersConfig",
    "media_store.apps.MediaStoreConfig",
    "messaging.apps.MessagingConfig",
    "scheduling.apps.SchedulingConfig",
]

MIDDLEWARE = [
    "config.request_ids.RequestIdMiddleware",
    "config.problems.ProblemMiddleware",
    "config.trailing_slash.OptionalSlashMiddleware",
    "config.requests.ReadableMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "config.content_security.ContentSecurityMiddleware",
    "config.static_files.StaticFilesMiddleware",
    "config.responses.ApiCompressionMiddleware",  # before the next one, which hashes the uncompressed body
    "config.responses.ApiConditionalGetMiddleware",
    "config.console_middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "config.console_middleware.AuthenticationMiddleware",
    "config.console_middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "config.nul_bytes.NulByteMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
ASGI_APPLICATION = "config.asgi.application"
APPEND_SLASH = False  # config.trailing_slash serves such paths; a redirect would drop the body

FORM_RENDERER = "django.forms.renderers.TemplatesSetting"  # also finds widget templates in templates/
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- Database ---------------------------------------------------------------------------------------------------------

if EMBEDDED:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": LOCAL_DIR / "switchboard.sqlite3",
            # Opening and configuring a connection takes a tenth of the time of a request.
            "CONN_MAX_AGE": 600,
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=8000;",
            },
            "TEST": {"NAME": LOCAL_DIR / "test.sqlite3"},
        }
    }
else:
    try:
        _database: dict[str, Any] = env.db_url("DATABASE_URL")
    except (ValueError, ImproperlyConfigured) as error:
        raise ImproperlyConfigured(
            "DATABASE_URL is not a database address (postgresql://user:password@host:5432/name)"
        ) from error
    if _database.get("ENGINE") != "django.db.backends.postgresql":
        raise ImproperlyConfigured("DATABASE_URL must name a PostgreSQL database; without it SQLite in .local/ is used")
    _database["ENGINE"] = "config.postgresql"
    _database["OPTIONS"] = {
        # A server that disappears without closing its connections is detected after 20 seconds, also during a query.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 2,
        "tcp_user_timeout": 20_000,
        **_database.get("OPTIONS", {}),
        "connect_timeout": 3,
        "pool": {"max_size": env.int("DATABASE_POOL_SIZE", default=16), "timeout": 5},
    }
    DATABASES = {"default": _database}

# --- Redis protocol: broker, cache, limits ----------------------------------------------------------------------------

CACHES = {
    "default": {
        "BACKEND": "config.cache.Cache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "switchboard",
    }
}
SILENCED_SYSTEM_CHECKS = [
    "django_ratelimit.W001",  # our cache has an atomic increment, but the check does not know the class
]

CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 60,
    "unacked_restore_interval": 10,
    "unacked_restore_throttle": 1,
    "socket_connect_timeout": 2,
    "socket_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 5,
}
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = CELERY_RESULT_SERIALIZER = CELERY_EVENT_SERIALIZER = "json"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_PUBLISH_RETRY = False  # the next tick does what a lost task would have done
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False  # the redirection would log each line of a printed traceback separately
CELERY_TIMEZONE = "UTC"
BEAT_HEARTBEAT_FILE: str = env.str("BEAT_HEARTBEAT_FILE", default="")
CELERY_BEAT_SCHEDULER = "config.beat:Scheduler"
CELERY_BEAT_SCHEDULE = {
    "tick": {"task": "messaging.tick", "schedule": 1.0, "options": {"expires": 5}},
    "recover": {"task": "messaging.recover", "schedule": 5.0, "options": {"expires": 10}},
    "media": {"task": "media_store.sweep", "schedule": 3600.0, "options": {"expires": 600}},
    "reconcile": {"task": "messaging.reconcile", "schedule": 30.0, "options": {"expires": 30}},
    "retain": {"task": "messaging.retain", "schedule": 60.0, "options": {"expires": 50}},
    "retain-schedules": {"task": "scheduling.retain", "schedule": 600.0, "options": {"expires": 300}},
    "zone-data": {"task": "scheduling.check_zone_data", "schedule": 86_400.0, "options": {"expires": 3600}},
    "watch-pumping": {"task": "messaging.watch_pumping", "schedule": 300.0, "options": {"expires": 250}},
    "purge": {"task": "messaging.purge", "schedule": 3600.0, "options": {"expires": 600}},
}

# --- Sending ----------------------------------------------------------------------------------------------------------

DEFAULT_QUEUE: str = env.str("DEFAULT_QUEUE", default="express")
DISPATCH_CONCURRENCY: int = env.int("DISPATCH_CONCURRENCY", default=32)
PROVIDER_CONNECT_TIMEOUT: float = env.float("PROVIDER_CONNECT_TIMEOUT", default=3.0)
PROVIDER_READ_TIMEOUT: float = env.float("PROVIDER_READ_TIMEOUT", default=10.0)
SMPP_CONNECTOR_URLS: list[str] = env.list("SMPP_CONNECTOR_URL", default=[]) or [
    _RUN.get("smpp_connector_url", "http://127.0.0.1:8775")
]
PROVIDER_SECRET_NAMES: list[str] = env.list(
    "PROVIDER_SECRET_NAMES",
    default=[
        *("PROVIDER_*", "SMS_*"),
        *("AFRICASTALKING_*", "AWS_*", "BIRD_*", "BULKSMS_*", "CLICKATELL_*", "CLICKSEND_*", "ELKS_*", "GATEWAYAPI_*"),
        *("HTTPSMS_*", "INFOBIP_*", "JASMIN_*", "KANNEL_*", "MESSAGEBIRD_*", "MSG91_*", "OVH_*", "PLIVO_*", "SEVEN_*"),
        *("SINCH_*", "SMSAPI_*", "SMSGATE_*", "TELNYX_*", "TEXTMAGIC_*", "TWILIO_*", "VONAGE_*"),
    ],
)
CLAIM_LEASE_SECONDS: float = env.float("CLAIM_LEASE_SECONDS", default=30.0)
RECEIPT_TIMEOUT_HOURS: int = env.int("RECEIPT_TIMEOUT_HOURS", default=72)
ORDER_WAIT_SECONDS: float = env.float("ORDER_WAIT_SECONDS", default=10.0)
VERIFY_MAX_PER_NUMBER: int = env.int("VERIFY_MAX_PER_NUMBER", default=10)
VERIFY_MAX_PER_ADDRESS: int = env.int("VERIFY_MAX_PER_ADDRESS", default=30)
VERIFY_MAX_PER_PREFIX: int = env.int("VERIFY_MAX_PER_PREFIX", default=1000)
VERIFY_MAX_PER_OWNER: int = env.int("VERIFY_MAX_PER_OWNER", default=10_000)
VERIFY_RETENTION_DAYS: int = env.int("VERIFY_RETENTION_DAYS", default=30)
BUSINESS_HOLIDAYS: str = env.str("BUSINESS_HOLIDAYS", default="US")
PUMPING_HOLD: list[str] = env.list("PUMPING_HOLD", default=[])
POLICY_DEFAULT_TIME_ZONE: str = env.str("POLICY_DEFAULT_TIME_ZONE", default="UTC")
SMART_ENCODING_DEFAULT: bool = env.bool("SMART_ENCODING_DEFAULT", default=False)
SCHEDULE_MAX_LATENESS: int = env.int("SCHEDULE_MAX_LATENESS", default=3600)

# Who sends, and whom a person may ask: in the automatic replies to STOP and HELP.
MESSAGE_BRAND: str = env.str("MESSAGE_BRAND", default="").strip()
VERIFY_BRAND: str = env.str("VERIFY_BRAND", default="").strip() or MESSAGE_BRAND
MESSAGE_CONTACT: str = env.str("MESSAGE_CONTACT", default="").strip()

# --- Media ------------------------------------------------------------------------------------------------------------

MEDIA_MAX_BYTES: int = env.int("MEDIA_MAX_BYTES", default=5 * 1024 * 1024)
MEDIA_MAX_PIXELS: int = env.int("MEDIA_MAX_PIXELS", default=25_000_000)
MEDIA_MAX_FRAMES: int = env.int("MEDIA_MAX_FRAMES", default=500)
FILE_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024  # larger uploads are written to disk while they arrive

# --- Client callbacks -------------------------------------------------------------------------------------------------

CALLBACK_ALLOWED_NETWORKS: list[str] = env.list("CALLBACK_ALLOWED_NETWORKS", default=[])
CALLBACK_CONCURRENCY: int = env.int("CALLBACK_CONCURRENCY", default=32)
LIVE_STREAMS_PER_USER: int = env.int("LIVE_STREAMS_PER_USER", default=20)

# --- Data protection --------------------------------------------------------------------------------------------------

FIELD_ENCRYPTION_KEYS: list[str] = env.list("FIELD_ENCRYPTION_KEYS", default=[])
RETENTION_TEXT_DAYS: int = env.int("RETENTION_TEXT_DAYS", default=0)
RETENTION_ROW_DAYS: int = env.int("RETENTION_ROW_DAYS", default=0)
# Five years, for which a request not to be contacted has to be kept and honored in the US.
OPT_OUT_EVIDENCE_DAYS: int = env.int("OPT_OUT_EVIDENCE_DAYS", default=1826)

# --- Receiving --------------------------------------------------------------------------------------------------------

INBOUND_MAX_CHARACTERS: int = env.int("INBOUND_MAX_CHARACTERS", default=160)
INBOUND_RATE_LIMIT: int = env.int("INBOUND_RATE_LIMIT", default=5)
INBOUND_RATE_WINDOW: float = env.float("INBOUND_RATE_WINDOW", default=60.0)
INBOUND_REPEAT_WINDOW: float = env.float("INBOUND_REPEAT_WINDOW", default=2.0)
INBOUND_FILE_TYPES: list[str] = env.list("INBOUND_FILE_TYPES", default=list(FILE_GROUPS))
MEDIA_FETCH_ALLOWED_NETWORKS: list[str] = env.list("MEDIA_FETCH_ALLOWED_NETWORKS", default=[])

# --- Users, tokens, limits --------------------------------------------------------------------------------------------

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
KNOX_TOKEN_MODEL = "messaging.ApiToken"  # noqa: S105 (a model's name)
# knox's migrations would create the table of its own token model, which is unused and makes `flush` fail.
MIGRATION_MODULES = {"knox": None}
LOGIN_REDIRECT_URL = "admin:index"
TOKEN_TTL_HOURS: int = env.int("TOKEN_TTL_HOURS", default=24)
RATE_LIMIT_PER_TOKEN: str = env.str("RATE_LIMIT_PER_TOKEN", default="200/s")
RATE_LIMIT_FAILED_LOGINS: str = env.str("RATE_LIMIT_FAILED_LOGINS", default="10/m")
RATELIMIT_FAIL_OPEN = True
RATELIMIT_IP_META_KEY = "config.client_ip.client_address"
MAX_BODY_BYTES: int = env.int("MAX_BODY_BYTES", default=10 * 1024 * 1024)
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES
# The largest form with files: a list of recipients, or 10 images.
MAX_UPLOAD_BYTES = max(MAX_BODY_BYTES, 50 * 1024 * 1024, 10 * MEDIA_MAX_BYTES) + 64 * 1024
# All request bodies that one process keeps on disk.
MAX_SPOOLED_BYTES = max(256 * 1024 * 1024, 2 * MAX_UPLOAD_BYTES)
WEB_THREADS: int = env.int("WEB_THREADS", default=4)

# --- SMPP server ------------------------------------------------------------------------------------------------------

ENABLE_SMPP_SERVER: bool = env.bool("ENABLE_SMPP_SERVER", default=False)  # `make run` starts it
SMPP_SERVER_PORT: int = env.int("SMPP_SERVER_PORT", default=2775)

# --- HTTP interfaces of other gateways --------------------------------------------------------------------------------

ENABLE_KANNEL_API: bool = env.bool("ENABLE_KANNEL_API", default=False)
ENABLE_JASMIN_API: bool = env.bool("ENABLE_JASMIN_API", default=False)

# --- API --------------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "messaging.api.authentication.BearerAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": [
        "messaging.api.permissions.ModelPermissions",
        "messaging.api.known_names.KnownNames",
    ],
    "DEFAULT_THROTTLE_CLASSES": ["messaging.api.throttling.TokenThrottle"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["messaging.api.parsers.StrictJSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "messaging.api.negotiation.ContentNegotiation",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "messaging.api.pagination.BoundedLimitOffsetPagination",
    "DEFAULT_SCHEMA_CLASS": "config.openapi.ProblemAutoSchema",
    "DEFAULT_METADATA_CLASS": None,
    "EXCEPTION_HANDLER": "config.problems.exception_handler",
    "URL_FORMAT_OVERRIDE": None,
    "COERCE_DECIMAL_TO_STRING": False,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Switchboard",
    "DESCRIPTION": "Sends, schedules and receives SMS through any provider.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "DISABLE_DOCSTRING_DESCRIPTIONS": True,  # docstrings are for readers of the code
    # For enumerations that several components have.
    "ENUM_NAME_OVERRIDES": {"VerificationStatusEnum": "messaging.api.verifications.STATUSES"},
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "config.openapi.close_request_bodies",
        "config.openapi.describe_tags",
    ],
}

# --- The staff console ------------------------------------------------------------------------------------------------

UNFOLD = {
    "SITE_TITLE": "Switchboard",
    "SITE_HEADER": "Switchboard",
    "SITE_SUBHEADER": "Staff console",
    "SITE_SYMBOL": "cell_tower",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "config.admin.theme.icon"}],
    "SHOW_BACK_BUTTON": True,
    "COLORS": "config.admin.theme.no_inline_colors",
    "STYLES": ["config.admin.theme.style"],
    "SCRIPTS": ["config.admin.theme.script"],
    "DASHBOARD_CALLBACK": "config.admin.dashboard_page.index",
    "SIDEBAR": {"navigation": "config.admin.navigation.sidebar"},
}

# --- Language, time, static files -------------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True
FORMAT_MODULE_PATH = "config.formats"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "static"
STORAGES = {
    # Not a setting of its own: a page or log that prints settings must not show the secret in the address.
    "media": storage_address.storage(env.str("MEDIA_STORAGE_URL", default=""), local_folder=LOCAL_DIR / "media"),
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = not (STATIC_ROOT / "admin").is_dir()  # until collectstatic has run

# --- Observability ----------------------------------------------------------------------------------------------------

METRICS_TOKEN: str = env.str("METRICS_TOKEN", default="")
OTEL_EXPORTER_OTLP_ENDPOINT: str = env.str("OTEL_EXPORTER_OTLP_ENDPOINT", default="")
SENTRY_DSN: str = env.str("SENTRY_DSN", default="")

# --- Logging ----------------------------------------------------------------------------------------------------------

LOG_FORMAT: str = env.str("LOG_FORMAT", default="") or ("text" if EMBEDDED or DEBUG else "json")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"context": {"()": "config.logging.LogContextFilter"}},
    "formatters": {
        "text": {
            "class": "config.logging.RedactingFormatter",
            "format": "{asctime} {levelname} {name} {message}{trail}",
            "style": "{",
        },
        "json": {"class": "config.logging.JsonFormatter"},
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "filters": ["context"], "formatter": LOG_FORMAT},
    },
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        "django": {"level": "INFO"},
        "django.request": {"level": "ERROR"},
        "django.security.DisallowedHost": {"level": "CRITICAL"},  # any client can send a wrong Host and gets 400
        "urllib3": {"level": "ERROR"},  # its debug lines have addresses, which contain phone numbers for some carriers
        # Logs each step of each message: searchable as JSON, too much for the terminal of `make run`.
        "messaging.log_context": {"level": "INFO" if LOG_FORMAT == "json" else "WARNING"},
        "twilio": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
        # At a warm shutdown it warns that unstarted tasks return to the broker, which is intended.
        "kombu.transport.virtual.base": {"level": "ERROR"},
    },
}
