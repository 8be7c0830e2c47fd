"""The part of the products' API that sends them as a file."""

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from django.http import Http404, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from catalog.api.product_openapi import EXPORT_LAYOUT, PRODUCT_FILTERS
from catalog.export import XLSX, Layout, asked_layout, export_response, workbook_response
from catalog.models import Product
from catalog.queries.filters import is_true
from product_importer.common.api import ErrorSerializer, StreamRenderer

EXPORTS = ("export", "export_xlsx")
EXPORT_PARAMETERS = ("spreadsheet", "columns", "export_format", "currency", "format")


class CSVRenderer(StreamRenderer):
    media_type = "text/csv"
    format = "csv"


class XLSXRenderer(StreamRenderer):
    media_type = XLSX
    format = "xlsx"


class ExportNegotiation(DefaultContentNegotiation):
    """An address's ``format`` that is no renderer's is an export format."""

    def filter_renderers(self, renderers: Any, format: str) -> Any:
        try:
            return super().filter_renderers(renderers, format)
        except Http404:
            return renderers


def _layout(request: Request) -> Layout:
    """What an address asks for."""
    asked = request.query_params.dict()
    renderers = (JSONRenderer, CSVRenderer, XLSXRenderer)
    if asked.get("format") not in (None, *(one.format for one in renderers)):
        asked = {"export_format": asked["format"], **asked}
    return asked_layout(asked)


class ExportActions:
    get_queryset: Callable[[], QuerySet[Product]]

    @extend_schema(
        summary="The products as a CSV, as an import takes it or in an export format",
        parameters=[
            *PRODUCT_FILTERS,
            OpenApiParameter(
                "spreadsheet", bool, description="guard cells that a spreadsheet would run"
            ),
            *EXPORT_LAYOUT,
        ],
        responses={(200, "text/csv"): OpenApiResponse(OpenApiTypes.BINARY)},
    )
    def export(self, request: Request) -> StreamingHttpResponse:
        safe = is_true("spreadsheet", request.query_params.get("spreadsheet", ""))
        return export_response(
            self.get_queryset(),
            spreadsheet=bool(safe),
            user_id=request.user.pk,
            layout=_layout(request),
        )

    @extend_schema(
        summary="The products as a workbook, as an import takes it or in an export format",
        parameters=[*PRODUCT_FILTERS, *EXPORT_LAYOUT],
        responses={(200, XLSX): OpenApiResponse(OpenApiTypes.BINARY), 409: ErrorSerializer},
    )
    def export_xlsx(self, request: Request) -> StreamingHttpResponse:
        return workbook_response(
            self.get_queryset(), user_id=request.user.pk, layout=_layout(request)
        )
