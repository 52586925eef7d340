from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("fleet", "0004_agent_environment"),
    ]

    operations = [
        migrations.AddField(
            model_name="agent",
            name="view",
            field=models.JSONField(
                default=list,
                help_text="directories that it sees at other paths: pairs of where one is and is seen",
            ),
        ),
    ]
