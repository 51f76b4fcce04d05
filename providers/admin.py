"""Accounts and sender numbers in the admin."""

from typing import Any

from django import forms
from django.contrib import admin

from providers.errors import ConfigError
from providers.models import ProviderAccount, SenderNumber
from providers.registry import BACKENDS
from providers.services import check_account_config


class ProviderAccountForm(forms.ModelForm):
    backend = forms.ChoiceField(choices=[(name, name) for name in sorted(BACKENDS)])

    class Meta:
        model = ProviderAccount
        fields = ["slug", "backend", "weight", "is_enabled", "config"]
        help_texts = {
            "weight": "Share of the traffic, 0 to 1000; 0 sends nothing through this account.",
            "config": 'How the provider speaks, see docs/providers.md. Write {"env": "NAME"} for a secret.',
        }

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if "backend" in cleaned and "config" in cleaned:
            try:
                check_account_config(backend=cleaned["backend"], config=cleaned["config"])
            except ConfigError as error:
                self.add_error("config", str(error))
        return cleaned


@admin.register(ProviderAccount)
class ProviderAccountAdmin(admin.ModelAdmin):
    form = ProviderAccountForm
    list_display = ["slug", "backend", "weight", "is_enabled", "updated_at"]
    list_filter = ["backend", "is_enabled"]
    search_fields = ["slug"]
    readonly_fields = ["created_at", "updated_at"]

    def get_readonly_fields(self, request: Any, obj: ProviderAccount | None = None) -> list[str]:
        """The slug is the key, and stands in the callback addresses that the provider knows."""
        return [*self.readonly_fields, "slug"] if obj else self.readonly_fields


@admin.register(SenderNumber)
class SenderNumberAdmin(admin.ModelAdmin):
    list_display = ["number", "owner", "account", "is_default"]
    list_filter = ["is_default", "account"]
    list_select_related = ["owner", "account"]
    search_fields = ["number"]
    autocomplete_fields = ["owner"]
