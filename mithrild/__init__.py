"""mithrild: watches spot bids on the Mithril marketplace for someone who is not looking."""

__version__ = "0.1.0"
