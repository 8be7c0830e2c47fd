from django.urls import path

from imports import review_views, views

urlpatterns = [
    path("", views.home, name="home"),
    path("sample.csv", views.sample, name="sample"),
    path("imports/", views.job_list, name="job-list"),
    path("imports/running/", views.running, name="job-running"),
    path("imports/<int:pk>/", views.job_detail, name="job-detail"),
    path("imports/<int:pk>/panel/", views.job_panel, name="job-panel"),
    path("imports/<int:pk>/rejected/", views.job_rejected, name="job-rejected"),
    path("imports/<int:pk>/rejects.csv", views.job_rejects_csv, name="job-rejects-csv"),
    path("imports/<int:pk>/superseded/", views.job_superseded, name="job-superseded"),
    path("imports/<int:pk>/review/", review_views.job_review, name="job-review"),
    path("imports/<int:pk>/apply/", review_views.job_apply, name="job-apply"),
    path("imports/<int:pk>/cancel/", review_views.job_cancel, name="job-cancel"),
    path("imports/<int:pk>/retry/", review_views.job_retry, name="job-retry"),
]
