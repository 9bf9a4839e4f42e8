// Written by `python -m nur_server.api.typescript` from the OpenAPI document. Do not edit.

export type AgentBody = { name: string; voice_id: string; system_prompt: string; language?: string | null; tools?: Array<Record<string, unknown>> | null; max_turns?: number | null; llm_model?: string | null; stt_model?: string | null; tts_model?: string | null; first_message?: string | null; greeting?: string | null; interruption_threshold?: number | null; context_window?: number | null; tool_url?: string | null; tool_secret?: string | null; phone_numbers?: Array<string> | null; metadata?: Record<string, unknown> | null; status?: "active" | "paused" | null; turn_detection?: TurnDetectionBody | null; silence?: SilenceBody | null; voicemail?: VoicemailBody | null; input?: InputBody | null; output?: OutputBody | null; max_duration_seconds?: number | null; goodbye?: string | null; apology?: string | null; tool_filler?: string | null; tool_filler_seconds?: number | null; hello_seconds?: number | null; temperature?: number | null; max_tokens?: number | null; speed?: number | null; recording?: boolean | null; recording_consent?: string | null; recording_retention_days?: number | null; client_overrides?: Array<"system_prompt" | "greeting" | "input.type" | "input.format" | "input.turn_detection" | "input.keyterms" | "input.transcription_mode" | "input.transcription_prompt" | "input.continuous_partials" | "input.language_codes" | "input.voice_focus" | "input.voice_focus_threshold" | "output.type" | "output.voice" | "output.format" | "output.volume"> | null; allowed_origins?: Array<string> | null; analysis?: AnalysisBody | null; };

export type AgentChanges = { name?: string; voice_id?: string; system_prompt?: string; language?: string | null; tools?: Array<Record<string, unknown>> | null; max_turns?: number | null; llm_model?: string | null; stt_model?: string | null; tts_model?: string | null; first_message?: string | null; greeting?: string | null; interruption_threshold?: number | null; context_window?: number | null; tool_url?: string | null; tool_secret?: string | null; phone_numbers?: Array<string> | null; metadata?: Record<string, unknown> | null; status?: "active" | "paused" | null; turn_detection?: TurnDetectionBody | null; silence?: SilenceBody | null; voicemail?: VoicemailBody | null; input?: InputBody | null; output?: OutputBody | null; max_duration_seconds?: number | null; goodbye?: string | null; apology?: string | null; tool_filler?: string | null; tool_filler_seconds?: number | null; hello_seconds?: number | null; temperature?: number | null; max_tokens?: number | null; speed?: number | null; recording?: boolean | null; recording_consent?: string | null; recording_retention_days?: number | null; client_overrides?: Array<"system_prompt" | "greeting" | "input.type" | "input.format" | "input.turn_detection" | "input.keyterms" | "input.transcription_mode" | "input.transcription_prompt" | "input.continuous_partials" | "input.language_codes" | "input.voice_focus" | "input.voice_focus_threshold" | "output.type" | "output.voice" | "output.format" | "output.volume"> | null; allowed_origins?: Array<string> | null; analysis?: AnalysisBody | null; };

export type AgentList = { object?: "list"; data: Array<AgentObject>; total: number; limit: number; offset: number; has_more: boolean; next_cursor: string | null; response_metadata: NextPage; agents: Array<AgentObject>; };

export type AgentObject = { name: string; voice_id: string; system_prompt: string; language: string; tools: Array<Record<string, unknown>>; max_turns: number | null; llm_model: string | null; stt_model: string | null; tts_model: string | null; first_message: string | null; greeting: string | null; interruption_threshold: number; context_window: number; tool_url: string | null; tool_secret: string | null; phone_numbers: Array<string>; metadata: Record<string, unknown>; status: "active" | "paused" | "deleted"; turn_detection: TurnDetectionBody | null; silence: SilenceBody | null; voicemail: VoicemailBody | null; input: InputBody | null; output: OutputBody | null; max_duration_seconds: number | null; goodbye: string | null; apology: string | null; tool_filler: string | null; tool_filler_seconds: number | null; hello_seconds: number | null; temperature: number | null; max_tokens: number | null; speed: number | null; recording: boolean | null; recording_consent: string | null; recording_retention_days: number | null; client_overrides: Array<string> | null; allowed_origins: Array<string> | null; analysis: AnalysisBody | null; id: string; object?: "agent"; created: number; created_at: string; updated_at: string; warnings: Array<string>; };

