"""The scorecard of turn-taking: scripted overlaps and pauses, played through the real server."""
