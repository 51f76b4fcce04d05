"""List the presets, or print one of them: what to set, which page of the vendor it follows, what it cannot do."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from providers import presets
from providers.errors import ConfigError
from providers.management.output import as_table
from providers.presets import Preset


class Command(BaseCommand):
    help = "List the presets of `upsert_provider --preset`; with a name, print that one with its documentation."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?", help="print this preset")
        parser.add_argument("--json", action="store_true", help="print the presets as JSON, with their configurations")

    def handle(self, *_args: Any, name: str | None, **options: Any) -> None:
        try:
            found = {each: presets.load(each) for each in ([name] if name else presets.names())}
        except ConfigError as error:
            raise CommandError(str(error)) from None
        if options["json"]:
            content = {each: presets.as_json(preset) for each, preset in found.items()}
            self.stdout.write(json.dumps(content[name] if name else content, indent=2, ensure_ascii=False))
        elif name:
            self.stdout.write(_page(name, found[name]))
        else:
            rows = [(each, preset.backend, preset.title) for each, preset in found.items()]
            self.stdout.write(as_table([("name", "backend", "what it is"), *rows]))


def _page(name: str, preset: Preset) -> str:
    command = f"upsert_provider {name} --preset {name}"
    content = json.dumps(preset.example, ensure_ascii=False)
    example = [f"make manage ARGS='{command} --config-file -' <<'END'", content, "END"]
    variables = [f"  {variable}: {meaning}" for variable, meaning in preset.variables.items()]
    return "\n".join(
        [
            preset.docs,
            "",
            *(["Variables of the environment:", *variables, ""] if variables else []),
            "An account with it:",
            *(example if preset.example else [f"make manage ARGS='{command}'"]),
            "",
            "Its configuration:",
            json.dumps(preset.config, indent=2, ensure_ascii=False),
        ]
    )
