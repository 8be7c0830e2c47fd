"""Every address of the product."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView
from rest_framework.renderers import JSONRenderer
from rest_framework.routers import DefaultRouter

from catalog.api import ChangeSetViewSet, CSVRenderer, ProductViewSet
from imports.api import ImportViewSet
from imports.upload_api import UploadViewSet
from product_importer.forms import LoginForm
from product_importer.health import healthz, readyz
from webhooks.api import DeliveryViewSet, EndpointViewSet

admin.autodiscover()

router = DefaultRouter()
router.register("imports", ImportViewSet, basename="api-import")
router.register("uploads", UploadViewSet, basename="api-upload")
router.register("products", ProductViewSet, basename="api-product")
router.register("change-sets", ChangeSetViewSet, basename="api-change-set")
router.register("webhooks", EndpointViewSet, basename="api-webhook")
router.register("deliveries", DeliveryViewSet, basename="api-delivery")

urlpatterns = [
    path("", include("imports.urls")),
    path("", include("catalog.urls")),
    path("webhooks/", include("webhooks.urls")),
    path(
        "login/",
        LoginView.as_view(template_name="product_importer/login.html", form_class=LoginForm),
        name="login",
    ),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
    path("api/v1/schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path(
        "api/v1/docs/",
        SpectacularSwaggerView.as_view(url_name="api-schema", http_method_names=["get", "head"]),
        name="api-docs",
    ),
    # A file's name ends without a slash.
    path(
        "api/v1/imports/<int:pk>/rejects.csv",
        ImportViewSet.as_view({"get": "rejects"}),
        name="api-import-rejects",
    ),
    path(
        "api/v1/products/export.csv",
        ProductViewSet.as_view({"get": "export"}, renderer_classes=[CSVRenderer, JSONRenderer]),
        name="api-product-export",
    ),
    path("api/v1/", include(router.urls)),
    path("healthz", healthz),
    path("readyz", readyz),
]
