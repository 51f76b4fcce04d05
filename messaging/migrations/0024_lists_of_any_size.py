"""Lists by status of all owners, and by sender, from an index whatever the status and the direction.

Built while the program runs: writes go on. A build that was interrupted leaves an invalid index of that name, which has to be
dropped before the migration runs again.
"""

from django.db import migrations, models


class AddIndex(migrations.AddIndex):
    """Builds the index without a lock against writes, where the database can: PostgreSQL."""

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        model = to_state.apps.get_model(app_label, self.model_name)
        schema_editor.add_index(model, self.index, **without_lock(schema_editor))


class RemoveIndex(migrations.RemoveIndex):
    """Its reversal builds the index, also without that lock."""

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        model = to_state.apps.get_model(app_label, self.model_name)
        index = to_state.models[app_label, self.model_name_lower].get_index_by_name(self.name)
        schema_editor.add_index(model, index, **without_lock(schema_editor))


def without_lock(schema_editor):
    return {'concurrently': True} if schema_editor.connection.vendor == 'postgresql' else {}


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('messaging', '0023_one_form_of_each_number'),
    ]

    operations = [
        AddIndex(
            model_name='message',
            index=models.Index(fields=['status', 'id'], name='message_status'),
        ),
        AddIndex(
            model_name='message',
            index=models.Index(
                fields=['from_number', 'id'], name='message_from', opclasses=['varchar_pattern_ops', 'uuid_ops']
            ),
        ),
        RemoveIndex(
            model_name='message',
            name='message_ended_badly',
        ),
        RemoveIndex(
            model_name='message',
            name='message_from_inbound',
        ),
    ]
