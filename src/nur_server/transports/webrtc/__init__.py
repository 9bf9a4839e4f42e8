"""Voice in browsers: a peer connection's media, and the session behind it."""
