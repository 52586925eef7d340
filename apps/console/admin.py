"""Rows for admins to look at. What actions own is read-only here: a change past them would have no event and no effect
on the processes; people and their roles are changed here, each change an event."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.access.models import ApiToken, Membership
from apps.access.roles import actor_for
from apps.alerts.models import Alert, Delivery, Destination, Evaluation, Rule, Silence
from apps.builds.models import Build, BuildDirectory, BuildOptions, LockWait
from apps.capacity.models import Lease
from apps.console.admin_site import is_admin
from apps.console.moment import LONG_TEXTS
from apps.events.actions import Fact, record
from apps.events.models import Event
from apps.fleet.models import Agent, Host
from apps.waves.models import Wave
from apps.workspaces.models import Repository, Workspace


class ForAdmins(admin.ModelAdmin):
    """The role admin is all that counts; what is changed becomes an event."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_admin(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_admin(request)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_admin(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_admin(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_admin(request)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self.write_down(request, obj, "added")
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self.write_down(request, obj, "changed")
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        for row in queryset:
            self.write_down(request, row, "deleted")
        return super().log_deletions(request, queryset)

    def write_down(self, request: HttpRequest, obj: Any, word: str) -> None:
        name = obj._meta.verbose_name
        record(
            Fact(
                f"admin.{word}",
                actor_for(request.user),
                f"{name} “{obj}” {word} in the admin",
                subject=str(obj),
            )
        )


class ReadOnly(ForAdmins):
    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class MembershipInline(admin.TabularInline):
    model = Membership

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_admin(request)

    has_add_permission = has_view_permission
    has_change_permission = has_view_permission
    has_delete_permission = has_view_permission


admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class People(ForAdmins, UserAdmin):
    """People sign in with a password or a link; what they may do is their membership's role alone."""

    list_display = ("username", "role", "is_active", "last_login")
    list_filter = ("membership__role", "is_active")
    fieldsets = (
        (None, {"fields": ("username", "password", "first_name", "last_name", "email", "is_active")}),
    )
    filter_horizontal = ()
    inlines = (MembershipInline,)
    list_select_related = ("membership",)

    @admin.display(ordering="membership__role")
    def role(self, user: User) -> str:
        membership = getattr(user, "membership", None)
        return membership.get_role_display() if membership else "none"


@admin.register(Membership)
class Memberships(ForAdmins):
    list_display = ("user", "role")
    list_select_related = ("user",)
    list_filter = ("role",)
    autocomplete_fields = ("user",)


@admin.register(ApiToken)
class ApiTokens(ReadOnly):
    list_display = ("name", "user", "role", "created_at", "last_used_at", "expires_at", "revoked_at")
    list_select_related = ("user",)
    exclude = ("token_hash",)


@admin.register(Event)
class Events(ReadOnly):
    list_display = ("at", "kind", "text", "actor")
    list_filter = ("actor_kind", "topic")
    search_fields = ("text", "subject", "actor")
    show_full_result_count = False


@admin.register(Host)
class Hosts(ReadOnly):
    list_display = ("name", "heartbeat_at", "draining", "logical_cpus", "memory_total", "disk_free")


@admin.register(Agent)
class Agents(ReadOnly):
    list_display = ("name", "state", "desired", "preset", "host", "epoch", "exit_code", "reason")
    list_filter = ("state", "preset", "host")
    list_select_related = ("host",)
    search_fields = ("name", "reason")
    exclude = ("token_hash",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Agent]:
        return super().get_queryset(request).defer(*LONG_TEXTS)


@admin.register(Wave)
class Waves(ReadOnly):
    list_display = ("label", "state", "preset", "repository", "size", "created_by", "created_at")
    list_filter = ("state", "preset")
    list_select_related = ("repository",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Wave]:
        return super().get_queryset(request).defer(*LONG_TEXTS)


@admin.register(Repository)
class Repositories(ReadOnly):
    list_display = ("name", "state", "path", "url", "target")


@admin.register(Workspace)
class Workspaces(ReadOnly):
    list_display = ("branch", "state", "repository", "path", "created_at")
    list_filter = ("state",)
    list_select_related = ("repository",)


@admin.register(BuildOptions)
class BuildOptionsRows(ReadOnly):
    list_display = ("repository", "own_directories", "scheme", "slots")
    list_select_related = ("repository",)


@admin.register(Build)
class Builds(ReadOnly):
    list_display = (
        "who",
        "tool",
        "mode",
        "state",
        "asked_at",
        "ended_at",
        "exit_code",
        "slot_wait_ms",
        "lock_wait_ms",
    )
    list_filter = ("state", "mode", "tool")
    search_fields = ("who", "arguments")
    show_full_result_count = False


@admin.register(LockWait)
class LockWaits(ReadOnly):
    list_display = ("began_at", "kind", "ms", "build", "holder", "holder_pid", "path")
    list_filter = ("kind",)
    list_select_related = ("build", "holder")
    show_full_result_count = False


@admin.register(BuildDirectory)
class BuildDirectories(ReadOnly):
    list_display = ("path", "host", "tool", "builds", "size_bytes", "used_at")
    list_select_related = ("host",)


@admin.register(Rule)
class Rules(ReadOnly):
    list_display = ("key", "metric", "scope", "comparison", "threshold", "for_seconds", "severity", "enabled")
    list_filter = ("scope", "severity", "enabled")


@admin.register(Alert)
class Alerts(ReadOnly):
    list_display = ("rule", "subject", "state", "severity", "value", "fired_at", "resolved_at", "owner")
    list_filter = ("state", "severity", "rule")
    list_select_related = ("rule",)
    search_fields = ("subject",)


@admin.register(Silence)
class Silences(ReadOnly):
    list_display = ("rule", "subject", "begun_by", "begun_at", "until")
    list_select_related = ("rule",)


@admin.register(Evaluation)
class Evaluations(ReadOnly):
    list_display = ("at", "took_ms")


@admin.register(Destination)
class Destinations(ReadOnly):
    list_display = ("name", "kind", "least", "enabled", "created_by")
    exclude = ("url",)


@admin.register(Delivery)
class Deliveries(ReadOnly):
    list_display = ("created_at", "destination", "state", "attempts", "problem")
    list_filter = ("state",)
    list_select_related = ("destination",)


@admin.register(Lease)
class Leases(ReadOnly):
    list_display = ("name", "holder", "epoch", "expires_at")
