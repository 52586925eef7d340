from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("telemetry", "0003_copy_rollups")]

    operations = [migrations.DeleteModel("OldRollup"), migrations.DeleteModel("OldWait")]
