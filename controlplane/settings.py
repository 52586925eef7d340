"""Settings. Every value an operator may change comes from the environment; `docs/reference/settings.md` lists them."""

from pathlib import Path

from csp.constants import NONE, SELF

from controlplane.environment import (
    database_from_url,
    env_bool,
    env_float,
    env_int,
    env_list,
    env_str,
    local_secret_key,
)

BASE_DIR = Path(__file__).resolve().parent.parent
SWARMYARD_HOME = Path(env_str("SWARMYARD_HOME", str(BASE_DIR / "var"))).expanduser().resolve()
SWARMYARD_HOME.mkdir(parents=True, exist_ok=True, mode=0o700)

DEBUG = env_bool("SWARMYARD_DEBUG", False)
SWARMYARD_BIND = env_str("SWARMYARD_BIND", "127.0.0.1")
SWARMYARD_GATEWAY_BIND = env_str("SWARMYARD_GATEWAY_BIND", "127.0.0.1")
SECRET_KEY = env_str("SECRET_KEY", "") or local_secret_key(SWARMYARD_HOME)
SECRET_KEY_IS_SET = bool(env_str("SECRET_KEY", ""))
ALLOWED_HOSTS_ARE_SET = bool(env_list("ALLOWED_HOSTS", []))
# This machine itself always: `manage.py up` and probes ask there whether we are ready.
ALLOWED_HOSTS = [*env_list("ALLOWED_HOSTS", []), "127.0.0.1", "localhost", "[::1]"]
CSRF_TRUSTED_ORIGINS = env_list("CSRF_TRUSTED_ORIGINS", [])

INSTALLED_APPS = [
    "controlplane",
    "apps.exposition",
    "apps.console",
    "apps.scheduler",
    "apps.gateway",
    "apps.alerts",
    "apps.waves",
    "apps.builds",
    "apps.workspaces",
    "apps.fleet",
    "apps.capacity",
    "apps.access",
    "apps.events",
    "apps.telemetry",
    "apps.console.admin_config.YardAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "django_rq",
    "ninja",  # serves the API's page of docs from here; without it that page loads its script from elsewhere
    "csp",
]

MIDDLEWARE = [
    "controlplane.health.Probes",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "apps.console.middleware.SignInRequired",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "controlplane.urls"
ASGI_APPLICATION = "controlplane.asgi.application"

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
            ]
        },
    }
]

DATABASES = {"default": database_from_url(env_str("DATABASE_URL", ""), SWARMYARD_HOME)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Redis: REDIS_URL, else the embedded server's socket below SWARMYARD_HOME (`manage.py up` starts it).
REDIS_URL = env_str("REDIS_URL", "") or f"unix://{SWARMYARD_HOME / 'redis.sock'}"
REDIS_IS_EMBEDDED = not env_str("REDIS_URL", "")
HOST_NAME = env_str("SWARMYARD_HOST_NAME", "local")

# Seconds. The default of 180 would kill a job's process group in the middle of cloning a large repository.
RQ_JOB_TIMEOUT = env_int("SWARMYARD_JOB_TIMEOUT", 900)
RQ_QUEUES = {
    name: {"URL": REDIS_URL, "DEFAULT_TIMEOUT": RQ_JOB_TIMEOUT, "SERIALIZER": "rq.serializers.JSONSerializer"}
    for name in ("control", "io", "cpu", f"host.{HOST_NAME}")
}

LOGIN_URL = "sign-in"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_REDIRECT_URL = "yard"
SESSION_COOKIE_AGE = 14 * 24 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
BEHIND_TLS = env_bool("SWARMYARD_TLS", False)
SESSION_COOKIE_SECURE = BEHIND_TLS
CSRF_COOKIE_SECURE = BEHIND_TLS
SECURE_SSL_REDIRECT = BEHIND_TLS
SECURE_HSTS_SECONDS = env_int("SWARMYARD_HSTS_SECONDS", 3600) if BEHIND_TLS else 0
if BEHIND_TLS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# Other names below this one, and browsers' preload lists, are for the owner of the domain to decide on.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        # Plotly writes style attributes into the SVG it draws.
        "style-src": [SELF, "'unsafe-inline'"],
        "img-src": [SELF, "data:", "blob:"],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Served straight from static/: a fresh clone needs no collectstatic, so there is no STATIC_ROOT.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["stderr"], "level": env_str("SWARMYARD_LOG_LEVEL", "INFO")},
    "loggers": {
        "daphne": {"level": "WARNING"},
        "rq.worker": {"level": "WARNING"},
        "apprise": {"level": "WARNING"},
    },
}

