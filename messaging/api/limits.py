"""REST views of prefix rules and velocity limits. Clients read those that concern them; staff change them."""

from typing import Any

from django.contrib.admin.models import ADDITION, CHANGE, DELETION
from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from messaging.api.access import user_of
from messaging.api.fields import StrictBooleanField, StrictIntegerField, StrictStringField
from messaging.api.known_names import StrictSerializer
from messaging.console import audit
from messaging.models import PrefixRule, VelocityLimit
from messaging.policy.prefixes import COUNTRY, PREFIX
from messaging.services.access import sees_all
from messaging.services.limits import rules
from messaging.services.representation import isoformat_utc

MOST = 1_000_000
REASON = "Why, for the audit log."
OWNER = "User name of the owner that it is for. Null: for all owners."


class _NewLimitSerializer(StrictSerializer):
    owner = StrictStringField(max_length=150, required=False, allow_null=True, help_text=OWNER)

    def validate_owner(self, name: str | None) -> User | None:
        owner = User.objects.filter(username=name).first() if name is not None else None
        if name is not None and owner is None:
            raise serializers.ValidationError("There is no user of this name.", code="unknown_owner")
        return owner


class NewPrefixRuleSerializer(_NewLimitSerializer):
    prefix = serializers.RegexField(
        rf"\A{PREFIX.pattern}\Z", required=False, help_text="A plus sign and digits, such as +881."
    )
    country = serializers.RegexField(
        rf"\A{COUNTRY.pattern}\Z", required=False, help_text="Two capital letters, such as FR, instead of a prefix."
    )
    is_allowed = StrictBooleanField(help_text="True: texts are allowed. False: they are blocked.")
    reason = StrictStringField(max_length=200, help_text="Why. Told to clients whose texts are refused.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("prefix" in attrs) == ("country" in attrs):
            raise serializers.ValidationError({"prefix": "Give a prefix or a country, one of them."}, code="invalid")
        return attrs


class PrefixRuleSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    prefix = serializers.CharField(allow_null=True)
    country = serializers.CharField(allow_null=True)
    is_allowed = serializers.BooleanField()
    owner = serializers.CharField(allow_null=True, help_text="Null: for all owners.")
    reason = serializers.CharField()
    changed_at = serializers.DateTimeField()

    def to_representation(self, instance: PrefixRule) -> dict[str, Any]:
        return {
            "id": str(instance.pk),
            "prefix": instance.prefix or None,
            "country": instance.country or None,
            "is_allowed": instance.is_allowed,
            "owner": instance.owner.username if instance.owner else None,
            "reason": instance.reason,
            "changed_at": isoformat_utc(instance.changed_at),
        }


def _limit(what: str) -> StrictIntegerField:
    return StrictIntegerField(
        min_value=0, max_value=MOST, required=False, allow_null=True, help_text=f"{what} Null: as for all. 0: no limit."
    )


class NewVelocityLimitSerializer(_NewLimitSerializer):
    recipient_per_hour = _limit("Texts of one owner to one recipient in an hour.")
    recipient_of_all_per_hour = StrictIntegerField(
        min_value=1,
        max_value=MOST,
        required=False,
        allow_null=True,
        help_text="Texts of all owners together to one recipient in an hour. Only without an owner. Null: no limit.",
    )
    new_recipients_per_minute = _limit("Different recipients of one owner in a minute.")
    calling_code_per_hour = _limit("Texts of one owner to one calling code, such as +49, in an hour.")
    reason = StrictStringField(max_length=200, help_text=REASON)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("owner") is not None and attrs.get("recipient_of_all_per_hour") is not None:
            raise serializers.ValidationError(
                {"recipient_of_all_per_hour": "It is of all owners: leave out the owner."}, code="invalid"
            )
        return attrs


FIELDS = (
    *("recipient_per_hour", "recipient_of_all_per_hour"),
    *("new_recipients_per_minute", "calling_code_per_hour"),
)


class VelocityLimitSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    owner = serializers.CharField(allow_null=True, help_text="Null: of each owner that has none of its own.")
    recipient_per_hour = serializers.IntegerField(allow_null=True)
    recipient_of_all_per_hour = serializers.IntegerField(allow_null=True)
    new_recipients_per_minute = serializers.IntegerField(allow_null=True)
    calling_code_per_hour = serializers.IntegerField(allow_null=True)
    changed_at = serializers.DateTimeField()

    def to_representation(self, instance: VelocityLimit) -> dict[str, Any]:
        return {
            "id": str(instance.pk),
            "owner": instance.owner.username if instance.owner else None,
            **{name: getattr(instance, name) for name in FIELDS},
            "changed_at": isoformat_utc(instance.changed_at),
        }


class _LimitsViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, mixins.DestroyModelMixin, viewsets.GenericViewSet[Any]
):
    """An owner sees its own rows and those for all owners; staff with the permission see every row."""

    filter_backends = []
    lookup_value_converter = "uuid"
    model: type[PrefixRule | VelocityLimit]
    view_permission: str

    def get_queryset(self) -> QuerySet[Any]:
        user = user_of(self.request)
        rows = self.model.objects.select_related("owner").order_by("pk")
        return rows if sees_all(user, self.view_permission) else rows.filter(Q(owner=user) | Q(owner__isnull=True))

    def perform_destroy(self, instance: PrefixRule | VelocityLimit) -> None:
        audit.record(user_of(self.request), [instance], "Deleted over the API", flag=DELETION)
        rules.remove(instance)

    def _saved(self, row: PrefixRule | VelocityLimit, *, is_new: bool, reason: str) -> Response:
        change = "Set over the API"
        audit.record(user_of(self.request), [row], change, reason=reason, flag=ADDITION if is_new else CHANGE)
        headers = {"Location": reverse(f"{self.basename}-detail", args=[row.pk], request=self.request)}
        body = self.get_serializer(row).data
        return Response(body, status=201 if is_new else 200, headers=headers if is_new else {})


