"""The schema of 0.1.0.

No database with an older one was ever released, so a change before the release of 0.1.0 is made
here; after it, each change is a migration of its own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _refers(table: str, column: str, referred: str) -> sa.ForeignKeyConstraint:
    """A row is deleted with the row of `referred` whose id is in its `column`."""
    name = op.f(f"fk_{table}_{column}_{referred}")
    return sa.ForeignKeyConstraint([column], [f"{referred}.id"], name=name, ondelete="CASCADE")


def _index(table: str, *columns: str) -> None:
    op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, list(columns))


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("max_live_sessions", sa.Integer()),
        sa.Column("max_agents", sa.Integer()),
        sa.Column("suspended_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("node_id", sa.String(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "libraries",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_libraries")),
    )
    op.create_table(
        "nodes",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("beats", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("beat_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_nodes")),
    )
    op.create_table(
        "rate_limits",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("hits", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_rate_limits")),
    )
    _index("rate_limits", "expires_at")
    op.create_table(
        "signing_secrets",
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("purpose", name=op.f("pk_signing_secrets")),
    )
    op.create_table(
        "agents",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("voice_id", sa.String(), nullable=False),
        sa.Column("system_prompt", sa.String(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("tools", sa.JSON(), nullable=False),
        sa.Column("max_turns", sa.BigInteger()),
        sa.Column("llm_model", sa.String()),
        sa.Column("stt_model", sa.String()),
        sa.Column("tts_model", sa.String()),
        sa.Column("first_message", sa.String()),
        sa.Column("interruption_threshold", sa.Float(precision=53), nullable=False),
        sa.Column("context_window", sa.BigInteger(), nullable=False),
        sa.Column("tool_url", sa.String()),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        _refers("agents", "account_id", "accounts"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agents")),
    )
    _index("agents", "account_id", "created_at", "id")
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("prefix", sa.String(), nullable=False),
        sa.Column("secret_hash", sa.String(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.Column("last_used_at", sa.DateTime(timezone=True)),
        _refers("api_keys", "account_id", "accounts"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_api_keys_secret_hash")),
    )
    _index("api_keys", "account_id", "created_at", "id")
    op.create_table(
        "sign_ins",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("secret_hash", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        _refers("sign_ins", "account_id", "accounts"),
        _refers("sign_ins", "key_id", "api_keys"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_ins")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_sign_ins_secret_hash")),
    )
    _index("sign_ins", "expires_at")
    op.create_table(
        "caller_ids",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("verified_at", sa.DateTime(timezone=True)),
        sa.Column("verified_over", sa.String()),
        sa.Column("code_hash", sa.String()),
        sa.Column("code_engine", sa.String()),
        sa.Column("code_expires_at", sa.DateTime(timezone=True)),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("call_id", sa.String()),
        _refers("caller_ids", "account_id", "accounts"),
        sa.PrimaryKeyConstraint("account_id", "number", name=op.f("pk_caller_ids")),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("route", sa.String(), nullable=False),
        sa.Column("request_hash", sa.String(), nullable=False),
        sa.Column("token", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("headers", sa.JSON()),
        sa.Column("body", sa.LargeBinary()),
        _refers("idempotency_keys", "account_id", "accounts"),
        sa.PrimaryKeyConstraint("account_id", "key", "route", name=op.f("pk_idempotency_keys")),
    )
    _index("idempotency_keys", "created_at")
    op.create_table(
        "phone_numbers",
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("label", sa.String()),
        sa.Column("termination_uri", sa.String()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        _refers("phone_numbers", "account_id", "accounts"),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_phone_numbers")),
    )
    _index("phone_numbers", "account_id", "created_at")
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("agent_id", sa.String()),
        sa.Column("key_id", sa.String()),
        sa.Column("token_id", sa.String()),
        sa.Column("secret_hash", sa.String()),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("node_id", sa.String()),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("context", sa.JSON(), nullable=False),
        sa.Column("initial_message", sa.String()),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("ended_reason", sa.String()),
        sa.Column("error_code", sa.String()),
        sa.Column("duration_seconds", sa.Float(precision=53)),
        sa.Column("user_turns", sa.Integer(), nullable=False),
        sa.Column("agent_turns", sa.Integer(), nullable=False),
        sa.Column("interruptions", sa.Integer(), nullable=False),
        sa.Column("metrics", sa.JSON(), nullable=False),
        _refers("sessions", "account_id", "accounts"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
    )
    _index("sessions", "account_id", "agent_id", "created_at", "id")
    _index("sessions", "account_id", "created_at", "id")
    _index("sessions", "account_id", "key_id", "state")
    _index("sessions", "state", "expires_at")
    op.create_table(
        "webhook_events",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("subject_id", sa.String(), nullable=False),
        sa.Column("agent_id", sa.String()),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        _refers("webhook_events", "account_id", "accounts"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_events")),
        sa.UniqueConstraint("account_id", "key", name=op.f("uq_webhook_events_account_id_key")),
    )
    _index("webhook_events", "created_at")
    op.create_table(
        "webhook_secrets",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("secret", sa.String(), nullable=False),
        sa.Column("previous_secret", sa.String()),
        sa.Column("previous_until", sa.DateTime(timezone=True)),
        _refers("webhook_secrets", "account_id", "accounts"),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_webhook_secrets")),
    )
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("agent_id", sa.String()),
        sa.Column("subject_id", sa.String()),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("events", sa.JSON(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("secret", sa.String()),
        sa.Column("secret_version", sa.Integer(), nullable=False),
        sa.Column("previous_secret", sa.String()),
        sa.Column("previous_until", sa.DateTime(timezone=True)),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("disabled_reason", sa.String()),
        sa.Column("failing_since", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        _refers("webhooks", "account_id", "accounts"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
        sa.UniqueConstraint("subject_id", "url", name=op.f("uq_webhooks_subject_id_url")),
    )
    _index("webhooks", "account_id", "created_at", "id")
    op.create_table(
        "agent_numbers",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        _refers("agent_numbers", "account_id", "accounts"),
        _refers("agent_numbers", "agent_id", "agents"),
        sa.PrimaryKeyConstraint("account_id", "number", name=op.f("pk_agent_numbers")),
    )
    _index("agent_numbers", "agent_id")
    op.create_table(
        "analyses",
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("summary", sa.String()),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("model", sa.String()),
        sa.Column("error_code", sa.String()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        _refers("analyses", "session_id", "sessions"),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_analyses")),
    )
    op.create_table(
        "calls",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("agent_id", sa.String()),
        sa.Column("direction", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("to_number", sa.String(), nullable=False),
        sa.Column("from_number", sa.String(), nullable=False),
        sa.Column("engine", sa.String(), nullable=False),
        sa.Column("carrier_call_id", sa.String()),
        sa.Column("node_id", sa.String()),
        sa.Column("max_duration_seconds", sa.BigInteger(), nullable=False),
        sa.Column("ring_seconds", sa.BigInteger(), nullable=False),
        sa.Column("recording", sa.Boolean(), nullable=False),
        sa.Column("webhook_url", sa.String()),
        sa.Column("scheduled_at", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True)),
        sa.Column("ringing_at", sa.DateTime(timezone=True)),
        sa.Column("answered_at", sa.DateTime(timezone=True)),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("ended_reason", sa.String()),
        sa.Column("error_code", sa.String()),
        sa.Column("answered_by", sa.String()),
        sa.Column("error_message", sa.String()),
        sa.Column("started_minutes", sa.BigInteger(), nullable=False),
        _refers("calls", "account_id", "accounts"),
        _refers("calls", "session_id", "sessions"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calls")),
        sa.UniqueConstraint(
            "engine", "carrier_call_id", name=op.f("uq_calls_engine_carrier_call_id")
        ),
        sa.UniqueConstraint("session_id", name=op.f("uq_calls_session_id")),
    )
    _index("calls", "account_id", "agent_id", "created_at", "id")
    _index("calls", "account_id", "created_at", "id")
    _index("calls", "account_id", "status", "claimed_at")
    _index("calls", "status", "created_at")
    op.create_table(
        "journal_chunks",
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("chunk", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        _refers("journal_chunks", "session_id", "sessions"),
        sa.PrimaryKeyConstraint("session_id", "chunk", name=op.f("pk_journal_chunks")),
    )
    op.create_table(
        "recordings",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("agent_id", sa.String()),
        sa.Column("node_id", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("duration_seconds", sa.Float(precision=53)),
        sa.Column("lost_seconds", sa.Float(precision=53), nullable=False),
        sa.Column("size_bytes", sa.BigInteger()),
        sa.Column("error_code", sa.String()),
        sa.Column("error_message", sa.String()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
        _refers("recordings", "account_id", "accounts"),
        _refers("recordings", "session_id", "sessions"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recordings")),
        sa.UniqueConstraint("session_id", name=op.f("uq_recordings_session_id")),
    )
    _index("recordings", "account_id", "created_at", "id")
    _index("recordings", "expires_at")
    _index("recordings", "status")
    op.create_table(
        "session_wishes",
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("node_id", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        _refers("session_wishes", "session_id", "sessions"),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_session_wishes")),
    )
    _index("session_wishes", "node_id")
    op.create_table(
        "tool_calls",
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("response_id", sa.String()),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("arguments", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("result", sa.String()),
        sa.Column("called_ms", sa.BigInteger(), nullable=False),
        sa.Column("answered_ms", sa.BigInteger()),
        _refers("tool_calls", "session_id", "sessions"),
        sa.PrimaryKeyConstraint("session_id", "call_id", name=op.f("pk_tool_calls")),
    )
    op.create_table(
        "turns",
        sa.Column("session_id", sa.String(), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.String(), nullable=False),
        sa.Column("speaker", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=False),
        sa.Column("trigger", sa.String(), nullable=False),
        sa.Column("interrupted_at_ms", sa.BigInteger()),
        sa.Column("unheard", sa.String(), nullable=False),
        sa.Column("end_reason", sa.String(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("latency_ms", sa.BigInteger()),
        sa.Column("confidence", sa.Float(precision=53)),
        sa.Column("call_ids", sa.JSON(), nullable=False),
        sa.Column("error_code", sa.String()),
        _refers("turns", "session_id", "sessions"),
        sa.PrimaryKeyConstraint("session_id", "index", name=op.f("pk_turns")),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column(
            "position",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("webhook_id", sa.String(), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("subject_id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("claimed_by", sa.String()),
        sa.Column("history", sa.JSON(), nullable=False),
        sa.Column("http_status", sa.Integer()),
        sa.Column("error", sa.String()),
        sa.Column("give_up_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True)),
        sa.Column("delivered_at", sa.DateTime(timezone=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        _refers("webhook_deliveries", "account_id", "accounts"),
        _refers("webhook_deliveries", "event_id", "webhook_events"),
        _refers("webhook_deliveries", "webhook_id", "webhooks"),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_webhook_deliveries")),
        sa.UniqueConstraint("id", name=op.f("uq_webhook_deliveries_id")),
    )
    _index("webhook_deliveries", "account_id", "subject_id")
    _index("webhook_deliveries", "webhook_id", "subject_id", "position")


def downgrade() -> None:
    op.drop_table("webhook_deliveries")
    op.drop_table("turns")
    op.drop_table("tool_calls")
    op.drop_table("session_wishes")
    op.drop_table("recordings")
    op.drop_table("journal_chunks")
    op.drop_table("calls")
    op.drop_table("analyses")
    op.drop_table("agent_numbers")
    op.drop_table("webhooks")
    op.drop_table("webhook_secrets")
    op.drop_table("webhook_events")
    op.drop_table("sessions")
    op.drop_table("phone_numbers")
    op.drop_table("idempotency_keys")
    op.drop_table("caller_ids")
    op.drop_table("sign_ins")
    op.drop_table("api_keys")
    op.drop_table("agents")
    op.drop_table("signing_secrets")
    op.drop_table("rate_limits")
    op.drop_table("nodes")
    op.drop_table("libraries")
    op.drop_table("leases")
    op.drop_table("accounts")
