"""What a session's address is proved with, and the credential that made the session."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

COLUMNS = ("secret_hash", "key_id", "token_id")


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column("sessions", sa.Column(name, sa.String()))
    op.create_index(
        op.f("ix_sessions_account_id_key_id_state"), "sessions", ["account_id", "key_id", "state"]
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_sessions_account_id_key_id_state"), table_name="sessions")
    with op.batch_alter_table("sessions") as batch:
        for name in COLUMNS:
            batch.drop_column(name)