class PrefixRuleViewSet(_LimitsViewSet):
    model, view_permission = PrefixRule, "messaging.view_prefixrule"
    queryset = PrefixRule.objects.none()
    serializer_class = PrefixRuleSerializer
    action_permissions = {
        "list": "messaging.view_prefixrule",
        "retrieve": "messaging.view_prefixrule",
        "create": ("messaging.add_prefixrule", "messaging.change_prefixrule"),
        "destroy": "messaging.delete_prefixrule",
    }

    @extend_schema(
        request=NewPrefixRuleSerializer,
        responses={201: PrefixRuleSerializer, 200: OpenApiResponse(PrefixRuleSerializer, "The rule was replaced.")},
    )
    def create(self, request: Request) -> Response:
        serializer = NewPrefixRuleSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        data = serializer.validated_data
        row, is_new = rules.set_prefix(
            owner=data.get("owner"),
            prefix=data.get("prefix", ""),
            country=data.get("country", ""),
            is_allowed=data["is_allowed"],
            reason=data["reason"],
            now=timezone.now(),
        )
        return self._saved(row, is_new=is_new, reason=data["reason"])


class VelocityLimitViewSet(_LimitsViewSet):
    model, view_permission = VelocityLimit, "messaging.view_velocitylimit"
    queryset = VelocityLimit.objects.none()
    serializer_class = VelocityLimitSerializer
    action_permissions = {
        "list": "messaging.view_velocitylimit",
        "retrieve": "messaging.view_velocitylimit",
        "create": ("messaging.add_velocitylimit", "messaging.change_velocitylimit"),
        "destroy": "messaging.delete_velocitylimit",
    }

    @extend_schema(
        request=NewVelocityLimitSerializer,
        responses={
            201: VelocityLimitSerializer,
            200: OpenApiResponse(VelocityLimitSerializer, "The limits were replaced."),
        },
    )
    def create(self, request: Request) -> Response:
        serializer = NewVelocityLimitSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        data = serializer.validated_data
        values = {name: data.get(name) for name in FIELDS}
        row, is_new = rules.set_limits(owner=data.get("owner"), values=values, now=timezone.now())
        return self._saved(row, is_new=is_new, reason=data["reason"])
