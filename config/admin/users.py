"""Users and groups in the console's look."""

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from messaging.console.model_admin import SAY_WHY, ModelAdmin, reason_of

User = get_user_model()
admin.site.unregister([User, Group])


@admin.register(User)
class ConsoleUserAdmin(UserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    change_user_password_template = "console/change_password.html"  # noqa: S105 (a file)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002 (Django's name)
        """Like every change it needs a reason."""
        if request.method == "POST" and not reason_of(request):
            self.message_user(request, SAY_WHY, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        response = super().user_change_password(request, id, form_url)
        if isinstance(response, TemplateResponse):
            response.context_data["reason"] = reason_of(request)
        return response


@admin.register(Group)
class ConsoleGroupAdmin(GroupAdmin, ModelAdmin):
    pass
