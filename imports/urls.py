from django.urls import path

from imports import views

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
]
