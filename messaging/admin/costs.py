"""The console's page of costs: sums of a period, by chosen columns, each currency for itself."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.utils import timezone

from messaging.categories import Category
from messaging.console.csv_export import stream
from messaging.console.forms import StyledForm, set_choices
from messaging.console.model_admin import ModelAdmin
from messaging.models import MessageTemplate
from messaging.services.costs import cost_totals
from messaging.services.costs.cost_totals import FILTERS, GROUPS, CostSum
from providers.models import ProviderAccount

DAYS = 30
SHOWN = 500  # rows of the table; the file has all
OFFERED = 500  # templates in the filter
FULL = 100
NONE = "none"
UNNAMED = "without a currency"


class CostsForm(StyledForm):
    since = forms.DateField(label="From", widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(
        label="To", widget=forms.DateInput(attrs={"type": "date"}), help_text="Days of UTC, both included."
    )
    owner = forms.CharField(required=False, max_length=150, help_text="A user's name.")
    account = forms.ChoiceField(required=False)
    country = forms.CharField(required=False, max_length=2, help_text="Two letters, such as DE.")
    category = forms.ChoiceField(required=False, choices=[("", "all"), *((each, each) for each in Category)])
    template = forms.ChoiceField(required=False)
    group_by = forms.MultipleChoiceField(
        required=False, choices=[(name, name) for name in GROUPS], widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        slugs = ProviderAccount.objects.order_by("slug").values_list("slug", flat=True)
        set_choices(self.fields["account"], [("", "all"), *((slug, slug) for slug in slugs)])
        templates = MessageTemplate.objects.order_by("name", "pk").values_list("pk", "name")[:OFFERED]
        set_choices(self.fields["template"], [("", "all"), *((str(pk), name) for pk, name in templates)])

    def clean_owner(self) -> int | None:
        name = self.cleaned_data["owner"]
        if not name:
            return None
        owner_id: int | None = get_user_model().objects.filter(username=name).values_list("pk", flat=True).first()
        if owner_id is None:
            raise forms.ValidationError("There is no user of this name.")
        return owner_id

    def clean_country(self) -> str:
        return str(self.cleaned_data["country"]).upper()

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if "since" in cleaned and "until" in cleaned and cleaned["since"] > cleaned["until"]:
            self.add_error("until", "The last day is before the first.")
        return cleaned


@dataclass(frozen=True, slots=True)
class CostRow:
    """A row of the table. `share` is of the largest amount in the same currency, in percent."""

    group: Sequence[str]
    currency: str
    amount: str
    segments: int
    attempts: int
    share: int


def costs_page(request: HttpRequest, model_admin: ModelAdmin) -> HttpResponseBase:
    """Who may see all messages sees what they cost. `report=csv` returns the rows as a file."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    today = timezone.now().astimezone(UTC).date()
    given = request.GET.copy()
    if not given.keys() & {"since", "until", "group_by"}:  # the page as it opens
        given.setlist("group_by", ["account"])
    given.setdefault("until", today.isoformat())
    given.setdefault("since", (today - timedelta(days=DAYS - 1)).isoformat())
    form = CostsForm(given)
    group_by, found = [], []
    if form.is_valid():
        wish = form.cleaned_data
        group_by = wish["group_by"]
        only = {name: wish[name] for name in FILTERS if wish[name]}
        found = cost_totals.sums(
            owner_id=wish["owner"], since=wish["since"], until=wish["until"], group_by=group_by, only=only
        )
        if given.get("report") == "csv":
            return _csv(found, group_by)
    given["report"] = "csv"
    context = {
        **model_admin.admin_site.each_context(request),
        "model_admin": model_admin,
        "title": "Costs",
        "content_title": "Costs",
        "form": form,
        "group_by": group_by,
        "sums": _by_currency(found),
        "rows": _rows(found[:SHOWN], group_by),
        "is_more": len(found) > SHOWN,
        "shown": SHOWN,
        "file": given.urlencode(),
    }
    return TemplateResponse(request, "admin/messaging/message/costs.html", context)


def _by_currency(found: Sequence[CostSum]) -> list[dict[str, Any]]:
    amounts: dict[str, Decimal] = defaultdict(Decimal)
    segments: dict[str, int] = defaultdict(int)
    for each in found:
        amounts[each.currency] += each.amount
        segments[each.currency] += each.segments
    return [
        {"currency": currency or UNNAMED, "amount": _shown([amount])[0], "segments": segments[currency]}
        for currency, amount in sorted(amounts.items())
    ]


def _rows(found: Sequence[CostSum], group_by: Sequence[str]) -> list[CostRow]:
    largest: dict[str, Decimal] = defaultdict(Decimal)
    for each in found:
        largest[each.currency] = max(largest[each.currency], each.amount)
    names = _template_names(found) if "template" in group_by else {}
    return [
        CostRow(
            group=[names.get(value, value) or NONE for value in each.group.values()],
            currency=each.currency or UNNAMED,
            amount=amount,
            segments=each.segments,
            attempts=each.attempts,
            share=int(each.amount * FULL / largest[each.currency]) if largest[each.currency] else 0,
        )
        for each, amount in zip(found, _shown(each.amount for each in found), strict=True)
    ]


def _template_names(found: Sequence[CostSum]) -> Mapping[str, str]:
    """Of those that there are still."""
    wanted = {each.group["template"] for each in found} - {""}
    return {str(pk): name for pk, name in MessageTemplate.objects.filter(pk__in=wanted).values_list("pk", "name")}


def _shown(amounts: Iterable[Decimal]) -> list[str]:
    """All with as many decimals as the most exact of them needs, and two at least."""
    texts = [f"{amount:,.6f}" for amount in amounts]
    spare = min((len(text) - len(text.rstrip("0")) for text in texts), default=0)
    return [text[: len(text) - min(spare, 4)] for text in texts]


def _csv(found: Sequence[CostSum], group_by: Sequence[str]) -> HttpResponseBase:
    columns: dict[str, Any] = {name: (lambda row, name=name: row.group[name]) for name in group_by}
    columns["currency"] = lambda row: row.currency
    columns["amount"] = lambda row: f"{row.amount.normalize():f}"
    columns["segments"] = lambda row: row.segments
    columns["attempts"] = lambda row: row.attempts
    return stream(found, columns, filename="costs.csv")
