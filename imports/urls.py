from django.urls import path

from imports.views import jobs, mending, review

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
    path("imports/<int:pk>/rejects.csv", jobs.job_rejects_csv, name="job-rejects-csv"),
    path("imports/<int:pk>/superseded/", jobs.job_superseded, name="job-superseded"),
    path("imports/<int:pk>/review/", review.job_review, name="job-review"),
    path("imports/<int:pk>/review.csv", review.job_review_csv, name="job-review-csv"),
    path("imports/<int:pk>/leave-out/", review.job_leave_out, name="job-leave-out"),
    path("imports/<int:pk>/apply/", review.job_apply, name="job-apply"),
    path("imports/<int:pk>/cancel/", review.job_cancel, name="job-cancel"),
    path("imports/<int:pk>/retry/", review.job_retry, name="job-retry"),
]
