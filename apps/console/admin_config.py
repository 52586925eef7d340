from django.contrib.admin.apps import AdminConfig


class YardAdminConfig(AdminConfig):
    default_site = "apps.console.admin_site.YardAdminSite"
