"""All settings, from the environment. A missing one stops the start with its name.

Every variable that is read here is described in docs/settings.md (a test compares the two).
"""

import ipaddress
import logging
import os
import re
from datetime import timedelta
from typing import Any

import dj_database_url
from django.conf import global_settings
from django.core.exceptions import ImproperlyConfigured
from kombu import Queue

from product_importer.beat_schedule import BEAT_SCHEDULE
from product_importer.environment import (
    BASE_DIR,
    Environment,
    data_dir,
    mail_settings,
    read_local_file,
    site_url,
)
from product_importer.ops import logging as logs
from product_importer.web.csp import bucket_origins, content_security_policy
from product_importer.web.database import LimitedConnection
from product_importer.web.shell import SHELL

DATA_DIR = data_dir()
env = Environment({**read_local_file(DATA_DIR), **os.environ})

# --- Safety ---------------------------------------------------------------------------
DEBUG = False
SECRET_KEY = env.text("SECRET_KEY")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS", "")
HTTPS = env.boolean("HTTPS", True)  # bin/run sets it to false: a laptop has no certificate
SECURE_SSL_REDIRECT = HTTPS
# Probes and Prometheus come over plain HTTP.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
X_FRAME_OPTIONS = "DENY"
# How many proxies in front of the site append to X-Forwarded-For; the header is believed no
# further, and without a proxy not at all. The routers of Heroku and Render append.
PROXIES = env.integer("PROXIES", 1 if {"DYNO", "RENDER"} & os.environ.keys() else 0)
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",  # first: it refuses who is locked out
    "django.contrib.auth.backends.ModelBackend",
]
# The first makes new hashes. The others are Django's, for hashes that come from elsewhere.
PASSWORD_HASHERS = [
    "product_importer.accounts.hashing.Hasher",
    *global_settings.PASSWORD_HASHERS[1:],
]
# Log-ins that fail are counted in the database, for all web processes, by the pair of user and
# address: so nobody can lock others out.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = env.integer("LOGIN_FAILURES", 5)
# With any names from one address: offices share one, so it is far more. Who guesses one
# password for many names never comes to the limit above.
LOGIN_FAILURES_OF_ADDRESS = env.integer("LOGIN_FAILURES_OF_ADDRESS", 100)
AXES_HANDLER = "product_importer.accounts.login_throttling.Handler"
AXES_COOLOFF_TIME = timedelta(minutes=env.integer("LOGIN_LOCKOUT_MINUTES", 15))
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # the page tells how long to wait
AXES_ENABLE_ACCESS_FAILURE_LOG = True
AXES_VERBOSE = False
AXES_ENABLE_ADMIN = False  # product_importer.admin shows them, to read only
AXES_USERNAME_CALLABLE = "product_importer.accounts.login_throttling.typed_name"
AXES_CLIENT_IP_CALLABLE = "product_importer.accounts.login_throttling.client_address"
AXES_LOCKOUT_CALLABLE = "product_importer.accounts.login_throttling.locked_out"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# --- Application ----------------------------------------------------------------------
INSTALLED_APPS = [
    # Unfold, before django.contrib.admin: it replaces the admin's templates.
    "product_importer.web.site.SiteConfig",
    "unfold.contrib.filters",
    # Without autodiscovery: urls.py loads the admin, so that workers need not carry it.
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "axes",
    "csp",
    "django_celery_results",
    "django_filters",
    "django_htmx",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "knox",
    "rest_framework",
    "product_importer",
    "imports",
    "catalog",
    "webhooks",
]
MIDDLEWARE = [
    # First: nothing after it may ask the database.
    "product_importer.web.request_middleware.release",
    "product_importer.web.request_middleware.LogRequests",
    "product_importer.web.request_middleware.CountRequests",
    "django.middleware.security.SecurityMiddleware",
    "product_importer.web.csp.PolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "product_importer.web.request_middleware.keep_nothing",  # of what comes after the static files
    "product_importer.web.malformed_requests.refuse_malformed",
    "product_importer.web.error_views.RefuseValues",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    # Every page needs a login, unless it says otherwise.
    "product_importer.web.request_middleware.LoginRequired",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "product_importer.accounts.hashing.TellTooManyHashes",
    "axes.middleware.AxesMiddleware",  # last: it answers in place of the log-in page
]
ROOT_URLCONF = "product_importer.urls"
ASGI_APPLICATION = "product_importer.asgi.application"
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
                "product_importer.web.context_processors.shell",
            ],
        },
    }
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
USE_TZ = True
TIME_ZONE = env.text("TIME_ZONE", "UTC")
LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = "product_importer.web.formats"
USE_THOUSAND_SEPARATOR = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Database -------------------------------------------------------------------------
DATABASES: dict[str, Any] = {
    "default": dj_database_url.parse(env.text("DATABASE_URL"), conn_health_checks=True)
}
# A server that vanished without a word is noticed within half a minute, not after two hours.
DATABASES["default"]["OPTIONS"] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
    **DATABASES["default"].get("OPTIONS", {}),
}
if env.boolean("DATABASE_POOL", False):
    # Web processes: under ASGI every request runs in a thread of its own, so a connection
    # outlives the request only in a pool.
    DATABASES["default"].setdefault("OPTIONS", {})["pool"] = {
        "min_size": 1,
        "max_size": env.integer("DATABASE_POOL_SIZE", 10),
        "timeout": 10,  # for a free one, then it is a 503 (product_importer.web.error_views)
        "connection_class": LimitedConnection,
        # A server that is back is found by the next request, and not after minutes of backing off.
        "reconnect_timeout": 5,
    }
