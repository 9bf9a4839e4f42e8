"""Who has answered a call."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("answered_by", sa.String()))


def downgrade() -> None:
    op.drop_column("calls", "answered_by")
