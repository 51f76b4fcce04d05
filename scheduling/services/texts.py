"""The text of a schedule: its own, or that of the newest version of its template.

`Schedule.text` is the text as it was when the schedule was saved. `refresh` puts the newest version's in its place, in memory;
a run keeps the version that it began with.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from django.conf import settings

from messaging import segments, text_templates
from messaging.models import TemplateVersion
from messaging.policy import smart_encoding
from messaging.policy.template_content import choose_language
from messaging.segments import SegmentCount
from messaging.services.errors import InvalidField
from messaging.services.templates import lookup
from messaging.text_templates import MissingVariable, Template
from scheduling.models import Schedule, ScheduleRun

MAX_LANGUAGE = 35


@dataclass(frozen=True, slots=True)
class RunText:
    """The text of all messages of one run. `longest` is the greatest length of each variable's value; None for any."""

    template: Template
    smart: bool
    longest: Mapping[str, int] = field(default_factory=dict)

    def render(self, variables: Mapping[str, str]) -> tuple[str, SegmentCount] | None:
        """Return None for a text with a missing or too long variable, a blank one, or one with too many segments."""
        if any(len(variables.get(name, "")) > longest for name, longest in self.longest.items()):
            return None
        try:
            text = self.template.render(variables)
        except MissingVariable:
            return None
        if self.smart:
            text = smart_encoding.smart_encoded(text)
        counted = segments.measure(text)
        return (text, counted) if text.strip() and counted.segments <= segments.MAX_SEGMENTS else None


def find(owner_id: int, reference: str) -> TemplateVersion:
    """The newest version of a template that the owner may use, by name or id. Raises `InvalidField`."""
    version = lookup.load(owner_id, {reference})[reference]
    if version is None:
        raise InvalidField("template", "unknown_template", "You have no template of this name or id.")
    return version


def text_in(version: TemplateVersion, language: str) -> str:
    """With its placeholders, in the nearest language there is."""
    found: str = version.texts[choose_language(language, available=version.texts, default=version.default_language)]
    return found


def newest(schedule: Schedule) -> TemplateVersion | None:
    """The newest version of the schedule's template, also of an archived one; None without a template. One query."""
    return None if schedule.template is None else _version(schedule, schedule.template.newest)


def refresh(schedule: Schedule) -> TemplateVersion | None:
    """Give the schedule, in memory, the content of the newest version of its template. Returns the version."""
    version = newest(schedule)
    if version is not None:
        _use(schedule, version)
    return version


def refreshed(schedule_id: UUID) -> Schedule:
    schedule = Schedule.objects.select_related("template").get(pk=schedule_id)
    refresh(schedule)
    return schedule


def pin(schedule: Schedule, run: ScheduleRun) -> TemplateVersion | None:
    """As `refresh`, but with the version that the run began with, or begins with now. The caller saves the run."""
    if schedule.template is None:
        return None
    if run.template_version is None:
        run.template_version = schedule.template.newest
    version = _version(schedule, run.template_version)
    _use(schedule, version)
    return version


def of(schedule: Schedule, version: TemplateVersion | None) -> RunText:
    """The text of a run of this schedule, after `refresh` or `pin` returned the version."""
    template = text_templates.compile_template(schedule.text)
    if version is None:
        return RunText(template, settings.SMART_ENCODING_DEFAULT)
    longest = {each.name: each.max_length for each in version.variable_list()}
    return RunText(template, version.smart_encoding or settings.SMART_ENCODING_DEFAULT, longest)


def _version(schedule: Schedule, number: int) -> TemplateVersion:
    return TemplateVersion.objects.get(template_id=schedule.template_id, number=number)


def _use(schedule: Schedule, version: TemplateVersion) -> None:
    """An emergency stays one, and nothing becomes one: whoever edits a template need not have the permission."""
    schedule.text = text_in(version, schedule.language)
    schedule.parameters = dict(version.parameters) or None
    if "emergency" not in {schedule.category, version.category}:
        schedule.category = version.category
