"""Create templates, save new versions and archive. Every version is checked first."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import F

from messaging.categories import Category
from messaging.models import MessageTemplate, TemplateVersion
from messaging.policy import template_content
from messaging.policy.template_content import Problem, TemplateVariable
from messaging.services.errors import InvalidTemplateContent, TemplateChanged, TemplateNameTaken
from messaging.services.templates import lookup


@dataclass(frozen=True, slots=True)
class TemplateInput:
    """The content of a version. `texts` are by language, as `template_content.language_tag` writes them."""

    texts: Mapping[str, str]
    default_language: str
    variables: Sequence[TemplateVariable] = ()
    category: str = Category.TRANSACTIONAL
    parameters: Mapping[str, str] = field(default_factory=dict)
    smart_encoding: bool = False


def create(*, owner: User | None, name: str, content: TemplateInput, actor: User, now: datetime) -> TemplateVersion:
    """Store a template with version 1. Raises `InvalidTemplateContent` or `TemplateNameTaken`."""
    _check(content)
    try:
        with transaction.atomic():
            template = MessageTemplate.objects.create(owner=owner, name=name, created_at=now, updated_at=now)
            version = _store(template, 1, content, actor, now)
            transaction.on_commit(lookup.forget)
    except IntegrityError:
        raise TemplateNameTaken("There is a template of this name already.") from None
    return version


def save(
    *, newest: TemplateVersion, based_on: int, name: str, content: TemplateInput, actor: User, now: datetime
) -> TemplateVersion:
    """Store the version after `newest`, which `content` was completed from.

    Raises `TemplateChanged` if that is not the version `based_on`, or not the newest one any more, or the template is archived.
    Of two people who save at once the second gets that error: the version counts up in one conditional statement.
    """
    changed_error = TemplateChanged(
        f"Version {based_on} is not the newest one, or the template is archived. Read it again."
    )
    if newest.number != based_on:
        raise changed_error
    _check(content)
    template = newest.template
    try:
        with transaction.atomic():
            changed = MessageTemplate.objects.filter(pk=template.pk, newest=based_on, archived_at__isnull=True).update(
                newest=F("newest") + 1, name=name, updated_at=now
            )
            if not changed:
                raise changed_error
            template.newest, template.name, template.updated_at = based_on + 1, name, now
            version = _store(template, template.newest, content, actor, now)
            transaction.on_commit(lookup.forget)
    except IntegrityError:
        raise TemplateNameTaken("There is a template of this name already.") from None
    return version


def archive(*, template: MessageTemplate, now: datetime) -> None:
    """New messages cannot use it; its versions stay, as messages name them. Its name is free again."""
    with transaction.atomic():
        MessageTemplate.objects.filter(pk=template.pk, archived_at__isnull=True).update(archived_at=now, updated_at=now)
        transaction.on_commit(lookup.forget)


def warnings(version: TemplateVersion) -> list[Problem]:
    return template_content.warnings(
        texts=version.texts, variables=version.variable_list(), smart=version.smart_encoding
    )


def _check(content: TemplateInput) -> None:
    found = template_content.problems(
        texts=content.texts, default_language=content.default_language, variables=content.variables
    )
    if found:
        raise InvalidTemplateContent(found)


def _store(
    template: MessageTemplate, number: int, content: TemplateInput, actor: User, now: datetime
) -> TemplateVersion:
    return TemplateVersion.objects.create(
        template=template,
        number=number,
        category=content.category,
        parameters=dict(content.parameters),
        smart_encoding=content.smart_encoding,
        default_language=content.default_language,
        texts=dict(content.texts),
        variables=[asdict(variable) for variable in content.variables],
        created_at=now,
        created_by=actor,
    )
