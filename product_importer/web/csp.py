"""The content security policy: what a page of ours may load, run and talk to.

Everything comes from the site itself. Each loosening is named here with its reason, and in
docs/security.md; a test walks the pages in a browser and fails on any violation.
"""

from collections.abc import Sequence
from typing import Any

from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from csp.middleware import CSPMiddleware, PolicyParts
from django.http import HttpRequest, HttpResponseBase


def content_security_policy(connect_to: Sequence[str] = ()) -> dict[str, Any]:
    """The directives for all pages; ``connect_to``: origins that uploads go to directly."""
    return {
        "default-src": [NONE],
        # unsafe-eval: Unfold's menus, tabs and dialogs are Alpine attributes, which Alpine
        # compiles by AsyncFunction. Nothing inline runs, neither <script> nor on...=.
        "script-src": [SELF, UNSAFE_EVAL],
        # unsafe-inline: Unfold writes its theme's colours as a <style> without a nonce, and
        # sets style attributes.
        "style-src": [SELF, UNSAFE_INLINE],
        # data: Swagger's style sheet carries its icons so. The pages that show products add https:
        # (catalog.views.product_list.shows_images), for the links to images in fields of one's own.
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF, *connect_to],
        "manifest-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }


def bucket_origins(bucket: str, *, region: str, endpoint_url: str) -> list[str]:
    """The origins that a browser sends presigned requests for a bucket to.

    As botocore forms them: another S3 than Amazon's, and a bucket with a dot in its name, by
    path; else the bucket's own host, with or without the region.
    """
    if not bucket:
        return []
    if endpoint_url:
        return ["/".join(endpoint_url.split("/")[:3])]
    host = "" if "." in bucket else f"{bucket}."
    regional = [f"https://{host}s3.{region}.amazonaws.com"] if region else []
    return [f"https://{host}s3.amazonaws.com", *regional]


class PolicyMiddleware(CSPMiddleware):
    """Takes ``unsafe-eval`` back where there is no Alpine: the API's own pages."""

    def get_policy_parts(
        self, request: HttpRequest, response: HttpResponseBase, report_only: bool = False
    ) -> PolicyParts:
        parts = super().get_policy_parts(request, response, report_only)
        if request.path.startswith("/api/"):
            parts.replace = {"script-src": [SELF], **(parts.replace or {})}
        return parts
