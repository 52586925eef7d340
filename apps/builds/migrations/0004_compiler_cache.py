import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("builds", "0003_recordings"),
        ("fleet", "0004_agent_environment"),
    ]

    operations = [
        migrations.AddField(
            model_name="buildoptions",
            name="compiler_cache",
            field=models.BooleanField(
                default=True, help_text="release builds and first builds ask their host's compiler cache"
            ),
        ),
        migrations.CreateModel(
            name="CompilerCache",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "problem",
                    models.CharField(
                        blank=True, help_text="why it isn't used; empty when it is", max_length=500
                    ),
                ),
                ("version", models.CharField(blank=True, max_length=40)),
                ("location", models.CharField(blank=True, max_length=500)),
                ("hits", models.BigIntegerField(default=0)),
                ("misses", models.BigIntegerField(default=0)),
                ("errors", models.BigIntegerField(default=0)),
                (
                    "reasons",
                    models.JSONField(
                        default=dict, help_text="compilations that it couldn't cache, by what it says why"
                    ),
                ),
                (
                    "size_bytes",
                    models.BigIntegerField(help_text="null where the storage doesn't tell", null=True),
                ),
                ("most_bytes", models.BigIntegerField(null=True)),
                ("looked_at", models.DateTimeField()),
                (
                    "host",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="compiler_cache",
                        to="fleet.host",
                    ),
                ),
            ],
        ),
    ]
