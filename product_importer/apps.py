from django.apps import AppConfig


class ProductImporterConfig(AppConfig):
    name = "product_importer"
    verbose_name = "Product Importer"

    def ready(self) -> None:
        from product_importer import checks  # noqa: F401 (registers the checks)
