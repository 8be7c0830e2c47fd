from django.urls import path

from catalog.views import bulk, change_sets, export_formats, exports, product_list, products
from catalog.views.own_fields import fields

urlpatterns = [
    path("products/", product_list.product_list, name="product-list"),
    path("products/new/", products.product_new, name="product-new"),
    path("products/export/", exports.export_ask, name="product-export-ask"),
    path("products/export.csv", exports.product_export, name="product-export"),
    path(
        "products/export.xlsx",
        exports.product_export,
        {"kind": "xlsx"},
        name="product-export-xlsx",
    ),
    path("export-formats/", export_formats.format_list, name="export-format-list"),
    path("export-formats/new/", export_formats.format_new, name="export-format-new"),
    path("export-formats/<int:pk>/", export_formats.format_detail, name="export-format-detail"),
    path(
        "export-formats/<int:pk>/delete/",
        export_formats.format_delete,
        name="export-format-delete",
    ),
    path("products/bulk/", bulk.bulk_ask, name="product-bulk-ask"),
    path("products/bulk/start/", bulk.bulk_start, name="product-bulk-start"),
    path("products/clear/", bulk.clear, name="product-clear"),
    path("products/display/", product_list.list_display, name="product-display"),
    path("products/views/", product_list.view_save, name="product-view-save"),
    path("products/views/delete/", product_list.view_delete, name="product-view-delete"),
    path("products/<int:pk>/", products.product_detail, name="product-detail"),
    path("products/<int:pk>/row/", products.product_row, name="product-row"),
    path("products/<int:pk>/delete/", products.product_delete, name="product-delete"),
    path("products/<int:pk>/bring-back/", products.product_bring_back, name="product-bring-back"),
    path("products/<int:pk>/restore/", products.product_restore, name="product-restore"),
    path("changes/", change_sets.change_list, name="change-list"),
    path("changes/<int:pk>/", change_sets.change_detail, name="change-detail"),
    path("changes/<int:pk>/panel/", change_sets.change_panel, name="change-panel"),
    path("changes/<int:pk>/notice/", change_sets.change_notice, name="change-notice"),
    path("changes/<int:pk>/undo/", change_sets.change_undo, name="change-undo"),
    path("fields/", fields.field_list, name="field-list"),
    path("fields/new/", fields.field_new, name="field-new"),
    path("fields/ready-made/", fields.field_ready_made, name="field-ready-made"),
    path("fields/<int:pk>/", fields.field_detail, name="field-detail"),
    path("fields/<int:pk>/move/", fields.field_move, name="field-move"),
    path("fields/<int:pk>/retire/", fields.field_retire, name="field-retire"),
    path("fields/<int:pk>/delete/", fields.field_delete, name="field-delete"),
]