export type AgentStatus = "active" | "paused";

export type AnalysisBody = unknown;

export type AnalysisFieldBody = unknown;

export type AnalysisObject = { object?: "analysis"; session_id: string; status: "ready" | "failed" | "skipped"; summary: string | null; fields: Record<string, unknown>; model: string | null; error_code: string | null; created_at: string; };

export type AssignmentBody = { agent_id: string; };

export type AttemptObject = { attempt: number; at: string; http_status: number | null; error: string | null; duration_ms: number; };

export type BrowserSessionObject = { object?: "browser_session"; account_id: string; account_name: string; key_id: string; key_name: string; scopes: Array<string>; expires_at: string | null; csrf_token: string | null; };

export type CallBody = unknown;

export type CallChanges = { scheduled_at: string; };

export type CallList = { object?: "list"; data: Array<CallObject>; total: number; limit: number; offset: number; has_more: boolean; next_cursor: string | null; response_metadata: NextPage; calls: Array<CallObject>; };

export type CallObject = { id: string; object?: "call"; call_id: string; session_id: string; agent_id: string | null; direction: "outbound" | "inbound"; purpose: "agent" | "verification"; phone_number: string; caller_id: string; to_number: string; from_number: string; status: "scheduled" | "initiating" | "ringing" | "in_progress" | "completed" | "failed" | "no_answer" | "canceled"; scheduled_at: string | null; started_at: number | null; ended_at: number | null; answered_by: string | null; duration: number; duration_seconds: number; max_duration: number; ring_seconds: number; record: boolean; recording_id: string | null; recording_url: string | null; transcript_id: string | null; webhook_url: string | null; context: Record<string, unknown>; metadata: Record<string, unknown>; initial_message: string | null; ended_reason: string | null; error: string | null; error_code: string | null; warnings: Array<string>; created: number; created_at: string; };

export type CallStatus = "scheduled" | "initiating" | "ringing" | "in_progress" | "completed" | "failed" | "no_answer" | "canceled";

export type CallerIdBody = { phone_number: string; from_number?: string | null; };

export type CallerIdList = { object?: "list"; data: Array<CallerIdObject>; total: number; limit: number; offset: number; has_more: boolean; next_cursor: string | null; response_metadata: NextPage; caller_ids: Array<CallerIdObject>; };

export type CallerIdObject = { id: string; object?: "caller_id"; phone_number: string; status: "verified" | "pending" | "unverified"; verified_at: string | null; verified_over: string | null; code_expires_at: string | null; attempts_left: number; call_id: string | null; code?: string | null; created_at: string; };

export type CodeBody = { code: string; };

export type DeletedAgent = { id: string; object?: "agent"; deleted?: true; status?: "deleted"; };

export type DeletedNumber = { id: string; deleted?: true; };

export type DeletedWebhook = { id: string; object?: "webhook"; deleted?: true; };

export type DeliveryList = { object?: "list"; data: Array<DeliveryObject>; total: number; limit: number; offset: number; has_more: boolean; next_cursor: string | null; response_metadata: NextPage; deliveries: Array<DeliveryObject>; };

export type DeliveryObject = { id: string; object?: "webhook_delivery"; webhook_id: string; subscription_id: string; event_id: string; event: string; session_id: string; status: "pending" | "delivered" | "failed" | "canceled"; attempt_count: number; attempts: Array<AttemptObject>; http_status_code: number | null; error: string | null; next_retry_at: string | null; give_up_at: string; delivered_at: string | null; created_at: string; };

export type DeliveryStatus = "pending" | "delivered" | "failed" | "canceled";

