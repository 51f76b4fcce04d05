"""Users and groups."""

from typing import TYPE_CHECKING

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from messaging.console.model_admin import REASON_REQUIRED, ModelAdmin, reason_of

if TYPE_CHECKING:  # generic in the stubs only
    DjangoUserAdmin = UserAdmin[User]
else:
    DjangoUserAdmin = UserAdmin

admin.site.unregister([User, Group])


@admin.register(User)
class ConsoleUserAdmin(DjangoUserAdmin, ModelAdmin):  # type: ignore[misc]  # its `get_form` takes `change` as a keyword
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    change_user_password_template = "console/change_password.html"  # noqa: S105 (a file)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002 (Django's name)
        """Require a reason, as for every change."""
        if request.method == "POST" and not reason_of(request):
            self.message_user(request, REASON_REQUIRED, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        response = super().user_change_password(request, id, form_url)
        if isinstance(response, TemplateResponse):
            response.context_data = {**(response.context_data or {}), "reason": reason_of(request)}
        return response


@admin.register(Group)
class ConsoleGroupAdmin(GroupAdmin, ModelAdmin):
    pass
