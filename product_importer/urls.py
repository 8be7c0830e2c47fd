"""Every address of the product."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.renderers import JSONRenderer
from rest_framework.routers import APIRootView, DefaultRouter

from catalog.api.change_sets import ChangeSetViewSet
from catalog.api.export_formats import ExportFormatViewSet
from catalog.api.exports import CSVRenderer, ExportNegotiation, XLSXRenderer
from catalog.api.fields import FieldViewSet
from catalog.api.products import ProductViewSet
from imports.api.feeds import FeedViewSet
from imports.api.jobs import ImportViewSet
from imports.api.notices import ChatViewSet, NoticeViewSet
from imports.api.suppliers import FormatViewSet, SupplierViewSet
from imports.api.uploads import UploadViewSet
from product_importer.accounts.forms import LoginForm
from product_importer.accounts.hashing import in_turn
from product_importer.accounts.password_views import password_change
from product_importer.accounts.views import token_list, token_new, token_revoke
from product_importer.ops.health import healthz, readyz
from product_importer.ops.metrics import metrics
from product_importer.web.finder import find, keys_switch
from webhooks.api import DeliveryViewSet, EndpointViewSet

admin.autodiscover()


class Root(APIRootView):
    """What the API has, by name."""

    name = "API"


class Router(DefaultRouter):
    """DRF's, without addresses that end in a format (``.json``): no view of ours knows it.

    Which format is wanted is told by ``Accept``, or by ``?format=``.
    """

    include_format_suffixes = False
    APIRootView = Root


router = Router()
router.register("imports", ImportViewSet, basename="api-import")
router.register("suppliers", SupplierViewSet, basename="api-supplier")
router.register("formats", FormatViewSet, basename="api-format")
router.register("feeds", FeedViewSet, basename="api-feed")
router.register("chats", ChatViewSet, basename="api-chat")
router.register("notices", NoticeViewSet, basename="api-notice")
router.register("uploads", UploadViewSet, basename="api-upload")
router.register("products", ProductViewSet, basename="api-product")
router.register("fields", FieldViewSet, basename="api-field")
router.register("export-formats", ExportFormatViewSet, basename="api-export-format")
router.register("change-sets", ChangeSetViewSet, basename="api-change-set")
router.register("webhooks", EndpointViewSet, basename="api-webhook")
router.register("deliveries", DeliveryViewSet, basename="api-delivery")

handler400 = "product_importer.web.error_views.bad_request"
handler403 = "product_importer.web.error_views.forbidden"
handler404 = "product_importer.web.error_views.not_found"
handler500 = "product_importer.web.error_views.server_error"

urlpatterns = [
    path("", include("imports.urls")),
    path("", include("catalog.urls")),
    path("webhooks/", include("webhooks.urls")),
    path(
        "login/",
        in_turn(
            LoginView.as_view(template_name="product_importer/login.html", form_class=LoginForm)
        ),
        name="login",
    ),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("password/", password_change, name="password-change"),
    path("find/", find, name="find"),
    path("keys/", keys_switch, name="keys-switch"),
    path("tokens/", token_list, name="token-list"),
    path("tokens/new/", token_new, name="token-new"),
    path("tokens/<int:pk>/revoke/", token_revoke, name="token-revoke"),
    path("admin/login/", in_turn(admin.site.login)),
    # Unfold's menu of the user is on every page, and the admin's own views are for staff alone.
    path("admin/logout/", LogoutView.as_view()),
    path("admin/password_change/", RedirectView.as_view(pattern_name="password-change")),
    path("admin/", admin.site.urls),
    path("api/v1/schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path(
        "api/v1/docs/",
        # "Split": its script has an address of its own, so nothing inline has to run.
        SpectacularSwaggerSplitView.as_view(
            url_name="api-schema", http_method_names=["get", "head"]
        ),
        name="api-docs",
    ),
    # A file's name ends without a slash.
    path(
        "api/v1/imports/<int:pk>/rejects.csv",
        ImportViewSet.as_view({"get": "rejects"}, renderer_classes=[CSVRenderer, JSONRenderer]),
        name="api-import-rejects",
    ),
    path(
        "api/v1/products/export.csv",
        ProductViewSet.as_view(
            {"get": "export"},
            renderer_classes=[CSVRenderer, JSONRenderer],
            content_negotiation_class=ExportNegotiation,
        ),
        name="api-product-export",
    ),
    path(
        "api/v1/products/export.xlsx",
        ProductViewSet.as_view(
            {"get": "export_xlsx"},
            renderer_classes=[XLSXRenderer, JSONRenderer],
            content_negotiation_class=ExportNegotiation,
        ),
        name="api-product-export-xlsx",
    ),
    path("api/v1/", include(router.urls)),
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", metrics),
]
