from django.urls import path

from webhooks import views

urlpatterns = [
    path("", views.endpoint_list, name="endpoint-list"),
    path("new/", views.endpoint_new, name="endpoint-new"),
    path("<int:pk>/", views.endpoint_detail, name="endpoint-detail"),
    path("<int:pk>/edit/", views.endpoint_edit, name="endpoint-edit"),
    path("<int:pk>/switch/", views.endpoint_switch, name="endpoint-switch"),
    path("<int:pk>/rotate/", views.endpoint_rotate, name="endpoint-rotate"),
    path("<int:pk>/recover/", views.endpoint_recover, name="endpoint-recover"),
    path("<int:pk>/test/", views.endpoint_test, name="endpoint-test"),
    path("<int:pk>/resend/", views.endpoint_resend, name="endpoint-resend"),
    path("<int:pk>/delete/", views.endpoint_delete, name="endpoint-delete"),
    path("deliveries/<int:pk>/", views.delivery_detail, name="delivery-detail"),
    path("deliveries/<int:pk>/result/", views.delivery_result, name="delivery-result"),
    path("deliveries/<int:pk>/resend/", views.delivery_resend, name="delivery-resend"),
]
