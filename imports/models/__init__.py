"""The rows of imports: jobs and their records, suppliers and formats, feeds, notices."""

from imports.models.feeds import CREDENTIAL_MAX_LENGTH, Feed, FeedRun
from imports.models.job_fields import table_path, upload_path, uploads
from imports.models.jobs import INNER, ImportJob, job_snapshot
from imports.models.notices import (
    CHAT_ADDRESSES,
    NOTICE_KINDS,
    Notice,
    NoticeDelivery,
    NoticeRecipient,
    every_kind,
)
from imports.models.records import ImportChunk, LeftOutRecord, RowError, SupersededRecord, Upload
from imports.models.suppliers import NAME_MAX_LENGTH, Format, FormatVersion, Supplier, deactivate

__all__ = [
    "CHAT_ADDRESSES",
    "CREDENTIAL_MAX_LENGTH",
    "INNER",
    "NAME_MAX_LENGTH",
    "NOTICE_KINDS",
    "Feed",
    "FeedRun",
    "Format",
    "FormatVersion",
    "ImportChunk",
    "ImportJob",
    "LeftOutRecord",
    "Notice",
    "NoticeDelivery",
    "NoticeRecipient",
    "RowError",
    "SupersededRecord",
    "Supplier",
    "Upload",
    "deactivate",
    "every_kind",
    "job_snapshot",
    "table_path",
    "upload_path",
    "uploads",
]