else:
    DATABASES["default"]["CONN_MAX_AGE"] = 60
# Nothing may rely on a session beyond its transaction, so that pgbouncer may pool transactions.
DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = True

# --- Broker and workers ---------------------------------------------------------------
REDIS_URL = env.text("REDIS_URL")
# How a broker behind TLS shows who it is, for our own connections and for Celery's (which by
# itself would believe anybody). Empty without TLS.
REDIS_TLS: dict[str, Any] = {}
if REDIS_URL.startswith("rediss://"):
    verify = env.boolean("REDIS_TLS_VERIFY", True)
    REDIS_TLS = {
        "ssl_cert_reqs": "required" if verify else "none",
        "ssl_check_hostname": verify,
        "ssl_ca_certs": env.text("REDIS_TLS_CA", "") or None,
    }
CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_USE_SSL = REDIS_TLS or None
CELERY_RESULT_BACKEND = "django-db"
CELERY_RESULT_EXTENDED = True
CELERY_TASK_TRACK_STARTED = True
# A message is only a hint, but a hint should survive the worker that took it.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 3
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
# A dead broker may cost a request no more than half a second: no retries, short timeouts.
CELERY_TASK_PUBLISH_RETRY = False
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_connect_timeout": 0.3,
    "socket_keepalive": True,
    "visibility_timeout": 600,
    "max_retries": 0,
}
# Deliveries have a queue of their own. A worker takes from both in turn, so that an import's
# many chunks do not hold up an event, nor the other way round.
CELERY_TASK_DEFAULT_QUEUE = "celery"
CELERY_TASK_QUEUES = [Queue("celery"), Queue("webhooks"), Queue("feeds")]
# Messages for one task alone: whoever wants to send one looks whether enough of them wait there.
CELERY_TASK_ROUTES = {
    "webhooks.pump": {"queue": "webhooks"},
    "imports.fetch_feeds": {"queue": "feeds"},
}
# Old results are cleared in batches (product_importer/ops/retention.py), not by Celery at once.
CELERY_RESULT_EXPIRES = None
CELERY_BEAT_SCHEDULER = "celery.beat:Scheduler"  # in memory: nothing to keep between starts
CELERY_BEAT_SCHEDULE = BEAT_SCHEDULE

# --- The search index -----------------------------------------------------------------
# Built and kept by workers (catalog.operations.search_index); off, it is dropped.
SEARCH_INDEX = env.boolean("SEARCH_INDEX", True)

# --- Keeping house --------------------------------------------------------------------
# How long things are kept; None: for ever. docs/decisions/0015-keeping-house.md
KEEP_UPLOADS = env.days("KEEP_UPLOADS_DAYS", 90)
KEEP_REVIEWS = env.days("KEEP_REVIEWS_DAYS", 7)
KEEP_IMPORT_DETAILS = env.days("KEEP_IMPORT_DETAILS_DAYS", 365)
KEEP_CHANGES = env.days("KEEP_CHANGES_DAYS", 365)
KEEP_EVENTS = env.days("KEEP_EVENTS_DAYS", 14)
KEEP_TASK_RESULTS = env.days("KEEP_TASK_RESULTS_DAYS", 7)
KEEP_LOGINS = env.days("KEEP_LOGINS_DAYS", 365)

