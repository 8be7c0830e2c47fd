"""A job as the API has it."""

from typing import Any

from rest_framework import serializers

from imports.models import ImportJob, job_snapshot


class JobSerializer(serializers.ModelSerializer[ImportJob]):
    class Meta:
        model = ImportJob
        fields = [
            "id",
            "status",
            "stage",
            "file_name",
            "file_size",
            "mode",
            "review",
            "supplier",
            "format",
            "format_version",
            "feed",
            "checks",
            "mends",
            "full_list",
            "total_records",
            "processed_records",
            "created",
            "updated",
            "unchanged",
            "superseded",
            "skipped",
            "rejected",
            "missing",
            "warnings",
            "error",
            "created_at",
            "started_at",
            "finished_at",
            "change_set",
        ]
        read_only_fields = fields

    stage = serializers.ChoiceField(
        choices=["", *ImportJob.Stage.values],
        read_only=True,
        help_text="blank before a worker has begun",
    )
    full_list = serializers.BooleanField(
        read_only=True, help_text="the file is its supplier's whole list, as far as is known yet"
    )
    warnings = serializers.ListField(child=serializers.CharField(), read_only=True)

    def to_representation(self, job: ImportJob) -> dict[str, Any]:
        return job_snapshot(job)
