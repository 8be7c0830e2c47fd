from django.apps import AppConfig, apps

# What other packages' sections of the admin are called here.
SECTIONS = {
    "admin": "Acts in the admin",
    "auth": "Users and roles",
    "axes": "Log-ins",
    "django_celery_results": "Work in the background",
}


class ProductImporterConfig(AppConfig):
    name = "product_importer"
    verbose_name = "Product Importer"

    def ready(self) -> None:
        from product_importer import checks  # noqa: F401 (registers the checks)

        for label, name in SECTIONS.items():
            apps.get_app_config(label).verbose_name = name