# --- Files ----------------------------------------------------------------------------
UPLOADS_BUCKET = env.text("UPLOADS_BUCKET", "")
# Large files go straight from the browser to the bucket, in parts of so many bytes.
UPLOADS_DIRECT = env.boolean("UPLOADS_DIRECT", True)
UPLOADS_PART_SIZE = max(5 * 1024**2, env.integer("UPLOADS_PART_SIZE", 8 * 1024**2))  # S3's least
# Where a platform gives every process a disk of its own, a worker cannot read what the web
# process wrote. Heroku and Render tell who they are.
SHARED_DISK = env.boolean("SHARED_DISK", not ({"DYNO", "RENDER"} & os.environ.keys()))


def s3_uploads(bucket: str, **options: Any) -> dict[str, Any]:
    """The storage for uploads in a bucket; keys and region come from the AWS_* variables."""
    return {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": bucket,
            "location": "uploads",
            "default_acl": None,
            "file_overwrite": False,
            # A file that is read goes to a temporary file on disk beyond this, not into memory.
            "max_memory_size": 8 * 1024**2,
            **options,
        },
    }


AWS_S3_ENDPOINT_URL = env.text("AWS_S3_ENDPOINT_URL", "")
AWS_REGION = env.text("AWS_REGION", "")
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": content_security_policy(
        bucket_origins(UPLOADS_BUCKET, region=AWS_REGION, endpoint_url=AWS_S3_ENDPOINT_URL)
    )
}
STORAGES: dict[str, Any] = {
    "default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": DATA_DIR / "files"},
    },
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
    "uploads": s3_uploads(
        UPLOADS_BUCKET,
        endpoint_url=AWS_S3_ENDPOINT_URL or None,
        region_name=AWS_REGION or None,
    )
    if UPLOADS_BUCKET
    else {
        "BACKEND": "imports.files.temp.UploadFolder",
        "OPTIONS": {"location": DATA_DIR / "uploads"},
    },
}
# On the same disk as the uploads: a received file is renamed into place, not copied.
FILE_UPLOAD_TEMP_DIR = DATA_DIR / "tmp"
FILE_UPLOAD_TEMP_DIR.mkdir(parents=True, exist_ok=True)
# Of a form; most has the matching page of 500 columns and 200 own fields, each with its rules.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 4_000
FILE_UPLOAD_HANDLERS = ["imports.files.temp.UploadHandler"]
IMPORT_MAX_FILE_SIZE = env.integer("IMPORT_MAX_FILE_SIZE", 1024**3)
IMPORT_CHUNK_ROWS = env.integer("IMPORT_CHUNK_ROWS", 20_000)

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = env.text("STATIC_ROOT", str(BASE_DIR / "staticfiles"))

# --- Webhooks -------------------------------------------------------------------------
# Keys for the signing secrets at rest: the first encrypts, each may decrypt. Without any, a
# key is derived from SECRET_KEY.
WEBHOOK_SECRET_KEYS = env.words("WEBHOOK_SECRET_KEYS", "")
# Networks that the address guard lets through, for receivers on a laptop.
WEBHOOK_ALLOWED_CIDRS = [
    ipaddress.ip_network(words) for words in env.words("WEBHOOK_ALLOWED_CIDRS", "")
]
WEBHOOK_PUMPS = env.integer("WEBHOOK_PUMPS", 1)
WEBHOOK_THREADS = env.integer("WEBHOOK_THREADS", 256)


# --- Notices --------------------------------------------------------------------------
# What people call the site, for links in messages. Without it: where forms may come from, or the
# first host name.
SITE_URL = env.text(
    "SITE_URL",
    site_url(
        origins=CSRF_TRUSTED_ORIGINS,
        hosts=ALLOWED_HOSTS,
        https=HTTPS,
        port=env.text("PORT", "8000"),
    ),
)
# smtps://NAME:PASSWORD@HOST, smtp+tls://..., smtp://... or console://; empty: no mail is sent.
EMAIL_URL = env.text("EMAIL_URL", "")
EMAIL_IS_SET_UP = bool(EMAIL_URL)
vars().update(mail_settings(EMAIL_URL))
# Mail servers refuse senders that they do not know.
DEFAULT_FROM_EMAIL = env.text("EMAIL_FROM", None if EMAIL_URL else "product-importer@localhost")
EMAIL_TIMEOUT = 15  # seconds that the mail server may be silent