export type DialBody = { context?: Record<string, unknown> | null; metadata?: Record<string, unknown> | null; initial_message?: string | null; max_duration?: number | null; ring_seconds?: number | null; recording?: boolean | null; record?: boolean | null; scheduled_at?: string | null; webhook_url?: string | null; agent_id: string; to_number: string; from_number: string; };

export type Direction = "outbound" | "inbound";

export type ErrorBody = { error: ErrorDetail; detail: string; };

export type ErrorDetail = { type: string; code: string; message: string; param: string | null; details: Record<string, unknown>; request_id: string; };

export type FormatBody = { encoding?: "audio/pcm" | "audio/pcmu" | "audio/pcma" | null; sample_rate?: 8000 | 16000 | 24000 | 48000 | null; };

export type Health = { status?: "ok"; };

export type InputBody = { type?: "audio" | "text" | null; format?: FormatBody | null; turn_detection?: TurnDetectionBody | null; keyterms?: Array<string> | null; transcription_mode?: "min_latency" | "balanced" | "max_accuracy" | null; transcription_prompt?: string | null; continuous_partials?: boolean | null; language_codes?: Array<string> | null; voice_focus?: "near-field" | "far-field" | null; voice_focus_threshold?: number | null; };

export type KeyBody = { name: string; scopes?: Array<"*" | "agents:read" | "agents:write" | "calls:read" | "calls:write" | "keys:read" | "keys:write" | "models:read" | "sessions:connect" | "sessions:read" | "sessions:write" | "voices:read" | "webhooks:read" | "webhooks:write"> | null; expires_at?: string | null; };

export type KeyObject = { id: string; object?: "api_key"; name: string; prefix: string; scopes: Array<string>; created: number; created_at: string; expires_at: string | null; revoked_at: string | null; last_used_at: string | null; };

export type Line = { role: "assistant" | "user"; content: string; timestamp: number; };

export type ListingKeyObject = { object?: "list"; data: Array<KeyObject>; total: number; limit: number; offset: number; has_more: boolean; next_cursor: string | null; response_metadata: NextPage; };

export type ListingModelObject = { object?: "list"; data: Array<ModelObject>; total: number; limit: number; offset: number; has_more: boolean; next_cursor: string | null; response_metadata: NextPage; };

export type ListingVoiceObject = { object?: "list"; data: Array<VoiceObject>; total: number; limit: number; offset: number; has_more: boolean; next_cursor: string | null; response_metadata: NextPage; };

export type ModelObject = { id: string; object?: "model"; kind: "stt" | "llm" | "tts"; name: string; provider: string; description: string; available: boolean; is_default: boolean; };

export type ModelState = { id: string; kind: "stt" | "llm" | "tts"; status: "ok" | "failing" | "unknown"; code: string | null; };

export type NewCallBody = unknown;

export type NewKeyObject = { id: string; object?: "api_key"; name: string; prefix: string; scopes: Array<string>; created: number; created_at: string; expires_at: string | null; revoked_at: string | null; last_used_at: string | null; key: string; secret: string; };

export type NewWebhookObject = { id: string; object?: "webhook"; url: string; events: Array<string>; agent_id: string | null; description: string; enabled: boolean; disabled_reason: string | null; failing_since: string | null; secret_version: number; created: number; created_at: string; updated_at: string; secret: string; };

export type NextPage = { next_cursor: string | null; };

export type OutputBody = { type?: "audio" | "text" | null; format?: FormatBody | null; volume?: number | null; };

export type PhoneNumberBody = { phone_number: string; label?: string | null; agent_id?: string | null; termination_uri?: string | null; };

export type PhoneNumberList = { object?: "list"; data: Array<PhoneNumberObject>; total: number; limit: number; offset: number; has_more: boolean; next_cursor: string | null; response_metadata: NextPage; phone_numbers: Array<PhoneNumberObject>; };

export type PhoneNumberObject = { id: string; object?: "phone_number"; phone_number: string; agent_id: string | null; label: string | null; termination_uri: string | null; imported: boolean; created_at: string | null; };

