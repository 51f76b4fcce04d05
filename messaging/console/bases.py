"""Base classes of the console as mypy sees them.

unfold has no type information, so its classes are described by those of Django that they extend. Django's are generic in the
stubs only; `Any` is the model, which each subclass names in its methods.
"""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.core import paginator

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList

    Paginator = paginator.Paginator[Any]
    ModelForm = forms.ModelForm[Any]
    UnfoldModelAdmin = admin.ModelAdmin[Any]
    UnfoldTabularInline = admin.TabularInline[Any, Any]
else:
    from unfold.admin import ModelAdmin as UnfoldModelAdmin
    from unfold.admin import TabularInline as UnfoldTabularInline
    from unfold.views import ChangeList

    Paginator = paginator.Paginator
    ModelForm = forms.ModelForm

__all__ = ["ChangeList", "ModelForm", "Paginator", "UnfoldModelAdmin", "UnfoldTabularInline"]