# --- API ------------------------------------------------------------------------------
def api_rate(name: str, default: str) -> str | None:
    """How many requests in which time (``600/min``); ``off``: as many as come."""
    rate = env.text(name, default)
    if rate == "off":
        return None
    if not re.fullmatch(r"[1-9]\d*/(s|sec|min|hour|day)", rate):
        raise ImproperlyConfigured(f"{name} is {rate!r}: write one like 600/min, or off.")
    return rate


REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "product_importer.accounts.tokens.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_THROTTLE_CLASSES": [
        "product_importer.web.throttling.UserThrottle",
        "product_importer.web.throttling.AnonymousThrottle",
        "product_importer.web.throttling.HeavyThrottle",
    ],
    "DEFAULT_THROTTLE_RATES": {
        "user": api_rate("API_RATE_USER", "12000/min"),
        "anonymous": api_rate("API_RATE_ANONYMOUS", "600/min"),
        "heavy": api_rate("API_RATE_HEAVY", "600/min"),
    },
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_RENDERER_CLASSES": [
        "rest_framework.renderers.JSONRenderer",
        "product_importer.common.api.BrowsableRenderer",
    ],
    "DEFAULT_PARSER_CLASSES": [
        "product_importer.common.api.JSONParser",
        "rest_framework.parsers.FormParser",
        "rest_framework.parsers.MultiPartParser",
    ],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "product_importer.web.exception_handler.explain",
    "COERCE_DECIMAL_TO_STRING": True,
}
REST_KNOX = {"TOKEN_TTL": None, "AUTH_HEADER_PREFIX": "Token"}
SPECTACULAR_SETTINGS = {
    "TITLE": "Product Importer",
    "DESCRIPTION": "Import supplier CSVs into a product catalogue, and read it.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    # Its links to one operation are links within buttons, which no screen reader can make sense of.
    "SWAGGER_UI_SETTINGS": {"deepLinking": False},
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,  # what is sent and what is answered are not the same
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "product_importer.web.openapi.describe_errors",
        "product_importer.web.openapi.describe_parameters",
        "catalog.api.openapi.describe_fields",
    ],
}

# --- The shell that pages and admin share ---------------------------------------------
UNFOLD = SHELL

# --- Logs, metrics, errors ------------------------------------------------------------
LOG_FORMAT = env.text("LOG_FORMAT", "json")
if LOG_FORMAT not in logs.FORMATS:
    raise ImproperlyConfigured(f"LOG_FORMAT is {LOG_FORMAT!r}: write json or plain.")
LOGGING = logs.configure(format=LOG_FORMAT, level=env.text("LOG_LEVEL", "INFO"))
DJANGO_STRUCTLOG_TRUST_UPSTREAM_REQUEST_ID = True  # by product_importer.web.request_middleware
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False  # nobody's address in the logs
# What was done is told by those who did it; that a request or a task begins is for debugging.
DJANGO_STRUCTLOG_STATUS_START_LOG_LEVEL = logging.DEBUG
DJANGO_STRUCTLOG_STATUS_4XX_LOG_LEVEL = logging.INFO
DJANGO_STRUCTLOG_CELERY_TASK_START_LOG_LEVEL = logging.DEBUG
DJANGO_STRUCTLOG_CELERY_TASK_SUCCESS_LOG_LEVEL = logging.DEBUG
# Prometheus asks /metrics with this as bearer token; without one only who may, by a session.
METRICS_TOKEN = env.text("METRICS_TOKEN", "")
PROMETHEUS_LATENCY_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, float("inf"))
if SENTRY_DSN := env.text("SENTRY_DSN", ""):
    from product_importer.ops import sentry

    sentry.start(
        dsn=SENTRY_DSN,
        environment=env.text("SENTRY_ENVIRONMENT", ""),
        release=env.text("SENTRY_RELEASE", ""),
    )
