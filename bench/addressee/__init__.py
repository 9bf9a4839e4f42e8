"""Whom are the words for? The sentences that `nur_server.conversation.addressee` was fitted to."""
