from django.urls import path

from catalog import change_views, views

urlpatterns = [
    path("products/", views.product_list, name="product-list"),
    path("products/new/", views.product_new, name="product-new"),
    path("products/export.csv", views.product_export, name="product-export"),
    path("products/bulk/", views.bulk_ask, name="product-bulk-ask"),
    path("products/bulk/start/", views.bulk_start, name="product-bulk-start"),
    path("products/<int:pk>/", views.product_detail, name="product-detail"),
    path("products/<int:pk>/row/", views.product_row, name="product-row"),
    path("products/<int:pk>/delete/", views.product_delete, name="product-delete"),
    path("changes/", change_views.change_list, name="change-list"),
    path("changes/<int:pk>/", change_views.change_detail, name="change-detail"),
    path("changes/<int:pk>/panel/", change_views.change_panel, name="change-panel"),
    path("changes/<int:pk>/undo/", change_views.change_undo, name="change-undo"),
]
