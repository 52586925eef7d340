"""Rollups of any subject, several stretches in a row. What older versions kept is copied by the next migration."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("telemetry", "0001_initial")]

    operations = [
        migrations.RenameModel("Rollup", "OldRollup"),
        migrations.RenameModel("RollupWait", "OldWait"),
        migrations.CreateModel(
            name="Rollup",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("subject", models.CharField(max_length=220)),
                ("resolution", models.PositiveSmallIntegerField()),
                ("start", models.BigIntegerField()),
                ("operations", models.BigIntegerField(default=0)),
                ("cells", models.BinaryField()),
            ],
            options={
                "indexes": [models.Index(fields=["resolution", "start"], name="rollup_by_time")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("subject", "resolution", "start"), name="one_row_of_a_subject"
                    )
                ],
            },
        ),
        migrations.AddField("AgentTotal", "host", models.CharField(blank=True, max_length=200)),
        migrations.AddField("AgentTotal", "repository", models.CharField(blank=True, max_length=200)),
        migrations.AddField(
            "AgentTotal",
            "corrected",
            models.BigIntegerField(default=0, help_text="samples whose clock was off"),
        ),
    ]