export type Readiness = { status?: "ready"; database?: "ok"; live_sessions: number; models?: Array<ModelState>; };

export type RecordingFormat = "flac" | "opus" | "wav";

export type RecordingObject = { id: string; object?: "recording"; recording_id: string; session_id: string; agent_id: string | null; status: "recording" | "ready" | "failed" | "deleted"; url: string | null; recording_url: string | null; expires_at: string | null; format: "flac" | "opus" | "wav"; duration: number | null; duration_seconds: number | null; size_bytes: number | null; lost_seconds: number; error_code: string | null; error_message: string | null; created_at: string; ended_at: string | null; delete_at: string | null; deleted_at: string | null; };

export type RotationBody = { secret?: string | null; };

export type SecretObject = { object?: "signing_secret"; secret: string; };

export type SessionBody = { agent_id?: string | null; metadata?: Record<string, unknown> | null; context?: Record<string, unknown> | null; initial_message?: string | null; recording?: boolean | null; transport?: "websocket" | "webrtc"; };

export type SessionKind = "websocket" | "webrtc" | "outbound" | "inbound";

export type SessionList = { object?: "list"; data: Array<SessionObject>; total: number; limit: number; offset: number; has_more: boolean; next_cursor: string | null; response_metadata: NextPage; sessions: Array<SessionObject>; };

export type SessionObject = { id: string; object?: "session"; session_id: string; agent_id: string | null; kind: "websocket" | "webrtc" | "outbound" | "inbound"; status: "active" | "ended" | "expired"; websocket_url: string | null; token?: string | null; livekit_url?: string | null; room_name?: string | null; created_at: string; expires_at: string; started_at: string | null; ended_at: string | null; ended_reason: string | null; error_code: string | null; duration_seconds: number | null; metadata: Record<string, unknown>; context: Record<string, unknown>; initial_message: string | null; user_turns: number; agent_turns: number; interruptions: number; metrics: Record<string, number>; warnings: Array<string>; };

export type SessionStatus = "active" | "ended" | "expired";

export type SignInBody = { key?: string | null; link?: string | null; };

export type SignInLinkBody = { next?: string; };

export type SignInLinkObject = { object?: "sign_in_link"; url: string; expires_at: string; };

export type SignedOut = { object?: "browser_session"; signed_out?: true; };

export type SilenceBody = { reprompt_seconds?: number | null; reprompt_message?: string | null; max_reprompts?: number | null; end_seconds?: number | null; };

export type StartedVoice = { session_id: string; agent_id: string; status?: "initiating"; token: string; livekit_url: string; room_name: string; websocket_url: string; created_at: string; expires_at: string; expires_in: number; warnings: Array<string>; };

export type TokenBody = { expires_in_seconds?: number; max_session_duration_seconds?: number; max_live_sessions?: number; agent_ids?: Array<string> | null; allowed_origins?: Array<string> | null; };

export type TokenObject = { token: string; expires_in_seconds: number; expires_at: string; max_session_duration_seconds: number; max_live_sessions: number; agent_ids: Array<string> | null; allowed_origins: Array<string> | null; };

export type ToolCallObject = { call_id: string; name: string; arguments: unknown; status: "running" | "succeeded" | "failed" | "timed_out" | "refused" | "cancelled"; result: string | null; is_error: boolean; called_ms: number; answered_ms: number | null; duration_ms: number | null; };

export type TranscriptObject = { object?: "transcript"; session_id: string; agent_id: string | null; status: "active" | "ended" | "expired"; ended_reason: string | null; turns: Array<TurnObject>; text: string; };

export type TurnDetectionBody = { type?: "server_vad" | "semantic_vad" | null; vad_threshold?: number | null; min_silence?: number | null; max_silence?: number | null; interrupt_response?: boolean | null; interruption_delay?: number | null; uninterruptible_turns?: Array<string> | null; };