# Fleet
AGENT_LOG_SEGMENT_BYTES = env_int("SWARMYARD_AGENT_LOG_BYTES", 20_000_000) // 2  # two segments are kept
STOP_GRACE_SECONDS = env_float("SWARMYARD_STOP_GRACE", 10.0)
HOST_TICK_SECONDS = env_float("SWARMYARD_HOST_TICK", 1.0)
CGROUP = env_str("SWARMYARD_CGROUP", "")
MAX_RESTARTS = env_int("SWARMYARD_MAX_RESTARTS", 3)
# Called by runhost with its host and the event that ends it.
HOST_PARTS = [
    "apps.builds.recorder.start",
    "apps.builds.base_keeper.start",
    "apps.builds.cache_keeper.start",
]

# Builds
SAME_PATH = env_bool("SWARMYARD_SAME_PATH", True)  # where mount namespaces work
BASE_TIMEOUT_SECONDS = max(10, env_int("SWARMYARD_BASE_TIMEOUT", 1_800))
BASE_WAIT_SECONDS = env_float("SWARMYARD_BASE_WAIT", 10.0)  # of new agents for a base that is being built
COMPILER_CACHE_GB = max(0, env_int("SWARMYARD_COMPILER_CACHE_GB", 50))  # on each host; 0: none is used
COMPILER_CACHE_URL = env_str("SWARMYARD_COMPILER_CACHE_URL", "")  # a Redis that hosts share one in
BUILD_SLOTS = max(0, env_int("SWARMYARD_BUILD_SLOTS", 0))  # at once on each host; 0: as many as it has cores
GIT_LOCKS = env_bool("SWARMYARD_GIT_LOCKS", True)  # agents' git tells which locks it was refused

# Capacity
MEMORY_RESERVE_MB = env_int("SWARMYARD_MEMORY_RESERVE_MB", 512)
MIN_FREE_DISK_MB = env_int("SWARMYARD_MIN_FREE_DISK_MB", 2_048)
MAX_MEMORY_PRESSURE = env_float("SWARMYARD_MAX_MEMORY_PRESSURE", 20.0)  # PSI some avg10, percent

# What monitoring reads
METRICS_OPEN = env_bool("SWARMYARD_METRICS_OPEN", False)
METRICS_AGENTS = max(0, env_int("SWARMYARD_METRICS_AGENTS", 100))

# What is kept
BUILDS_KEPT_DAYS = env_int("SWARMYARD_BUILDS_KEPT_DAYS", 30)  # at least 1
EVENTS_KEPT_DAYS = env_int("SWARMYARD_EVENTS_KEPT_DAYS", 90)  # at least 1

# Alerts
ALERT_NETWORKS = env_list("SWARMYARD_ALERT_NETWORKS", [])  # private ones that alerts may be sent to

# Live view
PUSH_TICK_SECONDS = env_float("SWARMYARD_PUSH_TICK", 0.25)
TELEMETRY_TICK_SECONDS = env_float("SWARMYARD_TELEMETRY_TICK", 0.25)
GATEWAY_URL_SET = env_str("SWARMYARD_GATEWAY_URL", "")
GATEWAY_URL = GATEWAY_URL_SET or "ws://127.0.0.1:8001/ws/v1/agents/"
