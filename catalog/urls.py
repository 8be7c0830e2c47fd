from django.urls import path

from catalog.views import change_sets, products

urlpatterns = [
    path("products/", products.product_list, name="product-list"),
    path("products/new/", products.product_new, name="product-new"),
    path("products/export.csv", products.product_export, name="product-export"),
    path("products/bulk/", products.bulk_ask, name="product-bulk-ask"),
    path("products/bulk/start/", products.bulk_start, name="product-bulk-start"),
    path("products/<int:pk>/", products.product_detail, name="product-detail"),
    path("products/<int:pk>/row/", products.product_row, name="product-row"),
    path("products/<int:pk>/delete/", products.product_delete, name="product-delete"),
    path("changes/", change_sets.change_list, name="change-list"),
    path("changes/<int:pk>/", change_sets.change_detail, name="change-detail"),
    path("changes/<int:pk>/panel/", change_sets.change_panel, name="change-panel"),
    path("changes/<int:pk>/undo/", change_sets.change_undo, name="change-undo"),
]
