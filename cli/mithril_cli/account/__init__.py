"""The vendor's settings, and the account at the marketplace that they lead to."""