export type TurnObject = { index: number; item_id: string; speaker: "user" | "agent"; text: string; started_ms: number; ended_ms: number; trigger: string; interrupted: boolean; interrupted_at_ms: number | null; unheard: string; end_reason: string; evidence: Record<string, unknown>; latency_ms: number | null; confidence: number | null; tool_calls: Array<ToolCallObject>; error_code: string | null; };

export type VoiceObject = { id: string; object?: "voice"; name: string; language: string | null; gender: string | null; description: string; type: "built-in" | "vendor"; model: string | null; aliases: Array<string>; };

export type VoiceSession = { session_id: string; call_id: string | null; status: "scheduled" | "initiating" | "ringing" | "in_progress" | "completed" | "failed" | "no_answer" | "canceled"; agent_id: string | null; duration: number; duration_seconds: number; created_at: string; started_at: string | null; ended_at: string | null; ended_reason: string | null; error: string | null; error_code: string | null; id: string; object?: "voice.session"; type: "web" | "outbound" | "inbound"; kind: "websocket" | "webrtc" | "outbound" | "inbound"; direction: "outbound" | "inbound"; to_number: string | null; from_number: string | null; scheduled_at: string | null; max_duration: number | null; recording: boolean; recording_id: string | null; recording_url: string | null; webhook_url: string | null; context: Record<string, unknown>; metadata: Record<string, unknown>; };

export type VoiceSessionDetails = { session_id: string; call_id: string | null; status: "scheduled" | "initiating" | "ringing" | "in_progress" | "completed" | "failed" | "no_answer" | "canceled"; agent_id: string | null; duration: number; duration_seconds: number; created_at: string; started_at: string | null; ended_at: string | null; ended_reason: string | null; error: string | null; error_code: string | null; id: string; object?: "voice.session"; type: "web" | "outbound" | "inbound"; kind: "websocket" | "webrtc" | "outbound" | "inbound"; direction: "outbound" | "inbound"; to_number: string | null; from_number: string | null; scheduled_at: string | null; max_duration: number | null; recording: boolean; recording_id: string | null; recording_url: string | null; webhook_url: string | null; context: Record<string, unknown>; metadata: Record<string, unknown>; transcript: Array<Line>; };

export type VoiceSessionList = { object?: "list"; data: Array<VoiceSession>; total: number; limit: number; offset: number; has_more: boolean; next_cursor: string | null; response_metadata: NextPage; sessions: Array<VoiceSession>; };

export type VoiceStartBody = { agent_id: string; context?: Record<string, unknown> | null; metadata?: Record<string, unknown> | null; first_message?: string | null; language?: string | null; voice_id?: string | null; tts_voice?: string | null; stt_language?: string | null; stt_provider?: string | null; tts_provider?: string | null; recording?: boolean | null; };

export type VoiceStatus = { session_id: string; call_id: string | null; status: "scheduled" | "initiating" | "ringing" | "in_progress" | "completed" | "failed" | "no_answer" | "canceled"; agent_id: string | null; duration: number; duration_seconds: number; created_at: string; started_at: string | null; ended_at: string | null; ended_reason: string | null; error: string | null; error_code: string | null; };

export type VoiceTranscript = { session_id: string; call_id: string | null; agent_id: string | null; status: "scheduled" | "initiating" | "ringing" | "in_progress" | "completed" | "failed" | "no_answer" | "canceled"; transcript: Array<Line>; messages: Array<Line>; };

export type VoicemailBody = unknown;

export type WebhookBody = { url: string; events: Array<"*" | "session.started" | "session.ended" | "call.initiating" | "call.ringing" | "call.in_progress" | "call.completed" | "call.failed" | "call.no_answer" | "call.canceled" | "recording.ready" | "session.analyzed" | "webhook.test" | "agent.session.started" | "agent.session.ended" | "session.completed" | "call.started" | "call.connected" | "call.ended" | "call.analyzed">; agent_id?: string | null; description?: string; secret?: string | null; enabled?: boolean; };

