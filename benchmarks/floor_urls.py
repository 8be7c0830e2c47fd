"""The product's addresses, and ``/select-1/``."""

from django.contrib.auth.decorators import login_not_required
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path

from product_importer.urls import urlpatterns as product_urls


@login_not_required
def select_one(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return HttpResponse(str(cursor.fetchone()[0]))


urlpatterns = [*product_urls, path("select-1/", select_one)]
