"""The wire: requests, responses and events, and the checks that need nothing but themselves."""
