from django.urls import path

from imports.views import jobs, mapping, mending, review, suppliers

urlpatterns = [
    path("", jobs.home, name="home"),
    path("sample.csv", jobs.sample, name="sample"),
    path("imports/", jobs.job_list, name="job-list"),
    path("imports/drop/", jobs.drop, name="job-drop"),
    path("imports/running/", jobs.running, name="job-running"),
    path("imports/<int:pk>/", jobs.job_detail, name="job-detail"),
    path("imports/<int:pk>/panel/", jobs.job_panel, name="job-panel"),
    path("imports/<int:pk>/rejected/", mending.job_rejected, name="job-rejected"),
    path("imports/<int:pk>/mend/", mending.job_mend, name="job-mend"),
    path("imports/<int:pk>/mend/import/", mending.job_import_mended, name="job-import-mended"),
    path("imports/<int:pk>/rejects.csv", mending.job_rejects_csv, name="job-rejects-csv"),
    path("imports/<int:pk>/superseded/", jobs.job_superseded, name="job-superseded"),
    path("imports/<int:pk>/mapping/", mapping.job_mapping, name="job-mapping"),
    path(
        "imports/<int:pk>/mapping/preview/",
        mapping.job_mapping_preview,
        name="job-mapping-preview",
    ),
    path("imports/<int:pk>/mapping/fields/", mapping.job_mapping_fields, name="job-mapping-fields"),
    path("imports/<int:pk>/review/", review.job_review, name="job-review"),
    path("imports/<int:pk>/review.csv", review.job_review_csv, name="job-review-csv"),
    path("imports/<int:pk>/leave-out/", review.job_leave_out, name="job-leave-out"),
    path("imports/<int:pk>/apply/", review.job_apply, name="job-apply"),
    path("imports/<int:pk>/cancel/", review.job_cancel, name="job-cancel"),
    path("imports/<int:pk>/retry/", review.job_retry, name="job-retry"),
    path("suppliers/", suppliers.supplier_list, name="supplier-list"),
    path("suppliers/<int:pk>/", suppliers.supplier_detail, name="supplier-detail"),
    path("suppliers/<int:pk>/delete/", suppliers.supplier_delete, name="supplier-delete"),
    path("suppliers/<int:pk>/upload/", suppliers.format_upload, name="format-upload"),
    path("suppliers/formats/<int:pk>/", suppliers.format_detail, name="format-detail"),
    path("suppliers/formats/<int:pk>/delete/", suppliers.format_delete, name="format-delete"),
    path("suppliers/formats/<int:pk>/format.json", suppliers.format_json, name="format-json"),
]
