"""The shell that pages and admin share: name, colours, navigation, as django-unfold has them."""

from typing import Any

from django.urls import reverse_lazy

from product_importer import __version__

SHELL: dict[str, Any] = {
    "SITE_TITLE": "Product Importer",
    "SITE_HEADER": "Product Importer",
    "COLORS": {
        # Petrol; white is read well on 600, and 400 on the dark background.
        "primary": {
            "50": "oklch(97.5% .012 215)",
            "100": "oklch(94.5% .026 215)",
            "200": "oklch(89% .05 215)",
            "300": "oklch(81% .08 215)",
            "400": "oklch(74% .1 215)",
            "500": "oklch(60% .105 215)",
            "600": "oklch(48% .09 215)",
            "700": "oklch(42% .08 215)",
            "800": "oklch(36% .068 215)",
            "900": "oklch(31% .056 215)",
            "950": "oklch(24% .045 215)",
        },
    },
    "SITE_SUBHEADER": __version__,
    "SITE_URL": "/",
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": "product_importer.web.context_processors.icon",
        },
    ],
    "ACCOUNT": {
        "navigation": [{"title": "Change password", "link": reverse_lazy("password-change")}]
    },
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "BORDER_RADIUS": "6px",
    "STYLES": ["product_importer.web.context_processors.stylesheet"],
    "SCRIPTS": [
        "product_importer.web.context_processors.script",
        "product_importer.web.context_processors.shell_script",
    ],
    "DASHBOARD_CALLBACK": "product_importer.ops.dashboard.dashboard",
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": [
            {
                "items": [
                    {
                        "title": "Home",
                        "key": "h",
                        "icon": "home",
                        "link": reverse_lazy("home"),
                        "active": "product_importer.web.context_processors.is_home",
                    },
                    {
                        "title": "Products",
                        "key": "p",
                        "icon": "sell",
                        "link": reverse_lazy("product-list"),
                    },
                    {
                        "title": "Imports",
                        "key": "i",
                        "icon": "upload_file",
                        "link": reverse_lazy("job-list"),
                        "badge": "product_importer.web.context_processors.waiting_for_people",
                        "badge_variant": "warning",
                    },
                    {
                        "title": "Suppliers",
                        "key": "s",
                        "icon": "local_shipping",
                        "link": reverse_lazy("supplier-list"),
                    },
                    {
                        "title": "Feeds",
                        "key": "f",
                        "icon": "rss_feed",
                        "link": reverse_lazy("feed-list"),
                        "permission": "product_importer.web.context_processors.may_see_feeds",
                    },
                    {
                        "title": "Changes",
                        "key": "c",
                        "icon": "history",
                        "link": reverse_lazy("change-list"),
                    },
                    {
                        "title": "Webhooks",
                        "key": "w",
                        "icon": "webhook",
                        "link": reverse_lazy("endpoint-list"),
                        "permission": "product_importer.web.context_processors.may_see_webhooks",
                    },
                ],
            },
            {
                "separator": True,
                "items": [
                    {
                        "title": "Admin",
                        "icon": "shield_person",
                        "link": reverse_lazy("admin:index"),
                        "permission": "product_importer.web.context_processors.may_use_admin",
                    },
                    {
                        "title": "Notices",
                        "icon": "notifications",
                        "link": reverse_lazy("notice-list"),
                        "permission": "product_importer.web.context_processors.may_see_notices",
                    },
                    {
                        "title": "API tokens",
                        "icon": "key",
                        "link": reverse_lazy("token-list"),
                        "permission": "product_importer.web.context_processors.is_logged_in",
                    },
                    {
                        "title": "Fields",
                        "icon": "view_column",
                        "link": reverse_lazy("field-list"),
                        "permission": "product_importer.web.context_processors.may_see_fields",
                    },
                    {"title": "API docs", "icon": "api", "link": reverse_lazy("api-docs")},
                ],
            },
        ],
    },
}