export type WebhookChanges = { url?: string | null; events?: Array<"*" | "session.started" | "session.ended" | "call.initiating" | "call.ringing" | "call.in_progress" | "call.completed" | "call.failed" | "call.no_answer" | "call.canceled" | "recording.ready" | "session.analyzed" | "webhook.test" | "agent.session.started" | "agent.session.ended" | "session.completed" | "call.started" | "call.connected" | "call.ended" | "call.analyzed"> | null; agent_id?: string | null; description?: string | null; enabled?: boolean | null; };

export type WebhookList = { object?: "list"; data: Array<WebhookObject>; total: number; limit: number; offset: number; has_more: boolean; next_cursor: string | null; response_metadata: NextPage; subscriptions: Array<WebhookObject>; };

export type WebhookObject = { id: string; object?: "webhook"; url: string; events: Array<string>; agent_id: string | null; description: string; enabled: boolean; disabled_reason: string | null; failing_since: string | null; secret_version: number; created: number; created_at: string; updated_at: string; };

export interface Operations {
  "GET /healthz": {
    given: Record<string, never>;
    answer: Health;
  };
  "GET /readyz": {
    given: Record<string, never>;
    answer: Readiness;
  };
  "GET /v1/agents": {
    given: { status?: AgentStatus | null; limit?: number; offset?: number; cursor?: string | null; };
    answer: AgentList;
  };
  "POST /v1/agents": {
    given: AgentBody;
    answer: AgentObject;
  };
  "POST /v1/agents/create": {
    given: AgentBody;
    answer: AgentObject;
  };
  "DELETE /v1/agents/{agent_id}": {
    given: { agent_id: string; };
    answer: DeletedAgent;
  };
  "GET /v1/agents/{agent_id}": {
    given: { agent_id: string; };
    answer: AgentObject;
  };
  "PATCH /v1/agents/{agent_id}": {
    given: { agent_id: string; } & AgentChanges;
    answer: AgentObject;
  };
  "PUT /v1/agents/{agent_id}": {
    given: { agent_id: string; } & AgentBody;
    answer: AgentObject;
  };
  "GET /v1/agents/{agent_id}/calls": {
    given: { agent_id: string; status?: CallStatus | null; created_after?: string | null; created_before?: string | null; limit?: number; offset?: number; cursor?: string | null; };
    answer: CallList;
  };
  "POST /v1/agents/{agent_id}/calls": {
    given: { agent_id: string; } & CallBody;
    answer: CallObject;
  };
  "GET /v1/agents/{agent_id}/sessions": {
    given: { agent_id: string; status?: SessionStatus | null; limit?: number; offset?: number; cursor?: string | null; };
    answer: SessionList;
  };
  "POST /v1/agents/{agent_id}/sessions": {
    given: { agent_id: string; } & Partial<SessionBody | null>;
    answer: SessionObject;
  };
  "GET /v1/api-keys": {
    given: { limit?: number; offset?: number; cursor?: string | null; };
    answer: ListingKeyObject;
  };
  "POST /v1/api-keys": {
    given: KeyBody;
    answer: NewKeyObject;
  };
  "DELETE /v1/api-keys/{key_id}": {
    given: { key_id: string; };
    answer: KeyObject;
  };
  "GET /v1/api-keys/{key_id}": {
    given: { key_id: string; };
    answer: KeyObject;
  };
  "DELETE /v1/browser-session": {
    given: Record<string, never>;
    answer: SignedOut;
  };
  "GET /v1/browser-session": {
    given: Record<string, never>;
    answer: BrowserSessionObject;
  };
  "POST /v1/browser-session": {
    given: SignInBody;
    answer: BrowserSessionObject;
  };
  "GET /v1/caller-ids": {
    given: { limit?: number; offset?: number; cursor?: string | null; };
    answer: CallerIdList;
  };
  "POST /v1/caller-ids": {
    given: CallerIdBody;
    answer: CallerIdObject;
  };
  "DELETE /v1/caller-ids/{phone_number}": {
    given: { phone_number: string; };
    answer: DeletedNumber;
  };
  "GET /v1/caller-ids/{phone_number}": {
    given: { phone_number: string; };
    answer: CallerIdObject;
  };
  "POST /v1/caller-ids/{phone_number}/verify": {
    given: { phone_number: string; } & CodeBody;
    answer: CallerIdObject;
  };
  "GET /v1/calls": {
    given: { agent_id?: string | null; status?: CallStatus | null; direction?: Direction | null; created_after?: string | null; created_before?: string | null; limit?: number; offset?: number; cursor?: string | null; };
    answer: CallList;
  };
  "POST /v1/calls": {
    given: NewCallBody;
    answer: CallObject;
  };
  "DELETE /v1/calls/{call_id}": {
    given: { call_id: string; };
    answer: CallObject;
  };
  "GET /v1/calls/{call_id}": {
    given: { call_id: string; };
    answer: CallObject;
  };
  "PATCH /v1/calls/{call_id}": {
    given: { call_id: string; } & CallChanges;
    answer: CallObject;
  };
  "POST /v1/calls/{call_id}/end": {
    given: { call_id: string; };
    answer: CallObject;
  };
  "GET /v1/models": {
    given: { kind?: "stt" | "llm" | "tts" | null; limit?: number; offset?: number; cursor?: string | null; };
    answer: ListingModelObject;
  };
  "GET /v1/models/{model_id}": {
    given: { model_id: string; };
    answer: ModelObject;
  };
  "GET /v1/phone-numbers": {
    given: { limit?: number; offset?: number; cursor?: string | null; };
    answer: PhoneNumberList;
  };
  "POST /v1/phone-numbers": {
    given: PhoneNumberBody;
    answer: PhoneNumberObject;
  };
  "POST /v1/phone-numbers/import": {
    given: PhoneNumberBody;
    answer: PhoneNumberObject;
  };
  "DELETE /v1/phone-numbers/{phone_number}": {
    given: { phone_number: string; };
    answer: DeletedNumber;
  };
  "GET /v1/phone-numbers/{phone_number}": {
    given: { phone_number: string; };
    answer: PhoneNumberObject;
  };
  "DELETE /v1/phone-numbers/{phone_number}/agent": {
    given: { phone_number: string; };
    answer: PhoneNumberObject;
  };
  "PUT /v1/phone-numbers/{phone_number}/agent": {
    given: { phone_number: string; } & AssignmentBody;
    answer: PhoneNumberObject;
  };
  "DELETE /v1/recordings/{recording_id}": {
    given: { recording_id: string; };
    answer: RecordingObject;
  };
  "GET /v1/recordings/{recording_id}": {
    given: { recording_id: string; format?: RecordingFormat; };
    answer: RecordingObject;
  };
  "GET /v1/sessions": {
    given: { agent_id?: string | null; status?: SessionStatus | null; kind?: SessionKind | null; created_after?: string | null; created_before?: string | null; limit?: number; offset?: number; cursor?: string | null; };
    answer: SessionList;
  };
  "DELETE /v1/sessions/{session_id}": {
    given: { session_id: string; };
    answer: SessionObject;
  };
  "GET /v1/sessions/{session_id}": {
    given: { session_id: string; };
    answer: SessionObject;
  };
  "GET /v1/sessions/{session_id}/analysis": {
    given: { session_id: string; };
    answer: AnalysisObject;
  };
  "POST /v1/sessions/{session_id}/end": {
    given: { session_id: string; };
    answer: SessionObject;
  };
  "GET /v1/sessions/{session_id}/recording": {
    given: { session_id: string; format?: RecordingFormat; };
    answer: RecordingObject;
  };
  "DELETE /v1/sessions/{session_id}/sdp": {
    given: { session_id: string; };
    answer: unknown;
  };
  "POST /v1/sessions/{session_id}/sdp": {
    given: { session_id: string; } & { type?: "offer"; sdp: string; };
    answer: unknown;
  };
  "GET /v1/sessions/{session_id}/transcript": {
    given: { session_id: string; };
    answer: TranscriptObject;
  };
  "GET /v1/sessions/{session_id}/webhook-deliveries": {
    given: { session_id: string; status?: DeliveryStatus | null; limit?: number; offset?: number; cursor?: string | null; };
    answer: DeliveryList;
  };
  "POST /v1/sign-in-links": {
    given: Partial<SignInLinkBody | null>;
    answer: SignInLinkObject;
  };
  "GET /v1/token": {
    given: { expires_in_seconds: number; max_session_duration_seconds?: number; max_live_sessions?: number; agent_id?: string | null; allowed_origin?: string | null; };
    answer: TokenObject;
  };
  "POST /v1/tokens": {
    given: Partial<TokenBody | null>;
    answer: TokenObject;
  };
  "POST /v1/voice/session": {
    given: VoiceStartBody;
    answer: StartedVoice;
  };
  "POST /v1/voice/session/{session_id}/end": {
    given: { session_id: string; };
    answer: VoiceStatus;
  };
  "GET /v1/voices": {
    given: { language?: string | null; type?: "built-in" | "vendor" | "cloned" | null; limit?: number; offset?: number; cursor?: string | null; };
    answer: ListingVoiceObject;
  };
  "GET /v1/voices/{voice_id}": {
    given: { voice_id: string; };
    answer: VoiceObject;
  };
  "GET /v1/webhook-deliveries/{delivery_id}": {
    given: { delivery_id: string; };
    answer: DeliveryObject;
  };
  "POST /v1/webhook-deliveries/{delivery_id}/replay": {
    given: { delivery_id: string; };
    answer: DeliveryObject;
  };
  "GET /v1/webhooks": {
    given: { include_disabled?: boolean; limit?: number; offset?: number; cursor?: string | null; };
    answer: WebhookList;
  };
  "POST /v1/webhooks": {
    given: WebhookBody;
    answer: NewWebhookObject;
  };
  "POST /v1/webhooks/signing-secret": {
    given: Record<string, never>;
    answer: SecretObject;
  };
  "DELETE /v1/webhooks/{webhook_id}": {
    given: { webhook_id: string; };
    answer: DeletedWebhook;
  };
  "GET /v1/webhooks/{webhook_id}": {
    given: { webhook_id: string; };
    answer: WebhookObject;
  };
  "PATCH /v1/webhooks/{webhook_id}": {
    given: { webhook_id: string; } & WebhookChanges;
    answer: WebhookObject;
  };
  "GET /v1/webhooks/{webhook_id}/deliveries": {
    given: { webhook_id: string; status?: DeliveryStatus | null; limit?: number; offset?: number; cursor?: string | null; };
    answer: DeliveryList;
  };
  "POST /v1/webhooks/{webhook_id}/rotate": {
    given: { webhook_id: string; } & Partial<RotationBody | null>;
    answer: NewWebhookObject;
  };
  "POST /v1/webhooks/{webhook_id}/test": {
    given: { webhook_id: string; };
    answer: DeliveryObject;
  };
  "GET /v1/widget/transcript/{session_id}": {
    given: { session_id: string; };
    answer: VoiceTranscript;
  };
  "POST /voice/end/{session_id}": {
    given: { session_id: string; };
    answer: VoiceStatus;
  };
  "POST /voice/outbound/dial": {
    given: DialBody;
    answer: VoiceSession;
  };
  "GET /voice/recording/{recording_id}": {
    given: { recording_id: string; format?: RecordingFormat; };
    answer: RecordingObject;
  };
  "GET /voice/sessions": {
    given: { agent_id?: string | null; status?: CallStatus | null; start_date?: string | null; end_date?: string | null; limit?: number; offset?: number; cursor?: string | null; };
    answer: VoiceSessionList;
  };
  "GET /voice/sessions/{session_id}": {
    given: { session_id: string; };
    answer: VoiceSessionDetails;
  };
  "POST /voice/start": {
    given: VoiceStartBody;
    answer: StartedVoice;
  };
  "GET /voice/status/{session_id}": {
    given: { session_id: string; };
    answer: VoiceStatus;
  };
}
